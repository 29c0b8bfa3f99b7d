//! Signatures whose key comes in a certificate, or by an id that the provider resolves.

use std::fmt::Write as _;

use serde_json::Value;

use super::statement::header;
use crate::encoding::from_base64;
use crate::provider::Request;
use crate::provider::checks::public_key::Algorithm;
use crate::provider::checks::{Check, Jws, Published};
use crate::provider::digest::Hash;
use crate::provider::json::Path;
use crate::provider::keys::{Keys, https_host_and_path};
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::Refusal;
use crate::provider::row::SchemeRow;
use crate::provider::x509::{self, is_in_force, is_trusted};

/// Certificates that were configured stand for fetching them.
fn configured(settings: &Settings) -> Option<Keys> {
    let certs = settings.values.get("certs")?.as_object()?;
    let mut keys = Keys::default();
    for (url, pem) in certs {
        keys.insert(url, pem.as_str().unwrap_or_default());
    }
    Some(keys)
}

/// What stands at `url`: configured, or fetched.
fn at<'k>(own: Option<&'k Keys>, fetched: &'k Keys, url: &str) -> Result<&'k str, Refusal> {
    match own {
        Some(own) => own.get(url).map_err(|_| Refusal::untrusted_key(url)),
        None => fetched.get(url),
    }
}

/// Amazon SNS (<https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>).
struct SnsCheck {
    certs: Option<Keys>,
    /// Those that are believed; none: all are, and anybody can have a topic.
    topics: Vec<String>,
}

pub(super) fn sns_check(settings: &Settings) -> Box<dyn Check> {
    Box::new(SnsCheck { certs: configured(settings), topics: sns_topics(settings) })
}

/// The topics that are configured, or were learned when the first one was subscribed.
pub(in crate::provider) fn sns_topics(settings: &Settings) -> Vec<String> {
    settings.text("topic_arn").map_or_else(|| settings.secrets.clone(), |topic| vec![topic])
}

/// `https://sns.<region>.amazonaws.com[.cn]/….pem` and nothing else.
fn is_sns_certificate(url: &str) -> bool {
    let Some((host, path)) = https_host_and_path(url) else { return false };
    is_sns_host(host) && path.strip_suffix(".pem").is_some() && !path.contains(['?', '#'])
}

/// Amazon's own hosts of SNS, by region.
pub(in crate::provider) fn is_sns_host(host: &str) -> bool {
    let bare = host.strip_suffix(".cn").unwrap_or(host);
    let region = bare.strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com"));
    region.is_some_and(|region| {
        !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

impl Check for SnsCheck {
    fn check(&self, request: &Request<'_>, now: i64, keys: &Keys) -> Result<Verified, Refusal> {
        let place = "Signature in the JSON body";
        let text = |name: &str| Path::parse(name).text(request.body).map(std::borrow::Cow::into_owned);
        let member =
            |name: &str| text(name).ok_or_else(|| Refusal::Missing(format!("{name} in the JSON body")));
        let signature = member("Signature")?;
        let signature = from_base64(&signature).ok_or_else(|| Refusal::malformed(place, "base64"))?;
        let hash = match member("SignatureVersion")?.as_str() {
            "1" => Hash::Sha1,
            "2" => Hash::Sha256,
            other => return Err(Refusal::algorithm(&format!("SignatureVersion {other}"))),
        };
        let url = member("SigningCertURL")?;
        if !is_sns_certificate(&url) {
            return Err(Refusal::untrusted_key(&url));
        }
        if !self.topics.is_empty() && !self.topics.contains(&member("TopicArn")?) {
            return Err(Refusal::WrongToken("TopicArn in the JSON body".to_owned()));
        }
        let names: &[&str] = match member("Type")?.as_str() {
            "Notification" => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
            _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
        };
        let mut content = String::new();
        for name in names {
            if let Some(value) = text(name) {
                let _ = write!(content, "{name}\n{value}\n");
            }
        }
        let pem = at(self.certs.as_ref(), keys, &url)?;
        let (_, der) =
            x509::pem_blocks(pem).into_iter().next().ok_or_else(|| Refusal::untrusted_key(&url))?;
        let key = x509::public_key_of(&der).filter(|_| is_in_force(&der, now));
        let key = key.ok_or_else(|| Refusal::untrusted_key(&url))?;
        if key.verifies(Algorithm::RsaPkcs1(hash), content.as_bytes(), &signature) {
            Ok(Verified::default())
        } else {
            Err(Refusal::Mismatch(place.to_owned()))
        }
    }
}

/// Whose hosts publish certificates, and whose certificates sign.
const PAYPAL: &str = "paypal.com";

/// PayPal (<https://developer.paypal.com/api/rest/webhooks/rest/>).
struct PaypalCheck {
    certs: Option<Keys>,
    root: Option<String>,
    webhook_id: String,
}

pub(super) fn paypal_check(settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let webhook_id = settings.text("webhook_id").or_else(|| settings.secrets.first().cloned());
    let webhook_id = webhook_id.filter(|id| !id.is_empty());
    let webhook_id =
        webhook_id.ok_or_else(|| SetupError::bad("webhook_id", "set: the id that PayPal shows"))?;
    Ok(Box::new(PaypalCheck { certs: configured(settings), root: settings.text("trusted_ca"), webhook_id }))
}

impl Check for PaypalCheck {
    fn check(&self, request: &Request<'_>, now: i64, keys: &Keys) -> Result<Verified, Refusal> {
        let place = "the header paypal-transmission-sig";
        let signature = header(request, "paypal-transmission-sig")?;
        let signature = from_base64(signature).ok_or_else(|| Refusal::malformed(place, "base64"))?;
        let algorithm = header(request, "paypal-auth-algo")?;
        if algorithm != "SHA256withRSA" {
            return Err(Refusal::algorithm(algorithm));
        }
        let (id, time) =
            (header(request, "paypal-transmission-id")?, header(request, "paypal-transmission-time")?);
        let url = header(request, "paypal-cert-url")?;
        let untrusted = || Refusal::untrusted_key(url);
        let (host, _) = https_host_and_path(url).ok_or_else(untrusted)?;
        if !host.strip_suffix(PAYPAL).is_some_and(|rest| rest.ends_with('.')) {
            return Err(untrusted());
        }
        let chain: Vec<Vec<u8>> =
            x509::pem_blocks(at(self.certs.as_ref(), keys, url)?).into_iter().map(|(_, der)| der).collect();
        let key = chain.first().and_then(|leaf| x509::public_key_of(leaf)).ok_or_else(untrusted)?;
        // Anybody gets a certificate under a public root: it must be one for PayPal.
        if !is_trusted(&chain, self.root.as_deref(), now) || !x509::is_under(&chain[0], PAYPAL) {
            return Err(untrusted());
        }
        let content = format!("{id}|{time}|{}|{}", self.webhook_id, crc32(request.body));
        if key.verifies(Algorithm::RsaPkcs1(Hash::Sha256), content.as_bytes(), &signature) {
            Ok(Verified::default())
        } else {
            Err(Refusal::Mismatch(place.to_owned()))
        }
    }
}

/// CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    /// What each byte does to the rest.
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
                bit += 1;
            }
            table[byte as usize] = crc;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)])
}

/// Apple's App Store: a token that brings its own certificate chain, up to Apple's root.
struct AppleCheck {
    root: Option<String>,
    checks_oids: bool,
}

pub(super) fn apple_check(settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let root = settings.text("trusted_root").or_else(|| settings.secrets.first().cloned());
    let root = root.filter(|root| !x509::pem_blocks(root).is_empty());
    let root = root.ok_or_else(|| SetupError::bad("trusted_root", "set: Apple Root CA - G3 as PEM"))?;
    Ok(Box::new(AppleCheck {
        root: Some(root),
        checks_oids: settings.flag("check_apple_oids").unwrap_or(true),
    }))
}

impl Check for AppleCheck {
    fn check(&self, request: &Request<'_>, now: i64, _: &Keys) -> Result<Verified, Refusal> {
        let place = "signedPayload in the JSON body";
        let token = Path::parse("signedPayload").text(request.body);
        let token = token.ok_or_else(|| Refusal::Missing(place.to_owned()))?;
        let jws = Jws::parse(&token).ok_or_else(|| Refusal::malformed(place, "a token"))?;
        let accepted = ["ES256".to_owned()];
        let algorithm = jws.algorithm(&accepted)?;
        let listed =
            jws.header_value().get("x5c").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let chain: Option<Vec<Vec<u8>>> =
            listed.iter().map(|item| Some(from_base64(item.as_str()?)?.to_vec())).collect();
        let chain = chain.filter(|chain| (2..=5).contains(&chain.len()));
        let chain = chain.ok_or_else(|| Refusal::malformed(place, "a token with its certificates in x5c"))?;
        let untrusted = || Refusal::UntrustedKey("the chain in x5c".to_owned());
        if !is_trusted(&chain, self.root.as_deref(), now) {
            return Err(untrusted());
        }
        let marked = x509::has_extension(&chain[0], "1.2.840.113635.100.6.11.1")
            && x509::has_extension(&chain[1], "1.2.840.113635.100.6.2.1");
        if self.checks_oids && !marked {
            return Err(untrusted());
        }
        let key = x509::public_key_of(&chain[0]).ok_or_else(untrusted)?;
        if !jws.verifies(algorithm, &key, jws.signed.as_bytes()) {
            return Err(Refusal::Mismatch(place.to_owned()));
        }
        Ok(Verified { claims: Some(jws.payload().to_vec()), ..Verified::default() })
    }
}

/// eBay: the header is JSON in base64, with the id of a key that eBay's API resolves.
struct EbayCheck(Published);

pub(super) fn ebay_check(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    Published::new(row, settings).map(|keys| Box::new(EbayCheck(keys)) as Box<dyn Check>)
}

impl Check for EbayCheck {
    fn check(&self, request: &Request<'_>, _: i64, keys: &Keys) -> Result<Verified, Refusal> {
        let place = "the header x-ebay-signature";
        let text = header(request, "x-ebay-signature")?;
        let malformed = || Refusal::malformed(place, "base64 of JSON with kid, signature, alg and digest");
        let json = from_base64(text).ok_or_else(malformed)?;
        let json: Value = serde_json::from_slice(&json).map_err(|_| malformed())?;
        let member = |name: &str| json.get(name).and_then(Value::as_str);
        let (kid, signature) =
            (member("kid").ok_or_else(malformed)?, member("signature").ok_or_else(malformed)?);
        let signature = from_base64(signature).ok_or_else(malformed)?;
        for (name, wanted) in [("alg", "ecdsa"), ("digest", "SHA1")] {
            let found = member(name).unwrap_or(wanted);
            if !found.eq_ignore_ascii_case(wanted) {
                return Err(Refusal::algorithm(found));
            }
        }
        let how = Algorithm::Ecdsa { hash: Hash::Sha1, der: true };
        let found =
            self.0.of(Some(kid), keys)?.iter().position(|key| key.verifies(how, request.body, &signature));
        found.map(Verified::by).ok_or_else(|| Refusal::Mismatch(place.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_has_its_check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn only_amazons_own_hosts_hold_certificates_of_sns() {
        assert!(is_sns_certificate("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem"));
        assert!(is_sns_certificate("https://sns.cn-north-1.amazonaws.com.cn/a.pem"));
        for url in [
            "http://sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com.evil.example/a.pem",
            "https://sns.evil.example/a.pem",
            "https://x@sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com:444/a.pem",
            "https://sns.a.b.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com/a.txt",
        ] {
            assert!(!is_sns_certificate(url), "{url}");
        }
    }
}
