//! A row of the table of providers, `providers.toml`: how one provider signs, as data.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::HeaderName;
use serde::Deserialize;

use super::digest::Hash;
use super::find;
use super::receiver::SetupError;

/// How well we know what a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Evidence {
    /// The provider's own documentation was read.
    Spec,
    /// Its SDK, or the source of what it sends with.
    Sdk,
    /// Receivers that others wrote.
    Others,
    /// Nothing was read: check before you rely on it.
    Unverified,
}

impl Evidence {
    /// As the table spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Sdk => "sdk",
            Self::Others => "others",
            Self::Unverified => "unverified",
        }
    }
}

/// One provider of webhooks.
#[derive(Debug, Deserialize)]
#[non_exhaustive]
pub struct Provider {
    /// What we call it; the table's key.
    #[serde(skip)]
    pub slug: String,
    /// What it calls itself.
    pub name: String,
    /// The page that describes its webhooks.
    pub docs: String,
    /// How well we know it.
    pub evidence: Evidence,
    /// What to configure as the secret, and how it looks.
    pub secret_is: Option<String>,
    /// Traps.
    pub note: Option<String>,
    /// What Svix's API calls this type of source, if not by our slug.
    pub svix: Option<String>,
    /// How soon it wants an answer.
    pub answer_within_secs: Option<f64>,
    /// How it retries, in words.
    pub retries: Option<String>,
    /// Whether it first asks if we are there, and wants a certain answer.
    #[serde(default)]
    pub handshake: bool,
    /// Whether it takes a refusal only with an empty body.
    #[serde(default)]
    pub bare_refusal: bool,
    /// The body that it takes as "delivered", where an empty one will not do.
    pub answer: Option<String>,
    /// Where the type of event stands: places, ` + ` joins two, ` | ` is "or else".
    pub event_type: Option<String>,
    /// Where an id for deduplication stands, in the same notation. Not the id of an object of which more than one
    /// thing of a type is told, like a mail that is opened twice: by that, the second would be a repetition.
    pub delivery_id: Option<String>,
    #[serde(flatten)]
    pub(crate) scheme: SchemeRow,
    /// Other ways in which it signs: older, newer or optional ones.
    #[serde(default)]
    pub(crate) variant: BTreeMap<String, SchemeRow>,
}

impl Provider {
    /// The names of its other schemes.
    pub fn variants(&self) -> impl Iterator<Item = &str> {
        self.variant.keys().map(String::as_str)
    }

    /// Its type in Svix's API.
    pub fn svix_type(&self) -> &str {
        self.svix.as_deref().unwrap_or(&self.slug)
    }

    /// The main scheme, or one of the others.
    pub(crate) fn row(&'static self, variant: Option<&str>) -> Result<&'static SchemeRow, SetupError> {
        let row = match variant {
            None => &self.scheme,
            Some(name) => {
                self.variant.get(name).ok_or_else(|| SetupError::UnknownVariant(name.to_owned()))?
            }
        };
        match &row.like {
            None => Ok(row),
            Some(other) => Ok(&find(other).ok_or(SetupError::Table)?.scheme),
        }
    }

    /// The scheme in a few words, for lists.
    pub fn scheme(&self) -> &str {
        &self.scheme.scheme
    }
}

/// How a request is signed.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SchemeRow {
    /// `hmac-sha256`, `token`, `jwt` … or the name of a file under `special/`.
    #[serde(default)]
    pub(crate) scheme: String,
    /// Another provider whose scheme it is.
    pub(crate) like: Option<String>,
    /// Where the signature or the token stands.
    pub(crate) signature: Option<SignatureRow>,
    /// A template of the signed bytes.
    pub(crate) content: Option<String>,
    /// Another template, for providers that are said to do both.
    pub(crate) or_content: Option<String>,
    /// Where the signed time stands.
    pub(crate) time: Option<TimeRow>,
    /// How the configured secret becomes a key.
    #[serde(default)]
    pub(crate) secret: SecretForm,
    /// How a public key is written.
    pub(crate) key: Option<KeyForm>,
    /// The header that says which of several public keys signed.
    pub(crate) key_id: Option<String>,
    /// Where the provider publishes its keys, in words or as an address.
    pub(crate) key_source: Option<String>,
    /// Algorithms of a JWT. The token's own word is never taken for it.
    #[serde(default)]
    pub(crate) algorithms: Vec<String>,
    /// Whether a JWT must carry `exp`.
    #[serde(default)]
    pub(crate) expires: bool,
    /// Claims that must be as these templates say.
    #[serde(default)]
    pub(crate) claims: BTreeMap<String, String>,
}

impl SchemeRow {
    /// Whether another URL would make another signature.
    pub(crate) fn reads_url(&self) -> bool {
        const SCHEMES: [&str; 5] =
            ["contentful", "http-signature-draft", "plivo-v3", "truelayer-tl-signature-v2", "twilio"];
        let named = |text: &str| ["{url", "(url)", "{qsh", "{query:"].iter().any(|part| text.contains(part));
        SCHEMES.contains(&self.scheme.as_str())
            || self.content.as_deref().is_some_and(named)
            || self.claims.values().any(|text| named(text))
    }

    /// For Standard Webhooks: the header of the signature, and the same scheme under the other names, `svix-…` for
    /// `webhook-…` and the other way round.
    pub(crate) fn twin(&self) -> Option<(HeaderName, Self)> {
        let (ours, theirs) = match self.content.as_deref()? {
            "{header:webhook-id}.{ts}.{body}" => ("header:webhook-", "header:svix-"),
            "{header:svix-id}.{ts}.{body}" => ("header:svix-", "header:webhook-"),
            _ => return None,
        };
        let header = self.signature.as_ref()?.place.strip_prefix("header:")?.parse().ok()?;
        let renamed = |text: &str| text.replace(ours, theirs);
        let mut twin = self.clone();
        twin.content = self.content.as_deref().map(renamed);
        for place in [&mut twin.signature.as_mut()?.place, &mut twin.time.as_mut()?.place] {
            *place = renamed(place);
        }
        Some((header, twin))
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SignatureRow {
    #[serde(rename = "in")]
    pub(crate) place: String,
    #[serde(default)]
    pub(crate) form: Form,
    /// The items to take, `a|b` for either.
    pub(crate) key: Option<String>,
    pub(crate) separator: Option<String>,
    #[serde(default)]
    pub(crate) encoding: Encoding,
    /// What stands in front; `sha256=?` may be missing.
    #[serde(default)]
    pub(crate) prefix: String,
}

/// What the value at a signature's place looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    /// The whole value is the signature.
    #[default]
    Plain,
    /// `key=value` items.
    Kv,
    /// `version,signature` items between blanks.
    SpaceList,
    /// Several whole signatures.
    List,
    /// The time first, then signatures.
    Positional,
    /// Headers `X-1`, `X-2` and so on.
    Numbered,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Encoding {
    #[default]
    #[serde(rename = "raw")]
    Raw,
    #[serde(rename = "hex")]
    Hex,
    #[serde(rename = "base64")]
    Base64,
    /// Without padding.
    #[serde(rename = "base64url")]
    Base64Url,
    /// With padding or without.
    #[serde(rename = "base64url=?")]
    Base64UrlEither,
    #[serde(rename = "hex|base64")]
    HexOrBase64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TimeRow {
    /// `header:`, `json:`, `sig:` (an item of the signature's header) or `claim:`.
    #[serde(rename = "in")]
    pub(crate) place: String,
    #[serde(default)]
    pub(crate) unit: Cow<'static, str>,
    /// How old a request may be, if the provider says so.
    pub(crate) tolerance_secs: Option<u64>,
    /// `any`: a time ahead of ours is not judged.
    #[serde(default)]
    pub(crate) future: String,
}

/// How the configured secret becomes a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum SecretForm {
    #[default]
    #[serde(rename = "utf8")]
    Utf8,
    #[serde(rename = "hex")]
    Hex,
    #[serde(rename = "base64")]
    Base64,
    /// `whsec_`, if it is there, then base64.
    #[serde(rename = "whsec")]
    Whsec,
    #[serde(rename = "v1,whsec")]
    V1Whsec,
    /// Its SHA-1.
    #[serde(rename = "sha1")]
    Sha1,
    /// Unicode's compatibility decomposition; for ASCII, what it is.
    #[serde(rename = "nfkd-utf8")]
    Nfkd,
    /// Public keys as JSON.
    #[serde(rename = "jwks", alias = "jwk")]
    Jwks,
    /// A secret or public keys, by the token's algorithm.
    #[serde(rename = "utf8|jwks")]
    Utf8OrJwks,
    #[serde(rename = "pem")]
    Pem,
    /// Nobody says which: each is tried.
    #[serde(rename = "hex|utf8")]
    HexOrUtf8,
    #[serde(rename = "utf8|base64")]
    Utf8OrBase64,
    #[serde(rename = "whsec|utf8")]
    WhsecOrUtf8,
}

impl SecretForm {
    /// The forms that are tried, the likeliest first.
    pub(crate) fn tried(self) -> Vec<Self> {
        match self {
            Self::HexOrUtf8 => vec![Self::Hex, Self::Utf8],
            Self::Utf8OrBase64 => vec![Self::Utf8, Self::Base64],
            Self::WhsecOrUtf8 => vec![Self::Whsec, Self::Utf8],
            form => vec![form],
        }
    }
}

/// How a public key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum KeyForm {
    #[serde(rename = "pem", alias = "pem-cert-or-key")]
    Pem,
    #[serde(rename = "base64-spki-der")]
    SpkiBase64,
    #[serde(rename = "base64-raw")]
    RawBase64,
    #[serde(rename = "hex-raw")]
    RawHex,
    #[serde(rename = "whpk_+base64")]
    Whpk,
    #[serde(rename = "jwks-okp", alias = "jwks")]
    Jwks,
}

/// The kinds of scheme that are data alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hmac(Hash),
    /// A plain hash with the secret among the hashed bytes.
    Digest(Hash),
    Token,
    Basic,
    Jwt,
    Ed25519,
    Ecdsa,
    RsaPkcs1(Hash),
    RsaPss,
    /// Nothing is signed.
    Unsigned,
    /// Something is, and nobody says how.
    Unknown,
}

impl Kind {
    /// `None`: a scheme with code of its own.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let hashed = |prefix| name.strip_prefix(prefix).and_then(Hash::parse);
        Some(match name {
            "token" => Self::Token,
            "basic" => Self::Basic,
            "jwt" => Self::Jwt,
            "ed25519" => Self::Ed25519,
            "ecdsa-p256-sha256" => Self::Ecdsa,
            "rsa-pss-sha256" => Self::RsaPss,
            "none" => Self::Unsigned,
            "unknown" => Self::Unknown,
            _ => hashed("hmac-")
                .map(Self::Hmac)
                .or_else(|| hashed("hash-").map(Self::Digest))
                .or_else(|| hashed("rsa-pkcs1-").map(Self::RsaPkcs1))?,
        })
    }
}
