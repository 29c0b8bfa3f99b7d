//! One trial: a store, one server on it or several that die and come back, a load, and the ledgers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use posthaste_core::dice::TestDice;

use crate::client::Api;
use crate::clock;
use crate::judge::{Fault, Ledgers, Micros, Told, What};
use crate::load::{Load, Plan};
use crate::node::Node;
use crate::postgres::Cluster;
use crate::receiver::Receiver;
use crate::scene::{self, Scene, Shape};
use crate::server::{Death, Server, Settings, Started, copy_dir, fresh_dir};
use crate::store::Store;

/// Attempts under way at once in a server: the engine's own default.
const WORKER_SLOTS: u32 = 2_048;
/// How long a backlog may take to drain once all is healed.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// Servers that share a database.
pub(crate) const NODES: usize = 2;
/// How long after a death beside living nodes what the dead one had sent may still be read: in microseconds.
const LAST_WORDS: Micros = 500_000;

/// A store with a scene in it, from which trials begin.
pub(crate) struct Template {
    dir: PathBuf,
    store: Store,
    binary: PathBuf,
    pub(crate) receiver: Receiver,
    scene: Scene,
}

impl Template {
    /// Makes it in a file, with a server that nothing happens to.
    pub(crate) async fn make(binary: &Path, shape: Shape, seed: u64) -> anyhow::Result<Self> {
        let dir = fresh_dir("template")?;
        let store = Store::File(dir.join("posthaste.db"));
        Self::with(binary, (dir, store), shape, seed).await
    }

    /// Makes it in a database.
    pub(crate) async fn on(
        cluster: &Arc<Cluster>,
        binary: &Path,
        shape: Shape,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let name = cluster.empty_database().await?;
        let store = Store::Database(Arc::clone(cluster), name.clone());
        let template = Self::with(binary, (fresh_dir(&name)?, store), shape, seed).await?;
        cluster.keep_diary(&name).await?;
        Ok(template)
    }

    async fn with(
        binary: &Path,
        (dir, store): (PathBuf, Store),
        shape: Shape,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let receiver = Receiver::start(seed).await?;
        let url = store.url();
        let started = Server::start(binary, &dir, url.as_deref(), &Settings::default()).await?;
        let Started::Ready(server) = started else { bail!("the server died while the scene was set") };
        let token = std::fs::read_to_string(dir.join("admin-token"))?.trim().to_owned();
        let api = Api { server: server.address, token };
        let mut scene = scene::set(&api, receiver.address, shape, &TestDice::seeded(seed)).await?;
        server.stop().await?;
        scene::name_the_sources_app(&mut scene, &store).await?;
        Ok(Self { dir, store, binary: binary.to_owned(), receiver, scene })
    }

    /// A trial of its own, on a copy.
    pub(crate) async fn trial(&self, name: &str, seed: u64) -> anyhow::Result<Trial> {
        let dir = fresh_dir(name)?;
        let store = match &self.store {
            Store::File(_) => {
                copy_dir(&self.dir, &dir)?;
                Store::File(dir.join("posthaste.db"))
            }
            Store::Database(cluster, template) => {
                Store::Database(Arc::clone(cluster), cluster.copy_of(template).await?)
            }
        };
        self.trial_on(dir, store, seed)
    }

    /// A trial on an empty store: nothing is there before the first start.
    pub(crate) async fn empty_trial(&self, name: &str, seed: u64) -> anyhow::Result<Trial> {
        let dir = fresh_dir(name)?;
        let store = match &self.store {
            Store::File(_) => {
                std::fs::remove_dir_all(&dir)?;
                Store::File(dir.join("posthaste.db"))
            }
            Store::Database(cluster, _) => {
                Store::Database(Arc::clone(cluster), cluster.empty_database().await?)
            }
        };
        self.trial_on(dir, store, seed)
    }

    fn trial_on(&self, dir: PathBuf, store: Store, seed: u64) -> anyhow::Result<Trial> {
        let ids = self.scene.endpoints.iter().map(|endpoint| &*endpoint.id);
        self.receiver.begin(ids.zip(self.scene.verifiers()?));
        let nodes = match &store {
            Store::File(_) => vec![Node::at(dir.clone())],
            Store::Database(..) => (0..NODES).map(|n| Node::at(dir.join(format!("node-{n}")))).collect(),
        };
        Ok(Trial {
            dir,
            store,
            nodes,
            seed,
            binary: self.binary.clone(),
            receiver: self.receiver.clone(),
            scene: Arc::new(self.scene.clone()),
            told: Arc::default(),
            asked_count: 0,
            faults: Vec::new(),
            dead: Vec::new(),
            plant: None,
            kept_since: None,
        })
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A trial under way. What is done to "the server" is done to the first one.
pub(crate) struct Trial {
    pub(crate) dir: PathBuf,
    pub(crate) store: Store,
    pub(crate) nodes: Vec<Node>,
    pub(crate) receiver: Receiver,
    pub(crate) scene: Arc<Scene>,
    /// Mistakes that every server makes, beside what its settings say.
    pub(crate) plant: Option<String>,
    /// Where retention was set short: messages from before may be gone.
    pub(crate) kept_since: Option<Micros>,
    seed: u64,
    binary: PathBuf,
    told: Arc<Mutex<Vec<Told>>>,
    asked_count: u64,
    faults: Vec<Fault>,
    /// Numbers of nodes that died and of whom nobody has been told yet.
    dead: Vec<i32>,
}

impl Trial {
    /// Starts the server; it must come up.
    pub(crate) async fn start(&mut self, settings: &Settings) -> anyhow::Result<()> {
        self.start_at(0, settings).await
    }

    pub(crate) async fn start_at(&mut self, node: usize, settings: &Settings) -> anyhow::Result<()> {
        match self.start_or_die_at(node, settings).await? {
            None => Ok(()),
            Some(death) => bail!("it did not come up: {death}"),
        }
    }

    /// Starts the server; if it dies before it listens, says how.
    pub(crate) async fn start_or_die(&mut self, settings: &Settings) -> anyhow::Result<Option<Death>> {
        self.start_or_die_at(0, settings).await
    }

    pub(crate) async fn start_or_die_at(
        &mut self,
        node: usize,
        settings: &Settings,
    ) -> anyhow::Result<Option<Death>> {
        let url = self.store.url();
        let plant = settings.plant.clone().or_else(|| self.plant.clone());
        let settings = Settings { plant, ..settings.clone() };
        let here = &mut self.nodes[node];
        if let Some(death) = here.start(&self.binary, url.as_deref(), &settings).await? {
            here.down_since.get_or_insert(death.at);
            return Ok(Some(death));
        }
        if let Some(from) = self.nodes[node].down_since.take() {
            self.note(What::Crash, from);
        }
        if let Store::Database(..) = &self.store {
            // Numbers are given in order, and servers started one after the other.
            let newest = self.store.count("SELECT coalesce(max(number), 0)::bigint FROM node").await?;
            self.nodes[node].number = i32::try_from(newest).ok();
        }
        Ok(None)
    }

    /// Something was wrong from then until now.
    pub(crate) fn note(&mut self, what: What, from: Micros) {
        self.note_until(what, from, clock::now());
    }

    pub(crate) fn note_until(&mut self, what: What, from: Micros, until: Micros) {
        self.faults.push(Fault { what, endpoint: None, from, until });
    }

    /// Waits for the server to die by itself. `None`: it lives.
    pub(crate) async fn died(&mut self, within: Duration) -> anyhow::Result<Option<Death>> {
        self.died_at(0, within).await
    }

    pub(crate) async fn died_at(&mut self, node: usize, within: Duration) -> anyhow::Result<Option<Death>> {
        let Some(death) = self.nodes[node].server()?.died(within).await? else { return Ok(None) };
        self.nodes[node].take()?;
        self.gone(node, death.at).await?;
        Ok(Some(death))
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.kill_at(0).await
    }

    pub(crate) async fn kill_at(&mut self, node: usize) -> anyhow::Result<()> {
        let at = self.nodes[node].take()?.kill().await?;
        self.gone(node, at).await
    }

    /// Where others live on, the death is over at once: what it left is told by its last words alone.
    async fn gone(&mut self, node: usize, at: Micros) -> anyhow::Result<()> {
        if self.nodes.len() > 1 {
            self.dead.extend(self.nodes[node].number.take());
            self.note_until(What::Crash, at, clock::now() + LAST_WORDS);
            return Ok(());
        }
        self.nodes[node].down_since = Some(at);
        self.receiver.settle().await
    }

    /// Lets the nodes that died, or this one that stands still, be silent for longer than anybody believes them to live.
    pub(crate) async fn age(&mut self, still: Option<usize>) -> anyhow::Result<()> {
        let still = still.and_then(|node| self.nodes[node].number);
        let numbers: Vec<i32> = self.dead.drain(..).chain(still).collect();
        let sql = "UPDATE node SET beat_at = beat_at - interval '1 minute' WHERE number = ANY($1)";
        if let Store::Database(cluster, name) = &self.store {
            cluster.connect(name).await?.execute(sql, &[&numbers]).await?;
        }
        Ok(())
    }

    /// SIGTERM, without waiting for what comes of it.
    pub(crate) async fn terminate(&mut self) -> anyhow::Result<()> {
        self.nodes[0].server()?.terminate().await
    }

    /// Lets the server end in order; that must succeed.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.stop_at(0).await
    }

    pub(crate) async fn stop_at(&mut self, node: usize) -> anyhow::Result<()> {
        self.nodes[node].take()?.stop().await
    }

    /// Begins a load of `count` requests.
    pub(crate) fn load(&mut self, count: u64, per_second: f64) -> Load {
        let plan = Plan { seed: self.seed, first: self.asked_count, count, per_second };
        self.asked_count = self.asked_count.saturating_add(count);
        let addresses: Vec<_> = self.nodes.iter().map(Node::address).collect();
        Load::start(plan, Arc::clone(&self.scene), &addresses, Arc::clone(&self.told))
    }

    /// The API of the server as it runs now.
    pub(crate) fn api(&mut self) -> anyhow::Result<Api> {
        self.api_at(0)
    }

    pub(crate) fn api_at(&mut self, node: usize) -> anyhow::Result<Api> {
        let server = self.nodes[node].server()?.address;
        Ok(Api { server, token: self.scene.token.clone() })
    }

    /// Waits until the store counts no more than `most`. `false`: it took too long.
    pub(crate) async fn until(&self, most: u64, sql: &str) -> anyhow::Result<bool> {
        self.store.until(most, sql, DRAIN_MAX).await
    }

    /// Waits until nothing is owed any more. What is left after [`DRAIN_MAX`], the judge finds.
    pub(crate) async fn drain(&self) -> anyhow::Result<()> {
        self.until(0, OWED).await.map(|_| ())
    }

    /// The ledgers, once the server is stopped.
    pub(crate) async fn ledgers(&self) -> anyhow::Result<Ledgers> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Ledgers {
            told,
            got: self.receiver.ledger(),
            faults: self.faults.clone(),
            store: self.store.dump().await?,
            endpoints: self.scene.endpoints.clone(),
            quiescent: true,
            worker_slots: WORKER_SLOTS,
            kept_since: self.kept_since,
        })
    }

    /// Removes what is on disk if the trial was passed; else keeps it, and the ledgers beside it, and returns where. A
    /// database goes in any case: the ledgers hold what was in it.
    pub(crate) async fn end(self, ledgers: &Ledgers, passed: bool) -> anyhow::Result<Option<PathBuf>> {
        if let Store::Database(cluster, name) = &self.store {
            cluster.drop_database(name).await?;
        }
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
                    + (SELECT count(*) FROM delivery WHERE state = 1) + (SELECT count(*) FROM job WHERE NOT finished) \
                    + (SELECT count(*) FROM replay WHERE state = 'running')";
