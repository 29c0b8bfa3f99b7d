//! `posthaste-sim --seeds A..B [--until-found]`: one line for each seed that fails, and a summary.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::ops::Range;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use posthaste_sim::{Verdict, run};

/// Findings of one seed that are printed.
const FINDINGS_SHOWN: usize = 5;

const USAGE: &str = "usage: posthaste-sim --seeds A..B [--until-found]";

struct Wanted {
    seeds: Range<u64>,
    /// Ends with the first seed that finds something, and fails if none does: for planted bugs.
    until_found: bool,
}

fn read(mut args: impl Iterator<Item = String>) -> Option<Wanted> {
    let mut wanted = Wanted { seeds: 0..300, until_found: false };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seeds" => {
                let range = args.next()?;
                let (first, end) = range.split_once("..")?;
                wanted.seeds = first.parse().ok()?..end.parse().ok()?;
            }
            "--until-found" => wanted.until_found = true,
            _ => return None,
        }
    }
    Some(wanted)
}

fn verdict(seed: u64) -> Verdict {
    catch_unwind(|| run(seed)).unwrap_or_else(|_| Verdict {
        seed,
        findings: vec!["it panicked".to_owned()],
        ..Verdict::default()
    })
}

fn tell(verdict: &Verdict) {
    for finding in verdict.findings.iter().take(FINDINGS_SHOWN) {
        println!("seed={} {finding}", verdict.seed);
    }
}

/// Runs the seeds on all cores; in their order, up to and with the first that failed if that ends it.
fn verdicts(wanted: &Wanted) -> Vec<Verdict> {
    let next = AtomicU64::new(wanted.seeds.start);
    let all = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= wanted.seeds.end {
                        return;
                    }
                    let verdict = verdict(seed);
                    if !verdict.findings.is_empty() && wanted.until_found {
                        next.store(wanted.seeds.end, Ordering::Relaxed);
                    } else {
                        tell(&verdict);
                    }
                    all.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_by_key(|verdict| verdict.seed);
    all
}

fn main() -> ExitCode {
    let Some(wanted) = read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let began = Instant::now();
    let all = verdicts(&wanted);
    let sum = |of: fn(&Verdict) -> usize| all.iter().map(of).sum::<usize>();
    let failed = all.iter().filter(|verdict| !verdict.findings.is_empty()).count();
    if wanted.until_found {
        let Some(first) = all.iter().find(|verdict| !verdict.findings.is_empty()) else {
            println!("not found in {} seeds", all.len());
            return ExitCode::FAILURE;
        };
        println!("found by seed {} after {} seeds", first.seed, first.seed - wanted.seeds.start + 1);
        tell(first);
        return ExitCode::SUCCESS;
    }
    println!(
        "seeds={} failed={failed} messages={} attempts={} crashes={} lost={} repeated={} secs={:.1}",
        all.len(),
        sum(|one| one.messages),
        sum(|one| one.attempts),
        sum(|one| one.crashes),
        sum(|one| one.lost),
        sum(|one| one.repeated),
        began.elapsed().as_secs_f64(),
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
