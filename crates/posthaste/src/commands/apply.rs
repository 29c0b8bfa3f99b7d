//! `posthaste apply`: makes the server's configuration what files say.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use http::Method;
use serde_json::{Map, Value, json};

use super::asking;
use super::configured::{Configured, there};
use crate::cli::configure::ApplyArgs;
use crate::laptop::captured;
use crate::laptop::complaint::{Complaint, told};
use crate::laptop::manifest::{self, Bad, ENDPOINT, Entry, Kind, TOP};
use crate::laptop::plan;
use crate::laptop::server::{Server, part};
use crate::laptop::whose::text;
use crate::telemetry::{print_line, tell};
use crate::terminal::shown;
use crate::words;

/// Runs it.
pub(crate) fn apply(args: &ApplyArgs) -> ExitCode {
    told(asking(run(args)))
}

async fn run(args: &ApplyArgs) -> Result<ExitCode, Complaint> {
    let entries = read(&args.files)?;
    let server = Server::of(&args.server)?;
    let mut steps = vec![];
    for kind in TOP {
        for entry in entries.iter().filter(|entry| entry.kind.name == kind.name) {
            plan_one(&server, entry, &mut steps).await?;
        }
    }
    if args.prune {
        prune(&server, &entries, &mut steps).await?;
    }
    for step in &steps {
        print_line(&shown(&step.line));
    }
    if args.dry_run {
        tell(&format!("{} would be made: nothing was changed", words::count(steps.len() as u64, "change")));
        return Ok(ExitCode::SUCCESS);
    }
    for (done, step) in steps.iter().enumerate() {
        let made = step.make(&server).await;
        made.map_err(|complaint| complaint.after(done, steps.len(), &step.line))?;
    }
    tell(&format!("{} made", words::count(steps.len() as u64, "change")));
    Ok(ExitCode::SUCCESS)
}

/// Reads all files, and refuses them together if one cannot be used.
fn read(named: &[PathBuf]) -> Result<Vec<Entry>, Complaint> {
    let mut files = vec![];
    for path in named {
        if path.is_dir() {
            files.extend(of_directory(path)?);
        } else {
            files.push(path.clone());
        }
    }
    let mut entries = vec![];
    for path in &files {
        let file = path.display().to_string();
        let bytes = captured::read(path)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            Complaint::usage(format!("{file} cannot be used"), error, "write it in UTF-8")
        })?;
        entries.extend(manifest::read(&file, &text).map_err(complain)?);
    }
    if let Some((entry, first)) = manifest::twice(&entries) {
        return Err(complain(Bad {
            place: entry.place.clone(),
            why: format!(
                "{} \"{}\" is there already: {} line {}",
                entry.kind.name, entry.key, first.file, first.line
            ),
        }));
    }
    Ok(entries)
}

fn of_directory(dir: &Path) -> Result<Vec<PathBuf>, Complaint> {
    let failed = |why: String| {
        Complaint::usage(
            format!("{} cannot be used", dir.display()),
            why,
            "name a directory with files ending in .toml",
        )
    };
    let listed = std::fs::read_dir(dir).map_err(|error| failed(error.to_string()))?;
    let mut files: Vec<PathBuf> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    if files.is_empty() { Err(failed("there is no *.toml in it".to_owned())) } else { Ok(files) }
}

fn complain(bad: Bad) -> Complaint {
    let Bad { place, why } = bad;
    Complaint::usage(
        format!("{} line {} cannot be used", place.file, place.line),
        why,
        "see what `posthaste export` writes; nothing was changed",
    )
}

/// Something to do, and how it is said.
struct Step {
    line: String,
    method: Method,
    path: String,
    body: Option<Value>,
    /// The path is that of a source's endpoints, whose app is known once the source is made.
    of_source: Option<String>,
}

impl Step {
    async fn make(&self, server: &Server) -> Result<(), Complaint> {
        let path = match &self.of_source {
            Some(source) => {
                let app = crate::laptop::whose::app_of_source(server, source).await?;
                format!("/api/v1/app/{}{}", part(&app), self.path)
            }
            None => self.path.clone(),
        };
        server.ask(self.method.clone(), &path, self.body.as_ref()).await.map(drop)
    }
}

fn base(kind: &Kind) -> &'static str {
    match kind.name {
        "app" => "/api/v1/app",
        "source" => "/ingest/api/v1/source",
        _ => "/api/v1/event-type",
    }
}

async fn plan_one(server: &Server, entry: &Entry, steps: &mut Vec<Step>) -> Result<(), Complaint> {
    let base = base(entry.kind);
    let path = format!("{base}/{}", part(&entry.key));
    let known = there(server, &path).await?;
    let name = format!("{} {}", entry.kind.name, entry.key);
    let step = step(entry, known.as_ref(), &name, (base, &path))?;
    steps.extend(step);
    // The endpoints of what is not there yet are all new.
    let app = known.as_ref().map(|known| match entry.kind.name {
        "source" => text(known, "appId").to_owned(),
        _ => text(known, "id").to_owned(),
    });
    for endpoint in &entry.endpoints {
        let of_source = (entry.kind.name == "source").then(|| entry.key.clone());
        let known = match &app {
            Some(app) => {
                there(server, &format!("/api/v1/app/{}/endpoint/{}", part(app), part(&endpoint.key))).await?
            }
            None => None,
        };
        let base = match &of_source {
            Some(_) => "/endpoint".to_owned(),
            None => format!("/api/v1/app/{}/endpoint", part(&entry.key)),
        };
        let name = format!("endpoint {}/{}", entry.key, endpoint.key);
        let path = format!("{base}/{}", part(&endpoint.key));
        let step = self::step(endpoint, known.as_ref(), &name, (&base, &path))?;
        steps.extend(step.map(|step| Step { of_source, ..step }));
    }
    Ok(())
}

/// What makes it as it should be; nothing if it is so.
fn step(
    entry: &Entry,
    known: Option<&Value>,
    name: &str,
    (base, path): (&str, &str),
) -> Result<Option<Step>, Complaint> {
    let Some(known) = known else {
        let mut body = plan::creation(entry);
        put_secret(entry, &mut body)?;
        let line = format!("+ {name}");
        let step = Step {
            line,
            method: Method::POST,
            path: base.to_owned(),
            body: Some(body.into()),
            of_source: None,
        };
        return Ok(Some(step));
    };
    let mut change = plan::change(entry, known);
    if change.is_empty() {
        return Ok(None);
    }
    let line = format!("~ {name}  {}", change.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
    // A source's config is written whole, with its secret. That of an endpoint is set when it is made, and rotated then.
    if change.contains_key("config") || change.contains_key("type") {
        if let Some(config) = entry.fields.get("config") {
            change.insert("config".to_owned(), config.clone());
        }
        put_secret(entry, &mut change)?;
    }
    Ok(Some(Step {
        line,
        method: Method::PATCH,
        path: path.to_owned(),
        body: Some(change.into()),
        of_source: None,
    }))
}

/// Puts the secret where it belongs, out of the environment.
fn put_secret(entry: &Entry, body: &mut Map<String, Value>) -> Result<(), Complaint> {
    let (Some(name), Some(field)) = (&entry.secret_env, entry.kind.secret) else { return Ok(()) };
    #[expect(
        clippy::disallowed_methods,
        reason = "this is no setting of ours: the file says which variable it is"
    )]
    let value = std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
        Complaint::usage(
            format!("{} line {} names a secret that is not there", entry.place.file, entry.place.line),
            format!(
                "the environment has no {name}, which is the secret of {} \"{}\"",
                entry.kind.name, entry.key
            ),
            format!("set it: {name}=… posthaste apply …"),
        )
    })?;
    match field.split_once('.') {
        Some((outer, inner)) => body.entry(outer).or_insert_with(|| json!({}))[inner] = json!(value),
        None => drop(body.insert(field.to_owned(), json!(value))),
    }
    Ok(())
}

/// Deletes what an apply has made and no file names: endpoints first, then what they belonged to.
async fn prune(server: &Server, entries: &[Entry], steps: &mut Vec<Step>) -> Result<(), Complaint> {
    let all = Configured::read(server).await?;
    let mut owners = vec![];
    for (kind, owner, endpoints) in all.owners() {
        let uid = text(owner, "uid");
        let named = entries.iter().find(|entry| entry.kind.name == kind.name && entry.key == uid);
        let delete = |line: String, path: String| Step {
            line,
            method: Method::DELETE,
            path,
            body: None,
            of_source: None,
        };
        if named.is_none() {
            if plan::is_marked(owner) {
                let path = format!("{}/{}", base(kind), part(text(owner, "id")));
                owners.push(delete(format!("- {} {uid}", kind.name), path));
            }
            continue;
        }
        for endpoint in endpoints.iter().filter(|endpoint| plan::is_marked(endpoint)) {
            let key = text(endpoint, ENDPOINT.key);
            if !named.is_some_and(|named| named.endpoints.iter().any(|one| one.key == key)) {
                let app = if kind.name == "source" { text(owner, "appId") } else { text(owner, "id") };
                let path = format!("/api/v1/app/{}/endpoint/{}", part(app), part(text(endpoint, "id")));
                steps.push(delete(format!("- endpoint {uid}/{key}"), path));
            }
        }
    }
    steps.extend(owners);
    Ok(())
}
