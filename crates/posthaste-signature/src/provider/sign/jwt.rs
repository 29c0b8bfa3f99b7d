//! Tokens: the request, or a header of it, is a JWT.

use serde_json::{Map, Value};

use super::key::Needed;
use super::templated::mac;
use super::{Draft, Moment, SignError, Signer};
use crate::encoding::to_base64url;
use crate::provider::checks::public_key::Algorithm;
use crate::provider::digest::Hash;
use crate::provider::place::Place;
use crate::provider::receiver::SetupError;
use crate::provider::row::{SchemeRow, SecretForm};
use crate::provider::template::Template;

/// For how long a token counts.
const LIFE_SECS: i64 = 300;

/// The private key of a row whose tokens are signed with one.
pub(super) fn needed(row: &SchemeRow) -> Option<Needed> {
    if !matches!(row.secret, SecretForm::Jwks | SecretForm::Pem) {
        return None;
    }
    match row.algorithms.first()?.as_str() {
        "RS256" => Some(Needed::Rsa),
        "ES256" => Some(Needed::P256),
        "EdDSA" => Some(Needed::Ed25519),
        _ => None,
    }
}

/// `header.payload`.
pub(super) fn unsigned(header: &Value, payload: &[u8]) -> String {
    format!("{}.{}", to_base64url(header.to_string().as_bytes()), to_base64url(payload))
}

impl Signer {
    pub(super) fn sign_jwt(&self, draft: &mut Draft, moment: &Moment<'_>) -> Result<(), SignError> {
        let signature = self.row.signature.as_ref().ok_or(SetupError::Table)?;
        let place = Place::parse(&signature.place).ok_or(SetupError::Table)?;
        let mut claims = match place {
            Place::Body => serde_json::from_slice::<Map<String, Value>>(&draft.body)
                .map_err(|_| SignError::Body("a JSON object, which becomes the token's claims".to_owned()))?,
            _ => Map::new(),
        };
        for (name, template) in &self.row.claims {
            if name == "payload_hash" && draft.body.is_empty() {
                continue;
            }
            let text = Template::parse(template, &self.settings)?.text(&draft.request())?;
            let value = if text == "true" { Value::Bool(true) } else { Value::from(text) };
            claims.insert(name.clone(), value);
        }
        if let Some(issuer) = self.settings.text("issuer") {
            claims.insert("iss".to_owned(), issuer.into());
        }
        let at = moment.at_ms.div_euclid(1000);
        claims.insert("iat".to_owned(), at.into());
        claims.insert("exp".to_owned(), (at + LIFE_SECS).into());
        claims.entry("jti".to_owned()).or_insert_with(|| moment.id.into());
        let token = self.token(&Value::Object(claims))?;
        draft.write(&place, &format!("{}{token}", signature.prefix))
    }

    fn token(&self, claims: &Value) -> Result<String, SignError> {
        let key = needed(self.row);
        let named = match key {
            Some(_) => self.row.algorithms.first().map_or("RS256", String::as_str),
            None => "HS256",
        };
        let header = match key {
            Some(_) => serde_json::json!({ "alg": named, "typ": "JWT", "kid": "test-key" }),
            None => serde_json::json!({ "alg": named, "typ": "JWT" }),
        };
        let signed = unsigned(&header, claims.to_string().as_bytes());
        let tag = match key.and(Algorithm::of_jose(named)) {
            Some(algorithm) => self.private_tag(algorithm, signed.as_bytes())?,
            None => {
                let keys = self.settings.keys(SecretForm::Utf8)?;
                mac(Hash::Sha256, keys.first().ok_or(SetupError::NoSecret)?, signed.as_bytes())
            }
        };
        Ok(format!("{signed}.{}", to_base64url(&tag)))
    }
}
