//! What the table of providers promises: that it can be read, what it accepts and refuses, and how it explains.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod facts;
mod garbage;
mod hints;
mod page;
mod plausible;
mod table;
mod vector;
mod vectors;
