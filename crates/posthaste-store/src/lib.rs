//! Where messages live: six ports, and the stores that keep their promises.
//!
//! [`Intake`] takes messages in, [`Queue`] hands deliveries out and takes attempts back, [`Directory`] knows
//! environments, apps, endpoints, event types and tokens, [`Sources`] knows the inbound doors and takes in what came
//! by them, [`History`] shows what happened, [`Access`] who may look for now, and how it looks. Whoever needs the store takes the narrowest port it can live with. SQL
//! lives in this crate only; rules live in `posthaste-core`. No lock and no transaction is held across an `.await` of a caller.

pub mod access;
mod changes;
mod columns;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod directory;
pub mod error;
pub mod history;
pub mod intake;
mod known;
pub mod named;
mod origin;
pub mod page;
pub mod postgres;
pub mod queue;
mod received;
pub mod replay;
mod schema;
pub mod seal;
pub mod source;
pub mod sqlite;
mod telling;
pub mod transfer;

pub use access::Access;
pub use directory::Directory;
pub use error::{ChangeError, StoreError};
pub use history::History;
pub use intake::Intake;
pub use queue::Queue;
pub use source::Sources;

/// A whole store.
pub trait Store: Intake + Queue + Directory + Access + Sources + History {}

impl<T: Intake + Queue + Directory + Access + Sources + History> Store for T {}
