//! The parts of the admission core that threads share without a lock, from the gateway's own files. No
//! code of its own.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::as_conversions)]

#[path = "../../../gateway/src/admission/credit.rs"]
pub mod credit;
#[path = "../../../gateway/src/admission/funds.rs"]
pub mod funds;
#[path = "../../../gateway/src/admission/share.rs"]
pub mod share;
#[path = "../../../gateway/src/admission/slots.rs"]
pub mod slots;
#[path = "../../../gateway/src/admission/wheel.rs"]
pub mod wheel;
