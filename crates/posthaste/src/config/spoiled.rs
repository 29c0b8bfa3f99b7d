//! Configuration files that were changed at random: each is read, or refused in one line that says where.

use posthaste_fuzz::spoil::Dice;

use super::{Raw, Settings};

const CHANGES: usize = 5_000;

const FILES: [&str; 4] = [
    r#"
listen = "0.0.0.0:8071"
data_dir = "/var/lib/posthaste"
retry-schedule = ["5s", "5m", "2h30m"]
request-timeout = "15s"
allow-targets = ["10.0.0.0/8", "hooks.internal"]
https_only = true
max-payload = "350KiB"
"#,
    r#"
main-secret = "a secret"
jwt-secret = "another"
default-signature = "ed25519"
retention = "90d"
public-url = "https://hooks.example.com"
trusted-proxies = "192.0.2.0/24,2001:db8::1"
portal-frame-origins = "https://app.example.com"
log = "info,posthaste=debug"
log-format = "json"
"#,
    r#"
acme-domains = ["hooks.example.com"]
acme-contact = "ops@example.com"
acme-terms-accepted = true
acme-directory-url = "https://127.0.0.1:14000/dir"
"#,
    "tls-certificate-file = '/nowhere/cert.pem'\ntls-key-file = '/nowhere/key.pem'\n",
];

#[test]
fn a_spoiled_file_is_read_or_refused_in_one_line() {
    let mut dice = Dice::seeded(0x2545_F491_4F6C_DD1D);
    let (mut read, mut refused) = (0, 0);
    for turn in 0..CHANGES {
        let spoiled = dice.spoil(FILES[turn % FILES.len()].as_bytes());
        let text = String::from_utf8_lossy(&spoiled);
        match Raw::of_text(&text).and_then(|raw| Settings::check(&raw)) {
            Ok(_) => read += 1,
            Err(error) => {
                let said = error.to_string();
                assert!(!said.trim().is_empty() && !said.contains('\n'), "{said:?} of {text}");
                refused += 1;
            }
        }
    }
    assert!(read > CHANGES / 50 && refused > CHANGES / 50, "{read} were read, {refused} refused");
}
