//! `posthaste-trials`: puts a built server on trial and says in one line what came of it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use posthaste_trials::Setup;
use posthaste_trials::crash::{self, Crash};
use posthaste_trials::matrix::{self, Matrix};

const USAGE: &str = "\
posthaste-trials crash  --seconds N --seed S [--binary PATH] [--plant BUGS] [--store postgres [--pooler | --failover]]
posthaste-trials matrix [--seed S] [--binary PATH] [--only NAME] [--store postgres [--pooler]]
posthaste-trials planted [--seed S] [--binary PATH] [--only BUG] [--pooler]

crash kills the server at random instants under load; matrix lets it die at every named point, and panic at some; planted
says whether the mistakes that can be planted over PostgreSQL are found. Over PostgreSQL there are two nodes on a cluster that the trial starts, and the database dies too; with --pooler they reach it
by PgBouncer in transaction mode, with --failover a synchronous standby takes over.
PATH is a server built with `cargo build --bin posthaste --features faults`; target/debug/posthaste if not given.
";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tell(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

/// What was said on the command line.
struct Said {
    seconds: u64,
    seed: u64,
    binary: PathBuf,
    plant: Option<String>,
    only: Option<String>,
    /// Over PostgreSQL, in place of the embedded store.
    postgres: bool,
    setup: Setup,
}

impl Said {
    fn setup(&self) -> anyhow::Result<Option<Setup>> {
        if !self.postgres && self.setup != Setup::default() {
            bail!("--pooler and --failover need --store postgres\n{USAGE}");
        }
        Ok(self.postgres.then_some(self.setup))
    }
}

fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Said> {
    let binary = PathBuf::from("target/debug/posthaste");
    let setup = Setup::default();
    let mut said = Said { seconds: 30, seed: 1, binary, plant: None, only: None, postgres: false, setup };
    while let Some(name) = words.next() {
        match &*name {
            "--pooler" => {
                said.setup.pooler = true;
                continue;
            }
            "--failover" => {
                said.setup.standby = true;
                continue;
            }
            _ => {}
        }
        let value = words.next().with_context(|| format!("{name} needs a value\n{USAGE}"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{name} {value} is no number"));
        match &*name {
            "--seconds" => said.seconds = number()?,
            "--seed" => said.seed = number()?,
            "--binary" => said.binary = PathBuf::from(value),
            "--plant" => said.plant = Some(value),
            "--only" => said.only = Some(value),
            "--store" if value == "postgres" => said.postgres = true,
            "--store" if value == "embedded" => said.postgres = false,
            "--store" => bail!("--store {value} is neither embedded nor postgres"),
            _ => bail!("there is no {name}\n{USAGE}"),
        }
    }
    Ok(said)
}

async fn run() -> anyhow::Result<bool> {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    if !["crash", "matrix", "planted"].contains(&&*command) {
        bail!("{USAGE}");
    }
    let mut said = read(words)?;
    said.postgres |= command == "planted";
    let postgres = said.setup()?;
    let Said { seconds, seed, binary, plant, only, .. } = said;
    if command == "planted" {
        return matrix::run_planted(&Matrix { binary, seed, only, postgres }, tell).await;
    }
    if command == "matrix" {
        return matrix::run(&Matrix { binary, seed, only, postgres }, tell).await;
    }
    let outcome =
        crash::run(&Crash { binary, lasts: Duration::from_secs(seconds), seed, plant, postgres }).await?;
    for violation in &outcome.violations {
        tell(&violation.to_string());
    }
    if let Some(kept) = &outcome.kept {
        tell(&format!("the store and ledgers.json are kept in {}", kept.display()));
    }
    tell(&outcome.to_string());
    Ok(outcome.violations.is_empty())
}

#[expect(clippy::print_stdout, reason = "its findings are what it is for")]
fn tell(line: &str) {
    println!("{line}");
}
