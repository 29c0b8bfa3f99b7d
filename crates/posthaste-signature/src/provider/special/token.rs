//! Detached tokens: the signature is a JWS without its payload (RFC 7515, appendix F).

use std::fmt::Write as _;

use serde_json::Value;

use super::statement::header;
use crate::encoding::{from_base64url, to_base64url};
use crate::provider::Request;
use crate::provider::checks::{Check, Jws, Published};
use crate::provider::clock::Clock;
use crate::provider::keys::Keys;
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::Refusal;
use crate::provider::row::SchemeRow;

/// The parts of `header..signature`.
fn detached<'t>(place: &str, text: &'t str) -> Result<(&'t str, &'t str), Refusal> {
    let malformed = || Refusal::malformed(place, "a token without payload, `header..signature`");
    let (head, signature) = text.split_once("..").ok_or_else(malformed)?;
    from_base64url(signature).ok_or_else(malformed)?;
    Ok((head, signature))
}

/// Checks a detached token under the key that it names; gives the key's number.
fn check_detached(
    place: &str,
    text: &str,
    payload: &[u8],
    algorithms: &[String],
    find: impl FnOnce(&Jws<'_>) -> Result<Vec<crate::provider::checks::public_key::PublicKey>, Refusal>,
) -> Result<usize, Refusal> {
    let (head, signature) = detached(place, text)?;
    let token = format!("{head}.{}.{signature}", to_base64url(payload));
    let jws = Jws::parse(&token).ok_or_else(|| Refusal::malformed(place, "a token"))?;
    let algorithm = jws.algorithm(algorithms)?;
    let found = find(&jws)?.iter().position(|key| jws.verifies(algorithm, key, jws.signed.as_bytes()));
    found.ok_or_else(|| Refusal::Mismatch(place.to_owned()))
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// Fireblocks' second scheme: a detached token over the body.
struct DetachedCheck(Published);

pub(super) fn detached_check(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let mut row = row.clone();
    row.key_source.get_or_insert_with(|| "https://keys.fireblocks.io/.well-known/jwks.json".to_owned());
    Ok(Box::new(DetachedCheck(Published::new(&row, settings)?)))
}

impl Check for DetachedCheck {
    fn check(&self, request: &Request<'_>, _: i64, keys: &Keys) -> Result<Verified, Refusal> {
        let text = header(request, "fireblocks-webhook-signature")?;
        let place = "the header fireblocks-webhook-signature";
        let find = |jws: &Jws<'_>| self.0.of(jws.header("kid"), keys);
        check_detached(place, text, request.body, &names(&["RS512"]), find).map(Verified::by)
    }
}

/// Neon: the payload is the time, a dot and the body in base64url.
struct NeonCheck {
    keys: Published,
    clock: Clock,
}

pub(super) fn neon_check(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let clock = Clock::new(row.time.as_ref().ok_or(SetupError::Table)?, settings.tolerance_secs());
    Ok(Box::new(NeonCheck { keys: Published::new(row, settings)?, clock }))
}

impl Check for NeonCheck {
    fn check(&self, request: &Request<'_>, now: i64, keys: &Keys) -> Result<Verified, Refusal> {
        let place = "the header x-neon-signature";
        let text = header(request, "x-neon-signature")?;
        let time = header(request, "x-neon-timestamp")?;
        let payload = format!("{time}.{}", to_base64url(request.body));
        let find = |jws: &Jws<'_>| {
            self.keys.of(request.header_text("x-neon-signature-kid").or_else(|| jws.header("kid")), keys)
        };
        let index = check_detached(place, text, payload.as_bytes(), &names(&["EdDSA"]), find)?;
        self.clock.judge("the header x-neon-timestamp", time, now)?;
        Ok(Verified::by(index))
    }
}

/// Where TrueLayer publishes its keys: production and sandbox.
const TRUELAYER: [&str; 2] = [
    "https://webhooks.truelayer.com/.well-known/jwks",
    "https://webhooks.truelayer-sandbox.com/.well-known/jwks",
];

/// TrueLayer: method, path, the headers that the token lists, and the body. The token says where its key is
/// published, which counts only if TrueLayer publishes there.
struct TrueLayerCheck {
    configured: Option<Published>,
    allowed: Vec<String>,
}

pub(super) fn truelayer_check(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let has_keys = settings.values.contains_key("jwks") || settings.text("public_key").is_some();
    let configured = if has_keys { Some(Published::new(row, settings)?) } else { None };
    let allowed = settings.list("allowed_jku");
    Ok(Box::new(TrueLayerCheck {
        configured,
        allowed: if allowed.is_empty() { names(&TRUELAYER) } else { allowed },
    }))
}

impl Check for TrueLayerCheck {
    fn check(&self, request: &Request<'_>, _: i64, keys: &Keys) -> Result<Verified, Refusal> {
        let place = "the header tl-signature";
        let text = header(request, "tl-signature")?;
        let (head, _) = detached(place, text)?;
        let malformed =
            || Refusal::malformed(place, "a token with the members kid, tl_version and tl_headers");
        let head: Value =
            from_base64url(head).and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(malformed)?;
        let member = |name: &str| head.get(name).and_then(Value::as_str);
        if member("tl_version") != Some("2") {
            let version = member("tl_version").unwrap_or("absent");
            return Err(Refusal::algorithm(&format!("tl_version {version}")));
        }
        let url = member("jku").ok_or_else(malformed)?;
        if !self.allowed.iter().any(|allowed| allowed == url) {
            return Err(Refusal::untrusted_key(url));
        }
        let fetched = match &self.configured {
            Some(_) => None,
            None => Some(Published::fetched(url)),
        };
        let published = self.configured.as_ref().or(fetched.as_ref()).ok_or_else(malformed)?;
        let mut why = Refusal::Mismatch(place.to_owned());
        for payload in payloads(request, member("tl_headers").unwrap_or_default())? {
            let find = |jws: &Jws<'_>| published.of(jws.header("kid"), keys);
            match check_detached(place, text, &payload, &names(&["ES512"]), find) {
                Ok(index) => return Ok(Verified::by(index)),
                Err(refusal) => why = refusal,
            }
        }
        Err(why)
    }
}

/// What is signed of a request when the token lists no headers.
pub(in crate::provider) fn truelayer_payload(request: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    Ok(payloads(request, "")?.swap_remove(0))
}

/// The signed bytes, with the path as it is and with or without a slash at its end, which proxies change.
fn payloads(request: &Request<'_>, listed: &str) -> Result<Vec<Vec<u8>>, Refusal> {
    let path = request.url.split("://").nth(1).and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    let path = path.unwrap_or("/").split('?').next().unwrap_or("/");
    let other = match path.strip_suffix('/') {
        Some(bare) => bare.to_owned(),
        None => format!("{path}/"),
    };
    let mut lines = String::new();
    for name in listed.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let _ = writeln!(lines, "{name}: {}", header(request, &name.to_ascii_lowercase())?);
    }
    let payload = |path: &str| {
        let head = format!("{} {path}\n{lines}", request.method);
        [head.as_bytes(), request.body].concat()
    };
    Ok(vec![payload(path), payload(&other)])
}
