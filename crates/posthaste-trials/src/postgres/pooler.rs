//! PgBouncer in transaction mode before a server: each transaction may have another connection.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Child;
use tokio::time::Instant;

use super::server::as_postgres;

/// Where Debian puts it, which is not in everybody's path.
const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// At which port its socket is named.
const PORT: u16 = 6432;
/// Connections to a database: fewer than two nodes ask for at once.
const CONNECTIONS: u32 = 10;
const READY_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A pooler. It ends with this process.
pub(crate) struct Pooler {
    dir: PathBuf,
    _process: Child,
}

impl Pooler {
    /// Starts one beside the server whose directory this is.
    pub(crate) async fn start(dir: &Path) -> anyhow::Result<Self> {
        let here = dir.display();
        let conf = format!(
            "[databases]\n* = host={here} user=postgres\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {here}\n\
             listen_port = {PORT}\nauth_type = any\npool_mode = transaction\nmax_client_conn = 1000\n\
             default_pool_size = {CONNECTIONS}\nserver_login_retry = 1\nlogfile = {here}/pooler.log\n"
        );
        let path = dir.join("pooler.ini");
        std::fs::write(&path, conf)?;
        let mut command = as_postgres(dir, Path::new(PROGRAM));
        command.arg("-q").arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.kill_on_drop(true).spawn();
        let mut process = started.context("PgBouncer is not installed (apt-get install pgbouncer)")?;
        let (socket, began) = (dir.join(format!(".s.PGSQL.{PORT}")), Instant::now());
        while !socket.exists() {
            let runs = process.try_wait()?.is_none() && began.elapsed() < READY_MAX;
            ensure!(runs, "PgBouncer is not ready: see {here}/pooler.log");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(Self { dir: dir.to_owned(), _process: process })
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let host = self.dir.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{host}:{PORT}/{database}")
    }
}
