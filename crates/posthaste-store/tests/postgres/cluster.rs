//! A PostgreSQL of the tests' own: one cluster for all that run at once, one database a test.
//!
//! Tests may run each in a process of its own, so the cluster is shared by files: whoever is first starts it, and whoever
//! uses it holds a lock that the system lets go of. Once nobody has held it for a while, the cluster ends.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use posthaste_core::dice::TestDice;
use posthaste_store::StoreError;
use posthaste_store::postgres::{PostgresOptions, PostgresStore};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Where Debian and others put what is not in the path.
const PLACES: &[&str] = &["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt"];
/// At which port the pooler's socket is named.
const POOLER_PORT: u16 = 6432;
/// The database that all others are copies of.
const TEMPLATE: &str = "posthaste_template";
/// Ends the cluster once nobody has used it for ten seconds: looked at from outside, since any test may be the last.
const REAPER: &str = "idle=0; while [ $idle -lt 2 ]; do sleep 5; \
    if flock -n -x users true; then idle=$((idle+1)); else idle=0; fi; done; \
    flock -x users sh -c 'rm -f ready; kill $(cat data/pgbouncer.pid); \"$BIN\"/pg_ctl -D data -m immediate -w stop; rm -rf data'";

static DATABASES: AtomicU64 = AtomicU64::new(0);

pub(crate) struct Cluster {
    dir: PathBuf,
    _user: File,
}

/// The folder of PostgreSQL's programs, of the newest version.
fn programs() -> Option<PathBuf> {
    let versions = PLACES.iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten().flatten();
    let mut found: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    found.retain(|bin| bin.join("initdb").is_file());
    found.sort();
    found.pop()
}

impl Cluster {
    /// `None`, said aloud, where there is no PostgreSQL.
    pub(crate) async fn running() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("skipped: PostgreSQL is not installed (apt-get install postgresql)");
            return None;
        };
        let mark = env!("CARGO_MANIFEST_DIR")
            .bytes()
            .fold(7_u32, |mark, byte| mark.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let dir = std::env::temp_dir().join(format!("posthaste-pg-{mark:08x}"));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        let user = File::create(dir.join("users")).unwrap();
        user.lock_shared().unwrap();
        let starting = File::create(dir.join("starting")).unwrap();
        starting.lock().unwrap();
        let cluster = Self { dir, _user: user };
        if !cluster.dir.join("ready").exists() {
            cluster.start(&programs);
            cluster.make_template().await;
            cluster.start_pooler();
            File::create(cluster.dir.join("ready")).unwrap();
        }
        Some(cluster)
    }

    fn start(&self, programs: &Path) {
        if self.dir.join("data").exists() {
            // Somebody who was about to start it died over it.
            let mut stop = self.as_postgres(programs.join("pg_ctl"));
            let _ = stop.args(["-D", "data", "-m", "immediate", "-w", "stop"]).output();
            let _ = std::fs::remove_dir_all(self.dir.join("data"));
        }
        let mut reaper = self.as_postgres(PathBuf::from("sh"));
        reaper.args(["-c", &format!("( {REAPER} ) &")]).env("BIN", programs).stdin(Stdio::null());
        // Not of the test's own group: that is killed as a whole when a test takes too long.
        reaper.process_group(0);
        reaper.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        let conf = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nmax_connections = 400\nlog_line_prefix = '%d|'\n",
            self.dir.display()
        );
        let said = self
            .as_postgres(programs.join("initdb"))
            .args(["-D", "data", "-A", "trust", "-E", "UTF8"])
            .args(["--locale", "C", "-U", "postgres"])
            .output()
            .unwrap();
        assert!(said.status.success(), "initdb: {}", String::from_utf8_lossy(&said.stderr));
        let mut file = File::options().append(true).open(self.dir.join("data/postgresql.conf")).unwrap();
        file.write_all(conf.as_bytes()).unwrap();
        let started = self
            .as_postgres(programs.join("pg_ctl"))
            .args(["-D", "data", "-l", "data/log", "-w", "start"])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(started.success(), "pg_ctl start: see {}/data/log", self.dir.display());
    }

    /// PostgreSQL refuses to run as root: then its own user runs it.
    fn as_postgres(&self, program: PathBuf) -> Command {
        let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let mut command = if root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.dir);
        command
    }

    /// Hands a server's connection on after each transaction, and knows no prepared statements before its version 1.21.
    fn start_pooler(&self) {
        let dir = self.dir.display();
        let conf = format!(
            "[databases]\n* = host={dir} user=postgres\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {dir}\nlisten_port = {POOLER_PORT}\n\
             auth_type = any\npool_mode = transaction\nmax_client_conn = 1000\ndefault_pool_size = 10\n\
             pidfile = {dir}/data/pgbouncer.pid\nlogfile = {dir}/data/pgbouncer.log\n"
        );
        let path = self.dir.join("pgbouncer.ini");
        std::fs::write(&path, conf).unwrap();
        let _ = self.as_postgres(PathBuf::from("pgbouncer")).arg("-d").arg(&path).status();
    }

    /// The same database by way of the pooler; `None`, said aloud, where there is none.
    pub(crate) fn pooled_url(&self, database: &str) -> Option<String> {
        if !self.dir.join(format!(".s.PGSQL.{POOLER_PORT}")).exists() {
            eprintln!("skipped: PgBouncer is not installed (apt-get install pgbouncer)");
            return None;
        }
        let host = self.dir.to_str().unwrap().replace('/', "%2F");
        Some(format!("postgres://postgres@{host}:{POOLER_PORT}/{database}"))
    }

    async fn make_template(&self) {
        self.execute("postgres", &format!("CREATE DATABASE {TEMPLATE}")).await;
        let options = PostgresOptions { serving: false, ..options(self.url(TEMPLATE)) };
        PostgresStore::open(options).await.unwrap();
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let host = self.dir.to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@{host}/{database}")
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join(".s.PGSQL.5432")
    }

    pub(crate) async fn execute(&self, database: &str, sql: &str) {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    }

    /// An empty database of the newest schema.
    pub(crate) async fn database(&self) -> Database<'_> {
        self.copy_of(TEMPLATE).await
    }

    /// A database with nothing in it at all.
    pub(crate) async fn empty_database(&self) -> Database<'_> {
        self.copy_of("template1").await
    }

    async fn copy_of(&self, template: &str) -> Database<'_> {
        let number = DATABASES.fetch_add(1, Ordering::SeqCst);
        let name = format!("test_{}_{number}", std::process::id());
        self.execute("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Database { cluster: self, name }
    }
}

pub(crate) fn options(url: String) -> PostgresOptions {
    let seed = DATABASES.fetch_add(1, Ordering::SeqCst);
    let main_secret = String::from("the main secret").into();
    let dice = Arc::new(TestDice::seeded(seed));
    PostgresOptions { url: url.into(), listen_url: None, main_secret, dice, clock: None, serving: true }
}

pub(crate) struct Database<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl Database<'_> {
    pub(crate) fn url(&self) -> String {
        self.cluster.url(&self.name)
    }

    /// The same by way of an address.
    pub(crate) fn url_by(&self, address: std::net::SocketAddr) -> String {
        format!("postgres://postgres@{address}/{}", self.name)
    }

    pub(crate) fn pooled_url(&self) -> Option<String> {
        self.cluster.pooled_url(&self.name)
    }

    pub(crate) async fn try_open(&self) -> Result<Arc<PostgresStore>, StoreError> {
        PostgresStore::open(options(self.url())).await
    }

    pub(crate) async fn open(&self) -> Arc<PostgresStore> {
        self.try_open().await.expect("the cluster runs")
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.cluster.execute(&self.name, sql).await;
    }

    /// The first column of what this returns.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let rows = client.simple_query(sql).await.unwrap().into_iter();
        let rows = rows.filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        rows.collect()
    }

    /// From now on PostgreSQL writes down how it does what it is asked.
    pub(crate) async fn explains_itself(&self) {
        let name = &self.name;
        let settings =
            [("session_preload_libraries", "auto_explain"), ("auto_explain.log_min_duration", "0")];
        for (setting, value) in settings {
            let sql = format!("ALTER DATABASE {name} SET {setting} = '{value}'");
            self.cluster.execute("postgres", &sql).await;
        }
    }

    /// What it wrote down.
    pub(crate) fn plans(&self) -> Vec<String> {
        let log = std::fs::read(self.cluster.dir.join("data/log")).unwrap();
        let log = String::from_utf8_lossy(&log).into_owned();
        let mark = format!("\n{}|", self.name);
        // Each goes on in lines that begin with a tab.
        let told = log.split(&mark).skip(1).filter(|told| told.contains(" plan:"));
        told.map(|told| {
            told.lines()
                .take(1)
                .chain(told.lines().skip(1).take_while(|line| line.starts_with('\t')))
                .collect::<Vec<_>>()
                .join("\n")
        })
        .collect()
    }

    /// Removes it; what a failed test leaves goes with the cluster.
    pub(crate) async fn drop(self) {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        self.cluster.execute("postgres", &sql).await;
    }
}
