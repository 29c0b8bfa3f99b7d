//! The listener's certificates: where they come from, and how they are replaced while it serves.
//!
//! It knows neither HTTP nor the store: the listener gets a configuration whose certificate changes under it.

pub mod acme;
pub mod files;
mod pair;
mod served;

pub use pair::{Pair, PairError, Validity};
pub use served::{Served, server_config};
