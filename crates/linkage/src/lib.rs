//! Record linkage without I/O.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod bits;
pub mod cipher;
pub mod clk;
pub mod dice;
pub mod digest;
pub mod filters;
pub mod java_random;
pub mod matching;
pub mod profile;
pub mod pseudonym;
pub mod rbf;
pub mod result_set;
pub mod secret;
pub mod vectors;
