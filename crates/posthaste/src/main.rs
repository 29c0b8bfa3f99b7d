//! Posthaste, the binary: parse, log, run, exit code.

mod bench;
mod call;
mod cli;
mod commands;
mod config;
mod doctor;
mod judged;
mod laptop;
mod listen;
mod pages;
mod shutdown;
mod staged;
mod system;
mod telemetry;
mod terminal;
mod tls;
mod unjudged;
mod wiring;
mod words;

use std::process::ExitCode;

use clap::FromArgMatches as _;

fn main() -> ExitCode {
    let parsed = cli::groups::command().try_get_matches();
    let cli = match parsed.and_then(|matches| cli::Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // A usage error is 2, help and version are 0: clap knows which is which.
            let code = error.exit_code();
            let _ = error.print();
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            telemetry::complain(&error);
            ExitCode::from(config::exit_code(&error))
        }
    }
}
