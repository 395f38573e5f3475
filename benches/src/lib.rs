//! What the measuring programs share: the bytes of requests and answers, processors and their time,
//! and the figures they hand to each other; and `in_process`, the parts of the gateway at a given size.
//! What drives load must cost next to nothing itself: it shares the machine with what it measures.

pub mod answer;
pub mod client;
pub mod clock;
pub mod figures;
pub mod in_process;
pub mod machine;
pub mod processor;
pub mod program;
pub mod request;
pub mod server;
pub mod wait;
