//! Record linkage without I/O: normalisation, Bloom filters, matching, pseudonyms, data-set encryption.
//!
//! ```text
//! site:         Idat --profile--> attributes --encode--> FilterSet (with Header)
//! third party:  FilterSets --matching--> groups --pseudonym--> pseudonyms
//! both:         result_set and cipher carry the medical data past the third party
//! ```
//!
//! Encoding for the HiGHmed 0.9 wire ([`rbf`]) and by clkhash schemas ([`clk`]) gives the bits of the
//! original programs; [`vectors`] compares with them. Our own profile `de-1` ([`profile`], [`encode`])
//! and our own matcher ([`matching::site_unique`]) are better and free of their defects.
//!
//! The crate knows neither messages nor master patient indexes, reads no clock, and takes randomness
//! from its caller (except inside the crypto library's RSA padding and HPKE). A filter is personal data:
//! it can be attacked with a list of names. `Debug` shows neither persons nor filters nor keys, and no
//! error carries a value.
//!
//! Rules: the contract `record-linkage.md`; `processes.md` 4.3 and 6.2; `design.md` 6.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod bits;
pub mod cipher;
pub mod clk;
pub mod data_set;
pub mod dice;
pub mod digest;
pub mod encode;
pub mod filters;
pub mod idat;
pub mod java_random;
pub mod matching;
pub mod profile;
pub mod pseudonym;
pub mod rbf;
pub mod result_set;
pub mod secret;
pub mod vectors;
