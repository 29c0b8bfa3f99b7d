//! svix-server's own tokens: JWTs with HS256 whose subject is an org. Nothing else of JWT is understood, on purpose.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use posthaste_core::id::OrgId;
use posthaste_core::time::Timestamp;
use serde::Deserialize;
use sha2::Sha256;

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: Option<i64>,
    nbf: Option<i64>,
}

/// The org that a token was made for, if the token is genuine and in force.
pub(super) fn verify(token: &str, secret: &str, now: Timestamp) -> Option<OrgId> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Header = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    if header.alg != "HS256" {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let claims: Claims = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let now = now.as_secs();
    let in_force = claims.exp.is_none_or(|exp| now < exp) && claims.nbf.is_none_or(|nbf| nbf <= now);
    in_force.then(|| OrgId::parse(&claims.sub))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORG: &str = "org_23rb8YdGqMT0qIzpgGwdXfHirMu";
    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn token(header: &str, claims: &str, secret: &str) -> String {
        let signed =
            format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn a_genuine_token_names_its_org_and_any_other_names_none() {
        let good = r#"{"alg":"HS256","typ":"JWT"}"#;
        let claims = |rest: &str| format!(r#"{{"sub":"{ORG}"{rest}}}"#);
        let verify = |header: &str, claims: &str, secret: &str| {
            verify(&token(header, claims, secret), "secret", NOW).map(|org| org.to_string())
        };
        assert_eq!(verify(good, &claims(""), "secret").as_deref(), Some(ORG));
        assert_eq!(verify(good, &claims(r#","exp":1700000001"#), "secret").as_deref(), Some(ORG));
        assert_eq!(verify(good, &claims(r#","exp":1700000000"#), "secret"), None, "expired");
        assert_eq!(verify(good, &claims(r#","nbf":1700000001"#), "secret"), None, "not yet");
        assert_eq!(verify(good, &claims(""), "another"), None, "another secret");
        assert_eq!(verify(r#"{"alg":"none"}"#, &claims(""), "secret"), None, "another algorithm");
        assert_eq!(verify(good, r#"{"sub":"user_1"}"#, "secret"), None, "no org");
    }
}
