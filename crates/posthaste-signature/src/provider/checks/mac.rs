//! A MAC, or a hash with the secret inside, over a template.

use std::borrow::Cow;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Check;
use crate::provider::Request;
use crate::provider::clock::Clock;
use crate::provider::digest::{Hash, MacKey, Tag};
use crate::provider::entries::{Entries, Plan};
use crate::provider::keys::Keys;
use crate::provider::place::{Place, text_of};
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::Refusal;
use crate::provider::row::{SchemeRow, SecretForm};
use crate::provider::template::{Fill, Template};

/// Secrets that are ready to make tags.
pub(crate) struct Macs(Vec<Keyed>);

/// A key, and the number of the secret that it is.
struct Keyed {
    index: usize,
    key: Zeroizing<Vec<u8>>,
    mac: MacKey,
}

impl Macs {
    pub(crate) fn new(hash: Hash, form: SecretForm, settings: &Settings) -> Result<Self, SetupError> {
        let keys = settings.numbered_keys(form)?.into_iter();
        Ok(Self(keys.map(|(index, key)| Keyed { index, mac: MacKey::new(hash, &key), key }).collect()))
    }

    /// Which secret makes one of `signatures` out of `parts`.
    pub(crate) fn find(&self, parts: &[impl AsRef<[u8]>], signatures: &[Vec<u8>]) -> Option<usize> {
        self.0.iter().find(|keyed| is_among(&keyed.mac.tag(parts), signatures)).map(|keyed| keyed.index)
    }
}

/// In constant time for each signature; all are looked at.
fn is_among(tag: &Tag, signatures: &[Vec<u8>]) -> bool {
    signatures
        .iter()
        .fold(subtle::Choice::from(0), |any, signature| any | tag.as_bytes().ct_eq(signature))
        .into()
}

/// Where the signed time stands.
#[derive(Debug, Clone)]
pub(crate) enum TimePlace {
    In(Place),
    /// An item beside the signature.
    Item(String),
}

impl TimePlace {
    pub(crate) fn parse(text: &str, settings: &Settings) -> Result<Self, SetupError> {
        match text.strip_prefix("sig:") {
            Some(item) => Ok(Self::Item(item.to_owned())),
            None => Place::parse(&settings.filled(text)?).map(Self::In).ok_or(SetupError::Table),
        }
    }

    pub(crate) fn read<'r>(
        &self,
        request: &Request<'r>,
        entries: &'r Entries<'_>,
    ) -> Result<Cow<'r, str>, Refusal> {
        let found = match self {
            Self::In(place) => place.read(request).and_then(text_of),
            Self::Item(item) => entries.item(item).map(Cow::Borrowed),
        };
        found.ok_or_else(|| Refusal::Missing(self.name()))
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::In(place) => place.to_string(),
            Self::Item(item) => format!("the time `{item}` beside the signature"),
        }
    }
}

/// The time of a scheme: where it stands and how it is judged.
pub(crate) struct Timed {
    place: TimePlace,
    clock: Clock,
}

impl Timed {
    pub(crate) fn new(row: &SchemeRow, settings: &Settings) -> Result<Option<Self>, SetupError> {
        let Some(time) = &row.time else { return Ok(None) };
        let place = TimePlace::parse(&time.place, settings)?;
        Ok(Some(Self { place, clock: Clock::new(time, settings.tolerance_secs()) }))
    }

    pub(crate) fn read<'r>(
        &self,
        request: &Request<'r>,
        entries: &'r Entries<'_>,
    ) -> Result<Cow<'r, str>, Refusal> {
        self.place.read(request, entries)
    }

    pub(crate) fn judge(&self, text: &str, now: i64) -> Result<(), Refusal> {
        self.clock.judge(&self.place.name(), text, now)
    }
}

enum Secrets {
    Hmac(Macs),
    Digest(Hash, Vec<Zeroizing<Vec<u8>>>),
}

/// `hmac-…` and `hash-…`.
pub(crate) struct MacCheck {
    plan: Plan,
    /// The signed bytes; more than one for a provider that is said to do both.
    templates: Vec<Template>,
    time: Option<Timed>,
    secrets: Secrets,
    /// Of the hash.
    bytes_count: usize,
}

impl MacCheck {
    pub(crate) fn hmac(hash: Hash, row: &SchemeRow, settings: &Settings) -> Result<Self, SetupError> {
        let holds_secret = row.content.as_deref().is_some_and(|content| content.contains("{secret}"));
        let macs = Macs::new(hash, row.secret, settings)?;
        if holds_secret && settings.secrets.len() > 1 {
            return Err(SetupError::bad("secret", "one alone: this provider's scheme has no overlap"));
        }
        Self::new(hash, Secrets::Hmac(macs), row, settings)
    }

    pub(crate) fn digest(hash: Hash, row: &SchemeRow, settings: &Settings) -> Result<Self, SetupError> {
        Self::new(hash, Secrets::Digest(hash, settings.keys(row.secret)?), row, settings)
    }

    fn new(hash: Hash, secrets: Secrets, row: &SchemeRow, settings: &Settings) -> Result<Self, SetupError> {
        let signature = row.signature.as_ref().ok_or(SetupError::Table)?;
        let content = row.content.as_deref().ok_or(SetupError::Table)?;
        let contents = [Some(content), row.or_content.as_deref()].into_iter().flatten();
        Ok(Self {
            plan: Plan::new(signature, settings)?,
            templates: contents.map(|text| Template::parse(text, settings)).collect::<Result<_, _>>()?,
            time: Timed::new(row, settings)?,
            secrets,
            bytes_count: hash.bytes_count(),
        })
    }

    fn find(
        &self,
        template: &Template,
        fill: &Fill<'_, '_>,
        signatures: &[Vec<u8>],
    ) -> Result<Option<usize>, Refusal> {
        match &self.secrets {
            Secrets::Hmac(macs) => {
                let secret = macs.0.first().map_or(&[][..], |keyed| &keyed.key);
                let parts = template.fill(&Fill { secret, ..*fill })?;
                Ok(macs.find(&parts, signatures))
            }
            Secrets::Digest(hash, secrets) => {
                for (index, secret) in secrets.iter().enumerate() {
                    let parts = template.fill(&Fill { secret, ..*fill })?;
                    if is_among(&hash.digest(&parts), signatures) {
                        return Ok(Some(index));
                    }
                }
                Ok(None)
            }
        }
    }
}

impl Check for MacCheck {
    fn check(&self, request: &Request<'_>, now: i64, _: &Keys) -> Result<Verified, Refusal> {
        let entries = self.plan.read(request)?;
        let time = self.time.as_ref().map(|time| time.read(request, &entries)).transpose()?;
        let signatures = self.plan.decode(&entries, self.bytes_count)?;
        let fill = Fill { request, time: time.as_deref(), entries: &entries, secret: b"" };
        let mut index = None;
        for template in &self.templates {
            index = self.find(template, &fill, &signatures)?;
            if index.is_some() {
                break;
            }
        }
        let index = index.ok_or_else(|| Refusal::Mismatch(self.plan.place.to_string()))?;
        // The age last: then "too old" also says that the signature is right.
        if let (Some(judge), Some(time)) = (&self.time, &time) {
            judge.judge(time, now)?;
        }
        Ok(Verified::by(index))
    }
}
