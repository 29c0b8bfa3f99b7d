//! `posthaste bin clear`, `rm`, `list` and `share`.

use std::process::ExitCode;

use http::Method;
use serde_json::{Value, json};

use super::{made, span};
use crate::cli::bin::{ListArgs, NamedArgs, ShareArgs};
use crate::cli::server::Format;
use crate::laptop::complaint::Complaint;
use crate::laptop::output::Output;
use crate::laptop::server::{Server, part};
use crate::telemetry::{print_line, tell};
use crate::terminal::shown;
use crate::words;

fn path(name: &str) -> String {
    format!("/ingest/api/v1/source/{}", part(name))
}

/// Removes what came, page by page.
pub(super) async fn clear(args: &NamedArgs) -> Result<ExitCode, Complaint> {
    let server = Server::of(&args.server)?;
    made::is_bin(&server.get(&path(&args.name)).await?, &args.name)?;
    let (mut removed_count, mut iterator) = (0, String::new());
    loop {
        let page = format!("{}/request?limit=250{iterator}", path(&args.name));
        let page = server.ask(Method::DELETE, &page, None).await?;
        removed_count += page["removed"].as_u64().unwrap_or_default();
        match page["iterator"].as_str() {
            Some(next) if page["done"] == false => iterator = format!("&iterator={}", part(next)),
            _ => break,
        }
    }
    tell(&format!("{} removed", words::count(removed_count, "request")));
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn remove(args: &NamedArgs) -> Result<ExitCode, Complaint> {
    let server = Server::of(&args.server)?;
    made::is_bin(&server.get(&path(&args.name)).await?, &args.name)?;
    server.ask(Method::DELETE, &path(&args.name), None).await?;
    tell(&shown(&format!("the bin {} is gone, and its URL with it", args.name)));
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn list(args: &ListArgs) -> Result<ExitCode, Complaint> {
    let server = Server::of(&args.server)?;
    let (mut bins, mut iterator) = (vec![], String::new());
    loop {
        let page = server.get(&format!("/ingest/api/v1/source?limit=250{iterator}")).await?;
        let all = page["data"].as_array().into_iter().flatten();
        bins.extend(all.filter(|source| source["bin"] == true).cloned());
        match page["iterator"].as_str() {
            Some(next) if page["done"] == false => iterator = format!("&iterator={}", part(next)),
            _ => break,
        }
    }
    match Output::of(args.output).format() {
        Format::Json => print_line(&format!("{:#}", Value::from(bins))),
        Format::Jsonl => bins.iter().for_each(|bin| print_line(&bin.to_string())),
        Format::Table => {
            let width = bins.iter().map(|bin| name(bin).chars().count()).max().unwrap_or_default();
            for bin in &bins {
                print_line(&format!("{:width$}  {}  {}", name(bin), url(bin), answers(&bin["answer"])));
            }
        }
        Format::Auto | Format::Plain => {
            for bin in &bins {
                print_line(&[name(bin), url(bin), answers(&bin["answer"])].join("\t"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn name(bin: &Value) -> String {
    let named = bin["uid"].as_str().or(bin["id"].as_str());
    shown(named.unwrap_or_default())
}

fn url(bin: &Value) -> String {
    shown(bin["ingestUrl"].as_str().unwrap_or_default())
}

/// How it answers, in a word or two: `200`, `500, 500, 200`, `200, 30% fail`.
fn answers(answer: &Value) -> String {
    let sequence = answer["sequence"].as_array().filter(|sequence| !sequence.is_empty());
    let statuses = sequence.map_or(vec![&answer["status"]], |sequence| sequence.iter().collect());
    let mut words: Vec<_> = statuses.into_iter().map(Value::to_string).collect();
    words.extend(answer["failPercent"].as_u64().filter(|fail| *fail > 0).map(|fail| format!("{fail}% fail")));
    words.join(", ")
}

/// A token of the bin's own app, which may read and nothing else.
pub(super) async fn share(args: &ShareArgs) -> Result<ExitCode, Complaint> {
    let life_secs = span("for", &args.life)?.as_secs();
    let server = Server::of(&args.server)?;
    made::is_bin(&server.get(&path(&args.name)).await?, &args.name)?;
    let asked = json!({ "readOnly": true, "expiry": life_secs });
    let link = server.post(&format!("{}/dashboard", path(&args.name)), &asked).await?;
    let token = link["token"].as_str().unwrap_or_default();
    let command =
        format!("posthaste bin {} --from-start --server {} --token {token}", args.name, server.url());
    match Output::of(args.output).format() {
        Format::Json | Format::Jsonl => {
            print_line(&json!({ "token": token, "server": server.url(), "command": command }).to_string());
        }
        _ => {
            print_line(&shown(token));
            tell("whoever has it sees what comes, credentials apart, and can change nothing:");
            tell(&shown(&format!("  {command}")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_bin_answers_is_said_in_a_word_or_two() {
        for (answer, said) in [
            (json!({ "status": 202, "sequence": [], "failPercent": 0 }), "202"),
            (json!({ "status": 200, "sequence": [500, 200], "failPercent": 0 }), "500, 200"),
            (json!({ "status": 200, "sequence": [], "failPercent": 30 }), "200, 30% fail"),
        ] {
            assert_eq!(answers(&answer), said);
        }
    }
}
