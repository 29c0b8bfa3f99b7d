//! `posthaste import`: moves an embedded store to PostgreSQL, draws how far it is, and tells what came of it.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_store::postgres::PostgresOptions;
use posthaste_store::transfer::{self, ImportError, Moved, Options, Report, Step};
use zeroize::Zeroizing;

use super::columns;
use crate::cli::ImportArgs;
use crate::config::{ConfigError, Settings};
use crate::system::SystemDice;
use crate::telemetry::{self, print_line, tell};
use crate::{wiring, words};

/// How often the line on a terminal is drawn anew.
const DRAWN_EVERY: Duration = Duration::from_millis(100);
/// Percent between two lines where there is no terminal.
const PERCENT_A_LINE: u64 = 10;

/// Moves a store, or what is left of it.
pub(crate) async fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let (settings, _) = Settings::load(&args.settings)?;
    telemetry::start(&settings);
    let options = options(args, &settings)?;
    let shown = options.from.display().to_string();
    let began = Instant::now();
    let mut drawn = Drawn::new();
    let mut draw = |moved: Moved| drawn.draw(&moved);
    let reports = if args.dry_run {
        transfer::dry_run(options).await
    } else if args.check {
        transfer::check(options, &mut draw).await
    } else {
        transfer::import(options, &mut draw).await
    };
    drawn.end();
    let reports = reports.map_err(|error| explained(error, drawn.stopped_at))?;
    print(args, &reports);
    let rows = words::count(reports.iter().map(|report| report.rows_count).sum(), "row");
    let took = words::span(began.elapsed());
    tell(&match (args.dry_run, args.check) {
        (true, _) => format!("{rows} of {shown} would move; nothing was changed"),
        (_, true) => format!("{rows} of {shown} are the same on both sides ({took})"),
        _ => format!(
            "{rows} of {shown} were moved and checked in {took}: start `posthaste serve` on the database, and never the old store again"
        ),
    });
    Ok(ExitCode::SUCCESS)
}

/// What has begun goes on with the same command.
fn explained(error: ImportError, stopped_at: Option<&'static str>) -> anyhow::Error {
    let stopped = matches!(error, ImportError::Store(_)).then_some(stopped_at).flatten();
    let error = anyhow::Error::from(error);
    match stopped {
        Some(table) => error
            .context(format!("the import stopped in table {table}, and the same command goes on from there")),
        None => error,
    }
}

fn options(args: &ImportArgs, settings: &Settings) -> anyhow::Result<Options> {
    let from = source(&args.from)?;
    let (Some(url), Some(main_secret)) = (&settings.database_url, &settings.main_secret) else {
        let why = "import needs a database to move to: name it with --database-url, and its secret in POSTHASTE_MAIN_SECRET";
        return Err(ConfigError::Together(why.to_owned()).into());
    };
    let mut files = vec![wiring::main_secret_file(settings)];
    let beside = from.with_file_name("main-secret");
    if !files.contains(&beside) {
        files.push(beside);
    }
    let places: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let mut secrets: Vec<_> = files.iter().filter_map(|file| written(file)).collect();
    secrets.push(main_secret.clone());
    let (url, main_secret) = (url.clone(), main_secret.clone());
    let dice = Arc::new(SystemDice);
    let to = PostgresOptions { url, listen_url: None, main_secret, dice, clock: None, serving: false };
    Ok(Options { from, secrets, places: places.join(" nor "), to })
}

fn written(file: &Path) -> Option<Zeroizing<String>> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new).ok()?;
    Some(Zeroizing::new(text.trim().to_owned()))
}

/// The file that `sqlite:PATH` names.
fn source(from: &str) -> Result<PathBuf, ConfigError> {
    let Some(path) = from.strip_prefix("sqlite:").filter(|path| !path.is_empty()) else {
        let why = "names no embedded store: write --from sqlite:PATH, with its file or its data directory";
        return Err(ConfigError::Machine(format!("--from \"{from}\" {why}")));
    };
    let mut path = PathBuf::from(path);
    if path.is_dir() {
        path.push("posthaste.db");
    }
    if !path.is_file() {
        return Err(ConfigError::Machine(format!("there is no store at {}", path.display())));
    }
    Ok(path)
}

fn print(args: &ImportArgs, reports: &[Report]) {
    if args.json {
        let tables: Vec<_> = reports
            .iter()
            .map(|report| {
                serde_json::json!({
                    "table": report.table,
                    "rows": report.rows_count,
                    "checked": report.digest.is_some(),
                    "digest": report.digest,
                })
            })
            .collect();
        print_line(&serde_json::json!({ "dryRun": args.dry_run, "tables": tables }).to_string());
        return;
    }
    let head = ["table", "rows", "checked"].map(str::to_owned);
    let row = |report: &Report| {
        let checked = report.digest.as_ref().map_or("no".to_owned(), |digest| format!("yes, {digest}"));
        [report.table.to_owned(), words::grouped(report.rows_count), checked]
    };
    let rows: Vec<_> = std::iter::once(head).chain(reports.iter().map(row)).collect();
    columns(&rows);
}

/// One line that is drawn anew on a terminal, and a few lines elsewhere.
struct Drawn {
    terminal: bool,
    step: Option<Step>,
    began: Instant,
    /// Rows that were there when this step began: an import may go on in the middle.
    first_count: u64,
    at: Instant,
    percent: u64,
    stopped_at: Option<&'static str>,
}

impl Drawn {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            terminal: std::io::stderr().is_terminal(),
            step: None,
            began: now,
            first_count: 0,
            at: now,
            percent: 0,
            stopped_at: None,
        }
    }

    fn draw(&mut self, moved: &Moved) {
        let percent = (moved.done_count * 100).checked_div(moved.all_count).unwrap_or(100);
        let begins = self.step != Some(moved.step);
        if begins {
            (self.step, self.began, self.first_count) = (Some(moved.step), Instant::now(), moved.done_count);
        }
        self.stopped_at = (moved.step == Step::Moving).then_some(moved.table);
        let due = if self.terminal {
            self.at.elapsed() >= DRAWN_EVERY || percent == 100
        } else {
            begins || percent / PERCENT_A_LINE > self.percent / PERCENT_A_LINE
        };
        if !due {
            return;
        }
        (self.at, self.percent) = (Instant::now(), percent);
        let line = self.line(moved, percent);
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        } else {
            tell(&line);
        }
    }

    fn line(&self, moved: &Moved, percent: u64) -> String {
        let doing = if moved.step == Step::Moving { "moving" } else { "checking" };
        let (done, all) = (words::grouped(moved.done_count), words::grouped(moved.all_count));
        let passed = self.began.elapsed().as_millis().max(1);
        let rows = u128::from(moved.done_count.saturating_sub(self.first_count));
        let a_second = u64::try_from(rows * 1_000 / passed).unwrap_or(u64::MAX);
        let table = moved.table;
        format!("{doing:<8} {percent:>3} %  {done} of {all} rows, {}/s  {table}", words::grouped(a_second))
    }

    fn end(&self) {
        if self.terminal && self.step.is_some() {
            tell("");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_embedded_store_is_refused_in_one_sentence() {
        for from in ["", "sqlite:", "postgres://localhost/x", "posthaste.db"] {
            let said = source(from).unwrap_err().to_string();
            assert_eq!(
                said,
                format!(
                    "--from \"{from}\" names no embedded store: write --from sqlite:PATH, with its file or its data directory"
                )
            );
        }
        let said = source("sqlite:/nowhere/posthaste.db").unwrap_err().to_string();
        assert_eq!(said, "there is no store at /nowhere/posthaste.db");
    }

    #[test]
    fn a_line_says_how_far_it_is_and_how_fast() {
        let mut drawn = Drawn::new();
        drawn.first_count = 1_000;
        drawn.began = Instant::now();
        let moved = Moved { step: Step::Moving, table: "message", done_count: 1_000, all_count: 4_000 };
        assert_eq!(drawn.line(&moved, 25), "moving    25 %  1 000 of 4 000 rows, 0/s  message");
    }
}
