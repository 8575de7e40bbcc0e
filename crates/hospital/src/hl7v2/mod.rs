//! HL7 v2.5: messages, and the queries PDQ (ITI-21) and PIX (ITI-9).
mod answer;
mod charset;
mod message;
pub mod pdq;
pub mod pix;
pub mod request;

pub use answer::{Acknowledgement, acknowledgement};
pub use charset::Charset;
pub use message::{MAX_FIELD, MAX_MESSAGE, MAX_SEGMENTS, Message, Options, Segment, Value, escape};
