//! Trials of the built product: what is done to it, and the judge of what came of it.
//!
//! Nothing here is part of a release. The [`judge`] compares four ledgers that were kept by different hands: what the
//! client was told, what the receivers got, which faults were injected, and what the store says. The rest starts the
//! real binary, puts a load on it, and lets it die: [`matrix`] at every named point, [`crash`] at any instant.

pub mod crash;
pub mod judge;
pub mod matrix;

mod client;
mod clock;
mod load;
mod node;
mod postgres;
mod receiver;
mod scene;
mod server;
mod store;
mod trial;
mod wire;

pub use postgres::Setup;
