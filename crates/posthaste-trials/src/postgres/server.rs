//! One PostgreSQL server in a directory of its own: it is started, crashed, copied and promoted like a machine's.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// Where Debian and others put what is not in the path.
const PLACES: [&str; 3] = ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt"];
/// How long a server may take to be ready, recovery included, and to end.
const READY_MAX: Duration = Duration::from_secs(60);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// More than two nodes and the trial's own ever have.
const CONNECTIONS_MAX: u32 = 300;

/// A server. It ends with this process, whatever that dies of.
pub(crate) struct Server {
    /// Its data are in `data`, its socket beside that.
    dir: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// A new one with nothing in it.
    pub(crate) async fn fresh(dir: PathBuf) -> anyhow::Result<Self> {
        let arguments = ["-D", "data", "-A", "trust", "-E", "UTF8", "--locale", "C", "-U", "postgres"];
        Self::make(dir, "initdb", &arguments).await
    }

    /// A standby that follows this one.
    pub(crate) async fn follower(&self, dir: PathBuf) -> anyhow::Result<Self> {
        let host = self.dir.display().to_string();
        let arguments = ["-D", "data", "-h", &host, "-U", "postgres", "-R", "-c", "fast"];
        Self::make(dir, "pg_basebackup", &arguments).await
    }

    async fn make(dir: PathBuf, program: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        std::fs::set_permissions(&dir, Permissions::from_mode(0o777))?;
        let made = as_postgres(&dir, &programs()?.join(program)).args(arguments).output().await?;
        ensure!(made.status.success(), "{program}: {}", String::from_utf8_lossy(&made.stderr));
        // The last line of a name counts.
        let conf = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nmax_connections = {CONNECTIONS_MAX}\n",
            dir.display()
        );
        File::options().append(true).open(dir.join("data/postgresql.conf"))?.write_all(conf.as_bytes())?;
        let mut server = Self { dir, process: None };
        server.start().await?;
        Ok(server)
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let log = File::options().create(true).append(true).open(self.dir.join("log"))?;
            let mut command = as_postgres(&self.dir, &programs()?.join("postgres"));
            command.args(["-D", "data"]).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            let mut process = command.kill_on_drop(true).spawn()?;
            while process.try_wait()?.is_none() {
                if self.answers().await {
                    self.process = Some(process);
                    return Ok(());
                }
                self.in_time(began)?;
                tokio::time::sleep(LOOK_EVERY).await;
            }
            // After a SIGKILL its children may still hold its shared memory, for a moment.
            self.in_time(began)?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn in_time(&self, began: Instant) -> anyhow::Result<()> {
        ensure!(began.elapsed() < READY_MAX, "PostgreSQL is not ready: see {}/log", self.dir.display());
        Ok(())
    }

    async fn answers(&self) -> bool {
        let asked = tokio_postgres::connect(&self.url("postgres"), tokio_postgres::NoTls).await;
        let Ok((client, connection)) = asked else { return false };
        tokio::spawn(connection);
        client.batch_execute("SELECT 1").await.is_ok()
    }

    /// What `pg_ctl stop -m immediate` does: every process ends where it is, and the next start recovers from the log.
    pub(crate) async fn crash(&mut self) -> anyhow::Result<()> {
        self.end("-QUIT").await
    }

    /// SIGKILL for all of its processes.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.end("-KILL").await
    }

    async fn end(&mut self, signal: &str) -> anyhow::Result<()> {
        let mut process = self.process.take().context("PostgreSQL does not run")?;
        let postmaster = process.id().context("PostgreSQL has ended by itself")?;
        let mut pids = vec![postmaster.to_string()];
        if signal == "-KILL" {
            pids.extend(children_of(postmaster));
        }
        // A child may have ended meanwhile.
        let _ = Command::new("kill").arg(signal).args(&pids).stderr(Stdio::null()).status().await?;
        let ended = tokio::time::timeout(READY_MAX, process.wait()).await;
        ended.context("PostgreSQL does not end")??;
        Ok(())
    }

    /// From now on it can be written to.
    pub(crate) async fn promote(&self) -> anyhow::Result<()> {
        let promoted = as_postgres(&self.dir, &programs()?.join("pg_ctl"))
            .args(["-D", "data", "-w", "promote"])
            .output()
            .await?;
        ensure!(promoted.status.success(), "pg_ctl promote: {}", String::from_utf8_lossy(&promoted.stderr));
        Ok(())
    }

    /// Where its socket is, as it stands in a URL.
    pub(crate) fn host(&self) -> String {
        self.dir.display().to_string().replace('/', "%2F")
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.host())
    }
}

/// The folder of PostgreSQL's programs, of the newest version.
fn programs() -> anyhow::Result<PathBuf> {
    let versions = PLACES.iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").is_file());
    found.max().context("PostgreSQL is not installed (apt-get install postgresql)")
}

/// PostgreSQL and PgBouncer refuse to run as root: then PostgreSQL's own user runs them. They end with this process.
pub(crate) fn as_postgres(dir: &Path, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    command.arg("--").arg(program).current_dir(dir);
    command
}

/// Processes that this one started.
fn children_of(parent: u32) -> Vec<String> {
    let children = format!("/proc/{parent}/task/{parent}/children");
    let children = std::fs::read_to_string(children).unwrap_or_default();
    children.split_whitespace().map(str::to_owned).collect()
}

/// Runs SQL in a database.
pub(crate) async fn execute(url: &str, sql: &str) -> anyhow::Result<()> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    match client.batch_execute(sql).await {
        Ok(()) => Ok(()),
        Err(error) => bail!("{sql}: {}", error.as_db_error().map_or(error.to_string(), ToString::to_string)),
    }
}
