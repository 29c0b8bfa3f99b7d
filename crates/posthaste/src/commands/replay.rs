//! `posthaste replay`: counts first and says so, then lets the server send again, or sends from here.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use posthaste_core::time::Clock as _;
use serde_json::{Value, json};
use tokio::signal::unix::Signal;

use crate::cli::replay::ReplayArgs;
use crate::laptop::complaint::{Complaint, RECEIVER_FAILED, told};
use crate::laptop::output::Output;
use crate::laptop::replay::answers;
use crate::laptop::replay::asked::{Asked, asked};
use crate::laptop::replay::here::Here;
use crate::laptop::replay::watch::{self, Watched};
use crate::laptop::server::Server;
use crate::laptop::{pace, target};
use crate::system::SystemTimer;
use crate::telemetry::tell;
use crate::{wiring, words};

/// Runs it.
pub(crate) fn replay(args: &ReplayArgs) -> ExitCode {
    told(run(args))
}

fn run(args: &ReplayArgs) -> Result<ExitCode, Complaint> {
    let server = Server::of(&args.server)?;
    let runtime = wiring::runtime().map_err(|error| {
        Complaint::failure("nothing can be asked", format!("{error:#}"), "try again when the system has room")
    })?;
    runtime.block_on(async {
        if let Some(job) = &args.watch.job {
            return of_job(&server, args, job).await;
        }
        let asked = asked(&server, args, SystemTimer.now()).await?;
        match &args.to {
            Some(url) => from_here(&server, args, &asked, &target::url(url)?).await,
            None => by_server(&server, args, &asked).await,
        }
    })
}

async fn of_job(server: &Server, args: &ReplayArgs, id: &str) -> Result<ExitCode, Complaint> {
    if args.watch.cancel {
        let job = watch::cancel(server, id).await?;
        tell(&watch::line(&job));
        Output::of(args.output).object(&job);
        return Ok(ExitCode::SUCCESS);
    }
    let mut leaving = watch::leaving()?;
    let job = watch::look(server, id).await?;
    watched(server, args, job, &mut leaving).await
}

async fn watched(
    server: &Server,
    args: &ReplayArgs,
    job: Value,
    leaving: &mut Signal,
) -> Result<ExitCode, Complaint> {
    if args.watch.no_wait {
        Output::of(args.output).object(&job);
        return Ok(ExitCode::SUCCESS);
    }
    match watch::watch(server, job, leaving).await? {
        Watched::Left(code) => Ok(code),
        Watched::Over(job) => {
            Output::of(args.output).object(&job);
            Ok(watch::verdict(&job))
        }
    }
}

/// How many, in words.
fn many(count: u64, more: bool) -> String {
    let count =
        if count == 1 { "1 delivery".to_owned() } else { format!("{} deliveries", words::grouped(count)) };
    if more { format!("more than {count}") } else { count }
}

async fn by_server(server: &Server, args: &ReplayArgs, asked: &[Asked]) -> Result<ExitCode, Complaint> {
    let (mut count, mut more) = (0, false);
    for one in asked {
        let mut body = one.body.clone();
        body.insert("dryRun".to_owned(), json!(true));
        let counted = server.post(&one.path(), &Value::Object(body)).await?;
        count += counted["count"].as_u64().unwrap_or_default();
        more |= counted["more"] == true;
    }
    tell(&format!("{} to replay", many(count, more)));
    if args.dry_run {
        Output::of(args.output).object(&json!({ "count": count, "more": more }));
        return Ok(ExitCode::SUCCESS);
    }
    if count == 0 && !more {
        return Ok(ExitCode::SUCCESS);
    }
    if !confirmed(args, &format!("Replay {}?", many(count, more)))? {
        return Ok(ExitCode::SUCCESS);
    }
    let (mut worst, mut leaving) = (ExitCode::SUCCESS, watch::leaving()?);
    for one in asked {
        let job = server.post(&one.path(), &Value::Object(one.body.clone())).await?;
        tell(&format!("job {}", job["id"].as_str().unwrap_or_default()));
        let since = job["data"]["createdAt"].clone();
        let code = watched(server, args, job.clone(), &mut leaving).await?;
        if code != ExitCode::SUCCESS {
            worst = code;
        } else if args.watch.wait
            && !answers::all_well(server, &job, since.as_str().unwrap_or_default()).await?
        {
            worst = ExitCode::from(RECEIVER_FAILED);
        }
    }
    Ok(worst)
}

/// Asks on a terminal; elsewhere --yes has to say it.
fn confirmed(args: &ReplayArgs, question: &str) -> Result<bool, Complaint> {
    if args.yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Complaint::usage(
            "it was not begun",
            "nobody can be asked without a terminal",
            "look at the number above, and add --yes",
        ));
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Complaint::failure("the answer could not be read", error, "add --yes"))?;
    let yes = matches!(line.trim(), "y" | "Y" | "yes");
    if !yes {
        tell("nothing was begun");
    }
    Ok(yes)
}

async fn from_here(
    server: &Server,
    args: &ReplayArgs,
    asked: &[Asked],
    url: &str,
) -> Result<ExitCode, Complaint> {
    let between = pace::between(args.rate.as_deref())?;
    let (mut found, mut count) = (Vec::new(), 0);
    for one in asked {
        let here = Here::of(server, one, url.to_owned()).await?;
        let messages = here.messages(one).await?;
        count += messages.len();
        found.push((here, messages));
    }
    tell(&format!("{} to send to {url}", words::count(count as u64, "message")));
    if args.dry_run || count == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    if args.ids.is_empty() && !confirmed(args, "Send them?")? {
        return Ok(ExitCode::SUCCESS);
    }
    let (mut worst, mut first) = (ExitCode::SUCCESS, true);
    for (here, messages) in &found {
        for message in messages {
            if !std::mem::take(&mut first) {
                tokio::time::sleep(between).await;
            }
            if !here.send(message).await? {
                worst = ExitCode::from(RECEIVER_FAILED);
            }
        }
    }
    Ok(worst)
}
