//! The kinds of scheme that the table can say whole: one file each.

mod jwt;
mod mac;
pub(crate) mod public_key;
mod signed;
mod token;

use http::HeaderName;

use super::keys::Keys;
use super::receiver::{Settings, SetupError, Verified};
use super::refusal::Refusal;
use super::row::{Kind, SchemeRow};
use super::{Request, special};

pub(crate) use jwt::{Jws, Published};
pub(crate) use mac::{MacCheck, Macs};
pub(crate) use token::same;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const SVIX_ID: HeaderName = HeaderName::from_static("svix-id");

/// One scheme with its keys.
pub(crate) trait Check: Send + Sync {
    /// Believes a request or says why not.
    fn check(&self, request: &Request<'_>, now: i64, keys: &Keys) -> Result<Verified, Refusal>;

    /// What is missing before anything can be checked.
    fn not_ready(&self) -> Option<&SetupError> {
        None
    }
}

/// A scheme whose keys are missing or unreadable: it believes nothing.
pub(crate) fn not_ready(why: SetupError) -> Box<dyn Check> {
    struct NotReady(SetupError);
    impl Check for NotReady {
        fn check(&self, _: &Request<'_>, _: i64, _: &Keys) -> Result<Verified, Refusal> {
            Err(Refusal::NotReady(self.0.clone()))
        }

        fn not_ready(&self) -> Option<&SetupError> {
            Some(&self.0)
        }
    }
    Box::new(NotReady(why))
}

/// The check that a row asks for.
pub(crate) fn build(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let check = build_one(row, settings)?;
    let Some((header, twin)) = row.twin() else { return Ok(check) };
    let twin = build_one(&twin, settings)?;
    let ids =
        if header.as_str().starts_with("svix-") { [SVIX_ID, WEBHOOK_ID] } else { [WEBHOOK_ID, SVIX_ID] };
    Ok(Box::new(EitherNames { check, header, twin, ids }))
}

fn build_one(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let Some(kind) = Kind::parse(&row.scheme) else { return special::build(row, settings) };
    Ok(match kind {
        Kind::Hmac(hash) => Box::new(MacCheck::hmac(hash, row, settings)?),
        Kind::Digest(hash) => Box::new(MacCheck::digest(hash, row, settings)?),
        Kind::Token => Box::new(token::TokenCheck::new(row, settings)?),
        Kind::Basic => Box::new(token::BasicCheck::new(settings)?),
        Kind::Jwt => Box::new(jwt::JwtCheck::new(row, settings)?),
        Kind::Ed25519 | Kind::Ecdsa | Kind::RsaPkcs1(_) | Kind::RsaPss => {
            Box::new(signed::SignedCheck::new(kind, row, settings)?)
        }
        Kind::Unsigned => Box::new(Unsigned),
        Kind::Unknown => Box::new(Unknown),
    })
}

/// Standard Webhooks under the names of the standard and under Svix's older ones, which its senders and libraries take
/// for the same. One request is read under one of them, never mixed.
struct EitherNames {
    check: Box<dyn Check>,
    /// The header by which the provider's usual names are known.
    header: HeaderName,
    twin: Box<dyn Check>,
    /// The header of the message's id, under the usual names and under the others.
    ids: [HeaderName; 2],
}

impl EitherNames {
    /// An id under the usual names is read as the delivery's, so it must not be another than the one that is signed.
    fn judge_ids(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let [usual, signed] = &self.ids;
        match (request.header(usual.as_str()), request.header(signed.as_str())) {
            (Some(id), other) if other != Some(id) => {
                let expected = format!("absent, or what {signed} is: only that one is signed");
                Err(Refusal::malformed(format!("the header {usual}"), expected))
            }
            _ => Ok(()),
        }
    }
}

impl Check for EitherNames {
    fn check(&self, request: &Request<'_>, now: i64, keys: &Keys) -> Result<Verified, Refusal> {
        if request.headers.contains_key(&self.header) {
            return self.check.check(request, now, keys);
        }
        match self.twin.check(request, now, keys) {
            // Under neither: what is missing is said in the usual names.
            Err(Refusal::Missing(_)) => self.check.check(request, now, keys),
            verdict => {
                let verified = verdict?;
                self.judge_ids(request)?;
                Ok(verified)
            }
        }
    }
}

/// The provider signs nothing: whoever knows the address is believed.
struct Unsigned;

impl Check for Unsigned {
    fn check(&self, _: &Request<'_>, _: i64, _: &Keys) -> Result<Verified, Refusal> {
        Ok(Verified::default())
    }
}

/// The provider signs, and nobody says how: nothing is believed.
struct Unknown;

impl Check for Unknown {
    fn check(&self, _: &Request<'_>, _: i64, _: &Keys) -> Result<Verified, Refusal> {
        Err(Refusal::UnknownScheme)
    }
}
