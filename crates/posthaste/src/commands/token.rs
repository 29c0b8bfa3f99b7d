//! `posthaste token`: works on the store itself, so also beside a running server, which honours it at once.

use std::process::ExitCode;

use anyhow::Context as _;
use posthaste_core::id::TokenId;
use posthaste_core::tenant::{EnvironmentId, Scope};
use posthaste_core::time::Clock as _;
use posthaste_core::token::Token;
use posthaste_store::Directory;
use posthaste_store::directory::NewToken;

use super::show;
use crate::cli::TokenAction;
use crate::config::{ConfigError, Settings};
use crate::system::{SystemDice, SystemTimer};
use crate::telemetry::{print_line, tell};
use crate::wiring;

/// Runs one of the token commands.
pub(crate) async fn token(action: TokenAction) -> anyhow::Result<ExitCode> {
    match action {
        TokenAction::Create { env, settings } => {
            let (settings, _) = Settings::load(&settings)?;
            let store = wiring::open_store(&settings, false).await?;
            posthaste_core::name::Label::parse(&env)
                .map_err(|error| ConfigError::Machine(format!("--env \"{env}\" {error}")))?;
            let environment = store.environment(&env, SystemTimer.now()).await?;
            let token = make(&*store, environment.id, Scope::Environment).await?;
            print_line(token.expose());
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

/// Keeps the hash of a token, which is in force from then on.
pub(crate) async fn keep(
    directory: &dyn Directory,
    environment: EnvironmentId,
    scope: Scope,
    token: &Token,
) -> anyhow::Result<()> {
    let now = SystemTimer.now();
    let new = NewToken {
        id: TokenId::fresh(now, &SystemDice),
        environment,
        scope,
        hash: token.hash(),
        hint: token.hint().to_owned(),
        expires_at: None,
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
    show(&rows);
    Ok(())
}
