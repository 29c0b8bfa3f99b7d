//! `posthaste migrate`: brings the store to the schema of this version, before the first node of it starts.

use std::process::ExitCode;

use crate::cli::SettingArgs;
use crate::config::Settings;
use crate::telemetry::{self, print_line};
use crate::wiring;

/// Opening a store migrates it.
pub(crate) async fn migrate(args: &SettingArgs) -> anyhow::Result<ExitCode> {
    let (settings, _) = Settings::load(args)?;
    telemetry::start(&settings);
    wiring::open_store(&settings, false).await?;
    print_line(concat!("the store has the schema of posthaste ", env!("CARGO_PKG_VERSION")));
    Ok(ExitCode::SUCCESS)
}
