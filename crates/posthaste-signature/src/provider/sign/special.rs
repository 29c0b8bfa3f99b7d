//! Schemes that are like no other.

use serde_json::json;
use sha3::{Digest as _, Keccak256};

use super::jwt::unsigned;
use super::templated::mac;
use super::written::{encoded, time_text};
use super::{Draft, Moment, SignError, Signer};
use crate::encoding::{to_base64url, to_hex};
use crate::provider::checks::public_key::Algorithm;
use crate::provider::digest::Hash;
use crate::provider::form;
use crate::provider::receiver::SetupError;
use crate::provider::row::{Encoding, SecretForm};
use crate::provider::special;

const ES512: Algorithm = Algorithm::Ecdsa { hash: Hash::Sha512, der: false };
/// One of the addresses at which TrueLayer's tokens say that its keys are published.
const TRUELAYER_KEYS: &str = "https://webhooks.truelayer-sandbox.com/.well-known/jwks";

impl Signer {
    pub(super) fn sign_by_name(&self, draft: &mut Draft, moment: &Moment<'_>) -> Result<(), SignError> {
        match self.row.scheme.as_str() {
            "box" => self.sign_box(draft, moment),
            "sumsub" => {
                let tag = mac(Hash::Sha256, self.secret()?.as_bytes(), &draft.body);
                draft.set_named("x-payload-digest-alg", "HMAC_SHA256_HEX")?;
                draft.set_named("x-payload-digest", &to_hex(&tag))
            }
            "keccak256" => {
                let secret = self.secret()?;
                let hash = Keccak256::new().chain_update(&draft.body).chain_update(secret).finalize();
                draft.set_named("x-signature", &format!("0x{}", to_hex(&hash)))
            }
            "wechat-sorted-sha1" => self.sign_wechat(draft, moment),
            "braintree" => self.sign_braintree(draft),
            "alipay" => self.sign_form(draft, special::FormOf::Alipay),
            "paddle-classic" => self.sign_form(draft, special::FormOf::Paddle),
            "ebay" => {
                let how = Algorithm::Ecdsa { hash: Hash::Sha1, der: true };
                let tag = encoded(Encoding::Base64, &self.private_tag(how, &draft.body)?);
                let json = json!({ "alg": "ecdsa", "kid": "test-key", "signature": tag, "digest": "SHA1" });
                draft.set_named("x-ebay-signature", &encoded(Encoding::Base64, json.to_string().as_bytes()))
            }
            "neon" => {
                let at = moment.at_ms.to_string();
                draft.set_named("x-neon-timestamp", &at)?;
                let payload = format!("{at}.{}", to_base64url(&draft.body));
                let token = self.detached("EdDSA", json!({}), Algorithm::Ed25519, payload.as_bytes())?;
                draft.set_named("x-neon-signature", &token)
            }
            "detached-jws-jwks" => {
                let body = draft.body.clone();
                let token = self.detached("RS512", json!({}), Algorithm::RsaPkcs1(Hash::Sha512), &body)?;
                draft.set_named("fireblocks-webhook-signature", &token)
            }
            "truelayer-tl-signature-v2" => self.sign_truelayer(draft),
            _ => Err(SignError::Unsignable(format!(
                "only {} can sign this: its key is in a certificate that leads to a public authority",
                self.provider.name
            ))),
        }
    }

    fn secret(&self) -> Result<&str, SignError> {
        let first = self.settings.secrets.first().filter(|secret| !secret.is_empty());
        Ok(first.ok_or(SetupError::NoSecret)?)
    }

    /// A token without its payload, `header..signature`.
    fn detached(
        &self,
        named: &str,
        more: serde_json::Value,
        algorithm: Algorithm,
        payload: &[u8],
    ) -> Result<String, SignError> {
        let mut header = json!({ "alg": named, "kid": "test-key" });
        if let (Some(header), serde_json::Value::Object(more)) = (header.as_object_mut(), more) {
            header.extend(more);
        }
        let signed = unsigned(&header, payload);
        let tag = self.private_tag(algorithm, signed.as_bytes())?;
        let head = signed.split('.').next().unwrap_or_default();
        Ok(format!("{head}..{}", to_base64url(&tag)))
    }

    fn sign_truelayer(&self, draft: &mut Draft) -> Result<(), SignError> {
        let payload = special::truelayer_payload(&draft.request())?;
        let more = json!({ "tl_version": "2", "tl_headers": "", "jku": TRUELAYER_KEYS });
        let token = self.detached("ES512", more, ES512, &payload)?;
        draft.set_named("tl-signature", &token)
    }

    fn sign_box(&self, draft: &mut Draft, moment: &Moment<'_>) -> Result<(), SignError> {
        let at = time_text("rfc3339", moment.at_ms);
        draft.set_named("box-delivery-timestamp", &at)?;
        draft.set_named("box-signature-version", "1")?;
        draft.set_named("box-signature-algorithm", "HmacSHA256")?;
        Self::default_header(draft, "box-delivery-id", moment.id)?;
        let content = [&draft.body, at.as_bytes()].concat();
        let named = ["primary_key", "secondary_key"].map(|name| self.settings.text(name));
        let given = [0, 1].map(|at| self.settings.secrets.get(at).cloned());
        let keys = if named.iter().all(Option::is_none) { given } else { named };
        if keys.iter().all(Option::is_none) {
            return Err(SetupError::NoSecret.into());
        }
        for (name, key) in ["box-signature-primary", "box-signature-secondary"].into_iter().zip(keys) {
            if let Some(key) = key {
                let tag = mac(Hash::Sha256, key.as_bytes(), &content);
                draft.set_named(name, &encoded(Encoding::Base64, &tag))?;
            }
        }
        Ok(())
    }

    fn sign_wechat(&self, draft: &mut Draft, moment: &Moment<'_>) -> Result<(), SignError> {
        let at = time_text("s", moment.at_ms);
        let mut texts = [self.secret()?, &at, moment.id];
        texts.sort_unstable();
        let hash = Hash::Sha1.digest(&texts);
        draft.set_query("timestamp", &at);
        draft.set_query("nonce", moment.id);
        draft.set_query("signature", &to_hex(hash.as_bytes()));
        Ok(())
    }

    fn sign_braintree(&self, draft: &mut Draft) -> Result<(), SignError> {
        let public_key = self.settings.required("public_key")?;
        let keys = self.settings.keys(SecretForm::Sha1)?;
        let key = keys.first().ok_or(SetupError::NoSecret)?;
        let payload = form::value(&draft.body, "bt_payload");
        let payload =
            payload.ok_or_else(|| SignError::Body("a form with the field bt_payload".to_owned()))?;
        let tag = mac(Hash::Sha1, key, payload.as_bytes());
        draft.set_form("bt_signature", &format!("{public_key}|{}", to_hex(&tag)))
    }

    /// An RSA signature over the form's own fields, in one of them.
    fn sign_form(&self, draft: &mut Draft, whose: special::FormOf) -> Result<(), SignError> {
        let (content, hash, name) = special::form_content(whose, &draft.body)?;
        let tag = self.private_tag(Algorithm::RsaPkcs1(hash), &content)?;
        draft.set_form(name, &encoded(Encoding::Base64, &tag))
    }
}
