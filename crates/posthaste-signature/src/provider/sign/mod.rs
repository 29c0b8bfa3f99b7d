//! Signing as a provider does: for trying a receiver out before the provider calls it.
//!
//! Whatever is signed here is believed by a [`Receiver`](super::Receiver) of the same row, secret and settings. The schemes
//! are the table's; where a check puts the signed bytes together, the signer asks that same check for them.

mod draft;
mod jwt;
mod key;
mod rehearsal;
mod special;
mod statements;
mod templated;
mod written;

use http::HeaderName;

pub use draft::Draft;
pub use key::{Needed, PrivateKey};
pub use rehearsal::rehearse;

use super::checks::public_key::Algorithm;
use super::receiver::{Settings, SetupError};
use super::refusal::Refusal;
use super::row::{Kind, Provider, SchemeRow};
use super::{Request, find};

/// When and as what something is signed.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// The delivery's id, and the nonce of schemes that have one.
    pub id: &'a str,
}

/// Why something cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The provider, a secret or a setting.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Nobody but the provider can.
    #[error("{0}")]
    Unsignable(String),
    /// The scheme signs something that this body does not have.
    #[error("this provider's signature stands in the body, and for that it must be {0}")]
    Body(String),
    /// What the scheme signs of the request is not there, or not in its form.
    #[error("the request cannot be signed as this provider does: {0}")]
    Request(Refusal),
    /// Not a private key, or not of the kind that the scheme uses.
    #[error("the private key is not {0}")]
    Key(String),
}

impl From<Refusal> for SignError {
    fn from(why: Refusal) -> Self {
        Self::Request(why)
    }
}

/// A provider's scheme with a secret or a private key: ready to sign.
pub struct Signer {
    provider: &'static Provider,
    row: &'static SchemeRow,
    settings: Settings,
    key: Option<PrivateKey>,
}

impl Signer {
    /// Reads the settings; schemes of public keys need a private `key`.
    pub fn new(provider: &str, settings: Settings, key: Option<PrivateKey>) -> Result<Self, SignError> {
        let provider = find(provider).ok_or_else(|| SetupError::UnknownProvider(provider.to_owned()))?;
        let row = provider.row(settings.variant.as_deref())?;
        let signer = Self { provider, row, settings, key };
        if let Some(needed) = signer.needed_key() {
            match &signer.key {
                None => return Err(SignError::Key(format!("there: this scheme signs with {needed}"))),
                Some(key) if !key.is(needed) => return Err(SignError::Key(needed.to_string())),
                Some(_) => {}
            }
        }
        Ok(signer)
    }

    /// Its provider.
    pub fn provider(&self) -> &'static Provider {
        self.provider
    }

    /// What verifies what this signs.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The kind of private key that the scheme signs with; `None` for shared secrets.
    pub fn needed_key(&self) -> Option<Needed> {
        needed(self.row)
    }

    /// The public half of the private key, as this provider writes it.
    pub fn public_key(&self) -> Option<String> {
        let key = self.key.as_ref().filter(|_| self.needed_key().is_some())?;
        Some(key.public_text(self.row.key))
    }

    /// The same as PEM, which every scheme's setting `public_key` takes.
    pub fn public_pem(&self) -> Option<String> {
        let key = self.key.as_ref().filter(|_| self.needed_key().is_some())?;
        Some(key.public_pem())
    }

    /// Signs: the headers, the query or the body get what the provider would have put there.
    pub fn sign(&self, draft: &mut Draft, moment: &Moment<'_>) -> Result<(), SignError> {
        let Some(kind) = Kind::parse(&self.row.scheme) else { return self.sign_specially(draft, moment) };
        match kind {
            Kind::Hmac(_)
            | Kind::Digest(_)
            | Kind::Ed25519
            | Kind::Ecdsa
            | Kind::RsaPkcs1(_)
            | Kind::RsaPss => self.sign_templated(kind, draft, moment),
            Kind::Token | Kind::Basic => self.write_token(kind, draft),
            Kind::Jwt => self.sign_jwt(draft, moment),
            Kind::Unsigned => Ok(()),
            Kind::Unknown => Err(SignError::Unsignable(format!(
                "how {} signs is not known, so nobody else can sign for it",
                self.provider.name
            ))),
        }
    }

    fn sign_specially(&self, draft: &mut Draft, moment: &Moment<'_>) -> Result<(), SignError> {
        if self.row.scheme == "lark" {
            return self.sign_templated(Kind::Digest(super::digest::Hash::Sha256), draft, moment);
        }
        if self.sign_statements(draft, moment)? { Ok(()) } else { self.sign_by_name(draft, moment) }
    }

    /// Gives a header a value, if it has none.
    fn default_header(draft: &mut Draft, name: &str, value: &str) -> Result<(), SignError> {
        let name: HeaderName = name.parse().map_err(|_| SetupError::bad("header", "a header's name"))?;
        if draft.headers.get(&name).is_none_or(http::HeaderValue::is_empty) {
            draft.set_header(&name, value)?;
        }
        Ok(())
    }

    /// The signature of the private key; [`Signer::new`] has seen that there is one of this kind.
    fn private_tag(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if algorithm == Algorithm::RsaPkcs1(super::digest::Hash::Sha1) {
            return Err(SignError::Unsignable(format!(
                "{} signs with RSA over SHA-1, which can still be verified here and no longer be made",
                self.provider.name
            )));
        }
        let tag = self.key.as_ref().and_then(|key| key.sign(algorithm, message));
        tag.ok_or_else(|| SignError::Key("of the kind that this scheme signs with".to_owned()))
    }
}

/// The kind of private key behind a scheme.
fn needed(row: &SchemeRow) -> Option<Needed> {
    match Kind::parse(&row.scheme) {
        Some(Kind::Ed25519) => Some(Needed::Ed25519),
        Some(Kind::Ecdsa) => Some(Needed::P256),
        Some(Kind::RsaPkcs1(_) | Kind::RsaPss) => Some(Needed::Rsa),
        Some(Kind::Jwt) => jwt::needed(row),
        Some(_) => None,
        None => match row.scheme.as_str() {
            "neon" => Some(Needed::Ed25519),
            "alipay" | "paddle-classic" | "detached-jws-jwks" => Some(Needed::Rsa),
            "ebay" => Some(Needed::P256),
            "truelayer-tl-signature-v2" => Some(Needed::P521),
            _ => None,
        },
    }
}

/// The kind of private key that a provider's scheme signs with.
pub fn needed_key(provider: &str, variant: Option<&str>) -> Option<Needed> {
    needed(find(provider)?.row(variant).ok()?)
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("provider", &self.provider.slug).finish_non_exhaustive()
    }
}
