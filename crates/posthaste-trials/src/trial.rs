//! One trial: a data directory, a server on it that dies and comes back, a load, and the ledgers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use posthaste_core::dice::TestDice;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::Api;
use crate::clock;
use crate::judge::{Fault, Ledgers, Micros, Told, What, dump};
use crate::load::{Load, Plan};
use crate::receiver::Receiver;
use crate::scene::{self, Scene, Shape};
use crate::server::{Death, Server, Settings, Started, copy_dir, fresh_dir};

/// Attempts under way at once in a server: the engine's own default.
const WORKER_SLOTS: u32 = 2_048;
/// How long a backlog may take to drain once all is healed.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// How often to look whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A store with a scene in it, from which trials begin.
pub(crate) struct Template {
    dir: PathBuf,
    binary: PathBuf,
    pub(crate) receiver: Receiver,
    scene: Scene,
}

impl Template {
    /// Makes it, with a server that nothing happens to.
    pub(crate) async fn make(binary: &Path, shape: Shape, seed: u64) -> anyhow::Result<Self> {
        let dir = fresh_dir("template")?;
        let receiver = Receiver::start(seed).await?;
        let Started::Ready(server) = Server::start(binary, &dir, &Settings::default()).await? else {
            bail!("the server died while the scene was set")
        };
        let token = std::fs::read_to_string(dir.join("admin-token"))?.trim().to_owned();
        let api = Api { server: server.address, token };
        let mut scene = scene::set(&api, receiver.address, shape, &TestDice::seeded(seed)).await?;
        server.stop().await?;
        scene::name_the_sources_app(&mut scene, &dir.join("posthaste.db"))?;
        Ok(Self { dir, binary: binary.to_owned(), receiver, scene })
    }

    /// A trial of its own, on a copy.
    pub(crate) fn trial(&self, name: &str, seed: u64) -> anyhow::Result<Trial> {
        let dir = fresh_dir(name)?;
        copy_dir(&self.dir, &dir)?;
        let ids = self.scene.endpoints.iter().map(|endpoint| &*endpoint.id);
        self.receiver.begin(ids.zip(self.scene.verifiers()?));
        Ok(Trial {
            dir,
            seed,
            binary: self.binary.clone(),
            receiver: self.receiver.clone(),
            scene: Arc::new(self.scene.clone()),
            server: None,
            address: watch::Sender::new(None),
            told: Arc::default(),
            asked_count: 0,
            faults: Vec::new(),
            down_since: None,
            kept_since: None,
        })
    }

    /// A trial on an empty data directory: nothing is there before the first start.
    pub(crate) fn empty_trial(&self, name: &str, seed: u64) -> anyhow::Result<Trial> {
        let trial = self.trial(name, seed)?;
        std::fs::remove_dir_all(&trial.dir)?;
        Ok(trial)
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A trial under way.
pub(crate) struct Trial {
    pub(crate) dir: PathBuf,
    pub(crate) receiver: Receiver,
    pub(crate) scene: Arc<Scene>,
    /// Where retention was set short: messages from before may be gone.
    pub(crate) kept_since: Option<Micros>,
    seed: u64,
    binary: PathBuf,
    server: Option<Server>,
    address: watch::Sender<Option<std::net::SocketAddr>>,
    told: Arc<Mutex<Vec<Told>>>,
    asked_count: u64,
    faults: Vec<Fault>,
    down_since: Option<Micros>,
}

impl Trial {
    /// Starts the server; it must come up.
    pub(crate) async fn start(&mut self, settings: &Settings) -> anyhow::Result<()> {
        match self.start_or_die(settings).await? {
            None => Ok(()),
            Some(death) => bail!("it did not come up: {death}"),
        }
    }

    /// Starts the server; if it dies before it listens, says how.
    pub(crate) async fn start_or_die(&mut self, settings: &Settings) -> anyhow::Result<Option<Death>> {
        match Server::start(&self.binary, &self.dir, settings).await? {
            Started::Died(death) => {
                self.down_since.get_or_insert(death.at);
                Ok(Some(death))
            }
            Started::Ready(server) => {
                self.address.send_replace(Some(server.address));
                self.server = Some(server);
                if let Some(from) = self.down_since.take() {
                    self.note(What::Crash, from);
                }
                Ok(None)
            }
        }
    }

    /// Something was wrong from then until now.
    pub(crate) fn note(&mut self, what: What, from: Micros) {
        self.faults.push(Fault { what, endpoint: None, from, until: clock::now() });
    }

    /// Waits for the server to die by itself. `None`: it lives.
    pub(crate) async fn died(&mut self, within: Duration) -> anyhow::Result<Option<Death>> {
        let server = self.server.as_mut().context("no server runs")?;
        let Some(death) = server.died(within).await? else { return Ok(None) };
        self.gone(death.at).await?;
        Ok(Some(death))
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        let server = self.server.take().context("no server runs")?;
        let at = server.kill().await?;
        self.gone(at).await
    }

    async fn gone(&mut self, at: Micros) -> anyhow::Result<()> {
        self.server = None;
        self.address.send_replace(None);
        self.down_since = Some(at);
        self.receiver.settle().await
    }

    /// SIGTERM, without waiting for what comes of it.
    pub(crate) async fn terminate(&self) -> anyhow::Result<()> {
        self.server.as_ref().context("no server runs")?.terminate().await
    }

    /// Lets the server end in order; that must succeed.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let server = self.server.take().context("no server runs")?;
        self.address.send_replace(None);
        server.stop().await
    }

    /// Begins a load of `count` requests.
    pub(crate) fn load(&mut self, count: u64, per_second: f64) -> Load {
        let plan = Plan { seed: self.seed, first: self.asked_count, count, per_second };
        self.asked_count = self.asked_count.saturating_add(count);
        Load::start(plan, Arc::clone(&self.scene), &self.address.subscribe(), Arc::clone(&self.told))
    }

    /// The API of the server as it runs now.
    pub(crate) fn api(&self) -> anyhow::Result<Api> {
        let server = self.server.as_ref().context("no server runs")?.address;
        Ok(Api { server, token: self.scene.token.clone() })
    }

    /// Looks at the store beside the running server.
    pub(crate) fn count(&self, sql: &str) -> anyhow::Result<u64> {
        let conn = Connection::open_with_flags(self.store(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        conn.busy_timeout(Duration::from_secs(5))?;
        Ok(conn.query_row(sql, [], |row| row.get(0))?)
    }

    /// Waits until the store counts no more than `most`. `false`: it took too long.
    pub(crate) async fn until(&self, most: u64, sql: &str) -> anyhow::Result<bool> {
        let began = Instant::now();
        while self.count(sql)? > most {
            if began.elapsed() > DRAIN_MAX {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(true)
    }

    /// Waits until nothing is owed any more. What is left after [`DRAIN_MAX`], the judge finds.
    pub(crate) async fn drain(&self) -> anyhow::Result<()> {
        self.until(0, OWED).await.map(|_| ())
    }

    fn store(&self) -> PathBuf {
        self.dir.join("posthaste.db")
    }

    /// The ledgers, once the server is stopped.
    pub(crate) fn ledgers(&self) -> anyhow::Result<Ledgers> {
        Ok(Ledgers {
            told: self.told.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            got: self.receiver.ledger(),
            faults: self.faults.clone(),
            store: dump(&self.store())?,
            endpoints: self.scene.endpoints.clone(),
            quiescent: true,
            worker_slots: WORKER_SLOTS,
            kept_since: self.kept_since,
        })
    }

    /// Removes what is on disk if the trial was passed; else keeps it, and the ledgers beside it, and returns where.
    pub(crate) fn end(self, ledgers: &Ledgers, passed: bool) -> anyhow::Result<Option<PathBuf>> {
        if passed {
            std::fs::remove_dir_all(&self.dir)?;
            return Ok(None);
        }
        std::fs::write(self.dir.join("ledgers.json"), serde_json::to_vec(ledgers)?)?;
        Ok(Some(self.dir))
    }
}

/// Deliveries that wait or are in flight, and jobs that are not finished.
pub(crate) const OWED: &str = "SELECT (SELECT count(*) FROM delivery WHERE state = 0) \
                    + (SELECT count(*) FROM delivery WHERE state = 1) + (SELECT count(*) FROM job WHERE finished = 0)";
