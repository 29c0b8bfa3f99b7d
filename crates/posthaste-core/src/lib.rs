//! The rules of Posthaste: values and decisions, without I/O, clock or dice.
//!
//! Time and chance are arguments here. Modules stand in the order in which data meets them: who asks
//! (`tenant`, `token`), what happened (`message`), who wants it (`endpoint`, `fanout`), what is owed
//! (`delivery`), what was tried (`attempt`) and what follows from it (`retry`, `health`, `operational`).

pub mod time;
pub mod dice;
pub mod id;
pub mod name;
pub mod limits;
pub mod tenant;
pub mod token;
pub mod app;
pub mod event_type;
pub mod message;
pub mod endpoint;
pub mod target;
pub mod fanout;
pub mod delivery;
pub mod attempt;
pub mod retry;
pub mod health;
pub mod operational;
pub mod job;

pub use posthaste_signature::Secret;
