//! HMACs over a request's own choice of headers, over a JSON text around the body, or as the receiver set it up.

use super::statement::{Statement, StatementCheck, header, items, signatures};
use crate::encoding::push_base64;
use crate::provider::checks::Check;
use crate::provider::clock::Clock;
use crate::provider::digest::Hash;
use crate::provider::json::Path;
use crate::provider::receiver::{Settings, SetupError};
use crate::provider::refusal::Refusal;
use crate::provider::row::{Encoding, SchemeRow, SecretForm, TimeRow};
use crate::provider::{Request, form};

/// Method, path, the headers that the request lists, and the body, a line each. The path is encoded once more, and
/// the query twice, as Contentful's toolkit does.
pub(super) fn contentful(request: &Request<'_>, _: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "the header x-contentful-signature";
    let signature = header(request, "x-contentful-signature")?;
    let time = header(request, "x-contentful-timestamp")?;
    let mut names: Vec<String> = header(request, "x-contentful-signed-headers")?
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for needed in ["x-contentful-signed-headers", "x-contentful-timestamp"] {
        if !names.iter().any(|name| name == needed) {
            return Err(Refusal::Missing(format!("{needed} among the signed headers")));
        }
    }
    names.sort();
    let mut lines = vec![];
    for name in &names {
        lines.push(format!("{name}:{}", request.header_text(name).unwrap_or_default().trim()));
    }
    let after_host =
        request.url.split("://").nth(1).and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
    let mut halves = after_host.split('?');
    let path = halves.next().unwrap_or_default();
    let target = match halves.next().filter(|query| !query.is_empty()) {
        None => encode_uri(path),
        Some(query) => encode_uri(&format!("{path}?{}", escaped(query))),
    };
    let head = format!("{}\n{target}\n{}\n", request.method, lines.join(";"));
    Ok(vec![Statement {
        contents: vec![[head.as_bytes(), request.body].concat()],
        signatures: signatures(place, Encoding::Hex, 32, [signature])?,
        place,
        time: Some(time.to_owned()),
    }])
}

/// `encodeURI` of ECMAScript.
fn encode_uri(text: &str) -> String {
    percent(text, b";/?:@&=+$,#-_.!~*'()")
}

/// `querystring.escape` of Node.
fn escaped(text: &str) -> String {
    percent(text, b"-_.!~*'()")
}

fn percent(text: &str, kept: &[u8]) -> String {
    let encode = |byte: u8| match byte {
        _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// `Body` is the raw body as a JSON string.
pub(super) fn hygraph(request: &Request<'_>, _: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "the header gcms-signature";
    let list = header(request, "gcms-signature")?;
    let item = |name: &str| {
        let found = items(list, name).first().copied();
        found.ok_or_else(|| Refusal::malformed(place, "`sign=…, env=…, t=…`"))
    };
    let (sign, environment, time) = (item("sign")?, item("env")?, item("t")?);
    if !time.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::malformed(place, "`sign=…, env=…, t=…` with t in milliseconds"));
    }
    let text = std::str::from_utf8(request.body).map_err(|_| Refusal::malformed("the body", "UTF-8"))?;
    let [body, environment] = [text, environment].map(|text| serde_json::to_string(text).unwrap_or_default());
    let content = format!(r#"{{"Body":{body},"EnvironmentName":{environment},"TimeStamp":{time}}}"#);
    Ok(vec![Statement {
        contents: vec![content.into_bytes()],
        signatures: signatures(place, Encoding::Base64, 32, [sign])?,
        place,
        time: None,
    }])
}

/// The member `Content` as it stands in the body.
pub(super) fn exact_online(request: &Request<'_>, _: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "HashCode in the JSON body";
    let hash =
        Path::parse("HashCode").text(request.body).ok_or_else(|| Refusal::Missing(place.to_owned()))?;
    let content = Path::parse("Content").find(request.body);
    let content = content.ok_or_else(|| Refusal::Missing("Content in the JSON body".to_owned()))?;
    Ok(vec![Statement {
        contents: vec![content.as_bytes().to_vec()],
        signatures: signatures(place, Encoding::Hex, 32, [&*hash])?,
        place,
        time: None,
    }])
}

/// Only time and type are signed, in a JSON text in a form field.
pub(super) fn dropbox_sign(request: &Request<'_>, _: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "event.event_hash in the form field json";
    let content_type = request.header_text("content-type").unwrap_or_default();
    let json = form::field(content_type, request.body, "json");
    let json = json.ok_or_else(|| Refusal::Missing("the form field json".to_owned()))?;
    let member = |name: &str| {
        let found = Path::parse(name).text(&json).map(std::borrow::Cow::into_owned);
        found.ok_or_else(|| Refusal::Missing(format!("{name} in the form field json")))
    };
    let content = member("event.event_time")? + &member("event.event_type")?;
    Ok(vec![Statement {
        contents: vec![content.into_bytes()],
        signatures: signatures(place, Encoding::Hex, 32, [member("event.event_hash")?.as_str()])?,
        place,
        time: None,
    }])
}

/// Draft HTTP signatures (draft-cavage-http-signatures), as Drone uses them: the body counts through `Digest`.
pub(super) fn http_signature(request: &Request<'_>, _: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "the header signature";
    let list = header(request, "signature")?;
    let item = |name: &str| items(list, name).first().map(|value| value.trim_matches('"'));
    let malformed =
        || Refusal::malformed(place, "`keyId=\"…\",algorithm=\"…\",signature=\"…\",headers=\"…\"`");
    if item("algorithm").is_some_and(|algorithm| algorithm != "hmac-sha256" && algorithm != "hs2019") {
        return Err(Refusal::algorithm(item("algorithm").unwrap_or_default()));
    }
    let signature = item("signature").ok_or_else(malformed)?;
    let names = item("headers").unwrap_or("date");
    if !names.split(' ').any(|name| name == "digest") {
        return Err(Refusal::Missing("digest among the signed headers".to_owned()));
    }
    let mut hash = "SHA-256=".to_owned();
    push_base64(Hash::Sha256.digest(&[request.body]).as_bytes(), &mut hash);
    if header(request, "digest")? != hash {
        return Err(Refusal::Claim("Digest of the body".to_owned()));
    }
    let mut lines = vec![];
    for name in names.split(' ') {
        let value = match name {
            "(request-target)" => {
                let after =
                    request.url.split("://").nth(1).and_then(|rest| rest.find('/').map(|at| &rest[at..]));
                format!("{} {}", request.method.to_ascii_lowercase(), after.unwrap_or("/"))
            }
            _ => header(request, name)?.to_owned(),
        };
        lines.push(format!("{name}: {value}"));
    }
    Ok(vec![Statement {
        contents: vec![lines.join("\n").into_bytes()],
        signatures: signatures(place, Encoding::Base64, 32, [signature])?,
        place,
        time: None,
    }])
}

/// With `v1` the request lists which headers are signed; then `v0`, which signs none, does not count.
pub(super) fn hook0(request: &Request<'_>, _: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "the header x-hook0-signature";
    let list = header(request, "x-hook0-signature")?;
    let malformed = || Refusal::malformed(place, "`t=…,v0=…` or `t=…,h=…,v1=…`");
    let time = items(list, "t").first().copied().ok_or_else(malformed)?;
    let (v0, v1) = (items(list, "v0"), items(list, "v1"));
    let (head, found) = if v1.is_empty() {
        (format!("{time}."), v0)
    } else {
        let names = items(list, "h").first().copied().unwrap_or_default();
        let values: Result<Vec<_>, _> =
            names.split(' ').filter(|name| !name.is_empty()).map(|name| header(request, name)).collect();
        (format!("{time}.{names}.{}.", values?.join(".")), v1)
    };
    Ok(vec![Statement {
        contents: vec![[head.as_bytes(), request.body].concat()],
        signatures: signatures(place, Encoding::Hex, 32, found)?,
        place,
        time: Some(time.to_owned()),
    }])
}

/// The hash that a setting asks for.
pub(super) fn hash_of(settings: &Settings) -> Result<Hash, SetupError> {
    match settings.text("hash") {
        None => Ok(Hash::Sha256),
        Some(name) => {
            let bare = name.to_ascii_lowercase().replace('-', "");
            Hash::parse(&bare)
                .ok_or_else(|| SetupError::bad("hash", "one of md5, sha1, sha256, sha384 and sha512"))
        }
    }
}

pub(in crate::provider) fn encoding_of(settings: &Settings) -> Result<Encoding, SetupError> {
    match settings.text("encoding").as_deref() {
        None => Ok(Encoding::HexOrBase64),
        Some("hex") => Ok(Encoding::Hex),
        Some("base64") => Ok(Encoding::Base64),
        Some("base64url") => Ok(Encoding::Base64Url),
        Some(_) => Err(SetupError::bad("encoding", "hex, base64 or base64url")),
    }
}

/// Any HMAC of the body in any header.
pub(super) fn generic(request: &Request<'_>, settings: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "the header with the signature";
    let name = settings.text("header").unwrap_or_default();
    let (Ok(encoding), Ok(hash)) = (encoding_of(settings), hash_of(settings)) else { return Ok(vec![]) };
    let value = header(request, &name.to_ascii_lowercase())?;
    let separator = settings.text("separator").unwrap_or_else(|| ",".to_owned());
    let usual = ["sha256=", "sha1=", "sha512=", "sha384=", "md5="].map(str::to_owned);
    let prefixes = settings.text("optional_prefix").map_or(usual.to_vec(), |prefix| vec![prefix]);
    let bare = value.split(separator.as_str()).map(|text| {
        let text = text.trim();
        prefixes.iter().find_map(|prefix| text.strip_prefix(prefix.as_str())).unwrap_or(text)
    });
    let bytes_count = hash.bytes_count();
    Ok(vec![Statement {
        contents: vec![request.body.to_vec()],
        signatures: signatures(place, encoding, bytes_count, bare)?,
        place,
        time: None,
    }])
}

pub(super) fn generic_check(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let name = settings.required("header")?;
    name.parse::<http::HeaderName>().map_err(|_| SetupError::bad("header", "a header's name"))?;
    encoding_of(settings)?;
    StatementCheck::new(hash_of(settings)?, SecretForm::Utf8, generic, row, settings)
        .map(StatementCheck::boxed)
}

/// `t=…,v1=…` over time, comma and body; or, in the simple mode, the tag of the body alone.
pub(super) fn convoy(request: &Request<'_>, settings: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "the header x-convoy-signature";
    let value = header(request, "x-convoy-signature")?;
    let (Ok(encoding), Ok(hash)) = (encoding_of(settings), hash_of(settings)) else { return Ok(vec![]) };
    let bytes_count = hash.bytes_count();
    let simple = match (settings.text("mode").as_deref(), settings.variant.as_deref()) {
        (Some(mode), _) => mode == "simple",
        (None, variant) => variant == Some("simple"),
    };
    if simple {
        return Ok(vec![Statement {
            contents: vec![request.body.to_vec()],
            signatures: signatures(place, encoding, bytes_count, [value])?,
            place,
            time: None,
        }]);
    }
    let time = items(value, "t").first().copied();
    let time = time.filter(|time| time.bytes().all(|byte| byte.is_ascii_digit()));
    let time = time.ok_or_else(|| Refusal::malformed(place, "`t=…,v1=…` with t in seconds"))?;
    Ok(vec![Statement {
        contents: vec![[time.as_bytes(), b",", request.body].concat()],
        signatures: signatures(place, encoding, bytes_count, items(value, "v1"))?,
        place,
        time: Some(time.to_owned()),
    }])
}

pub(super) fn convoy_check(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    encoding_of(settings)?;
    let usual = Some(300);
    let mut time =
        TimeRow { place: String::new(), unit: "s".into(), tolerance_secs: usual, future: String::new() };
    if let Some(secs) = settings.text("tolerance_s") {
        let secs = secs.parse().map_err(|_| SetupError::bad("tolerance_s", "a number of seconds"))?;
        time.tolerance_secs = Some(secs);
    }
    let clock = Clock::new(&time, settings.tolerance_secs());
    let check = StatementCheck::new(hash_of(settings)?, SecretForm::Utf8, convoy, row, settings)?;
    Ok(check.with_clock(Some(clock)).boxed())
}
