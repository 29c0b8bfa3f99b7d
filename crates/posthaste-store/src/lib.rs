//! Where messages live: four ports, and the stores that keep their promises.
//!
//! [`Intake`] takes messages in, [`Queue`] hands deliveries out and takes attempts back, [`Directory`] knows
//! environments, apps, endpoints, event types and tokens, [`History`] shows what happened. Whoever needs the
//! store takes the narrowest port it can live with. SQL lives in this crate only; rules live in
//! `posthaste-core`. No lock and no transaction is held across an `.await` of a caller.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod directory;
pub mod error;
pub mod history;
pub mod intake;
pub mod page;
pub mod queue;
pub mod seal;
pub mod sqlite;

pub use directory::Directory;
pub use error::{ChangeError, StoreError};
pub use history::History;
pub use intake::Intake;
pub use queue::Queue;

/// A whole store.
pub trait Store: Intake + Queue + Directory + History {}

impl<T: Intake + Queue + Directory + History> Store for T {}
