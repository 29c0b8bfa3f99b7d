//! MACs over bytes that a function puts together.

use crate::provider::Request;
use crate::provider::checks::{Check, Macs};
use crate::provider::clock::Clock;
use crate::provider::digest::Hash;
use crate::provider::entries;
use crate::provider::keys::Keys;
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::Refusal;
use crate::provider::row::{Encoding, SchemeRow, SecretForm};

/// What a request says it signed, and the signatures on it.
#[derive(Debug, Default)]
pub(super) struct Statement {
    /// The signed bytes; where the provider is known to write them in several ways, each of them.
    pub(super) contents: Vec<Vec<u8>>,
    pub(super) signatures: Vec<Vec<u8>>,
    /// Where they stood, for people.
    pub(super) place: &'static str,
    /// The signed time, as sent.
    pub(super) time: Option<String>,
}

/// Puts the statements of a request together; all of them must be true.
pub(super) type Read = fn(&Request<'_>, &Settings) -> Result<Vec<Statement>, Refusal>;

/// A scheme of this kind.
pub(super) struct StatementCheck {
    macs: Macs,
    read: Read,
    settings: Settings,
    clock: Option<Clock>,
}

impl StatementCheck {
    pub(super) fn new(
        hash: Hash,
        form: SecretForm,
        read: Read,
        row: &SchemeRow,
        settings: &Settings,
    ) -> Result<Self, SetupError> {
        let clock = row.time.as_ref().map(|time| Clock::new(time, settings.tolerance_secs()));
        Ok(Self { macs: Macs::new(hash, form, settings)?, read, settings: settings.clone(), clock })
    }

    pub(super) fn with_clock(mut self, clock: Option<Clock>) -> Self {
        self.clock = clock;
        self
    }

    pub(super) fn boxed(self) -> Box<dyn Check> {
        Box::new(self)
    }
}

impl Check for StatementCheck {
    fn check(&self, request: &Request<'_>, now: i64, _: &Keys) -> Result<Verified, Refusal> {
        let statements = (self.read)(request, &self.settings)?;
        let mut by = None;
        for statement in &statements {
            let index = statement
                .contents
                .iter()
                .find_map(|content| self.macs.find(&[content], &statement.signatures));
            by = Some(index.ok_or_else(|| Refusal::Mismatch(statement.place.to_owned()))?);
        }
        for statement in &statements {
            if let (Some(clock), Some(time)) = (&self.clock, &statement.time) {
                clock.judge("the timestamp", time, now)?;
            }
        }
        by.map(Verified::by).ok_or_else(|| Refusal::Missing("a signature".to_owned()))
    }
}

/// A header that has to be there.
pub(super) fn header<'a>(request: &Request<'a>, name: &str) -> Result<&'a str, Refusal> {
    request.header_text(name).ok_or_else(|| Refusal::Missing(format!("the header {name}")))
}

/// The signatures among `texts`, decoded; there must be one.
pub(super) fn signatures<'t>(
    place: &str,
    encoding: Encoding,
    bytes_count: usize,
    texts: impl IntoIterator<Item = &'t str>,
) -> Result<Vec<Vec<u8>>, Refusal> {
    let decoded: Vec<_> =
        texts.into_iter().filter_map(|text| entries::decode(encoding, text.trim(), bytes_count)).collect();
    if decoded.is_empty() {
        let form = if encoding == Encoding::Hex { "hex" } else { "base64" };
        return Err(Refusal::malformed(place, format!("{form} of {bytes_count} bytes")));
    }
    Ok(decoded)
}

/// The values of an item in a list `a=1, b=2`.
pub(super) fn items<'t>(list: &'t str, name: &str) -> Vec<&'t str> {
    let pairs = list.split(',').filter_map(|item| item.trim().split_once('='));
    pairs.filter(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value).collect()
}
