//! Payment providers: chosen fields, canonical JSON, keys inside the text.

use serde_json::Value;
use sha3::{Digest as _, Keccak256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::statement::{Statement, header, items, signatures};
use crate::encoding::{from_base64, from_hex};
use crate::provider::checks::{Check, Macs};
use crate::provider::digest::Hash;
use crate::provider::handshake::is_braintrees;
use crate::provider::json::Path;
use crate::provider::keys::Keys;
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::Refusal;
use crate::provider::row::{Encoding, SchemeRow, SecretForm};
use crate::provider::{Request, form};

/// The most items that one notification of Adyen's may carry.
const ADYEN_ITEMS_MAX: usize = 1_000;

/// Each item signs eight of its own fields, so each must be right.
pub(super) fn adyen(request: &Request<'_>, _: &Settings) -> Result<Vec<Statement>, Refusal> {
    const FIELDS: [&str; 8] = [
        "pspReference",
        "originalReference",
        "merchantAccountCode",
        "merchantReference",
        "amount.value",
        "amount.currency",
        "eventCode",
        "success",
    ];
    let place = "additionalData.hmacSignature in the JSON body";
    let items = Path::parse("notificationItems").find(request.body);
    let items: Vec<&serde_json::value::RawValue> =
        items.and_then(|items| serde_json::from_str(items).ok()).unwrap_or_default();
    if items.is_empty() || items.len() > ADYEN_ITEMS_MAX {
        return Err(Refusal::Missing("notificationItems in the JSON body".to_owned()));
    }
    let statement = |item: &serde_json::value::RawValue| {
        let json = item.get().as_bytes();
        let field = |name: &str| {
            let path = Path::parse(&format!("NotificationRequestItem.{name}"));
            path.text(json).map(std::borrow::Cow::into_owned)
        };
        let signature = field("additionalData.hmacSignature").filter(|signature| !signature.is_empty());
        let signature = signature.ok_or_else(|| Refusal::Missing(place.to_owned()))?;
        let values = FIELDS.map(|name| field(name).unwrap_or_default());
        Ok(Statement {
            contents: vec![values.join(":").into_bytes()],
            signatures: signatures(place, Encoding::Base64, 32, [signature.as_str()])?,
            place,
            time: None,
        })
    };
    items.into_iter().map(statement).collect()
}

/// Id, request id and time, each left out with its name when it is not there. Ids in letters are signed in lower
/// case according to the documentation, and as sent according to the SDK.
pub(super) fn mercadopago(request: &Request<'_>, _: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "the header x-signature";
    let list = header(request, "x-signature")?;
    let time = items(list, "ts").first().copied().ok_or_else(|| Refusal::malformed(place, "`ts=…,v1=…`"))?;
    if form::is_repeated(request.query().as_bytes(), "data.id") {
        return Err(Refusal::malformed("the query parameter data.id", "there once"));
    }
    let id = request.query_value("data.id").filter(|id| !id.is_empty());
    let manifest = |id: Option<&str>| {
        let id = id.map(|id| format!("id:{id};")).unwrap_or_default();
        let request_id = request.header_text("x-request-id").map(|id| format!("request-id:{id};"));
        format!("{id}{}ts:{time};", request_id.unwrap_or_default()).into_bytes()
    };
    let lower = id.as_deref().map(str::to_lowercase);
    Ok(vec![Statement {
        contents: vec![manifest(id.as_deref()), manifest(lower.as_deref())],
        signatures: signatures(place, Encoding::Hex, 32, items(list, "v1"))?,
        place,
        time: None,
    }])
}

/// Bytes of a body that is made into values before it is believed: those take many times as much.
const NOWPAYMENTS_BYTES_MAX: usize = 64 * 1024;

/// The body as JavaScript would write it, with all members sorted.
pub(super) fn nowpayments(request: &Request<'_>, _: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "the header x-nowpayments-sig";
    let signature = header(request, "x-nowpayments-sig")?;
    if request.body.len() > NOWPAYMENTS_BYTES_MAX {
        return Err(Refusal::malformed("the body", format!("JSON of {NOWPAYMENTS_BYTES_MAX} bytes at most")));
    }
    let json: Value =
        serde_json::from_slice(request.body).map_err(|_| Refusal::malformed("the body", "JSON"))?;
    let mut text = String::new();
    write_sorted(&json, &mut text);
    Ok(vec![Statement {
        contents: vec![text.into_bytes()],
        signatures: signatures(place, Encoding::Hex, 64, [signature])?,
        place,
        time: None,
    }])
}

fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.keys().collect();
            names.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (index, name) in names.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&serde_json::to_string(name).unwrap_or_default());
                text.push(':');
                write_sorted(&members[name], text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_sorted(item, text);
            }
            text.push(']');
        }
        Value::Number(number) => text.push_str(&script_number(number)),
        other => text.push_str(&other.to_string()),
    }
}

/// A number as ECMAScript writes it (§6.1.6.1.20): no `.0`, exponents from 1e21 up and below 1e-6.
fn script_number(number: &serde_json::Number) -> String {
    let Some(value) = number.as_f64() else { return number.to_string() };
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if (1e-6..1e21).contains(&size) {
        // Rust's `Display` gives the shortest digits that read back the same, as ECMAScript does.
        return value.to_string();
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

/// The public key around the body; the hex of the tag, once more in base64.
pub(super) fn solidgate(request: &Request<'_>, settings: &Settings) -> Result<Vec<Statement>, Refusal> {
    let place = "the header signature";
    let text = header(request, "signature")?;
    let hex = from_base64(text).and_then(|hex| String::from_utf8(hex.to_vec()).ok());
    let hex = hex.ok_or_else(|| Refusal::malformed(place, "base64 of hex"))?;
    let merchant = header(request, "merchant")?;
    let key = settings.text("public_key").unwrap_or_else(|| merchant.to_owned());
    if key != merchant {
        return Err(Refusal::WrongToken("the header merchant".to_owned()));
    }
    Ok(vec![Statement {
        contents: vec![[key.as_bytes(), request.body, key.as_bytes()].concat()],
        signatures: signatures(place, Encoding::Hex, 64, [hex.as_str()])?,
        place,
        time: None,
    }])
}

/// `public_key|signature` pairs; ours is the one with our public key.
struct BraintreeCheck {
    macs: Macs,
    public_key: String,
}

pub(super) fn braintree_check(_: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let public_key = settings.required("public_key")?;
    Ok(Box::new(BraintreeCheck { macs: Macs::new(Hash::Sha1, SecretForm::Sha1, settings)?, public_key }))
}

impl Check for BraintreeCheck {
    fn check(&self, request: &Request<'_>, _: i64, _: &Keys) -> Result<Verified, Refusal> {
        let place = "the form field bt_signature";
        let field = |name: &str| {
            let value = form::value(request.body, name).filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| Refusal::Missing(format!("the form field {name}")))?;
            if form::is_repeated(request.body, name) {
                return Err(Refusal::malformed(format!("the form field {name}"), "there once"));
            }
            Ok(value)
        };
        let (pairs, payload) = (field("bt_signature")?, field("bt_payload")?);
        if is_braintrees(&payload) {
            return Err(Refusal::malformed(
                "the form field bt_payload",
                "a notification: anybody can have a challenge signed",
            ));
        }
        if !pairs.contains('|') {
            return Err(Refusal::malformed(place, "`public_key|signature` pairs"));
        }
        let ours = pairs.split('&').filter_map(|pair| pair.split_once('|'));
        let ours: Vec<_> =
            ours.filter(|(key, _)| *key == self.public_key).map(|(_, signature)| signature).collect();
        if ours.is_empty() {
            return Err(Refusal::UnknownKey("in bt_signature".to_owned()));
        }
        let given = signatures(place, Encoding::Hex, 20, ours)?;
        // Their own SDKs try it with a line feed behind as well.
        let found = ["", "\n"].iter().find_map(|end| self.macs.find(&[payload.as_str(), end], &given));
        found.map(Verified::by).ok_or_else(|| Refusal::Mismatch(place.to_owned()))
    }
}

/// Keccak of the body and the secret behind it.
struct KeccakCheck(Vec<Zeroizing<Vec<u8>>>);

pub(super) fn keccak_check(settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    Ok(Box::new(KeccakCheck(settings.keys(SecretForm::Utf8)?)))
}

impl Check for KeccakCheck {
    fn check(&self, request: &Request<'_>, _: i64, _: &Keys) -> Result<Verified, Refusal> {
        let place = "the header x-signature";
        let text = header(request, "x-signature")?;
        let given = text.strip_prefix("0x").and_then(from_hex).filter(|given| given.len() == 32);
        let given = given.ok_or_else(|| Refusal::malformed(place, "`0x` and then hex of 32 bytes"))?;
        let hash =
            |secret: &[u8]| Keccak256::new().chain_update(request.body).chain_update(secret).finalize();
        let found = self.0.iter().position(|secret| hash(secret).as_slice().ct_eq(&given).into());
        found.map(Verified::by).ok_or_else(|| Refusal::Mismatch(place.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        let written = |text: &str| {
            let mut out = String::new();
            write_sorted(&serde_json::from_str(text).unwrap(), &mut out);
            out
        };
        for (text, expected) in [
            ("1.0", "1"),
            ("0.09", "0.09"),
            ("1e21", "1e+21"),
            ("1e-7", "1e-7"),
            ("-0", "0"),
            ("123456789", "123456789"),
        ] {
            assert_eq!(written(text), expected);
        }
        assert_eq!(
            written(r#"{"b":[1,{"d":null,"c":true}],"a":"\u00e9/"}"#),
            r#"{"a":"é/","b":[1,{"c":true,"d":null}]}"#
        );
    }
}
