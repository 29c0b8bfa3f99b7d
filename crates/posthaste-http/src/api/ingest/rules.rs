//! What may come in by a source, on the wire.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderName;
use posthaste_core::bin::{KEEP_MAX, KEEP_MIN};
use posthaste_core::limits::{DEDUPE_WINDOW, DEDUPE_WINDOW_MAX, RECEIVED_BODY_BYTES_MAX};
use posthaste_core::source::{ANY_METHOD, Dedupe, DedupeBy, IpNet, OnMismatch, Rules, Schema};
use serde_json::{Map, Value, json};

use super::answer;
use crate::extract::fields::{Fields, Given, integer, object, rate, shown, string};
use crate::inbound::schema::{self, SCHEMA_BYTES_MAX};

/// Networks that a source may list.
pub(crate) const NETWORKS_MAX: usize = 200;
/// Letters of a header's name or a JSON path.
pub(crate) const KEY_LETTERS_MAX: usize = 256;
/// Methods that can carry a webhook, and what stands for all that there are.
pub(crate) const METHODS: [&str; 6] = ["POST", "PUT", "PATCH", "DELETE", "GET", ANY_METHOD];

/// Reads the rules; what is left out is as in `before`.
pub(super) fn read(fields: &mut Fields, before: Rules) -> Rules {
    let mut rules = before;
    if let Some(dedupe) = fields.nested("dedupe", read_dedupe) {
        rules.dedupe = dedupe;
    }
    if let Some(networks) = fields.get("allowedNetworks", networks).change() {
        rules.allowed_networks = networks.unwrap_or_default();
    }
    if let Some(rate) = fields.get("rateLimit", rate).change() {
        rules.rate_per_second = rate;
    }
    if let Some(bytes) = fields.not_null("bodyBytesMax", integer(1..=i64::from(RECEIVED_BODY_BYTES_MAX))) {
        rules.body_bytes_max = u32::try_from(bytes).unwrap_or(RECEIVED_BODY_BYTES_MAX);
    }
    if let Some(methods) = fields.not_null("methods", methods) {
        rules.methods = methods;
    }
    // A source without a schema shows null here, and may be sent back as it was read.
    let on_mismatch = fields.get("schemaMismatch", on_mismatch).value();
    match fields.get("schema", document) {
        Given::Absent => {}
        Given::Null => rules.schema = None,
        Given::Value(document) => rules.schema = Some(Schema { document, on_mismatch: OnMismatch::Reject }),
    }
    if let (Some(schema), Some(on_mismatch)) = (&mut rules.schema, on_mismatch) {
        schema.on_mismatch = on_mismatch;
    }
    if let Some(answer) = fields.nested("answer", answer::read) {
        rules.answer = answer;
    }
    if let Some(keep) = fields.get("keepSeconds", keep).change() {
        rules.keep = keep;
    }
    rules
}

/// Adds the rules to a source on the wire.
pub(super) fn out(rules: &Rules, out: &mut Map<String, Value>) {
    let by = match &rules.dedupe.by {
        DedupeBy::Provider => "provider".to_owned(),
        DedupeBy::Body => "body".to_owned(),
        DedupeBy::Off => "off".to_owned(),
        DedupeBy::Header(name) => format!("header:{name}"),
        DedupeBy::Json(path) => format!("json:{path}"),
    };
    out.insert("dedupe".to_owned(), json!({ "by": by, "windowSeconds": rules.dedupe.window.as_secs() }));
    let networks: Vec<_> = rules.allowed_networks.iter().map(ToString::to_string).collect();
    out.insert("allowedNetworks".to_owned(), json!(networks));
    out.insert("rateLimit".to_owned(), json!(rules.rate_per_second));
    out.insert("bodyBytesMax".to_owned(), json!(rules.body_bytes_max));
    out.insert("methods".to_owned(), json!(rules.methods));
    let document = rules.schema.as_ref().and_then(|s| serde_json::from_str::<Value>(&s.document).ok());
    let on_mismatch = rules.schema.as_ref().map(|schema| match schema.on_mismatch {
        OnMismatch::Reject => "reject",
        OnMismatch::Flag => "flag",
    });
    out.insert("schema".to_owned(), json!(document));
    out.insert("schemaMismatch".to_owned(), json!(on_mismatch));
    out.insert("answer".to_owned(), answer::out(&rules.answer));
    out.insert("keepSeconds".to_owned(), json!(rules.keep.map(|keep| keep.as_secs())));
}

fn keep(value: Value) -> Result<Duration, String> {
    let secs = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let secs = integer(secs(KEEP_MIN)..=secs(KEEP_MAX))(value)?;
    Ok(Duration::from_secs(secs.unsigned_abs()))
}

fn read_dedupe(fields: &mut Fields) -> Dedupe {
    let longest = i64::try_from(DEDUPE_WINDOW_MAX.as_secs()).unwrap_or(i64::MAX);
    let window = fields.not_null("windowSeconds", integer(1..=longest));
    Dedupe {
        by: fields.not_null("by", dedupe_by).unwrap_or_default(),
        window: window.map_or(DEDUPE_WINDOW, |secs| Duration::from_secs(secs.unsigned_abs())),
    }
}

fn dedupe_by(value: Value) -> Result<DedupeBy, String> {
    let text = string(value)?;
    match text.as_str() {
        "provider" => return Ok(DedupeBy::Provider),
        "body" => return Ok(DedupeBy::Body),
        "off" => return Ok(DedupeBy::Off),
        _ => {}
    }
    let fits = |name: &str| !name.is_empty() && name.chars().count() <= KEY_LETTERS_MAX;
    match text.split_once(':') {
        Some(("header", name)) if fits(name) && name.parse::<HeaderName>().is_ok() => {
            Ok(DedupeBy::Header(name.to_ascii_lowercase()))
        }
        Some(("json", path)) if fits(path) => Ok(DedupeBy::Json(path.to_owned())),
        _ => Err("must be provider, body, off, header:Name or json:path.to.value".to_owned()),
    }
}

fn networks(value: Value) -> Result<Vec<IpNet>, String> {
    let Value::Array(items) = value else { return Err("must be a list of networks".to_owned()) };
    if items.len() > NETWORKS_MAX {
        return Err(format!("must hold at most {NETWORKS_MAX} networks"));
    }
    items.into_iter().map(network).collect()
}

/// A network, or one address.
fn network(value: Value) -> Result<IpNet, String> {
    let text = string(value)?;
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network.ok_or_else(|| format!("{:?} is no network like 192.0.2.0/24 or 2001:db8::/32", shown(&text)))
}

fn methods(value: Value) -> Result<Vec<String>, String> {
    let Value::Array(items) = value else { return Err("must be a list of methods".to_owned()) };
    let mut methods: Vec<String> = vec![];
    for item in items {
        let method = string(item)?.to_ascii_uppercase();
        if !METHODS.contains(&method.as_str()) {
            return Err(format!("must be out of {}", METHODS.join(", ")));
        }
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    if methods.is_empty() { Err("must not be empty: nothing could come in".to_owned()) } else { Ok(methods) }
}

fn on_mismatch(value: Value) -> Result<OnMismatch, String> {
    match string(value)?.as_str() {
        "reject" => Ok(OnMismatch::Reject),
        "flag" => Ok(OnMismatch::Flag),
        _ => Err("must be reject or flag".to_owned()),
    }
}

fn document(value: Value) -> Result<String, String> {
    let text = Value::Object(object(value)?).to_string();
    if text.len() > SCHEMA_BYTES_MAX {
        return Err(format!("must be at most {SCHEMA_BYTES_MAX} bytes"));
    }
    schema::compile(&text).map(|_| text)
}
