//! One file a command: the same ports that the API uses, from a shell.

mod apply;
mod backup;
mod bin;
mod configured;
mod created;
mod dev;
mod export;
mod healthcheck;
mod import;
mod kept;
mod listen;
mod manual;
mod migrate;
mod noun;
mod profile;
mod replay;
mod restore;
mod send;
mod serve;
mod show;
mod sign;
mod tail;
mod token;
mod trigger;
mod verify;

use std::process::ExitCode;

use crate::cli::{Cli, Command, ConfigAction};
use crate::config::Settings;
use crate::laptop::complaint::Complaint;
use crate::telemetry::print_line;
use crate::{bench, doctor, wiring};

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(args) => {
            let (settings, _) = Settings::load(&args)?;
            wiring::runtime()?.block_on(serve::serve(settings))
        }
        Command::Dev(args) => wiring::runtime()?.block_on(dev::dev(args)),
        Command::Listen(args) => Ok(listen::listen(&args)),
        Command::Trigger(args) => Ok(trigger::trigger(&args)),
        Command::Replay(args) => Ok(replay::replay(&args)),
        Command::Send(args) => Ok(send::send(&args)),
        Command::Sign(args) => Ok(sign::sign(&args)),
        Command::Verify(args) => Ok(verify::verify(&args)),
        Command::Show(args) => Ok(show::show(&args)),
        Command::Tail(args) => Ok(tail::tail(&args)),
        Command::Noun(asked) => Ok(noun::noun(&asked)),
        Command::Bin(args) => Ok(bin::bin(&args)),
        Command::Token(args) => wiring::runtime()?.block_on(token::token(args.action)),
        Command::Doctor(args) => wiring::runtime()?.block_on(doctor::doctor(&args)),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => restore::restore(&args),
        Command::Import(args) => wiring::runtime()?.block_on(import::import(&args)),
        Command::Migrate(args) => wiring::runtime()?.block_on(migrate::migrate(&args)),
        Command::Healthcheck(args) => wiring::runtime()?.block_on(healthcheck::healthcheck(&args.url)),
        Command::Config(args) => match args.action {
            ConfigAction::Show { settings } => {
                let (_, raw) = Settings::load(&settings)?;
                columns(&raw.rows());
                Ok(ExitCode::SUCCESS)
            }
            ConfigAction::Profile(args) => Ok(profile::profile(&args.action)),
        },
        Command::Apply(args) => Ok(apply::apply(&args)),
        Command::Export(args) => Ok(export::export(&args)),
        Command::Completion(args) => Ok(manual::completion(&args)),
        Command::Man(args) => Ok(manual::man(&args)),
        Command::ExitCodes => Ok(manual::exit_codes()),
        Command::Bench(args) => wiring::runtime()?.block_on(bench::run(args)),
        Command::BenchFloor => wiring::runtime()?.block_on(bench::floor::serve()),
        Command::Openapi => {
            print_line(&posthaste_http::openapi());
            Ok(ExitCode::SUCCESS)
        }
        Command::Version => {
            print_line(concat!("posthaste ", env!("CARGO_PKG_VERSION")));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs what asks a server.
fn asking<T>(asks: impl Future<Output = Result<T, Complaint>>) -> Result<T, Complaint> {
    let runtime = wiring::runtime().map_err(|error| {
        Complaint::failure("nobody can be asked", format!("{error:#}"), "try again when the system has room")
    })?;
    runtime.block_on(asks)
}

/// Rows as columns that line up.
fn columns<const N: usize>(rows: &[[String; N]]) {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let line: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        print_line(line.join("  ").trim_end());
    }
}
