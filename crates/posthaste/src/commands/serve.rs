//! `posthaste serve`: the API and the engine, until a signal.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use posthaste_core::tenant::Scope;
use posthaste_core::time::Clock as _;
use posthaste_core::token::Token;
use posthaste_engine::NoObserver;
use posthaste_store::Store;

use crate::commands::token;
use crate::config::Settings;
use crate::shutdown::first_signal;
use crate::system::{SystemDice, SystemTimer};
use crate::telemetry::{self, tell};
use crate::tls;
use crate::wiring::{self, Server};

/// Runs a server.
pub(crate) async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    telemetry::start(&settings);
    wiring::raise_open_files();
    wiring::prepare_data_dir(&settings.data_dir)?;
    let tls = tls::prepare(&settings)?;
    let listener = wiring::listen(settings.listen).await?;
    let address = listener.local_addr()?;
    let store = wiring::open_store(&settings, true).await?;
    first_token(&settings, &store, address).await?;
    for allowed in &settings.allow_targets {
        tracing::info!(?allowed, "may be dialled though it is not public (POSTHASTE_ALLOW_TARGETS)");
    }
    let policy = wiring::target_policy(&settings, address);
    let stop = first_signal().context("cannot listen for signals")?;
    tell(&format!("posthaste {} listening on {}://{address}", env!("CARGO_PKG_VERSION"), settings.scheme()));
    let observer = Arc::new(NoObserver);
    Server { settings, store, policy, observer, listener, tls }.run(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// The first start on an empty store writes a token where only the operator finds it.
///
/// The file first: if the process dies in between, the token in it was never in force and the next start makes another.
/// The other way round there would be a token that nobody knows, and no start would make one that somebody does.
async fn first_token(settings: &Settings, store: &Arc<dyn Store>, address: SocketAddr) -> anyhow::Result<()> {
    if !store.tokens(None).await?.is_empty() {
        return Ok(());
    }
    let environment = store.environment("default", SystemTimer.now()).await?;
    let token = Token::fresh(&SystemDice);
    let path = settings.data_dir.join("admin-token");
    let _ = std::fs::remove_file(&path); // left from a store that was deleted, or from a start that did not get further
    wiring::write_private(&path, token.expose())
        .with_context(|| format!("cannot write {}", path.display()))?;
    token::keep(&**store, environment.id, Scope::Environment, &token).await?;
    tell(&format!("first start: an admin token was written to {}", path.display()));
    // To a person only: what a log keeps is read by others, and `token link` prints another.
    if io::stderr().is_terminal() {
        let link = token::link(&**store, environment.id, &settings.url_at(address)).await?;
        tell(&format!("log in with a browser, once and within half an hour: {link}"));
    }
    Ok(())
}
