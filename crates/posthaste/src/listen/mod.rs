//! The client side of the tunnel: connects out to a server, forwards what it is given to a program on this machine, and
//! gives back what that answered.
//!
//! ```text
//! server ⇄ socket ⇄ wire (one a source: connects, hears, reconnects) ⇄ worker (forwards one at a time) ⇄ local program
//!                    └──────────── events ────────────┴──► lines or view
//! ```
//! A wire comes and goes; its worker and its memory of answers stay, so that nothing is forwarded twice.

pub(crate) mod colour;
pub(crate) mod env_file;
pub(crate) mod event;
pub(crate) mod forward;
mod headers;
pub(crate) mod lines;
mod memory;
mod pause;
pub(crate) mod place;
pub(crate) mod screen;
mod session;
mod socket;
pub(crate) mod state;
pub(crate) mod tally;
pub(crate) mod target;
pub(crate) mod usual;
mod view;
mod watch;
pub(crate) mod wire;
mod worker;
