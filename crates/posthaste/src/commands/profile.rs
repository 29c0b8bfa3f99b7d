//! `posthaste config profile`: servers and tokens by name.

use std::io::BufRead as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::configure::ProfileAction;
use crate::laptop::complaint::{Complaint, told};
use crate::laptop::output::{Column, Output};
use crate::laptop::profile::Profiles;
use crate::laptop::rows::Rows;
use crate::laptop::target;
use crate::telemetry::tell;

const COLUMNS: &[Column] =
    &[("name", "name"), ("server", "server"), ("token", "token"), ("default", "default")];

/// Runs it.
pub(crate) fn profile(action: &ProfileAction) -> ExitCode {
    told(run(action))
}

fn run(action: &ProfileAction) -> Result<ExitCode, Complaint> {
    let mut profiles = Profiles::read()?;
    match action {
        ProfileAction::Set { name, server, token, default } => {
            let server = server.as_deref().map(target::url).transpose()?;
            let token = token.as_deref().map(secret).transpose()?;
            let is_first = profiles.all.is_empty();
            let profile = profiles.all.entry(name.clone()).or_default();
            // A token is for its server: it does not go along to another.
            if server.is_some() && server != profile.server {
                profile.token = None;
            }
            profile.server = server.or(profile.server.take());
            profile.token = token.or(profile.token.take());
            if *default || is_first {
                profiles.default = Some(name.clone());
            }
            let path = profiles.write()?;
            tell(&format!("profile {name} is in {}", path.display()));
        }
        ProfileAction::List { output } => {
            let mut rows = Rows::begin(Output::of(*output), COLUMNS);
            let all: Vec<Value> = profiles
                .all
                .iter()
                .map(|(name, profile)| {
                    let is_default = profiles.default.as_ref() == Some(name);
                    json!({ "name": name, "server": profile.server, "token": profile.hint(), "default": is_default })
                })
                .collect();
            rows.add(&all);
            rows.end();
        }
        ProfileAction::Remove { name } => {
            profiles.named(name)?;
            profiles.all.remove(name);
            profiles.default = profiles.default.filter(|default| default != name);
            profiles.write()?;
            tell(&format!("profile {name} is forgotten"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A token as it was given, or the first line of standard input.
fn secret(text: &str) -> Result<String, Complaint> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    match read {
        Ok(_) if !line.trim().is_empty() => Ok(line.trim().to_owned()),
        Ok(_) => Err(Complaint::usage(
            "there is no token",
            "standard input is empty",
            "pipe it in: … --token - < FILE",
        )),
        Err(error) => Err(Complaint::usage("there is no token", error, "pipe it in: … --token - < FILE")),
    }
}
