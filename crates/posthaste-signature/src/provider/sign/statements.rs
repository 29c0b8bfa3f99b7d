//! Schemes whose checks put the signed bytes together themselves: those bytes are asked of the check, with a signature
//! of zeros in the place of the one that is still to be made.

use serde_json::Value;

use super::templated::mac;
use super::written::{encoded, time_text};
use super::{Draft, Moment, SignError, Signer};
use crate::encoding::push_base64;
use crate::provider::digest::{Hash, sha256_hex};
use crate::provider::form;
use crate::provider::receiver::SetupError;
use crate::provider::row::Encoding;
use crate::provider::special;

/// Items of a notification of Adyen's; a longer one is not made here.
const ITEMS_COUNT_MAX: usize = 100;

impl Signer {
    /// Whether the scheme is of this kind; then it is signed.
    pub(super) fn sign_statements(&self, draft: &mut Draft, moment: &Moment<'_>) -> Result<bool, SignError> {
        let Some((hash, form)) = special::statement_key(&self.row.scheme, &self.settings) else {
            return Ok(false);
        };
        let keys = self.settings.keys(form)?;
        let key = keys.first().ok_or(SetupError::NoSecret)?;
        self.prepare(draft, moment)?;
        let zeros = vec![vec![0; hash.bytes_count()]; ITEMS_COUNT_MAX];
        self.put(draft, moment, &zeros)?;
        let contents = special::statement_contents(&self.row.scheme, &draft.request(), &self.settings)?;
        let tags: Vec<_> = contents.iter().map(|content| mac(hash, key, content)).collect();
        self.put(draft, moment, &tags)?;
        Ok(true)
    }

    /// What is signed and is no signature.
    fn prepare(&self, draft: &mut Draft, moment: &Moment<'_>) -> Result<(), SignError> {
        match self.row.scheme.as_str() {
            "contentful" => {
                draft.set_named("x-contentful-timestamp", &moment.at_ms.to_string())?;
                draft.set_named(
                    "x-contentful-signed-headers",
                    "x-contentful-signed-headers,x-contentful-timestamp",
                )
            }
            "http-signature-draft" => {
                let mut digest = "SHA-256=".to_owned();
                push_base64(Hash::Sha256.digest(&[&draft.body]).as_bytes(), &mut digest);
                draft.set_named("digest", &digest)?;
                draft.set_named("date", &time_text("http-date-or-text", moment.at_ms))
            }
            "mercadopago" => Self::default_header(draft, "x-request-id", moment.id),
            "plivo-v3" => draft.set_named("x-plivo-signature-v3-nonce", moment.id),
            "solidgate" => draft.set_named("merchant", &self.settings.required("public_key")?),
            "twilio" if !is_form(draft) => {
                draft.set_query("bodySHA256", &sha256_hex(&draft.body));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes the signatures: one a statement.
    fn put(&self, draft: &mut Draft, moment: &Moment<'_>, tags: &[Vec<u8>]) -> Result<(), SignError> {
        let tag = tags.first().map(Vec::as_slice).unwrap_or_default();
        let (hex, base64) = (encoded(Encoding::Hex, tag), encoded(Encoding::Base64, tag));
        let (at_ms, at) = (moment.at_ms, moment.at_ms.div_euclid(1000));
        match self.row.scheme.as_str() {
            "adyen" => put_in_items(draft, tags),
            "contentful" => draft.set_named("x-contentful-signature", &hex),
            "convoy" => self.put_convoy(draft, at, tag),
            "dropbox-sign" => put_in_form_json(draft, &hex),
            "exact-online" => draft.set_json("HashCode", Value::from(hex.to_ascii_uppercase())),
            "generic-hmac" => {
                let name = self.settings.required("header")?;
                let name = name.parse().map_err(|_| SetupError::bad("header", "a header's name"))?;
                draft.set_header(&name, &encoded(self.encoding(), tag))
            }
            "hook0" => draft.set_named("x-hook0-signature", &format!("t={at},v0={hex}")),
            "http-signature-draft" => draft.set_named(
                "signature",
                &format!(
                    r#"keyId="hmac-key",algorithm="hmac-sha256",signature="{base64}",headers="date digest""#
                ),
            ),
            "hygraph" => draft.set_named("gcms-signature", &format!("sign={base64}, env=master, t={at_ms}")),
            "mercadopago" => draft.set_named("x-signature", &format!("ts={at_ms},v1={hex}")),
            "nowpayments" => draft.set_named("x-nowpayments-sig", &hex),
            "plivo-v3" => draft.set_named("x-plivo-signature-v3", &base64),
            "solidgate" => draft.set_named("signature", &encoded(Encoding::Base64, hex.as_bytes())),
            "twilio" => draft.set_named("x-twilio-signature", &base64),
            _ => Err(SetupError::Table.into()),
        }
    }

    fn put_convoy(&self, draft: &mut Draft, at: i64, tag: &[u8]) -> Result<(), SignError> {
        let text = encoded(self.encoding(), tag);
        let simple = match self.settings.text("mode") {
            Some(mode) => mode == "simple",
            None => self.settings.variant.as_deref() == Some("simple"),
        };
        let value = if simple { text } else { format!("t={at},v1={text}") };
        draft.set_named("x-convoy-signature", &value)
    }

    fn encoding(&self) -> Encoding {
        special::encoding_of(&self.settings).unwrap_or(Encoding::Hex)
    }
}

fn is_form(draft: &Draft) -> bool {
    let kind = draft.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    draft.body.is_empty() || kind.starts_with("application/x-www-form-urlencoded")
}

/// Adyen signs each item apart.
fn put_in_items(draft: &mut Draft, tags: &[Vec<u8>]) -> Result<(), SignError> {
    let json: Value = serde_json::from_slice(&draft.body).map_err(|_| SignError::Body("JSON".to_owned()))?;
    let count = json.get("notificationItems").and_then(Value::as_array).map_or(0, Vec::len);
    if count == 0 || count > ITEMS_COUNT_MAX {
        return Err(SignError::Body(format!("JSON with 1 to {ITEMS_COUNT_MAX} notificationItems")));
    }
    for (at, tag) in tags.iter().enumerate().take(count) {
        let path = format!("notificationItems.{at}.NotificationRequestItem.additionalData.hmacSignature");
        draft.set_json(&path, encoded(Encoding::Base64, tag).into())?;
    }
    Ok(())
}

/// Dropbox Sign's signature stands in a JSON text in a form.
fn put_in_form_json(draft: &mut Draft, hex: &str) -> Result<(), SignError> {
    let bad = || SignError::Body("a form with JSON in its field `json`".to_owned());
    let text = form::value(&draft.body, "json").ok_or_else(bad)?;
    let mut json: Value = serde_json::from_str(&text).map_err(|_| bad())?;
    let event = json.get_mut("event").and_then(Value::as_object_mut).ok_or_else(bad)?;
    event.insert("event_hash".to_owned(), hex.into());
    draft.set_form("json", &json.to_string())
}
