//! The signatures of a request: found, taken apart, and decoded.

use std::borrow::Cow;

use super::Request;
use super::place::{Place, text_of};
use super::receiver::{Settings, SetupError};
use super::refusal::Refusal;
use super::row::{Encoding, Form, SignatureRow};
use crate::encoding::{from_base64, from_base64url, from_hex};

/// The most signatures that one request may carry: each may cost a check.
const SIGNATURES_COUNT_MAX: usize = 100;

/// Where the signatures of a scheme stand and how they are written.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) place: Place,
    form: Form,
    keys: Vec<String>,
    separator: String,
    pub(crate) encoding: Encoding,
    prefix: String,
    is_prefix_optional: bool,
}

/// What stood there.
#[derive(Debug, Default)]
pub(crate) struct Entries<'a> {
    /// The signatures, still encoded.
    pub(crate) signatures: Vec<Cow<'a, str>>,
    /// Other items beside them.
    items: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Entries<'a> {
    /// Only what stands beside a signature that is still to be made.
    pub(crate) fn beside(items: &'a [(String, String)]) -> Self {
        let items = items.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into()));
        Self { signatures: vec![], items: items.collect() }
    }

    /// An item beside the signature: a time, a nonce.
    pub(crate) fn item(&self, key: &str) -> Option<&str> {
        let found = self.items.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }
}

impl Plan {
    pub(crate) fn new(row: &SignatureRow, settings: &Settings) -> Result<Self, SetupError> {
        let text = settings.filled(&row.place)?;
        let place = Place::parse(&text).ok_or_else(|| SetupError::bad("header", "a header's name"))?;
        let filled = settings.filled(&row.prefix)?;
        let prefix = filled.strip_suffix('?');
        let usual = if row.form == Form::SpaceList { " " } else { "," };
        Ok(Self {
            place,
            form: row.form,
            keys: row.key.iter().flat_map(|key| key.split('|')).map(str::to_owned).collect(),
            separator: row.separator.clone().unwrap_or_else(|| usual.to_owned()),
            encoding: row.encoding,
            is_prefix_optional: prefix.is_some(),
            prefix: prefix.unwrap_or(&filled).to_owned(),
        })
    }

    /// The entries of a request: at least one signature, or the reason why not.
    pub(crate) fn read<'a>(&self, request: &Request<'a>) -> Result<Entries<'a>, Refusal> {
        let values = self.place.read_all(request);
        if values.is_empty() {
            return Err(Refusal::Missing(self.place.to_string()));
        }
        let mut entries = Entries::default();
        for value in values {
            let text = text_of(value).ok_or_else(|| self.malformed())?;
            self.take_apart(text, &mut entries);
        }
        entries.signatures.retain(|signature| !signature.is_empty());
        if entries.signatures.is_empty() || entries.signatures.len() > SIGNATURES_COUNT_MAX {
            return Err(self.malformed());
        }
        Ok(entries)
    }

    /// A header's value is borrowed from, anything else is copied.
    fn take_apart<'a>(&self, text: Cow<'a, str>, entries: &mut Entries<'a>) {
        match text {
            Cow::Borrowed(text) => self.take(text, entries, Cow::Borrowed),
            Cow::Owned(text) => self.take(&text, entries, |piece| Cow::Owned(piece.to_owned())),
        }
    }

    fn take<'t, 'a>(&self, text: &'t str, entries: &mut Entries<'a>, keep: impl Fn(&'t str) -> Cow<'a, str>) {
        let separated = text.split(self.separator.as_str()).map(str::trim);
        match self.form {
            Form::Plain | Form::Numbered => entries.signatures.extend(self.without_prefix(text).map(keep)),
            Form::Kv => {
                for item in separated {
                    let Some((key, value)) = item.split_once('=') else { continue };
                    let (key, value) = (key.trim(), value.trim());
                    if self.keys.iter().any(|wanted| wanted == key) {
                        entries.signatures.extend(self.without_prefix(value).map(&keep));
                    }
                    entries.items.push((keep(key), keep(value)));
                }
            }
            Form::SpaceList => {
                let versioned = text.split_ascii_whitespace().filter_map(|entry| entry.split_once(','));
                let ours = versioned.filter(|(version, _)| self.keys.iter().any(|key| key == version));
                entries.signatures.extend(ours.map(|(_, signature)| keep(signature)));
            }
            Form::List => match self.without_prefix(text) {
                // One prefix for all, or one for each.
                Some(whole) => {
                    for (index, item) in whole.split(self.separator.as_str()).map(str::trim).enumerate() {
                        let has_own = index > 0 || !self.prefix.contains(&self.separator);
                        let bare = item.strip_prefix(&self.prefix).filter(|_| has_own);
                        entries.signatures.push(keep(bare.unwrap_or(item)));
                    }
                }
                // The prefix stands at a later entry only.
                None => {
                    let later = separated.filter_map(|item| item.strip_prefix(&self.prefix));
                    entries.signatures.extend(later.map(keep));
                }
            },
            Form::Positional => {
                for (index, item) in separated.enumerate() {
                    match index {
                        0 => entries.items.push((Cow::Borrowed("0"), keep(item))),
                        _ => entries.signatures.push(keep(item)),
                    }
                }
            }
        }
    }

    fn without_prefix<'t>(&self, text: &'t str) -> Option<&'t str> {
        match text.strip_prefix(&self.prefix) {
            Some("") if !self.prefix.is_empty() => None,
            Some(rest) => Some(rest),
            None => self.is_prefix_optional.then_some(text),
        }
    }

    /// The signatures that are in their encoding; none is malformed.
    pub(crate) fn decode(&self, entries: &Entries<'_>, bytes_count: usize) -> Result<Vec<Vec<u8>>, Refusal> {
        let decoded: Vec<_> =
            entries.signatures.iter().filter_map(|text| decode(self.encoding, text, bytes_count)).collect();
        if decoded.is_empty() { Err(self.malformed()) } else { Ok(decoded) }
    }

    fn malformed(&self) -> Refusal {
        let form = match self.encoding {
            Encoding::Raw => "text",
            Encoding::Hex => "hex",
            Encoding::Base64 => "base64",
            Encoding::Base64Url | Encoding::Base64UrlEither => "base64url",
            Encoding::HexOrBase64 => "hex or base64",
        };
        let form = match self.form {
            _ if !self.prefix.is_empty() => format!("`{}` and then {form}", self.prefix),
            Form::Kv => format!("a list with `{}=` and then {form}", self.keys.join("=` or `")),
            Form::SpaceList => format!("`{},` and then {form}", self.keys.join(",` or `")),
            Form::Positional => format!("a time and then {form}"),
            Form::Plain | Form::List | Form::Numbered => form.to_owned(),
        };
        Refusal::malformed(self.place.to_string(), format!("{form} of the right length"))
    }
}

/// A signature's bytes, `bytes_count` of them (0: any number).
pub(crate) fn decode(encoding: Encoding, text: &str, bytes_count: usize) -> Option<Vec<u8>> {
    let right = |bytes: &Vec<u8>| bytes_count == 0 || bytes.len() == bytes_count;
    let base64 = || from_base64(text).map(|bytes| bytes.to_vec());
    match encoding {
        Encoding::Raw => Some(text.as_bytes().to_vec()),
        Encoding::Hex => from_hex(text).filter(right),
        Encoding::Base64 => base64().filter(right),
        Encoding::Base64Url => from_base64url(text).filter(right),
        Encoding::Base64UrlEither => from_base64url(text.trim_end_matches('=')).filter(right),
        Encoding::HexOrBase64 => from_hex(text).filter(right).or_else(|| base64().filter(right)),
    }
}
