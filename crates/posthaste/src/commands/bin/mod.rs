//! `posthaste bin`: a URL that keeps whatever comes.

mod expect;
pub(super) mod made;
mod manage;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::bin::{BinAction, BinArgs};
use crate::laptop::complaint::{Complaint, told};
use crate::wiring;

/// Runs it.
pub(crate) fn bin(args: &BinArgs) -> ExitCode {
    told(run(args))
}

fn run(args: &BinArgs) -> Result<ExitCode, Complaint> {
    let runtime = wiring::runtime().map_err(|error| {
        Complaint::failure("nobody can be asked", format!("{error:#}"), "try again when the system has room")
    })?;
    runtime.block_on(async {
        match &args.action {
            None => watch::watch(&args.watch).await,
            Some(BinAction::Assert(args)) => expect::expect(args).await,
            Some(BinAction::Clear(args)) => manage::clear(args).await,
            Some(BinAction::Rm(args)) => manage::remove(args).await,
            Some(BinAction::List(args)) => manage::list(args).await,
            Some(BinAction::Share(args)) => manage::share(args).await,
        }
    })
}

/// A span of time out of a flag.
fn span(flag: &str, text: &str) -> Result<Duration, Complaint> {
    crate::config::duration(text).map_err(|why| {
        Complaint::usage(
            format!("--{flag} {text} cannot be used"),
            format!("it {why}"),
            format!("write --{flag} 30s"),
        )
    })
}
