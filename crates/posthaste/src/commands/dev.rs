//! `posthaste dev`: a server, a receiver and a first signed webhook, with nothing to configure.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use posthaste_core::attempt::{Attempt, Outcome};
use posthaste_core::delivery::{Claimed, Verdict};
use posthaste_core::role::Roles;
use posthaste_core::target::TargetPolicy;
use posthaste_core::tenant::Scope;
use posthaste_core::time::Clock as _;
use posthaste_core::token::TokenHash;
use posthaste_engine::Observer;
use posthaste_signature::standard::{Signed, Verifier, verify};
use posthaste_store::Store;
use tokio::sync::oneshot;

use super::bin::made::made;
use crate::cli::bin::AnswerArgs;
use crate::cli::server::ServerArgs;
use crate::cli::{DevArgs, SettingArgs};
use crate::commands::token;
use crate::config::{ConfigError, Settings};
use crate::laptop::came::Came;
use crate::laptop::coming::{Follow, LOOK_EVERY};
use crate::laptop::complaint::Complaint;
use crate::laptop::decoded;
use crate::laptop::server::{DEFAULT as DEFAULT_SERVER, Server as Asked};
use crate::shutdown::first_signal;
use crate::system::SystemTimer;
use crate::telemetry::{self, print_line, tell};
use crate::terminal::shown;
use crate::wiring::{self, Server};

const DATA_DIR: &str = "./.posthaste/dev";
/// How long the first delivery may take before we say that it failed.
const FIRST_DELIVERY_MAX: Duration = Duration::from_secs(20);

/// How often is looked for it.
const FIRST_LOOK_EVERY: Duration = Duration::from_millis(20);
/// The bin that is there from the start.
const BIN: &str = "hello";
/// Letters of a body's first line.
const LINE_LETTERS_MAX: usize = 80;

/// Prints each attempt as one line.
struct Printer;

impl Observer for Printer {
    fn attempted(&self, claimed: &Claimed, attempt: &Attempt, verdict: Verdict) {
        let came = match &attempt.outcome {
            Outcome::Replied(reply) => reply.status.to_string(),
            Outcome::Failed(failure) => failure.detail.clone(),
        };
        let next = match verdict {
            Verdict::Delivered => "delivered".to_owned(),
            Verdict::RetryAt(at) => format!("next try at {at}"),
            Verdict::GiveUp(why) => format!("given up: {}", why.word()),
        };
        print_line(&shown(&format!(
            "{}  → {}  {}  {}  {came}  {} ms  {next}",
            clock_time(attempt.started_at),
            attempt.message,
            claimed.message.event_type,
            attempt.url,
            attempt.timing.total.as_millis(),
        )));
    }
}

/// Runs it all; with `--once` only until the first delivery was verified.
pub(crate) async fn dev(args: DevArgs) -> anyhow::Result<ExitCode> {
    let listen = Some(args.listen.clone());
    let flags = SettingArgs { listen, data_dir: Some(DATA_DIR.to_owned()), ..SettingArgs::default() };
    let (mut settings, _) = Settings::load(&flags)?;
    if settings.log == "info" {
        "warn".clone_into(&mut settings.log);
    }
    // It is reached from this machine only, by callers that could not know the certificate.
    settings.tls = None;
    settings.roles = Roles::ALL;
    telemetry::start(&settings);
    if !settings.listen.ip().is_loopback() {
        return Err(ConfigError::Machine(format!(
            "dev listens on loopback only, not on {}: use `posthaste serve` to be reachable",
            settings.listen
        ))
        .into());
    }
    wiring::prepare_data_dir(&settings.data_dir)?;
    let listener = wiring::listen(settings.listen).await?;
    let server = format!("http://{}", listener.local_addr()?);
    let store = wiring::open_store(&settings, true).await?;
    let token = dev_token(&settings, &store).await?;
    let environment = store.environment("default", SystemTimer.now()).await?;
    let pages = token::link(&*store, environment.id, &server).await?;
    let policy = TargetPolicy { allow: loopback(), ..TargetPolicy::default() };
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(
        Server { settings, store, policy, observer: Arc::new(Printer), listener, tls: None }
            .run(async move { drop(stopped.await) }),
    );
    let interrupted = first_signal().context("cannot listen for signals")?;
    let asked =
        ServerArgs { server: Some(server.clone()), token: Some(token.clone()), ..ServerArgs::default() };
    let asked = Asked::of(&asked).map_err(failed)?;
    let bin = made(&asked, BIN, &AnswerArgs::default()).await.map_err(failed)?;
    let bin = here(&server, bin["ingestUrl"].as_str().context("the bin has no URL")?);
    let mut requests = Follow::from_now(&asked, BIN).await.map_err(failed)?;
    greet(&server, &token, &bin, &pages);
    let verified = first_delivery(&asked, &bin, &mut requests).await;
    let code = match verified {
        Ok(()) if args.once => ExitCode::SUCCESS,
        Err(error) if args.once => {
            telemetry::complain(&error);
            ExitCode::FAILURE
        }
        other => {
            if let Err(error) = other {
                telemetry::complain(&error);
            }
            next_steps(&server, &bin);
            tokio::select! {
                () = interrupted => {}
                error = print_requests(&mut requests) => telemetry::complain(&error),
            }
            ExitCode::SUCCESS
        }
    };
    let _ = stop.send(());
    running.await??;
    Ok(code)
}

fn loopback() -> Vec<posthaste_core::target::Allow> {
    ["127.0.0.0/8", "::1", "localhost"].iter().filter_map(|entry| entry.parse().ok()).collect()
}

/// The token of the last run, if it still works; else a new one.
async fn dev_token(settings: &Settings, store: &Arc<dyn Store>) -> anyhow::Result<String> {
    let path = settings.data_dir.join("token");
    if let Ok(text) = std::fs::read_to_string(&path) {
        let text = text.trim();
        if store.authenticate(TokenHash::of(text), SystemTimer.now()).await?.is_some() {
            return Ok(text.to_owned());
        }
        std::fs::remove_file(&path)?;
    }
    let environment = store.environment("default", SystemTimer.now()).await?;
    let token = token::make(&**store, environment.id, Scope::Environment).await?;
    wiring::write_private(&path, token.expose())?;
    Ok(token.expose().to_owned())
}

fn greet(server: &str, token: &str, bin: &str, pages: &str) {
    tell(&format!("posthaste {}   data {DATA_DIR}   (delete it to start over)", env!("CARGO_PKG_VERSION")));
    tell("");
    tell(&format!("  Svix API   {server}    token: {token}"));
    tell(&format!("  Your bin   {bin}    anything sent here shows up below"));
    tell(&format!("  Pages      {pages}    logs you in, once"));
    tell("");
}

fn failed(complaint: Complaint) -> anyhow::Error {
    anyhow::anyhow!(complaint.to_string())
}

/// A door by the address that is listened on, whatever the world knows it by.
fn here(server: &str, door: &str) -> String {
    let path = url::Url::parse(door).map(|url| url.path().to_owned()).unwrap_or_default();
    format!("{server}{path}")
}

/// Makes the demo app and its endpoint, sends a message through the API, and checks what arrives at the bin.
async fn first_delivery(api: &Asked, bin: &str, requests: &mut Follow<'_>) -> anyhow::Result<()> {
    let app = serde_json::json!({ "name": "Demo", "uid": "demo" });
    api.post("/api/v1/app?get_if_exists=true", &app).await.map_err(failed)?;
    let endpoint = serde_json::json!({ "url": bin, "description": "The bin of this machine" });
    let path = "/api/v1/app/demo/endpoint/bin";
    api.ask(http::Method::PUT, path, Some(&endpoint)).await.map_err(failed)?;
    let secret = api.get("/api/v1/app/demo/endpoint/bin/secret").await.map_err(failed)?;
    let secret = secret["key"].as_str().context("the endpoint has no secret")?.to_owned();
    let message = serde_json::json!({
        "eventType": "user.created",
        "payload": { "email": "ada@example.com", "hello": "world" },
    });
    let sent = api.post("/api/v1/app/demo/msg", &message).await.map_err(failed)?;
    let id = sent["id"].as_str().context("the message has no id")?.to_owned();
    let arrived = tokio::time::timeout(FIRST_DELIVERY_MAX, async {
        loop {
            let came = requests.more().await.map_err(failed)?;
            if let Some(request) = came.into_iter().find(|came| came.header("webhook-id") == Some(&id)) {
                return anyhow::Ok(request);
            }
            tokio::time::sleep(FIRST_LOOK_EVERY).await;
        }
    });
    let request = arrived.await.context("the first message did not arrive at the bin within 20 s")??;
    check(&request, &secret)?;
    print_line(&format!(
        "{}  ← {id}  at the bin: signature ok, verified as any receiver would",
        clock_time(request.at)
    ));
    Ok(())
}

fn check(request: &Came, secret: &str) -> anyhow::Result<()> {
    let signed = Signed::from_headers(|name| request.header(name))?;
    let keys = [Verifier::parse(secret)?];
    let tolerance = Some(Duration::from_secs(300));
    verify(&signed, &request.body, &keys, SystemTimer.now().as_secs(), tolerance)
        .context("the first delivery arrived, but its signature is wrong")
}

/// Prints whatever comes to the bin, until it cannot be known.
async fn print_requests(requests: &mut Follow<'_>) -> anyhow::Error {
    loop {
        match requests.more().await {
            Ok(came) => came.iter().for_each(print_request),
            // It is this process: it is busy, and will answer.
            Err(complaint) if complaint.is_unreachable() => {}
            Err(complaint) => return failed(complaint),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn print_request(came: &Came) {
    print_line(&shown(&format!(
        "{}  ← {} {BIN}{}  {} bytes  {}",
        clock_time(came.at),
        came.method,
        came.target(),
        came.body.len(),
        decoded::first_line(came, LINE_LETTERS_MAX)
    )));
}

fn next_steps(server: &str, bin: &str) {
    let bold = |text: &str| {
        if std::io::stderr().is_terminal() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    };
    // The other commands look for a server where one is by default.
    let there = if server == DEFAULT_SERVER { String::new() } else { format!(" --server {server}") };
    tell("");
    tell(&format!("{}   in another terminal, in this directory; Ctrl-C stops", bold("Try")));
    tell(&format!("  curl -d '{{\"hello\":\"world\"}}' {bin}"));
    tell(&format!("  posthaste send --app demo --type invoice.paid id:=1{there}"));
    tell(&format!("  posthaste bin assert {BIN} --count 2{there}"));
    tell("  posthaste trigger stripe.charge.succeeded --to :3000/webhooks --secret whsec_test");
    tell("");
}

/// `14:32:18.402`, in UTC.
fn clock_time(at: posthaste_core::time::Timestamp) -> String {
    at.to_string().get(11..23).unwrap_or_default().to_owned()
}
