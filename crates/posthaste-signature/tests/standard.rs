//! What Standard Webhooks signing promises, one sentence a test.
#![expect(clippy::unwrap_used, reason = "a secret that does not read is a failed test")]

use std::time::Duration;

use posthaste_signature::standard::{SIGNATURES_COUNT_MAX, Signed, TOLERANCE, Verifier, VerifyError, verify};
use posthaste_signature::{Secret, SecretError, sign_all};

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const NOW: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
/// From the tests of every official Svix library.
const SVIX_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SVIX_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
/// From the tests of svix-server's worker.
const SVIX_PRIVATE_KEY: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const SVIX_ED25519_SIGNATURE: &str =
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

fn hmac(n: u8) -> Secret {
    Secret::hmac(&[n; 32]).unwrap()
}

fn both() -> [Secret; 2] {
    [hmac(1), Secret::ed25519([2; 32])]
}

/// Verifies `signature` on the one message, at the time that it says.
fn check(signature: &str, keys: &[&Secret]) -> Result<(), VerifyError> {
    check_at("1614265330", signature, keys, Some(TOLERANCE))
}

fn check_at(
    timestamp: &str,
    signature: &str,
    keys: &[&Secret],
    tolerance: Option<Duration>,
) -> Result<(), VerifyError> {
    let keys: Vec<Verifier> = keys.iter().map(|&secret| Verifier::from(secret)).collect();
    verify(&Signed { id: ID, timestamp, signature }, BODY, &keys, NOW, tolerance)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

#[test]
fn a_signature_is_the_one_the_official_libraries_make() {
    assert_eq!(Secret::parse(SVIX_SECRET).unwrap().sign(ID, NOW, BODY), SVIX_SIGNATURE);
}

#[test]
fn an_ed25519_signature_is_the_one_svix_makes() {
    let secret = Secret::parse(SVIX_PRIVATE_KEY).unwrap();
    assert_eq!(secret.sign(ID, NOW, BODY), SVIX_ED25519_SIGNATURE);
    assert_eq!(secret.expose(), SVIX_PRIVATE_KEY);
    assert_eq!(secret.shared(), "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=");
}

#[test]
fn what_a_secret_signs_its_shared_half_verifies() {
    for secret in both() {
        let signature = secret.sign(ID, NOW, BODY);
        let key = Verifier::parse(&secret.shared()).unwrap();
        let headers = Signed { id: ID, timestamp: "1614265330", signature: &signature };
        assert_eq!(verify(&headers, BODY, &[key], NOW, Some(TOLERANCE)), Ok(()));
    }
}

#[test]
fn an_exposed_secret_reads_back_as_itself() {
    for secret in both() {
        assert_eq!(Secret::parse(&secret.expose()), Ok(secret));
    }
}

#[test]
fn a_private_key_is_read_as_a_seed_and_as_seed_with_public_key() {
    let seed = Secret::parse(&format!("whsk_{}", base64(&[2; 32]))).unwrap();
    assert_eq!(seed, Secret::ed25519([2; 32]));
    assert_eq!(seed.expose().len(), "whsk_".len() + 88);
}

#[test]
fn a_secret_is_read_with_and_without_its_prefix() {
    assert_eq!(Secret::parse(SVIX_SECRET), Secret::parse(&SVIX_SECRET["whsec_".len()..]));
}

#[test]
fn secrets_are_equal_only_when_scheme_and_key_are() {
    assert_eq!(hmac(1), hmac(1));
    assert_ne!(hmac(1), hmac(2));
    assert_ne!(hmac(2), Secret::ed25519([2; 32]));
}

#[test]
fn a_secret_cannot_be_printed() {
    for secret in both() {
        let key = Verifier::from(&secret);
        for printed in [format!("{secret:?} {secret:#?}"), format!("{key:?}")] {
            let exposed = secret.expose();
            assert!(!printed.contains(&exposed), "{printed}");
            assert!(!printed.contains(&exposed[exposed.len() - 20..]) || printed.contains("whpk_"));
        }
    }
    assert_eq!(format!("{:?}", hmac(1)), "Secret(whsec_redacted)");
    assert_eq!(format!("{:?}", Verifier::from(&hmac(1))), "Verifier(whsec_redacted)");
}

#[test]
fn an_hmac_secret_has_24_to_75_bytes() {
    assert_eq!(Secret::hmac(&[0; 23]), Err(SecretError::HmacLength { bytes_count: 23 }));
    assert!(Secret::hmac(&[0; 24]).is_ok());
    assert!(Secret::hmac(&[0; 75]).is_ok());
    assert_eq!(Secret::hmac(&[0; 76]), Err(SecretError::HmacLength { bytes_count: 76 }));
    assert_eq!(Secret::parse("whsec_"), Err(SecretError::HmacLength { bytes_count: 0 }));
}

#[test]
fn a_key_that_is_not_strict_base64_is_refused() {
    let bare = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    // No padding, too much padding, the URL alphabet, white space, and unused bits that are not zero.
    for tail in ["AA", "AA===", "A-_=", "AAA= ", "\nAAAA", "AB=="] {
        for prefix in ["", "whsec_", "whsk_"] {
            let text = format!("{prefix}{bare}{tail}");
            assert_eq!(Secret::parse(&text), Err(SecretError::NotBase64), "{text:?}");
        }
        let text = format!("whpk_{bare}{tail}");
        assert_eq!(Verifier::parse(&text).unwrap_err(), SecretError::NotBase64, "{text:?}");
    }
}

#[test]
fn a_private_key_of_another_length_or_with_a_foreign_half_is_refused() {
    let private = |bytes: &[u8]| Secret::parse(&format!("whsk_{}", base64(bytes)));
    assert_eq!(private(&[2; 33]), Err(SecretError::PrivateKeyLength { bytes_count: 33 }));
    assert_eq!(private(&[2; 64]), Err(SecretError::PrivateKeyHalves));
}

#[test]
fn a_public_key_that_anyone_can_sign_for_is_refused() {
    let public = |bytes: &[u8]| Verifier::parse(&format!("whpk_{}", base64(bytes))).unwrap_err();
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(public(&identity), SecretError::PublicKeyInvalid);
    assert_eq!(public(&[0; 32]), SecretError::PublicKeyInvalid);
    assert_eq!(public(&[1; 31]), SecretError::PublicKeyInvalid);
}

#[test]
fn each_half_of_a_key_pair_is_refused_in_the_place_of_the_other() {
    let secret = Secret::ed25519([2; 32]);
    assert_eq!(Secret::parse(&secret.shared()), Err(SecretError::PublicKeyCannotSign));
    assert_eq!(Verifier::parse(&secret.expose()).unwrap_err(), SecretError::PrivateKeyCannotVerify);
}

#[test]
fn a_receiver_may_hold_a_short_secret_but_not_an_empty_one() {
    assert!(Verifier::parse("whsec_YWJj").is_ok());
    assert_eq!(Verifier::parse("whsec_").unwrap_err(), SecretError::Empty);
    assert_eq!(Verifier::hmac(b"").unwrap_err(), SecretError::Empty);
}

#[test]
fn during_rotation_every_secret_signs_and_any_one_verifies() {
    let secrets = [hmac(1), hmac(2), Secret::ed25519([3; 32])];
    let header = sign_all(&secrets, ID, NOW, BODY);
    let apart: Vec<String> = secrets.iter().map(|secret| secret.sign(ID, NOW, BODY)).collect();
    assert_eq!(header, apart.join(" "));
    for secret in &secrets {
        assert_eq!(check(&header, &[secret]), Ok(()));
        assert_eq!(check(&header, &[&hmac(9), secret]), Ok(()));
    }
    assert_eq!(check(&header, &[&hmac(9)]), Err(VerifyError::Mismatch));
    assert_eq!(sign_all([], ID, NOW, BODY), "");
}

#[test]
fn a_change_to_any_signed_part_is_noticed() {
    for secret in both() {
        let keys = [Verifier::from(&secret)];
        let signature = secret.sign(ID, NOW, BODY);
        let good = Signed { id: ID, timestamp: "1614265330", signature: &signature };
        let verdict = |headers: Signed<'_>, body: &[u8]| verify(&headers, body, &keys, NOW, Some(TOLERANCE));
        assert_eq!(verdict(good, BODY), Ok(()));
        assert_eq!(verdict(good, b"{\"test\": 2432232314}\n"), Err(VerifyError::Mismatch));
        assert_eq!(verdict(Signed { id: "msg_other", ..good }, BODY), Err(VerifyError::Mismatch));
        assert_eq!(verdict(Signed { timestamp: "1614265331", ..good }, BODY), Err(VerifyError::Mismatch));
        assert_eq!(verdict(Signed { timestamp: "01614265330", ..good }, BODY), Err(VerifyError::Mismatch));
    }
}

#[test]
fn a_signature_with_other_unused_bits_is_not_the_signature() {
    let other = SVIX_SIGNATURE.replace("E=", "F=");
    let secret = Secret::parse(SVIX_SECRET).unwrap();
    assert_eq!(check(SVIX_SIGNATURE, &[&secret]), Ok(()));
    assert_eq!(check(&other, &[&secret]), Err(VerifyError::MalformedSignature));
}

#[test]
fn a_signature_of_one_version_is_no_signature_for_a_key_of_the_other() {
    let [hmac, ed25519] = both();
    assert_eq!(check(&hmac.sign(ID, NOW, BODY), &[&ed25519]), Err(VerifyError::NoSupportedSignature));
    assert_eq!(check(&ed25519.sign(ID, NOW, BODY), &[&hmac]), Err(VerifyError::NoSupportedSignature));
}

#[test]
fn the_age_is_judged_both_ways_and_to_the_second() {
    let secret = hmac(1);
    let at = |age: i64, tolerance| {
        let signature = secret.sign(ID, NOW - age, BODY);
        check_at(&(NOW - age).to_string(), &signature, &[&secret], tolerance)
    };
    assert_eq!(at(300, Some(TOLERANCE)), Ok(()));
    assert_eq!(at(301, Some(TOLERANCE)), Err(VerifyError::Expired { age_secs: 301 }));
    assert_eq!(at(-300, Some(TOLERANCE)), Ok(()));
    assert_eq!(at(-301, Some(TOLERANCE)), Err(VerifyError::Future { ahead_secs: 301 }));
    assert_eq!(at(NOW, None), Ok(()));
}

#[test]
fn a_timestamp_that_is_no_plain_number_of_seconds_is_refused_at_any_tolerance() {
    for timestamp in ["-1", "+1614265330", "1614265330.0", " 1614265330", "x", "9223372036854775808"] {
        for tolerance in [None, Some(TOLERANCE)] {
            let verdict = check_at(timestamp, SVIX_SIGNATURE, &[&hmac(1)], tolerance);
            assert_eq!(verdict, Err(VerifyError::MalformedTimestamp), "{timestamp:?}");
        }
    }
}

#[test]
fn a_header_with_too_many_signatures_is_refused_unread() {
    let secret = hmac(1);
    let good = secret.sign(ID, NOW, BODY);
    let full = format!("{}{good}", "v9,x ".repeat(SIGNATURES_COUNT_MAX - 1));
    assert_eq!(check(&full, &[&secret]), Ok(()));
    assert_eq!(check(&format!("{full} v9,x"), &[&secret]), Err(VerifyError::TooManySignatures));
}

#[test]
fn without_a_key_nothing_is_believed() {
    assert_eq!(check(SVIX_SIGNATURE, &[]), Err(VerifyError::NoKey));
}

#[test]
fn headers_are_found_under_one_naming_or_the_other_but_not_mixed() {
    let find = |names: &'static [&'static str]| {
        Signed::from_headers(move |name| names.contains(&name).then_some("1")).map(|signed| signed.id)
    };
    assert_eq!(find(&["webhook-id", "webhook-timestamp", "webhook-signature"]), Ok("1"));
    assert_eq!(find(&["svix-id", "svix-timestamp", "svix-signature"]), Ok("1"));
    assert_eq!(find(&["webhook-id", "svix-id", "svix-timestamp", "svix-signature"]), Ok("1"));
    assert_eq!(find(&["svix-id", "svix-timestamp", "webhook-signature"]), Err(VerifyError::MissingId));
    assert_eq!(find(&["svix-id", "svix-timestamp"]), Err(VerifyError::MissingSignature));
    assert_eq!(find(&["webhook-id", "webhook-signature"]), Err(VerifyError::MissingTimestamp));
    assert_eq!(find(&[]), Err(VerifyError::MissingId));
}
