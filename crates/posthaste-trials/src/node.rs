//! One place at which a server runs: it dies there and comes back, with what it keeps on disk.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::sync::watch;

use crate::judge::Micros;
use crate::load::Address;
use crate::server::{Server, Settings, Started};

/// A place, and the server that runs there, if one does.
pub(crate) struct Node {
    pub(crate) dir: PathBuf,
    /// Its number among those that share a database, as far as it is known.
    pub(crate) number: Option<i32>,
    /// When its last server ended, until the next one is ready.
    pub(crate) down_since: Option<Micros>,
    /// Since when it stands still.
    pub(crate) still_since: Option<Micros>,
    server: Option<Server>,
    address: watch::Sender<Option<SocketAddr>>,
}

impl Node {
    pub(crate) fn at(dir: PathBuf) -> Self {
        let address = watch::Sender::new(None);
        Self { dir, number: None, down_since: None, still_since: None, server: None, address }
    }

    /// Where callers find it.
    pub(crate) fn address(&self) -> Address {
        self.address.subscribe()
    }

    /// The server that runs here.
    pub(crate) fn server(&mut self) -> anyhow::Result<&mut Server> {
        self.server.as_mut().context("no server runs")
    }

    /// Starts one; returns how it died, if it did before it listened.
    pub(crate) async fn start(
        &mut self,
        binary: &Path,
        database: Option<&str>,
        settings: &Settings,
    ) -> anyhow::Result<Option<crate::server::Death>> {
        match Server::start(binary, &self.dir, database, settings).await? {
            Started::Died(death) => Ok(Some(death)),
            Started::Ready(server) => {
                self.address.send_replace(Some(server.address));
                self.server = Some(server);
                Ok(None)
            }
        }
    }

    /// Callers are sent to others from now on.
    pub(crate) fn hide(&self) {
        self.address.send_replace(None);
    }

    /// The server, which is about to end or has ended.
    pub(crate) fn take(&mut self) -> anyhow::Result<Server> {
        self.hide();
        self.server.take().context("no server runs")
    }

    /// Lets it stand still; callers are sent to others.
    pub(crate) async fn pause(&mut self, at: Micros) -> anyhow::Result<()> {
        self.stands_still(at);
        self.server()?.pause().await
    }

    /// It does by itself; callers are sent to others.
    pub(crate) fn stands_still(&mut self, since: Micros) {
        self.hide();
        self.still_since = Some(since);
    }

    /// Lets it go on; returns since when it stood still.
    pub(crate) async fn wake(&mut self) -> anyhow::Result<Micros> {
        let Some(since) = self.still_since.take() else { bail!("it did not stand still") };
        let server = self.server()?;
        server.wake().await?;
        let address = server.address;
        self.address.send_replace(Some(address));
        Ok(since)
    }
}
