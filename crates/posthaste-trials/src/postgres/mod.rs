//! The databases of trials: servers of their own, and what is done to them.

mod diary;
mod pooler;
mod server;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls};

use crate::server::fresh_dir;
use pooler::Pooler;
use server::{Server, execute};

/// How long a standby may take to catch up with its primary.
const FOLLOWS_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Clusters that this process has started.
static CLUSTERS: AtomicU32 = AtomicU32::new(0);
/// Databases that it has made: their names are those of directories too.
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// What stands between the nodes and their database, and beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Setup {
    /// The nodes reach it by PgBouncer, in transaction mode.
    pub pooler: bool,
    /// A second server follows it synchronously; the nodes know both.
    pub standby: bool,
}

/// A primary, and what belongs to it.
pub(crate) struct Cluster {
    dir: PathBuf,
    primary: Mutex<Server>,
    standby: Mutex<Option<Server>>,
    pooler: Option<Pooler>,
    /// All that may be written to, now or later, as they stand in a URL.
    hosts: String,
}

impl Cluster {
    /// Starts it.
    pub(crate) async fn start(setup: Setup) -> anyhow::Result<Self> {
        ensure!(!(setup.pooler && setup.standby), "a pooler leads to one server: not with a failover");
        let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let dir = fresh_dir(&format!("cluster-{number}"))?;
        let primary = Server::fresh(dir.join("a")).await?;
        let mut hosts = primary.host();
        let mut standby = None;
        if setup.standby {
            let follower = primary.follower(dir.join("b")).await?;
            hosts = format!("{hosts},{}", follower.host());
            wait_for_the_standby(&primary).await?;
            standby = Some(follower);
        }
        let mut pooler = None;
        if setup.pooler {
            pooler = Some(Pooler::start(&dir.join("a")).await?);
        }
        let (primary, standby) = (Mutex::new(primary), Mutex::new(standby));
        Ok(Self { dir, primary, standby, pooler, hosts })
    }

    /// As the nodes are told it.
    pub(crate) fn url(&self, database: &str) -> String {
        match &self.pooler {
            Some(pooler) => pooler.url(database),
            None => self.direct_url(database),
        }
    }

    /// For the trial's own eyes: by no pooler.
    fn direct_url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}?target_session_attrs=read-write", self.hosts)
    }

    /// A connection of the trial's own.
    pub(crate) async fn connect(&self, database: &str) -> anyhow::Result<Client> {
        let connected = tokio_postgres::connect(&self.direct_url(database), NoTls).await;
        let (client, connection) = connected.with_context(|| format!("{database} cannot be looked at"))?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A database with nothing in it.
    pub(crate) async fn empty_database(&self) -> anyhow::Result<String> {
        self.copy_of("template1").await
    }

    /// A database with what is in another one, to which nobody may be connected.
    pub(crate) async fn copy_of(&self, template: &str) -> anyhow::Result<String> {
        let name = format!("trial_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let admin = self.direct_url("postgres");
        let hang_up = format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
             WHERE datname = '{template}' AND pid <> pg_backend_pid()"
        );
        execute(&admin, &hang_up).await?;
        execute(&admin, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        Ok(name)
    }

    /// Removes a database that is no longer looked at.
    pub(crate) async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        execute(&self.direct_url("postgres"), &format!("DROP DATABASE {name} WITH (FORCE)")).await
    }

    /// From now on the database writes down what nobody may do to a delivery.
    pub(crate) async fn keep_diary(&self, database: &str) -> anyhow::Result<()> {
        execute(&self.direct_url(database), diary::KEEP).await
    }

    /// Commits take their time from now on: whoever kills it is likely to meet one that is under way.
    pub(crate) async fn commit_slowly(&self) -> anyhow::Result<()> {
        let admin = self.direct_url("postgres");
        for setting in ["commit_delay = 50000", "commit_siblings = 0"] {
            execute(&admin, &format!("ALTER SYSTEM SET {setting}")).await?;
        }
        execute(&admin, "SELECT pg_reload_conf()").await
    }

    /// Every process of the primary ends where it is; it is back when this returns.
    pub(crate) async fn crash(&self) -> anyhow::Result<()> {
        let mut primary = self.primary.lock().await;
        primary.crash().await?;
        primary.start().await
    }

    /// The primary is killed, and the standby takes its place.
    pub(crate) async fn fail_over(&self) -> anyhow::Result<()> {
        let mut primary = self.primary.lock().await;
        primary.kill().await?;
        let standby = self.standby.lock().await.take().context("there is no standby")?;
        standby.promote().await?;
        *primary = standby;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The servers are killed with it; what they still write is of no use to anybody.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Lets commits wait for the standby, once it follows.
async fn wait_for_the_standby(primary: &Server) -> anyhow::Result<()> {
    let url = primary.url("postgres");
    execute(&url, "ALTER SYSTEM SET synchronous_standby_names = '*'").await?;
    execute(&url, "SELECT pg_reload_conf()").await?;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    let began = Instant::now();
    let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    while client.query_one(sql, &[]).await?.try_get::<_, i64>(0)? == 0 {
        ensure!(began.elapsed() < FOLLOWS_MAX, "the standby does not follow");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
