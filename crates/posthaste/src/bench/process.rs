//! The server under test as a child process, and what the kernel says of its use of the machine.

use std::io::{BufRead as _, BufReader};
use std::ops::{Add, Sub};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use posthaste_core::dice::roll;

use crate::system::SystemDice;

/// Clock ticks a second in `/proc`: 100 on every Linux that we build for.
const TICKS_PER_SECOND: u64 = 100;

/// Of a database that is made for one measurement.
const BENCH_SECRET: &str = "posthaste-bench-main-secret";

/// A server that this process started.
pub(super) struct ServerProcess {
    child: Child,
    /// Where it listens.
    pub(super) url: String,
    /// Its admin token, if it has one.
    token: Option<String>,
    /// Where its data is, if it keeps any.
    dir: Option<PathBuf>,
    /// Removed when it stops.
    database_url: Option<String>,
    temporary: Option<PathBuf>,
}

/// CPU time and memory of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) cpu_micros: u64,
    pub(super) resident_kib: u64,
    pub(super) peak_kib: u64,
    pub(super) at_rest_kib: u64,
}

impl Sub for Usage {
    type Output = Self;

    /// The CPU time between two readings; memory is the later one's.
    fn sub(self, earlier: Self) -> Self {
        Self { cpu_micros: self.cpu_micros - earlier.cpu_micros, ..self }
    }
}

impl Add for Usage {
    type Output = Self;

    /// Of two processes.
    fn add(self, other: Self) -> Self {
        Self {
            cpu_micros: self.cpu_micros + other.cpu_micros,
            resident_kib: self.resident_kib + other.resident_kib,
            peak_kib: self.peak_kib + other.peak_kib,
            at_rest_kib: self.at_rest_kib + other.at_rest_kib,
        }
    }
}

/// CPU time from fields of `/proc/PID/stat`, counted from behind the command's name.
pub(super) fn cpu_micros(fields: &str, places: &[usize]) -> u64 {
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |place: &usize| fields.get(*place).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    places.iter().map(ticks).sum::<u64>() * 1_000_000 / TICKS_PER_SECOND
}

impl ServerProcess {
    /// Starts `posthaste serve` on a fresh store.
    pub(super) fn start(data_dir: Option<&Path>, database_url: Option<&str>) -> anyhow::Result<Self> {
        let temporary = match data_dir {
            Some(_) => None,
            None => {
                let name: String = roll::<8>(&SystemDice).iter().map(|b| format!("{b:02x}")).collect();
                Some(std::env::temp_dir().join(format!("posthaste-bench-{name}")))
            }
        };
        let dir = data_dir.map(Path::to_owned).or_else(|| temporary.clone()).context("no data directory")?;
        Self::serve(dir, temporary, database_url.map(str::to_owned))
    }

    fn serve(dir: PathBuf, temporary: Option<PathBuf>, database_url: Option<String>) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&dir);
        command.env("POSTHASTE_ALLOW_TARGETS", "127.0.0.0/8").env("POSTHASTE_LOG", "warn");
        if let Some(url) = &database_url {
            command.env("POSTHASTE_DATABASE_URL", url).env("POSTHASTE_MAIN_SECRET", BENCH_SECRET);
        }
        let mut server = Self::spawn(command, temporary)?;
        // Of nodes that share a database the first has one.
        server.token =
            std::fs::read_to_string(dir.join("admin-token")).ok().map(|token| token.trim().to_owned());
        server.dir = Some(dir);
        server.database_url = database_url;
        Ok(server)
    }

    /// Kills it and starts it again on the same data.
    pub(super) fn restart(mut self) -> anyhow::Result<Self> {
        self.child.kill()?;
        self.child.wait()?;
        Self::serve(self.dir.context("the floor keeps nothing")?, self.temporary, self.database_url)
    }

    pub(super) fn token(&self) -> anyhow::Result<&str> {
        self.token.as_deref().context("the server wrote no token")
    }

    /// Starts the floor.
    pub(super) fn start_floor() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bench-floor");
        Self::spawn(command, None)
    }

    fn spawn(mut command: Command, temporary: Option<PathBuf>) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().context("the server's standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        for line in lines.by_ref() {
            let line = line?;
            if let Some((_, url)) = line.split_once("listening on ") {
                let url = url.trim().to_owned();
                std::thread::spawn(move || {
                    for line in lines.map_while(Result::ok) {
                        crate::telemetry::tell(&line);
                    }
                });
                return Ok(Self { child, url, token: None, dir: None, database_url: None, temporary });
            }
            said.push(line);
        }
        bail!("the server did not start: {}", said.join("\n"))
    }

    /// What it has used so far.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let stat =
            std::fs::read_to_string(proc.join("stat")).context("CPU time can be read on Linux only")?;
        // The command's name may hold blanks: fields are counted from behind its closing parenthesis.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let status = std::fs::read_to_string(proc.join("status"))?;
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
        };
        Ok(Usage {
            cpu_micros: cpu_micros(fields, &[11, 12]),
            resident_kib: kib("VmRSS:"),
            peak_kib: kib("VmHWM:"),
            at_rest_kib: 0,
        })
    }

    /// Ends it.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        if let Some(dir) = &self.temporary {
            std::fs::remove_dir_all(dir)?;
        }
        Ok(())
    }
}
