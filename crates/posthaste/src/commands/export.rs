//! `posthaste export`: the server's configuration as a file that `apply` reads.

use std::process::ExitCode;

use serde_json::Value;

use super::asking;
use super::configured::Configured;
use crate::cli::configure::ExportArgs;
use crate::laptop::complaint::{Complaint, told};
use crate::laptop::manifest::{ENDPOINT, EVENT_TYPE, Kind};
use crate::laptop::plan;
use crate::laptop::server::Server;
use crate::laptop::toml_text::value;
use crate::laptop::whose::text;
use crate::telemetry::{print_line, tell};
use crate::terminal::shown;

/// Runs it.
pub(crate) fn export(args: &ExportArgs) -> ExitCode {
    told(asking(run(args)))
}

async fn run(args: &ExportArgs) -> Result<ExitCode, Complaint> {
    let server = Server::of(&args.server)?;
    let all = Configured::read(&server).await?;
    print_line("# Written by `posthaste export`. Secrets are not in it: give them as secret_env = \"NAME\".");
    for event_type in &all.event_types {
        table("event-type", &EVENT_TYPE, event_type);
    }
    for (kind, owner, endpoints) in all.owners() {
        if !has_uid(kind, owner) {
            continue;
        }
        table(kind.name, kind, owner);
        for endpoint in endpoints.iter().filter(|endpoint| has_uid(&ENDPOINT, endpoint)) {
            table(&format!("{}.endpoint", kind.name), &ENDPOINT, endpoint);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What has no uid has no name that a file could know it by.
fn has_uid(kind: &Kind, object: &Value) -> bool {
    let has_uid = object["uid"].is_string();
    if !has_uid {
        let id = text(object, "id");
        tell(&shown(&format!(
            "left out, since it has no uid: {} {id}; give it one: posthaste {} update {id} uid=NAME",
            kind.name, kind.name
        )));
    }
    has_uid
}

fn table(heading: &str, kind: &Kind, object: &Value) {
    print_line(&format!("\n[[{heading}]]"));
    for (name, field) in plan::said(kind, object) {
        print_line(&format!("{name} = {}", value(&field)));
    }
}
