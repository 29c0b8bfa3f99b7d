//! JSON Web Tokens (RFC 7515, RFC 7519), and the sets of public keys that providers publish.

use std::collections::BTreeMap;

use serde_json::Value;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Check;
use super::public_key::{Algorithm, PublicKey};
use crate::encoding::from_base64url;
use crate::provider::Request;
use crate::provider::clock::Clock;
use crate::provider::digest::{Hash, hmac};
use crate::provider::json::Path;
use crate::provider::keys::{Keys, https_host_and_path};
use crate::provider::place::{Place, text_of};
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::Refusal;
use crate::provider::row::{KeyForm, SchemeRow, SecretForm};
use crate::provider::template::Template;

/// Public keys: configured, or fetched from where the provider publishes them.
pub(crate) struct Published {
    configured: Vec<(Option<String>, PublicKey)>,
    /// Where to fetch them when none is configured.
    url: Option<String>,
}

impl Published {
    /// `public_key`, `public_keys`, `certificates` or `jwks` of the settings; else the secrets; else `key_url`
    /// or the address of the row.
    pub(crate) fn new(row: &SchemeRow, settings: &Settings) -> Result<Self, SetupError> {
        let form = row.key.unwrap_or(KeyForm::Pem);
        let mut configured = vec![];
        let read = |text: &str| PublicKey::read(form, text).or_else(|| PublicKey::from_pem(text));
        let bad = |name| SetupError::bad(name, "a public key as the provider shows it");
        if let Some(jwks) = settings.values.get("jwks") {
            configured = of_jwks(jwks).ok_or_else(|| SetupError::bad("jwks", "a JSON Web Key Set"))?;
        }
        for name in ["public_keys", "certificates"] {
            for (id, key) in settings.values.get(name).and_then(Value::as_object).into_iter().flatten() {
                configured.push((Some(id.clone()), key.as_str().and_then(read).ok_or_else(|| bad(name))?));
            }
        }
        if let Some(text) = settings.text("public_key") {
            configured.push((None, read(&text).ok_or_else(|| bad("public_key"))?));
        }
        if configured.is_empty() {
            for secret in &settings.secrets {
                configured.push((None, read(secret).ok_or_else(|| bad("public_key"))?));
            }
        }
        let source = row.key_source.as_deref().and_then(|text| text.split_ascii_whitespace().next());
        let usual = source.filter(|url| https_host_and_path(url).is_some()).map(str::to_owned);
        let url = settings.text("key_url").or(usual);
        if configured.is_empty() && url.is_none() {
            return Err(SetupError::bad("public_key", "set: the key that the provider shows or publishes"));
        }
        if url.as_deref().is_some_and(|url| https_host_and_path(url).is_none()) {
            return Err(SetupError::bad("key_url", "an https address"));
        }
        Ok(Self { configured, url })
    }

    /// Keys that are only fetched, from an address at which the provider publishes.
    pub(crate) fn fetched(url: &str) -> Self {
        Self { configured: vec![], url: Some(url.to_owned()) }
    }

    /// The keys that may have signed: those of this id, where both sides have ids.
    pub(crate) fn of(&self, id: Option<&str>, keys: &Keys) -> Result<Vec<PublicKey>, Refusal> {
        let fetched = match &self.url {
            Some(url) if self.configured.is_empty() => published(keys.get(url)?),
            _ => vec![],
        };
        let mut found = vec![];
        for (known, key) in self.configured.iter().chain(&fetched) {
            if known.is_none() || id.is_none() || known.as_deref() == id {
                found.push(key.clone());
            }
        }
        if found.is_empty() { Err(Refusal::unknown_key(id.unwrap_or("that"))) } else { Ok(found) }
    }
}

/// Whether what was configured as the secret is a public key: taken for the key of an HMAC, everybody could sign with it.
fn is_public(secret: &str) -> bool {
    PublicKey::from_pem(secret).is_some()
}

fn of_jwks(jwks: &Value) -> Option<Vec<(Option<String>, PublicKey)>> {
    let list = match jwks.get("keys") {
        Some(keys) => keys.as_array()?.as_slice(),
        None => std::slice::from_ref(jwks),
    };
    let id = |jwk: &Value| jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
    // A set may also hold keys of kinds that we do not read.
    Some(list.iter().filter_map(|jwk| Some((id(jwk), PublicKey::from_jwk(jwk)?))).collect())
}

/// Every shape in which providers publish: a key set, a list of PEMs with ids, one PEM in JSON, or a PEM alone.
fn published(text: &str) -> Vec<(Option<String>, PublicKey)> {
    let Ok(json) = serde_json::from_str::<Value>(text) else {
        return PublicKey::from_pem(text).map(|key| (None, key)).into_iter().collect();
    };
    if let Some(list) = json.get("public_keys").and_then(Value::as_array) {
        let read = |item: &Value| {
            let id = item.get("key_identifier")?.as_str()?.to_owned();
            Some((Some(id), PublicKey::from_pem(item.get("key")?.as_str()?)?))
        };
        return list.iter().filter_map(read).collect();
    }
    let places = ["/signing-key", "/data/public_key", "/config/notifications/webhook/public_key"];
    if let Some(pem) = places.iter().find_map(|place| json.pointer(place)).and_then(Value::as_str) {
        return PublicKey::from_pem(pem).map(|key| (None, key)).into_iter().collect();
    }
    of_jwks(&json).unwrap_or_default()
}

/// A signed token, taken apart and not yet believed.
pub(crate) struct Jws<'a> {
    /// `header.payload`, as signed.
    pub(crate) signed: &'a str,
    header: Value,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// `None` unless it is three parts of base64url, the first of them a JSON object.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if payload.contains('.') {
            return None;
        }
        let header: Value = serde_json::from_slice(&from_base64url(header)?).ok()?;
        // What must be understood and is not makes a token invalid (RFC 7515 §4.1.11), and we understand none of it.
        if header.get("crit").is_some() {
            return None;
        }
        let payload = from_base64url(payload)?;
        Some(Self { signed, header, payload, signature: from_base64url(signature)? })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    pub(crate) fn header_value(&self) -> &Value {
        &self.header
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The algorithm it names, if it is one of the accepted ones.
    pub(crate) fn algorithm<'n>(&self, accepted: &'n [String]) -> Result<&'n str, Refusal> {
        let named = self.header("alg").unwrap_or("nothing");
        let found = accepted.iter().find(|name| *name == named);
        found.map(String::as_str).ok_or_else(|| Refusal::algorithm(named))
    }

    /// Whether `key` signed `message` in this way.
    pub(crate) fn verifies(&self, algorithm: &str, key: &PublicKey, message: &[u8]) -> bool {
        Algorithm::of_jose(algorithm).is_some_and(|how| key.verifies(how, message, &self.signature))
    }

    fn is_hmac_of(&self, hash: Hash, secret: &[u8]) -> bool {
        hmac(hash, secret, &[self.signed]).as_bytes().ct_eq(&self.signature).into()
    }
}

/// For how long after `exp`, and before `nbf`, a token counts: clocks differ (RFC 7519 §4.1.4 allows a few minutes).
const LEEWAY_SECS: u64 = 60;

/// The audiences of a token that is meant for several (RFC 7519 §4.1.3).
fn audiences(claims: &[u8]) -> Option<Vec<String>> {
    let claims: Value = serde_json::from_slice(claims).ok()?;
    let all = claims.get("aud")?.as_array()?;
    Some(all.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// `jwt`: the request, or a header of it, is a token.
pub(super) struct JwtCheck {
    place: Place,
    prefix: String,
    algorithms: Vec<String>,
    secrets: Vec<Zeroizing<Vec<u8>>>,
    keys: Option<Published>,
    claims: BTreeMap<String, Template>,
    /// When `payload_hash` may be left out.
    optional: Optional,
    must_expire: bool,
    age: Option<Clock>,
}

/// When `payload_hash`, which binds a token to its body, may be absent.
#[derive(PartialEq)]
enum Optional {
    /// When there is no body: then, and only then.
    IffNoBody,
    /// When there is no body.
    IfNoBody,
    /// Always, as the receiver is set: then a token of one request can be sent with another's body.
    Yes,
}

impl JwtCheck {
    pub(super) fn new(row: &SchemeRow, settings: &Settings) -> Result<Self, SetupError> {
        let signature = row.signature.as_ref().ok_or(SetupError::Table)?;
        let asked = settings.list("algs");
        let algorithms: Vec<String> =
            row.algorithms.iter().filter(|name| asked.is_empty() || asked.contains(name)).cloned().collect();
        if algorithms.is_empty() {
            return Err(SetupError::bad("algs", &format!("a list out of {}", row.algorithms.join(", "))));
        }
        let takes_hmac = algorithms.iter().any(|name| name.starts_with("HS"));
        let has_keys = matches!(row.secret, SecretForm::Jwks | SecretForm::Pem)
            || settings.values.contains_key("jwks")
            || (row.secret == SecretForm::Utf8OrJwks
                && (settings.secrets.is_empty() || settings.secrets.iter().any(|secret| is_public(secret))));
        let secrets = if takes_hmac && !has_keys { settings.keys(SecretForm::Utf8)? } else { vec![] };
        let keys = if has_keys { Some(Published::new(row, settings)?) } else { None };
        let mut claims = BTreeMap::new();
        for (name, template) in &row.claims {
            claims.insert(name.clone(), Template::parse(template, settings)?);
        }
        if let Some(issuer) = settings.text("issuer") {
            claims.insert("iss".to_owned(), Template::parse(&issuer.replace('{', ""), settings)?);
        }
        let strict = row.claims.contains_key("url_hash");
        let unbound = settings.flag("require_payload_hash") == Some(false);
        let optional = match (strict, unbound) {
            (true, _) => Optional::IffNoBody,
            (false, true) => Optional::Yes,
            (false, false) => Optional::IfNoBody,
        };
        Ok(Self {
            place: Place::parse(&signature.place).ok_or(SetupError::Table)?,
            prefix: signature.prefix.clone(),
            algorithms,
            secrets,
            keys,
            claims,
            optional,
            must_expire: row.expires,
            age: row.time.as_ref().map(|time| Clock::new(time, settings.tolerance_secs())),
        })
    }

    fn signer(&self, jws: &Jws<'_>, keys: &Keys) -> Result<usize, Refusal> {
        let algorithm = jws.algorithm(&self.algorithms)?;
        let mismatch = || Refusal::Mismatch(format!("the signature of the token in {}", self.place));
        let hash = match algorithm {
            "HS256" => Some(Hash::Sha256),
            "HS384" => Some(Hash::Sha384),
            "HS512" => Some(Hash::Sha512),
            _ => None,
        };
        if let Some(hash) = hash {
            return self.secrets.iter().position(|secret| jws.is_hmac_of(hash, secret)).ok_or_else(mismatch);
        }
        let published = self.keys.as_ref().ok_or_else(|| Refusal::Algorithm(algorithm.to_owned()))?;
        let candidates = published.of(jws.header("kid"), keys)?;
        let found = candidates.iter().position(|key| jws.verifies(algorithm, key, jws.signed.as_bytes()));
        found.ok_or_else(mismatch)
    }

    fn judge_claims(&self, request: &Request<'_>, claims: &[u8]) -> Result<(), Refusal> {
        for (name, template) in &self.claims {
            let found = Path::parse(name).text(claims);
            if name == "payload_hash" {
                match (&self.optional, &found, request.body.is_empty()) {
                    (Optional::Yes, None, _) | (_, None, true) => continue,
                    (Optional::IffNoBody, Some(_), true) => return Err(Refusal::Claim(name.clone())),
                    _ => {}
                }
            }
            let wanted = template.text(request)?;
            let is_wanted = |found: &str| bool::from(found.as_bytes().ct_eq(wanted.as_bytes()));
            if name == "aud" && audiences(claims).is_some_and(|all| all.iter().any(|one| is_wanted(one))) {
                continue;
            }
            let found = found.ok_or_else(|| Refusal::Missing(format!("the claim {name}")))?;
            if !is_wanted(&found) {
                return Err(Refusal::Claim(name.clone()));
            }
        }
        Ok(())
    }

    fn judge_times(&self, claims: &[u8], now: i64) -> Result<(), Refusal> {
        let instant = |name: &str| {
            let text = Path::parse(name).text(claims)?;
            text.split('.').next().and_then(|whole| whole.parse::<i64>().ok())
        };
        match instant("exp") {
            Some(exp) if exp <= now && now.abs_diff(exp) >= LEEWAY_SECS => {
                return Err(Refusal::Expired { age_secs: now.abs_diff(exp), tolerance_secs: LEEWAY_SECS });
            }
            None if self.must_expire => return Err(Refusal::Missing("the claim exp".to_owned())),
            _ => {}
        }
        match instant("nbf") {
            Some(nbf) if nbf > now && now.abs_diff(nbf) > LEEWAY_SECS => {
                return Err(Refusal::Future { ahead_secs: now.abs_diff(nbf), tolerance_secs: LEEWAY_SECS });
            }
            _ => {}
        }
        let Some(age) = &self.age else { return Ok(()) };
        let issued =
            Path::parse("iat").text(claims).ok_or_else(|| Refusal::Missing("the claim iat".to_owned()))?;
        age.judge("the claim iat", &issued, now)
    }
}

impl Check for JwtCheck {
    fn check(&self, request: &Request<'_>, now: i64, keys: &Keys) -> Result<Verified, Refusal> {
        let value = self.place.read(request).ok_or_else(|| Refusal::Missing(self.place.to_string()))?;
        let malformed = || {
            Refusal::malformed(
                self.place.to_string(),
                format!("`{}` and then a token of three parts in base64url", self.prefix),
            )
        };
        let text = text_of(value).ok_or_else(malformed)?;
        // HTTP's authentication schemes are named in either case.
        let token = text.get(..self.prefix.len()).filter(|found| found.eq_ignore_ascii_case(&self.prefix));
        let token = token.map(|found| text[found.len()..].trim()).ok_or_else(malformed)?;
        let jws = Jws::parse(token).ok_or_else(malformed)?;
        let index = self.signer(&jws, keys)?;
        self.judge_claims(request, jws.payload())?;
        self.judge_times(jws.payload(), now)?;
        Ok(Verified { secret_index: index, claims: Some(jws.payload().to_vec()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_be_meant_for_several() {
        let all = audiences(br#"{"aud":["https://a.example","https://b.example",7]}"#).unwrap();
        assert_eq!(all, ["https://a.example", "https://b.example"]);
        assert_eq!(audiences(br#"{"aud":"https://a.example"}"#), None);
        assert_eq!(audiences(b"no claims"), None);
    }
}
