//! The pages, as whoever means no good asks for them.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up is a failed test")]

mod passwords;
mod routes;
mod safety;
mod tenant;
mod tenants;
mod world;
