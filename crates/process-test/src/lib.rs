//! For authors of processes: plays a process across several sites in one test, without servers.
//!
//! A [`Network`] holds sites with deployed plugins and runs the same `bpmn::step` as the engine. Time is
//! virtual and moves only by [`Network::advance`]; workers are closures over the job protocol; messages
//! between sites are kept, so that a test asserts on the path of an instance and on what was sent.
//! The same calls give the same run: ids count up, and the clock starts at [`START`].
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use process_test::{Network, answer};
//!
//! let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../processes/ping-pong");
//! let mut network = Network::new(["a.test", "b.test"]);
//! network.deploy_folder(folder)?;
//! network.worker("ping-pong/1.0/select-targets", |_| answer::targets(["b.test"]));
//! network.worker("ping-pong/1.0/select-sender", answer::reply_to_requester);
//! network.worker("ping-pong/1.0/send-ping", answer::send);
//! network.worker("ping-pong/1.0/send-pong", answer::send);
//! network.worker("ping-pong/1.0/save-results", |_| answer::done([]));
//!
//! let ping = network.start("a.test", "http://dsf.dev/bpe/Process/ping|1.0", "startPing")?;
//! network.run()?;
//! assert!(network.has_ended(ping));
//! assert_eq!(network.sent(), ["a.test -> b.test: ping", "b.test -> a.test: pong"]);
//! # Ok(())
//! # }
//! ```
//!
//! What it leaves out: rights (a message always may be sent), profiles, and everything about storage and
//! transport; the end-to-end tests of a site have those.
#![forbid(unsafe_code)]

pub mod answer;
mod call;
mod error;
mod instance;
mod message;
mod network;
mod work;

pub use error::Error;
pub use instance::{InstanceId, Visit, Visited};
/// What a worker gets and answers, see `docs/workers.md`.
pub use messaging::job::{Job, Outcome};

pub use message::{Message, MessageId, MessageStatus, Post};
pub use network::{Incident, Network, Reach, START};
