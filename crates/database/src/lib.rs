//! PostgreSQL for services: pools, migrations, typed errors, notifications.
//!
//! Invariant: knows no table of any service. Durability is checked, not assumed (design 4, promise 1).
#![forbid(unsafe_code)]

mod error;
mod listen;
mod migrate;
mod pool;

pub use deadpool_postgres::{Object as Connection, Transaction};
pub use error::{Error, Kind};
pub use listen::{Notification, listen};
pub use migrate::Migration;
pub use pool::{DatabaseConfig, Plans, Pool};
pub use tokio_postgres;
