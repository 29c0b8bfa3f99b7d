//! The server under trial: a process that is started, killed and started again on the same data directory.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::clock;
use crate::judge::Micros;

/// How long a start may take, and a stop.
const START_MAX: Duration = Duration::from_secs(20);
const STOP_MAX: Duration = Duration::from_secs(30);
/// Lines of standard error that are kept to be shown.
const LINES_KEPT: usize = 40;
/// Of all nodes that share a database.
const MAIN_SECRET: &str = "the main secret of all trials";
/// The signal of `abort()`.
const SIGABRT: i32 = 6;

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// `POSTHASTE_FAULT`.
    pub(crate) fault: Option<String>,
    /// `POSTHASTE_PLANT`.
    pub(crate) plant: Option<String>,
    /// `POSTHASTE_RETENTION`.
    pub(crate) retention: Option<String>,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
}

/// The end of a process.
#[derive(Debug)]
pub(crate) struct Death {
    /// When it was seen.
    pub(crate) at: Micros,
    status: ExitStatus,
    said: String,
}

impl Death {
    /// Whether it ended by `abort()`, which is what an injected fault does.
    pub(crate) fn is_abort(&self) -> bool {
        self.status.signal() == Some(SIGABRT)
    }
}

impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server ended with {} and said: {}", self.status, self.said)
    }
}

/// What came of a start.
pub(crate) enum Started {
    /// It listens.
    Ready(Server),
    /// It ended before it did.
    Died(Death),
}

impl Server {
    /// Starts `binary` on `dir` and waits until it listens or is dead.
    pub(crate) async fn start(
        binary: &Path,
        dir: &Path,
        database: Option<&str>,
        settings: &Settings,
    ) -> anyhow::Result<Started> {
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir);
        command.env("POSTHASTE_ALLOW_TARGETS", "127.0.0.0/8").env("POSTHASTE_LOG", "error");
        command.env("POSTHASTE_RETRY_SCHEDULE", "20ms,40ms,80ms").env("POSTHASTE_REQUEST_TIMEOUT", "5s");
        let database = database.map(str::to_owned);
        let main_secret = database.as_ref().map(|_| MAIN_SECRET.to_owned());
        let optional = [
            ("POSTHASTE_DATABASE_URL", &database),
            ("POSTHASTE_MAIN_SECRET", &main_secret),
            ("POSTHASTE_FAULT", &settings.fault),
            ("POSTHASTE_PLANT", &settings.plant),
            ("POSTHASTE_RETENTION", &settings.retention),
        ];
        for (name, value) in optional {
            command.env_remove(name);
            command.envs(value.as_ref().map(|value| (name, value)));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("{} cannot be started", binary.display()))?;
        let mut lines = BufReader::new(child.stderr.take().context("its standard error")?).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let listening = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, url)) = line.split_once("listening on http://") {
                    return url.trim().parse::<SocketAddr>().ok();
                }
                keep(&said, line);
            }
            None
        };
        let address = tokio::time::timeout(START_MAX, listening).await.map_err(|_| {
            anyhow::anyhow!("the server did not listen within {START_MAX:?}: {}", text(&said))
        })?;
        let Some(address) = address else {
            let status = child.wait().await?;
            return Ok(Started::Died(Death { at: clock::now(), status, said: text(&said) }));
        };
        let kept = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep(&kept, line);
            }
        });
        Ok(Started::Ready(Self { child, address, said }))
    }

    /// Waits for it to end by itself.
    pub(crate) async fn died(&mut self, within: Duration) -> anyhow::Result<Option<Death>> {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(status) => Ok(Some(Death { at: clock::now(), status: status?, said: text(&self.said) })),
            Err(_) => Ok(None),
        }
    }

    /// SIGKILL: it ends wherever it is. Returns when it was about to be killed.
    pub(crate) async fn kill(mut self) -> anyhow::Result<Micros> {
        let at = clock::now();
        self.child.kill().await?;
        Ok(at)
    }

    /// SIGTERM.
    pub(crate) async fn terminate(&self) -> anyhow::Result<()> {
        self.send("-TERM").await
    }

    /// SIGSTOP: it stands still.
    pub(crate) async fn pause(&self) -> anyhow::Result<()> {
        self.send("-STOP").await
    }

    /// SIGCONT: it goes on as if nothing had happened.
    pub(crate) async fn wake(&self) -> anyhow::Result<()> {
        self.send("-CONT").await
    }

    /// Whether it stands still.
    pub(crate) fn stands_still(&self) -> bool {
        let stat = self.child.id().map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")));
        // The state comes after the command's name, which is in parentheses.
        let Some(Ok(stat)) = stat else { return false };
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    async fn send(&self, signal: &str) -> anyhow::Result<()> {
        let Some(pid) = self.child.id() else { return Ok(()) };
        let sent = Command::new("kill").arg(signal).arg(pid.to_string()).status().await?;
        if !sent.success() {
            bail!("{signal} could not be sent to the server");
        }
        Ok(())
    }

    /// Lets it end in order.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.terminate().await?;
        let Some(death) = self.died(STOP_MAX).await? else {
            bail!("the server did not end within {STOP_MAX:?} of SIGTERM")
        };
        if !death.status.success() {
            bail!("{death}");
        }
        Ok(())
    }
}

fn keep(said: &Mutex<Vec<String>>, line: String) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    said.push(line);
    let extra = said.len().saturating_sub(LINES_KEPT);
    said.drain(..extra);
}

fn text(said: &Mutex<Vec<String>>) -> String {
    said.lock().unwrap_or_else(PoisonError::into_inner).join(" | ")
}

/// A new directory of its own, under the system's temporary one.
pub(crate) fn fresh_dir(name: &str) -> anyhow::Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("posthaste-trials-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    Ok(dir)
}

/// Copies the files of a directory into a new one.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
