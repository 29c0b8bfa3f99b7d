//! Telephony and messengers: the URL and sorted parameters.

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::statement::{Statement, StatementCheck, header, items, signatures};
use crate::encoding::from_hex;
use crate::provider::checks::Check;
use crate::provider::digest::{Hash, sha256_hex};
use crate::provider::keys::Keys;
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::Refusal;
use crate::provider::row::{Encoding, SchemeRow, SecretForm};
use crate::provider::{Request, form};

/// The URL, then each parameter's name and value, sorted; a JSON body counts through a hash in the query. Twilio
/// signs the URL with the default port or without: both are tried, as its SDKs do.
pub(super) fn twilio(request: &Request<'_>, _: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "the header x-twilio-signature";
    let signature = header(request, "x-twilio-signature")?;
    let mut parameters = String::new();
    match request.query_value("bodySHA256") {
        Some(hash) => {
            let ours = sha256_hex(request.body);
            if !bool::from(ours.as_bytes().ct_eq(hash.to_ascii_lowercase().as_bytes())) {
                return Err(Refusal::Claim("bodySHA256".to_owned()));
            }
        }
        None if request.body.is_empty() => {}
        None => {
            let is_form = request.header_text("content-type").is_none_or(|kind| {
                kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
            });
            if !is_form {
                return Err(Refusal::Missing("the query parameter bodySHA256".to_owned()));
            }
            let mut pairs = form::pairs(request.body)?;
            pairs.sort();
            pairs.dedup();
            parameters = pairs.into_iter().flat_map(|(name, value)| [name, value]).collect();
        }
    }
    let urls = [Some(request.url.to_owned()), without_port(request.url), with_port(request.url)];
    Ok(vec![Statement {
        contents: urls.into_iter().flatten().map(|url| (url + &parameters).into_bytes()).collect(),
        signatures: signatures(place, Encoding::Base64, twilio_hash(request)?.bytes_count(), [signature])?,
        place,
        time: None,
    }])
}

/// SHA-1 under the auth token; SHA-256 under a shared key, which a header says.
fn twilio_hash(request: &Request<'_>) -> Result<Hash, Refusal> {
    let settings = request.header_text("x-twilio-webhooks-signature-settings").unwrap_or_default();
    match items(settings, "algorithm").first() {
        None | Some(&"HMAC_SHA1") => Ok(Hash::Sha1),
        Some(&"HMAC_SHA256") => Ok(Hash::Sha256),
        Some(other) => Err(Refusal::Algorithm(other.chars().take(20).collect())),
    }
}

/// The same statement under either hash.
struct TwilioCheck {
    sha1: StatementCheck,
    sha256: StatementCheck,
}

pub(super) fn twilio_check(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let with = |hash| StatementCheck::new(hash, SecretForm::Utf8, twilio, row, settings);
    Ok(Box::new(TwilioCheck { sha1: with(Hash::Sha1)?, sha256: with(Hash::Sha256)? }))
}

impl Check for TwilioCheck {
    fn check(&self, request: &Request<'_>, now: i64, keys: &Keys) -> Result<Verified, Refusal> {
        match twilio_hash(request)? {
            Hash::Sha256 => self.sha256.check(request, now, keys),
            _ => self.sha1.check(request, now, keys),
        }
    }
}

fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    Some((scheme, authority, path))
}

fn without_port(url: &str) -> Option<String> {
    let (scheme, authority, path) = parts(url)?;
    let (host, port) = authority.rsplit_once(':')?;
    port.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("{scheme}://{host}{path}"))
}

fn with_port(url: &str) -> Option<String> {
    let (scheme, authority, path) = parts(url)?;
    let port = if scheme == "https" { 443 } else { 80 };
    (!authority.contains(':')).then(|| format!("{scheme}://{authority}:{port}{path}"))
}

/// URL, sorted query, sorted parameters and a nonce, with dots between.
pub(super) fn plivo(request: &Request<'_>, _: &Settings) -> Result<Vec<Statement>, Refusal> {
    let nonce = header(request, "x-plivo-signature-v3-nonce")?;
    let lists = ["x-plivo-signature-v3", "x-plivo-signature-ma-v3"].map(|name| request.header_text(name));
    let place = "the header x-plivo-signature-v3";
    let texts: Vec<&str> = lists.into_iter().flatten().flat_map(|list| list.split(',')).collect();
    if texts.is_empty() {
        return Err(Refusal::Missing(place.to_owned()));
    }
    // Of a GET the URL alone is signed: a body would be nobody's word.
    if request.method == "GET" && !request.body.is_empty() {
        return Err(Refusal::malformed("the body", "empty, as that of every GET"));
    }
    let base = request.url.split('?').next().unwrap_or_default();
    let mut query = form::pairs(request.query().as_bytes())?;
    query.sort();
    let query: Vec<_> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let query = query.join("&");
    let mut posted = form::pairs(request.body)?;
    posted.sort();
    let posted: String = posted.into_iter().flat_map(|(name, value)| [name, value]).collect();
    let url = match (posted.is_empty(), query.is_empty()) {
        (true, true) => base.to_owned(),
        (true, false) => format!("{base}?{query}"),
        // With parameters posted there is a question mark in any case.
        (false, true) => format!("{base}?{posted}"),
        (false, false) => format!("{base}?{query}.{posted}"),
    };
    Ok(vec![Statement {
        contents: vec![format!("{url}.{nonce}").into_bytes()],
        signatures: signatures(place, Encoding::Base64, 32, texts)?,
        place,
        time: None,
    }])
}

/// WeChat's: the SHA-1 of token, time and nonce (and the encrypted text, where there is one), sorted.
struct WechatCheck(Vec<Zeroizing<Vec<u8>>>);

pub(super) fn wechat_check(settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    Ok(Box::new(WechatCheck(settings.keys(SecretForm::Utf8)?)))
}

impl Check for WechatCheck {
    fn check(&self, request: &Request<'_>, _: i64, _: &Keys) -> Result<Verified, Refusal> {
        let parameter = |name: &str| {
            let found = request.query_value(name).filter(|value| !value.is_empty());
            found.ok_or_else(|| Refusal::Missing(format!("the query parameter {name}")))
        };
        let (time, nonce) = (parameter("timestamp")?, parameter("nonce")?);
        // In safe mode the encrypted message is signed as well, and the signature has a name of its own.
        let encrypted = between(request.body, "<Encrypt>", "</Encrypt>");
        let safe = request.query_value("msg_signature").filter(|value| !value.is_empty());
        let (name, given, encrypted) = match (safe, encrypted) {
            (Some(given), Some(text)) => ("msg_signature", given, Some(text)),
            _ => ("signature", parameter("signature")?, None),
        };
        let place = format!("the query parameter {name}");
        let given = from_hex(&given).filter(|given| given.len() == 20);
        let given = given.ok_or_else(|| Refusal::malformed(place.as_str(), "hex of 20 bytes"))?;
        let found = self.0.iter().position(|token| {
            let mut texts: Vec<&[u8]> = vec![token, time.as_bytes(), nonce.as_bytes()];
            texts.extend(encrypted.as_deref().map(str::as_bytes));
            texts.sort();
            Hash::Sha1.digest(&texts).as_bytes().ct_eq(&given).into()
        });
        found.map(Verified::by).ok_or(Refusal::Mismatch(place))
    }
}

fn between(body: &[u8], open: &str, close: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let inner = text.split_once(open)?.1.split_once(close)?.0;
    let inner = inner.strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>")).unwrap_or(inner);
    Some(inner.to_owned())
}
