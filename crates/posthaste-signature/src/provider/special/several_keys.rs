//! Schemes with a choice of hashes, or with two keys that each have a header.

use std::fmt::Write as _;

use super::statement::{header, signatures};
use crate::provider::Request;
use crate::provider::checks::{Check, Macs};
use crate::provider::clock::Clock;
use crate::provider::digest::Hash;
use crate::provider::keys::Keys;
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::Refusal;
use crate::provider::row::{Encoding, SchemeRow, SecretForm};

const SUMSUB: [(&str, Hash); 3] =
    [("HMAC_SHA1_HEX", Hash::Sha1), ("HMAC_SHA256_HEX", Hash::Sha256), ("HMAC_SHA512_HEX", Hash::Sha512)];

/// The request names the hash, out of those that the receiver accepts.
struct SumsubCheck(Vec<(&'static str, usize, Macs)>);

pub(super) fn sumsub_check(_: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let asked = settings.list("algorithms");
    let mut accepted = vec![];
    for (name, hash) in SUMSUB {
        // SHA-1 only if it is asked for.
        if asked.iter().any(|asked| asked == name) || (asked.is_empty() && hash != Hash::Sha1) {
            let bytes_count = hash.bytes_count();
            accepted.push((name, bytes_count, Macs::new(hash, SecretForm::Utf8, settings)?));
        }
    }
    if accepted.is_empty() {
        return Err(SetupError::bad(
            "algorithms",
            "a list of HMAC_SHA256_HEX, HMAC_SHA512_HEX and HMAC_SHA1_HEX",
        ));
    }
    Ok(Box::new(SumsubCheck(accepted)))
}

impl Check for SumsubCheck {
    fn check(&self, request: &Request<'_>, _: i64, _: &Keys) -> Result<Verified, Refusal> {
        let place = "the header x-payload-digest";
        let digest = header(request, "x-payload-digest")?;
        let named = header(request, "x-payload-digest-alg")?;
        let found = self.0.iter().find(|(name, ..)| *name == named);
        let (_, bytes_count, macs) = found.ok_or_else(|| Refusal::algorithm(named))?;
        let given = signatures(place, Encoding::Hex, *bytes_count, [digest])?;
        macs.find(&[request.body], &given)
            .map(Verified::by)
            .ok_or_else(|| Refusal::Mismatch(place.to_owned()))
    }
}

/// Two keys, each with a header of its own; Box sends the body as it signed it, or with other characters escaped.
struct BoxCheck {
    pairs: Vec<(&'static str, Macs)>,
    clock: Clock,
}

pub(super) fn box_check(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let headers = ["box-signature-primary", "box-signature-secondary"];
    let mut pairs = vec![];
    let named = ["primary_key", "secondary_key"].map(|name| settings.text(name));
    if named.iter().all(Option::is_none) {
        // The secrets in their order: primary, secondary.
        settings.keys(SecretForm::Utf8)?;
        for (header, secret) in headers.into_iter().zip(&settings.secrets) {
            pairs.push((header, one(secret)?));
        }
        if let ([secret], true) = (settings.secrets.as_slice(), pairs.len() == 1) {
            // A single secret may be either of them.
            pairs.push((headers[1], one(secret)?));
        }
    }
    for (header, secret) in headers.into_iter().zip(&named) {
        if let Some(secret) = secret {
            pairs.push((header, one(secret)?));
        }
    }
    let time = row.time.as_ref().ok_or(SetupError::Table)?;
    Ok(Box::new(BoxCheck { pairs, clock: Clock::new(time, settings.tolerance_secs()) }))
}

fn one(secret: &str) -> Result<Macs, SetupError> {
    let settings = Settings { secrets: vec![secret.to_owned()], ..Settings::default() };
    Macs::new(Hash::Sha256, SecretForm::Utf8, &settings)
}

impl Check for BoxCheck {
    fn check(&self, request: &Request<'_>, now: i64, _: &Keys) -> Result<Verified, Refusal> {
        let time = header(request, "box-delivery-timestamp")?;
        for (name, wanted) in [("box-signature-version", "1"), ("box-signature-algorithm", "HmacSHA256")] {
            let found = header(request, name)?;
            if found != wanted {
                return Err(Refusal::algorithm(&format!("{name} {found}")));
            }
        }
        let mut why = Refusal::Missing("the header box-signature-primary".to_owned());
        for (index, (name, macs)) in self.pairs.iter().enumerate() {
            let Some(text) = request.header_text(name) else { continue };
            let given = match signatures(&format!("the header {name}"), Encoding::Base64, 32, [text]) {
                Ok(given) => given,
                Err(malformed) => {
                    why = malformed;
                    continue;
                }
            };
            let escaped = ascii_only(request.body);
            if [request.body, &escaped]
                .iter()
                .any(|body| macs.find(&[body, time.as_bytes()], &given).is_some())
            {
                self.clock.judge("the header box-delivery-timestamp", time, now)?;
                return Ok(Verified::by(index));
            }
            why = Refusal::Mismatch(format!("the header {name}"));
        }
        Err(why)
    }
}

/// The JSON text with everything beyond ASCII as `\uXXXX` and `/` as `\/`.
fn ascii_only(body: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(body) else { return body.to_vec() };
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    for letter in text.chars() {
        match letter {
            '/' if before != '\\' => escaped.push_str("\\/"),
            _ if letter.is_ascii() => escaped.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
        }
        before = letter;
    }
    escaped.into_bytes()
}
