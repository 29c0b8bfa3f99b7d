//! A token or a password that is sent as it is: whoever reads one request can send others.

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Check;
use crate::encoding::from_base64;
use crate::provider::Request;
use crate::provider::digest::Hash;
use crate::provider::entries::Plan;
use crate::provider::keys::Keys;
use crate::provider::place::Place;
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::Refusal;
use crate::provider::row::SchemeRow;

/// The shared secret in a header, a field or a parameter.
pub(super) struct TokenCheck {
    plan: Plan,
    secrets: Vec<Zeroizing<Vec<u8>>>,
}

impl TokenCheck {
    pub(super) fn new(row: &SchemeRow, settings: &Settings) -> Result<Self, SetupError> {
        let signature = row.signature.as_ref().ok_or(SetupError::Table)?;
        Ok(Self { plan: Plan::new(signature, settings)?, secrets: settings.keys(row.secret)? })
    }
}

impl Check for TokenCheck {
    fn check(&self, request: &Request<'_>, _: i64, _: &Keys) -> Result<Verified, Refusal> {
        let entries = self.plan.read(request)?;
        let what = || Refusal::WrongToken(self.plan.place.to_string());
        let mut index = None;
        // A list that holds the token in each item is only as good as its worst item.
        let all = match &self.plan.place {
            Place::Json(..) => self.plan.place.read_all(request).len(),
            _ => 1,
        };
        if entries.signatures.len() < all {
            return Err(what());
        }
        for given in &entries.signatures {
            index =
                Some(self.secrets.iter().position(|secret| same(secret, given.as_bytes())).ok_or_else(what)?);
        }
        index.map(Verified::by).ok_or_else(what)
    }
}

/// HTTP's basic authentication (RFC 7617).
pub(super) struct BasicCheck {
    secrets: Vec<Zeroizing<Vec<u8>>>,
}

impl BasicCheck {
    /// A secret is `user:password`.
    pub(super) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let secrets = settings.keys(crate::provider::row::SecretForm::Utf8)?;
        if secrets.iter().any(|secret| !secret.contains(&b':')) {
            return Err(SetupError::bad("secret", "`user:password`"));
        }
        Ok(Self { secrets })
    }
}

impl Check for BasicCheck {
    fn check(&self, request: &Request<'_>, _: i64, _: &Keys) -> Result<Verified, Refusal> {
        let what = "the header authorization";
        let value = request.header_text("authorization").ok_or_else(|| Refusal::Missing(what.to_owned()))?;
        let malformed = || Refusal::malformed(what, "`Basic ` and then base64 of user:password");
        let (kind, encoded) = value.split_once(' ').ok_or_else(malformed)?;
        if !kind.eq_ignore_ascii_case("basic") {
            return Err(malformed());
        }
        let given =
            from_base64(encoded.trim()).filter(|given| given.contains(&b':')).ok_or_else(malformed)?;
        let index = self.secrets.iter().position(|secret| same(secret, &given));
        index.map(Verified::by).ok_or_else(|| Refusal::WrongToken("user or password".to_owned()))
    }
}

/// In constant time, whatever the lengths: compared are the hashes.
pub(crate) fn same(secret: &[u8], given: &[u8]) -> bool {
    let [ours, theirs] = [secret, given].map(|text| Hash::Sha256.digest(&[text]));
    ours.as_bytes().ct_eq(theirs.as_bytes()).into()
}
