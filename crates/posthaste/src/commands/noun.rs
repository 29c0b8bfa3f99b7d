//! `posthaste app list` and all others of its kind: one engine over the table of nouns.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use http::Method;
use posthaste_core::limits::PAGE_ROWS_MAX;
use posthaste_core::time::{Clock as _, Timestamp};
use serde_json::{Map, Value, json};

use super::asking;
use crate::cli::noun::Asked;
use crate::laptop::captured;
use crate::laptop::complaint::{Complaint, told};
use crate::laptop::items::{self, Item};
use crate::laptop::moments::moment;
use crate::laptop::nouns::{Does, Flag, Goes, places};
use crate::laptop::output::{Column, Output};
use crate::laptop::rows::Rows;
use crate::laptop::server::{Server, part};
use crate::laptop::whose::Whose;
use crate::system::SystemTimer;
use crate::telemetry::{is_read, tell};

/// Runs it.
pub(crate) fn noun(asked: &Asked) -> ExitCode {
    told(asking(run(asked)))
}

async fn run(asked: &Asked) -> Result<ExitCode, Complaint> {
    // What can be wrong with the command itself is said before anybody is asked.
    let output = Output::of(asked.output);
    let said = Said::read(asked, SystemTimer.now())?;
    let server = Server::of(&asked.server)?;
    let path = path(&server, asked).await?;
    let path = format!("{path}{}", said.query());
    let (headers, body) = (&said.headers, Some(Value::Object(said.body)));
    let body = body.as_ref();
    match asked.verb.does {
        Does::List(columns) => list(&server, &path, columns, asked.rows_max(), output).await?,
        Does::Get => output.object(&server.get(&path).await?),
        Does::Read(field) => output.field(&server.get(&path).await?, field),
        Does::Create(_) | Does::Act => {
            output.object(&server.ask_with(Method::POST, &path, headers, body).await?);
        }
        Does::ActAndRead(field) => {
            output.field(&server.ask_with(Method::POST, &path, headers, body).await?, field);
        }
        Does::Update => output.object(&server.ask(Method::PATCH, &path, body).await?),
        Does::Delete(done) => {
            let what = format!("{} {}", asked.noun.name, asked.get("id").unwrap_or_default());
            let done = if asked.is_set("expunge") { "removed for good" } else { done };
            confirm(asked, &what, done)?;
            server.ask(Method::DELETE, &path, None).await?;
            tell(&format!("{what} is {done}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The path that was meant, with all its places filled.
async fn path(server: &Server, asked: &Asked) -> Result<String, Complaint> {
    let given = |path: &&&str| {
        places(path).all(|place| matches!(place, "id" | "app" | "message") || asked.get(place).is_some())
    };
    let fits = |path: &&&str| {
        let owners = asked.verb.owners();
        owners.len() < 2 || owners.iter().all(|o| asked.get(o).is_some() == places(path).any(|p| p == *o))
    };
    let template = asked.verb.paths.iter().filter(given).find(fits).unwrap_or(&asked.verb.paths[0]);
    let ids: Vec<&str> = ["id", "message", "endpoint"].iter().filter_map(|name| asked.get(name)).collect();
    let needs_message = asked.get("message").is_none() && places(template).any(|place| place == "message");
    let mut whose = Whose::default();
    if places(template).any(|place| place == "app") {
        let owner = (asked.get("app"), asked.get("source"));
        whose = if needs_message {
            // Only its id says of which message an attempt is.
            Whose::of(server, (None, None), &ids).await?
        } else {
            Whose::of(server, owner, &ids).await?
        };
    }
    let fill = |step: &str| {
        let Some(place) = step.strip_prefix('{').and_then(|step| step.strip_suffix('}')) else {
            return step.to_owned();
        };
        part(match place {
            "app" => &whose.app,
            "message" if needs_message => whose.message.as_deref().unwrap_or_default(),
            place => asked.get(place).unwrap_or_default(),
        })
    };
    Ok(template.split('/').map(fill).collect::<Vec<_>>().join("/"))
}

/// What flags and items say.
#[derive(Default)]
struct Said {
    query: Vec<(&'static str, String)>,
    headers: Vec<(String, String)>,
    body: Map<String, Value>,
}

impl Said {
    fn read(asked: &Asked, now: Timestamp) -> Result<Self, Complaint> {
        let mut said = Self::default();
        if asked.verb.takes_items() {
            let body = items(asked)?;
            match asked.verb.does {
                Does::Create(Some(field)) => drop(said.body.insert(field.to_owned(), Value::Object(body))),
                _ => said.body = body,
            }
        }
        for flag in asked.verb.flags {
            said.take(asked, flag, now)?;
        }
        if matches!(asked.verb.does, Does::Update) && said.body.is_empty() {
            return Err(Complaint::usage(
                "nothing is said that could be changed",
                "there are neither items nor a file",
                "write path=text, path:=JSON, or -f FILE",
            ));
        }
        Ok(said)
    }

    fn take(&mut self, asked: &Asked, flag: &Flag, now: Timestamp) -> Result<(), Complaint> {
        if let Goes::QueryFlag(name) = flag.goes {
            if asked.is_set(flag.name) {
                self.query.push((name, "true".to_owned()));
            }
            return Ok(());
        }
        if let Goes::Fields(name) = flag.goes {
            let all = asked.all(flag.name);
            if !all.is_empty() {
                self.body.insert(name.to_owned(), json!(all));
            }
            return Ok(());
        }
        let Some(value) = asked.get(flag.name) else { return Ok(()) };
        match flag.goes {
            Goes::Query(name) => self.query.push((name, value.to_owned())),
            Goes::QueryTime(name) => {
                self.query.push((name, moment(flag.name, value, now)?.to_string()));
            }
            Goes::QueryWord(name, words) => {
                let number =
                    words.iter().find(|(word, _)| *word == value).map_or(value, |(_, number)| number);
                self.query.push((name, number.to_owned()));
            }
            Goes::Field(name) => drop(self.body.insert(name.to_owned(), json!(value))),
            Goes::FieldTime(name) => {
                let at = moment(flag.name, value, now).or_else(|complaint| {
                    // Things of the future are named by their instant only.
                    Timestamp::parse(value).ok_or(complaint)
                })?;
                self.body.insert(name.to_owned(), json!(at.to_string()));
            }
            Goes::Header(name) => self.headers.push((name.to_owned(), value.to_owned())),
            Goes::QueryFlag(_) | Goes::Fields(_) => {}
        }
        Ok(())
    }

    fn query(&self) -> String {
        if self.query.is_empty() {
            return String::new();
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.query);
        format!("?{}", query.finish())
    }
}

/// The items, over the file if there is one.
fn items(asked: &Asked) -> Result<Map<String, Value>, Complaint> {
    let mut body = Value::Object(Map::new());
    let (mut files, mut fields) =
        (asked.get("file").map(str::to_owned).into_iter().collect::<Vec<_>>(), vec![]);
    for text in asked.all("items") {
        match Item::parse(text)? {
            Item::File(path) => files.push(path),
            Item::Field(name, value) => fields.push((name, value)),
            Item::Header(..) | Item::Query(..) => {
                return Err(Complaint::usage(
                    format!("\"{text}\" cannot be used"),
                    "headers and parameters are not things that can be set here",
                    "write path=text or path:=JSON",
                ));
            }
        }
    }
    for path in files {
        let read = file(&path)?;
        body.as_object_mut().into_iter().for_each(|body| body.extend(read.clone()));
    }
    for (name, value) in fields {
        items::put(&mut body, &name, &value)?;
    }
    match body {
        Value::Object(body) => Ok(body),
        _ => Ok(Map::new()),
    }
}

/// An object out of a file of JSON, or of TOML if its name says so.
fn file(path: &str) -> Result<Map<String, Value>, Complaint> {
    let bytes = captured::read(Path::new(path))?;
    let bad = |why: String| {
        Complaint::usage(
            format!("{path} cannot be used"),
            why,
            "write an object of JSON, or a file ending in .toml",
        )
    };
    let is_toml = Path::new(path).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"));
    let read: Value = if is_toml {
        let text = String::from_utf8_lossy(&bytes);
        toml::from_str(&text).map_err(|error| bad(error.to_string().trim_end().to_owned()))?
    } else {
        serde_json::from_slice(&bytes).map_err(|error| bad(format!("it is not JSON: {error}")))?
    };
    match read {
        Value::Object(body) => Ok(body),
        _ => Err(bad("it holds no object".to_owned())),
    }
}

/// Asks before something is gone for good. Without a terminal nobody can answer.
fn confirm(asked: &Asked, what: &str, done: &str) -> Result<(), Complaint> {
    if asked.is_set("yes") {
        return Ok(());
    }
    let refused = |why: &str| {
        Complaint::usage(
            format!("{what} is not {done}"),
            why.to_owned(),
            "to do it without being asked, add --yes",
        )
    };
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(refused("this has to be confirmed, and there is no terminal to ask on"));
    }
    tell(&format!("{what} will be {done}. Type yes to go on:"));
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if matches!(answer.trim(), "y" | "yes") { Ok(()) } else { Err(refused("the answer was not yes")) }
}

/// Prints pages until there are enough rows, or no more.
async fn list(
    server: &Server,
    path: &str,
    columns: &'static [Column],
    rows_max: u64,
    output: Output,
) -> Result<(), Complaint> {
    let mut rows = Rows::begin(output, columns);
    let mut left = rows_max;
    let mut iterator: Option<String> = None;
    let is_done = loop {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &left.min(PAGE_ROWS_MAX.into()).to_string());
        if !output.is_for_programs() {
            query.append_pair("with_content", "false");
        }
        if let Some(iterator) = &iterator {
            query.append_pair("iterator", iterator);
        }
        let mark = if path.contains('?') { '&' } else { '?' };
        let page = server.get(&format!("{path}{mark}{}", query.finish())).await?;
        let data = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        rows.add(data);
        left = left.saturating_sub(data.len() as u64);
        iterator = page["iterator"].as_str().map(str::to_owned);
        let is_done = page["done"].as_bool().unwrap_or(true) || iterator.is_none();
        if is_done || left == 0 || !is_read() {
            break is_done;
        }
    };
    let count = rows.end();
    if !is_done && is_read() {
        tell(&format!("{count} are shown, and there are more: --all, or --limit N"));
    } else if count == 0 && !output.is_for_programs() {
        tell("there are none");
    }
    Ok(())
}
