//! Certificates in files: what is taken, what is refused and with which words, and what a change does.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up is a failed test")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use posthaste_core::time::{TestClock, Timestamp};
use posthaste_tls::files::{Files, Look, Watched};
use posthaste_tls::{Pair, PairError, Served};
use prometheus_client::registry::Registry;
use rcgen::{CertificateParams, KeyPair};

const DAY: i64 = 24 * 60 * 60;
const NO_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n";
const NO_KEY: &str = "-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----\n";
static DIRECTORIES: AtomicU32 = AtomicU32::new(0);

/// A certificate for `name` and its key, in PEM.
fn made(name: &str) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Two files in a directory of their own, and what is served from them.
struct World {
    dir: PathBuf,
    files: Files,
    registry: Registry,
    served: Arc<Served>,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl World {
    fn new() -> Self {
        let unique = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("posthaste-tls-{}-{unique}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let files = Files { certificate: dir.join("chain.pem"), key: dir.join("key.pem") };
        let mut registry = Registry::default();
        let served = Arc::new(Served::default());
        served.register(&mut registry);
        Self { dir, files, registry, served }
    }

    fn write(&self, certificate: &str, key: &str) {
        std::fs::write(&self.files.certificate, certificate).unwrap();
        std::fs::write(&self.files.key, key).unwrap();
    }

    fn open(&self) -> Result<Watched, String> {
        let clock = Arc::new(TestClock::at(Timestamp::from_secs(10_000 * DAY)));
        Watched::open(self.files.clone(), self.served.clone(), clock).map_err(|error| error.to_string())
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

#[test]
fn a_pair_says_which_names_it_is_for_and_when_it_ends() {
    let (certificate, key) = made("Hooks.example");
    let pair = Pair::parse(certificate.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(pair.names, ["hooks.example"]);
    assert_eq!(pair.validity.not_after, Timestamp::parse("2030-01-01T00:00:00Z").unwrap());
}

#[test]
fn a_key_of_another_certificate_is_no_pair() {
    let ((certificate, _), (_, key)) = (made("a.example"), made("b.example"));
    let refused = Pair::parse(certificate.as_bytes(), key.as_bytes()).unwrap_err();
    assert_eq!(refused, PairError::Mismatch);
}

#[test]
fn files_that_cannot_be_served_are_refused_with_what_is_wrong_and_where() {
    let world = World::new();
    let (certificate, key) = made("a.example");
    let (other, _) = made("b.example");
    let locked = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let huge = " ".repeat(2 << 20);
    let torn = &certificate[..certificate.len() / 2];
    for (name, certificate, key, file, reason) in [
        ("an empty chain", "", &*key, "chain.pem", "has no certificate in it: must be PEM"),
        ("the files in the wrong order", &key, &certificate, "chain.pem", "has no certificate in it"),
        ("a chain that breaks off", torn, &key, "chain.pem", "is not PEM"),
        ("no X.509", NO_CERTIFICATE, &key, "chain.pem", "(not X.509)"),
        ("a file that never ends", &huge, &key, "chain.pem", "is larger than 1048576 bytes"),
        ("an empty key", &certificate, "", "key.pem", "has no private key in it: must be PEM"),
        ("an encrypted key", &certificate, &locked, "key.pem", "has an encrypted key: decrypt it"),
        ("a key of no kind", &certificate, NO_KEY, "key.pem", "of a kind that TLS"),
        ("another's key", &other, &key, "chain.pem", "does not belong to the key"),
    ] {
        world.write(certificate, key);
        let error = world.open().err().unwrap();
        assert!(error.contains(file) && error.contains(reason), "{name}: {error}");
        assert!(!error.contains('\n'), "{name}: {error}");
    }
    std::fs::remove_file(&world.files.key).unwrap();
    assert!(world.open().err().unwrap().contains("key.pem cannot be read"));
}

#[test]
fn a_change_is_taken_once_it_stays_and_what_cannot_be_served_changes_nothing() {
    let world = World::new();
    let ((first, first_key), (second, second_key)) = (made("a.example"), made("b.example"));
    world.write(&first, &first_key);
    let mut watched = world.open().unwrap();
    assert!(world.metrics().contains("tls_certificate_expiry_seconds 1893456000"), "{}", world.metrics());
    assert_eq!(watched.look(), Look::Same);

    world.write(&second, &first_key);
    assert_eq!(watched.look(), Look::Changing, "half of a change");
    world.write(&second, &second_key);
    assert_eq!(watched.look(), Look::Changing);
    assert_eq!(watched.look(), Look::Taken);
    assert_eq!(watched.look(), Look::Same);

    world.write(&second, "nonsense");
    assert_eq!(watched.look(), Look::Changing);
    assert!(matches!(watched.look(), Look::Refused(error) if error.reason.contains("no private key")));
    assert_eq!(watched.look(), Look::StillRefused, "it is said once");
    std::fs::remove_file(&world.files.key).unwrap();
    assert_eq!(watched.look(), Look::Changing);
    assert!(matches!(watched.look(), Look::Refused(error) if error.reason.contains("cannot be read")));
    world.write(&second, &second_key);
    assert_eq!(watched.look(), Look::Same, "mended");
    world.write(&first, &first_key);
    assert_eq!((watched.look(), watched.look()), (Look::Changing, Look::Taken), "and back");
}
