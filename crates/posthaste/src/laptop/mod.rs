//! What the commands for a laptop share: requests that were captured, or are made up, signed and sent.

pub(crate) mod answered;
pub(crate) mod captured;
pub(crate) mod complaint;
mod curl;
pub(crate) mod editor;
pub(crate) mod fixture;
pub(crate) mod har;
pub(crate) mod items;
pub(crate) mod moments;
pub(crate) mod nouns;
pub(crate) mod output;
pub(crate) mod pace;
pub(crate) mod page;
mod paths;
mod placeholders;
pub(crate) mod post;
pub(crate) mod printed;
mod raw;
pub(crate) mod replica;
pub(crate) mod rows;
pub(crate) mod scheme;
pub(crate) mod server;
pub(crate) mod signing;
pub(crate) mod target;
pub(crate) mod whose;
