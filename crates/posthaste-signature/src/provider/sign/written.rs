//! How a signature, a time and a token are written down.

use jiff::Timestamp;
use jiff::fmt::strtime;

use super::{Draft, SignError, Signer};
use crate::encoding::{push_base64, to_base64url, to_hex, with_prefix};
use crate::provider::checks::same;
use crate::provider::entries::Plan;
use crate::provider::receiver::SetupError;
use crate::provider::row::{Encoding, Form, Kind, SignatureRow};

/// The bytes in an encoding.
pub(super) fn encoded(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Raw => String::from_utf8_lossy(bytes).into_owned(),
        Encoding::Hex | Encoding::HexOrBase64 => to_hex(bytes),
        Encoding::Base64 => {
            let mut text = String::new();
            push_base64(bytes, &mut text);
            text
        }
        Encoding::Base64Url | Encoding::Base64UrlEither => to_base64url(bytes),
    }
}

/// A moment in the unit of the table's `time`.
pub(super) fn time_text(unit: &str, at_ms: i64) -> String {
    let secs = at_ms.div_euclid(1000);
    let instant = Timestamp::from_second(secs).unwrap_or_default();
    match unit {
        "" | "s" | "s|ms" => secs.to_string(),
        "ms" => at_ms.to_string(),
        "http-date-or-text" => strtime::format("%a, %d %b %Y %H:%M:%S GMT", instant).unwrap_or_default(),
        unit if unit.starts_with("date:") => {
            strtime::format("%a %d %b %Y %H:%M:%S UTC", instant).unwrap_or_default()
        }
        _ => instant.to_string(),
    }
}

/// The value at a signature's place: the signatures, with what stands around and beside them.
pub(super) fn joined(
    row: &SignatureRow,
    prefix: &str,
    items: &[(String, String)],
    texts: &[String],
) -> String {
    let prefix = prefix.strip_suffix('?').unwrap_or(prefix);
    let with_prefix = |text: &String| format!("{prefix}{text}");
    let key = row.key.as_deref().and_then(|keys| keys.split('|').next()).unwrap_or_default();
    let first = || texts.first().map(with_prefix).unwrap_or_default();
    let separator = row.separator.as_deref();
    match row.form {
        Form::Plain | Form::Numbered => first(),
        Form::Kv => {
            let beside = items.iter().map(|(name, value)| format!("{name}={value}"));
            let signed = texts.iter().map(|text| format!("{key}={prefix}{text}"));
            beside.chain(signed).collect::<Vec<_>>().join(separator.unwrap_or(","))
        }
        Form::SpaceList => texts.iter().map(|text| format!("{key},{text}")).collect::<Vec<_>>().join(" "),
        Form::List => texts.iter().map(with_prefix).collect::<Vec<_>>().join(separator.unwrap_or(",")),
        Form::Positional => {
            let beside = items.iter().map(|(_, value)| value.clone());
            beside.chain(texts.iter().cloned()).collect::<Vec<_>>().join(separator.unwrap_or(","))
        }
    }
}

impl Signer {
    /// The secret itself, or user and password.
    pub(super) fn write_token(&self, kind: Kind, draft: &mut Draft) -> Result<(), SignError> {
        let secret = self.settings.secrets.first().filter(|secret| !secret.is_empty());
        let secret = secret.ok_or(SetupError::NoSecret)?;
        if kind == Kind::Basic {
            if !secret.contains(':') {
                return Err(SetupError::bad("secret", "`user:password`").into());
            }
            return draft.set_named("authorization", &with_prefix("Basic ", secret.as_bytes()));
        }
        let row = self.row.signature.as_ref().ok_or(SetupError::Table)?;
        let plan = Plan::new(row, &self.settings)?;
        let prefix = self.settings.filled(&row.prefix)?;
        draft.write(&plan.place, &joined(row, &prefix, &[], std::slice::from_ref(secret)))?;
        // A list without items has no place for the token, and would be refused.
        let request = draft.request();
        let found = plan
            .place
            .read(&request)
            .is_some_and(|value| same(secret.as_bytes(), &value) || !prefix.is_empty());
        if found { Ok(()) } else { Err(SignError::Body(format!("JSON that has {}", plan.place))) }
    }
}
