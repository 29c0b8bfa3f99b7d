//! Schemes whose signed bytes are a template: MACs, hashes and signatures of private keys.

use super::written::{encoded, joined, time_text};
use super::{Draft, Moment, SignError, Signer};
use crate::provider::checks::public_key::Algorithm;
use crate::provider::digest::{Hash, MacKey};
use crate::provider::entries::{Entries, Plan};
use crate::provider::place::Place;
use crate::provider::receiver::SetupError;
use crate::provider::row::{Form, Kind, SignatureRow};
use crate::provider::template::{Fill, Template};

/// What stands behind a key, for the header that names it.
const TEST_KEY_ID: &str = "test-key";

impl Signer {
    pub(super) fn sign_templated(
        &self,
        kind: Kind,
        draft: &mut Draft,
        moment: &Moment<'_>,
    ) -> Result<(), SignError> {
        let row = self.row.signature.as_ref().ok_or(SetupError::Table)?;
        let content = self.row.content.as_deref().ok_or(SetupError::Table)?;
        let plan = Plan::new(row, &self.settings)?;
        for name in braced(content).filter_map(|part| part.strip_prefix("header:")) {
            let is_time = name.to_ascii_lowercase().contains("timestamp");
            let value = if is_time { time_text("s", moment.at_ms) } else { moment.id.to_owned() };
            Self::default_header(draft, name, &value)?;
        }
        let (time, mut items) = self.write_time(draft, moment)?;
        let beside = braced(content).filter_map(|part| part.strip_prefix("sig:"));
        items.extend(beside.map(|name| (name.to_owned(), moment.id.to_owned())));
        if let Some(name) = self.row.key_id.as_deref().and_then(|id| id.strip_prefix("header:")) {
            Self::default_header(draft, name, TEST_KEY_ID)?;
        }
        let template = Template::parse(content, &self.settings)?;
        let tags = self.tags(kind, &template, draft, time.as_deref(), &items)?;
        let texts: Vec<String> = tags.iter().map(|tag| encoded(plan.encoding, tag)).collect();
        // Only lists have room for the signatures of several secrets.
        let count = if has_room(row) { texts.len() } else { 1 };
        let prefix = self.settings.filled(&row.prefix)?;
        draft.write(&plan.place, &joined(row, &prefix, &items, &texts[..count]))
    }

    /// Puts the time where it belongs; beside the signature, it is an item.
    fn write_time(&self, draft: &mut Draft, moment: &Moment<'_>) -> Result<TimeAndItems, SignError> {
        let Some(time) = &self.row.time else { return Ok((None, vec![])) };
        let text = time_text(&time.unit, moment.at_ms);
        if let Some(item) = time.place.strip_prefix("sig:") {
            return Ok((Some(text.clone()), vec![(item.to_owned(), text)]));
        }
        let place = Place::parse(&self.settings.filled(&time.place)?).ok_or(SetupError::Table)?;
        match (&place, text.parse::<i64>()) {
            (Place::Json(path, _), Ok(number)) => draft.set_json(path, number.into())?,
            _ => draft.write(&place, &text)?,
        }
        Ok((Some(text), vec![]))
    }

    /// The signature of each secret, or that of the private key.
    fn tags(
        &self,
        kind: Kind,
        template: &Template,
        draft: &Draft,
        time: Option<&str>,
        items: &[(String, String)],
    ) -> Result<Vec<Vec<u8>>, SignError> {
        let request = draft.request();
        let entries = Entries::beside(items);
        let filled = |secret: &[u8]| -> Result<Vec<u8>, SignError> {
            Ok(template.fill(&Fill { request: &request, time, entries: &entries, secret })?.concat())
        };
        let private = |algorithm| Ok(vec![self.private_tag(algorithm, &filled(b"")?)?]);
        match kind {
            Kind::Hmac(hash) => {
                self.first_keys()?.iter().map(|key| Ok(mac(hash, key, &filled(key)?))).collect()
            }
            Kind::Digest(hash) => {
                let keys = self.settings.keys(self.row.secret)?;
                keys.iter().map(|key| Ok(hash.digest(&[filled(key)?]).as_bytes().to_vec())).collect()
            }
            Kind::Ed25519 => private(Algorithm::Ed25519),
            Kind::Ecdsa => private(Algorithm::Ecdsa { hash: Hash::Sha256, der: true }),
            Kind::RsaPkcs1(hash) => private(Algorithm::RsaPkcs1(hash)),
            _ => private(Algorithm::RsaPss),
        }
    }

    /// One key a secret: of several ways to read it, the likeliest.
    fn first_keys(&self) -> Result<Vec<zeroize::Zeroizing<Vec<u8>>>, SignError> {
        let mut keys = self.settings.numbered_keys(self.row.secret)?;
        keys.dedup_by_key(|(index, _)| *index);
        Ok(keys.into_iter().map(|(_, key)| key).collect())
    }
}

/// The time as it is signed, and what stands beside the signature.
type TimeAndItems = (Option<String>, Vec<(String, String)>);

fn has_room(row: &SignatureRow) -> bool {
    matches!(row.form, Form::Kv | Form::SpaceList | Form::List | Form::Positional)
}

pub(super) fn mac(hash: Hash, key: &[u8], content: &[u8]) -> Vec<u8> {
    MacKey::new(hash, key).tag(&[content]).as_bytes().to_vec()
}

/// The names in braces of a template.
fn braced(content: &str) -> impl Iterator<Item = &str> {
    content.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}
