//! A signature under a provider's private key, over a template.

use super::Check;
use super::jwt::Published;
use super::mac::Timed;
use super::public_key::{Algorithm, PublicKey};
use crate::provider::Request;
use crate::provider::digest::Hash;
use crate::provider::entries::Plan;
use crate::provider::keys::Keys;
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::Refusal;
use crate::provider::row::{Kind, SchemeRow};
use crate::provider::template::{Fill, Template};

/// The most signatures that one request may carry: each costs a pass over the body under each key, and a few are enough
/// while a key is rotated.
const SIGNATURES_COUNT_MAX: usize = 4;

/// `ed25519`, `ecdsa-…` and `rsa-…`.
pub(super) struct SignedCheck {
    plan: Plan,
    template: Template,
    time: Option<Timed>,
    algorithm: Algorithm,
    keys: Published,
    key_id: Option<String>,
}

impl SignedCheck {
    pub(super) fn new(kind: Kind, row: &SchemeRow, settings: &Settings) -> Result<Self, SetupError> {
        let algorithm = match kind {
            Kind::Ed25519 => Algorithm::Ed25519,
            Kind::Ecdsa => Algorithm::Ecdsa { hash: Hash::Sha256, der: true },
            Kind::RsaPkcs1(hash) => Algorithm::RsaPkcs1(hash),
            _ => Algorithm::RsaPss,
        };
        let signature = row.signature.as_ref().ok_or(SetupError::Table)?;
        Ok(Self {
            plan: Plan::new(signature, settings)?,
            template: Template::parse(row.content.as_deref().ok_or(SetupError::Table)?, settings)?,
            time: Timed::new(row, settings)?,
            algorithm,
            keys: Published::new(row, settings)?,
            key_id: row.key_id.as_deref().and_then(|id| id.strip_prefix("header:")).map(str::to_owned),
        })
    }
}

impl Check for SignedCheck {
    fn check(&self, request: &Request<'_>, now: i64, keys: &Keys) -> Result<Verified, Refusal> {
        let entries = self.plan.read(request)?;
        let time = self.time.as_ref().map(|time| time.read(request, &entries)).transpose()?;
        let signatures = self.plan.decode(&entries, 0)?;
        if signatures.len() > SIGNATURES_COUNT_MAX {
            let expected = format!("one signature, or {SIGNATURES_COUNT_MAX} at most");
            return Err(Refusal::malformed(self.plan.place.to_string(), expected));
        }
        let id = match &self.key_id {
            None => None,
            Some(name) => {
                let missing = || Refusal::Missing(format!("the header {}", name.to_ascii_lowercase()));
                Some(request.header_text(name).ok_or_else(missing)?)
            }
        };
        let fill = Fill { request, time: time.as_deref(), entries: &entries, secret: b"" };
        let message = self.template.fill(&fill)?.concat();
        let candidates: Vec<PublicKey> = self.keys.of(id, keys)?;
        let found = candidates.iter().position(|key| {
            signatures.iter().any(|signature| key.verifies(self.algorithm, &message, signature))
        });
        let index = found.ok_or_else(|| Refusal::Mismatch(self.plan.place.to_string()))?;
        if let (Some(judge), Some(time)) = (&self.time, &time) {
            judge.judge(time, now)?;
        }
        Ok(Verified::by(index))
    }
}
