//! Trials of the built product: what is done to it, and the judge of what came of it.
//!
//! Nothing here is part of a release. The [`judge`] compares four ledgers that were kept by different hands: what the
//! client was told, what the receivers got, which faults were injected, and what the store says.

pub mod judge;
