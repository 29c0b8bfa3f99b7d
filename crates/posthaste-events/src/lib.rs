//! Events of providers, made up from what their documentation calls the fields, for whoever tries a receiver out: the
//! command line, and the simulator among the pages.

mod fixture;
pub mod paths;
mod placeholders;
mod trial;

pub use fixture::{Event, Filled, all, event, names};
pub use trial::{fresh_id, receiver};
