//! Connections, lent. Whoever has waited two seconds for one hears that the store is busy.

use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Object, PoolError, Timeouts};
use tokio_postgres::Config;

use super::connection::Dialer;
use super::open::unusable;
use super::overload::Overload;
use super::tls::Secure;
use crate::error::StoreError;

/// How long to wait for one: past that the caller hears that the store is busy, and does not queue without bound.
const CONNECTION_WAIT: Duration = Duration::from_secs(2);
/// How long one host may take to answer.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Some connections.
#[derive(Clone)]
pub(super) struct Pool {
    inner: managed::Pool<Dialer>,
    overload: Arc<Overload>,
}

impl Pool {
    pub(super) fn new(
        config: &Config,
        secure: &Secure,
        connections_max: usize,
        overload: &Arc<Overload>,
    ) -> Result<Self, StoreError> {
        let dialer = Dialer { config: config.clone(), secure: secure.clone() };
        let hosts_count = u32::try_from(config.get_hosts().len().max(1)).unwrap_or(1);
        let timeouts = Timeouts {
            wait: Some(CONNECTION_WAIT),
            create: Some(CONNECT_TIMEOUT * hosts_count),
            recycle: None,
        };
        let built = managed::Pool::builder(dialer)
            .max_size(connections_max)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build();
        Ok(Self { inner: built.map_err(unusable)?, overload: Arc::clone(overload) })
    }

    pub(super) async fn get(&self) -> Result<Object<Dialer>, StoreError> {
        // Apart: making a connection is a large future, and seldom done.
        Box::pin(self.inner.get()).await.map_err(|error| match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => self.overload.shed("all connections to PostgreSQL are busy"),
            other => StoreError::Unavailable(Box::new(other)),
        })
    }
}
