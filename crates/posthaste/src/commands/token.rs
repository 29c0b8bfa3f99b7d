//! `posthaste token`: works on the store itself, so also beside a running server, which honours it at once.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use posthaste_core::id::TokenId;
use posthaste_core::tenant::{EnvironmentId, Scope};
use posthaste_core::time::Clock as _;
use posthaste_core::token::Token;
use posthaste_store::Directory;
use posthaste_store::directory::NewToken;

use super::columns;
use crate::cli::TokenAction;
use crate::config::{ConfigError, Settings};
use crate::system::{SystemDice, SystemTimer};
use crate::telemetry::{print_line, tell};
use crate::wiring;

/// How long a link that logs in is good for.
const LINK_LIFE: Duration = Duration::from_secs(30 * 60);

/// Runs one of the token commands.
pub(crate) async fn token(action: TokenAction) -> anyhow::Result<ExitCode> {
    match action {
        TokenAction::Create { env, settings } => {
            let (settings, _) = Settings::load(&settings)?;
            let store = wiring::open_store(&settings, false).await?;
            let environment = environment(&*store, &env).await?;
            let token = make(&*store, environment, Scope::Environment).await?;
            print_line(token.expose());
        }
        TokenAction::Link { env, settings } => {
            let (settings, _) = Settings::load(&settings)?;
            let store = wiring::open_store(&settings, false).await?;
            let environment = environment(&*store, &env).await?;
            print_line(&link(&*store, environment, &settings.url_at(settings.listen)).await?);
        }
        TokenAction::List { settings } => {
            let (settings, _) = Settings::load(&settings)?;
            list(&*wiring::open_store(&settings, false).await?).await?;
        }
        TokenAction::Revoke { id, settings } => {
            let (settings, _) = Settings::load(&settings)?;
            let store = wiring::open_store(&settings, false).await?;
            let id = TokenId::parse(&id).ok_or_else(|| {
                ConfigError::Machine(format!("\"{id}\" is no token id: `posthaste token list` shows them"))
            })?;
            store.revoke_token(id, SystemTimer.now()).await.context("nothing was revoked")?;
            tell(&format!("{id} is revoked"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The environment of this name, made if absent.
async fn environment(directory: &dyn Directory, name: &str) -> anyhow::Result<EnvironmentId> {
    posthaste_core::name::Label::parse(name)
        .map_err(|error| ConfigError::Machine(format!("--env \"{name}\" {error}")))?;
    Ok(directory.environment(name, SystemTimer.now()).await?.id)
}

/// Makes a token and keeps its hash.
pub(crate) async fn make(
    directory: &dyn Directory,
    environment: EnvironmentId,
    scope: Scope,
) -> anyhow::Result<Token> {
    let token = Token::fresh(&SystemDice);
    keep(directory, environment, scope, &token).await?;
    Ok(token)
}

/// An address that logs in to the pages, once.
pub(crate) async fn link(
    directory: &dyn Directory,
    environment: EnvironmentId,
    public_url: &str,
) -> anyhow::Result<String> {
    let code = Token::fresh(&SystemDice);
    keep_for(directory, environment, Scope::Environment, &code, Some(LINK_LIFE)).await?;
    Ok(format!("{}/ui/setup?code={}", public_url.trim_end_matches('/'), code.expose()))
}

/// Keeps the hash of a token, which is in force from then on.
pub(crate) async fn keep(
    directory: &dyn Directory,
    environment: EnvironmentId,
    scope: Scope,
    token: &Token,
) -> anyhow::Result<()> {
    keep_for(directory, environment, scope, token, None).await
}

async fn keep_for(
    directory: &dyn Directory,
    environment: EnvironmentId,
    scope: Scope,
    token: &Token,
    life: Option<Duration>,
) -> anyhow::Result<()> {
    let now = SystemTimer.now();
    let new = NewToken {
        id: TokenId::fresh(now, &SystemDice),
        environment,
        scope,
        hash: token.hash(),
        hint: token.hint().to_owned(),
        expires_at: life.map(|life| now.later(life)),
    };
    directory.create_token(new, now).await.context("the token was not kept")
}

async fn list(directory: &dyn Directory) -> anyhow::Result<()> {
    let header = ["ID", "TOKEN", "ENVIRONMENT", "SCOPE", "CREATED", "STATE"].map(str::to_owned);
    let mut rows = vec![header];
    for token in directory.tokens(None).await? {
        let scope = match token.scope {
            Scope::Environment => "environment".to_owned(),
            Scope::App { app, .. } => app.to_string(),
        };
        let state = match (token.revoked_at, token.expires_at) {
            (Some(at), _) => format!("revoked {at}"),
            (None, Some(at)) => format!("expires {at}"),
            (None, None) => "active".to_owned(),
        };
        rows.push([
            token.id.to_string(),
            format!("{}…", token.hint),
            token.environment,
            scope,
            token.created_at.to_string(),
            state,
        ]);
    }
    columns(&rows);
    Ok(())
}
