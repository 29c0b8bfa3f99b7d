//! Who asks: environments keep tenants apart, and a principal may touch one environment or one app of it.

use crate::id::AppId;
use crate::time::Timestamp;

/// Names an environment within one store; it never leaves the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentId(pub i64);

/// The tenant of everything: no object of one is ever seen from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its key in the store.
    pub id: EnvironmentId,
    /// What `token create --env` calls it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a token may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of one environment.
    Environment,
    /// One app: what a customer's portal link carries.
    App {
        /// The app.
        app: AppId,
        /// Reads only.
        read_only: bool,
    },
}

/// Whoever stands behind a request once its token was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The environment that all lookups are confined to.
    pub environment: EnvironmentId,
    /// How much of it.
    pub scope: Scope,
}
