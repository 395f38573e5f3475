//! What the measuring programs share: the bytes of requests and answers, processors and their time,
//! and the figures they hand to each other. Knows no admission code and must cost next to nothing
//! itself: it shares the machine with what it measures.

pub mod answer;
pub mod client;
pub mod clock;
pub mod figures;
pub mod machine;
pub mod processor;
pub mod request;
pub mod server;
