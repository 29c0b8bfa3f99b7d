//! Simulation: the real engine and the real SQLite store, while clock, network, dice and deaths follow from one seed.
//!
//! A seed makes a plan: who sends what when, how receivers answer, who changes endpoints, when the process dies and at
//! which fault point, when clocks jump and nodes stand still. Everything runs on one thread, and time moves only when
//! nothing is left to do, so a seed always makes the same trace. In the end all is healed, what is owed must end, and the
//! judge of `posthaste-trials` compares the ledgers.
#![cfg(feature = "faults")]

mod book;
mod client;
mod doom;
mod network;
mod node;
mod operator;
mod plan;
mod setup;
mod stream;
mod time;
mod timing;
mod verdict;
mod watched;
mod world;

pub use verdict::{Verdict, run};
