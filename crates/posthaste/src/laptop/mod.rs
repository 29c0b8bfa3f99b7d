//! What the commands for a laptop share: requests that were captured, or are made up, signed and sent.

pub(crate) mod captured;
pub(crate) mod complaint;
mod curl;
mod har;
mod raw;
pub(crate) mod scheme;
