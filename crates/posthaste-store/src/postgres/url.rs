//! The database's URL. What libpq knows of certificates and the driver does not is taken out of it, or refused.

use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::open::unusable;
use super::pool::CONNECT_TIMEOUT;
use super::tls::Secure;
use crate::error::StoreError;

/// When a peer that says nothing counts as gone: a dead primary must be noticed before callers lose patience.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What libpq would do with a client's certificate.
const OF_CLIENT_CERTIFICATES: [&str; 4] = ["sslcert", "sslkey", "sslpassword", "sslcertmode"];
/// What else libpq knows about certificates.
const UNKNOWN: [&str; 5] =
    ["sslcrl", "sslcrldir", "sslsni", "ssl_min_protocol_version", "ssl_max_protocol_version"];

/// A URL's options on certificates, and the rest of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Split {
    rest: String,
    roots: Option<String>,
    verified: bool,
}

/// Reads the URL.
pub(super) fn read(url: &str) -> Result<(Config, Secure), StoreError> {
    let Split { rest, roots, verified } = split(url).map_err(unusable)?;
    let mut config: Config = rest.parse().map_err(unusable)?;
    if verified {
        config.ssl_mode(SslMode::Require);
    }
    // Several hosts are a primary and its standbys: the one that can be written to is ours.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config.tcp_user_timeout(SILENCE_MAX).keepalives_idle(SILENCE_MAX).keepalives_interval(SILENCE_MAX / 5);
    if config.get_application_name().is_none() {
        config.application_name("posthaste");
    }
    Ok((config, Secure::new(roots.as_deref()).map_err(unusable)?))
}

fn split(url: &str) -> Result<Split, String> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut kept, mut split) = (Vec::new(), Split::default());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            // Roots of the machine are what libpq means; ours are those that come with this program.
            ("sslrootcert", "system") => split.roots = None,
            ("sslrootcert", path) => split.roots = Some(decoded(path)?),
            ("sslmode", "verify-full" | "verify-ca") => split.verified = true,
            ("sslmode", "allow") => {
                return Err(
                    "sslmode=allow tries without TLS first: use disable, prefer, require or verify-full"
                        .to_owned(),
                );
            }
            (name, _) if OF_CLIENT_CERTIFICATES.contains(&name) => {
                return Err(format!(
                    "it has {name}, and certificates of clients are not supported: leave it out, and give a password"
                ));
            }
            (name, _) if UNKNOWN.contains(&name) => {
                return Err(format!("it has {name}, which is not supported: leave it out"));
            }
            _ => kept.push(pair),
        }
    }
    split.rest = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    Ok(split)
}

/// `%2F` as it is meant.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?')),
                _ => {
                    return Err(
                        "sslrootcert has a % that is followed by no two hexadecimal digits".to_owned()
                    );
                }
            },
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| "sslrootcert is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_certificates_is_taken_out_of_the_url() {
        let url =
            "postgres://u:p@h/d?sslmode=verify-full&connect_timeout=2&sslrootcert=%2Fetc%2Fa%20root.pem";
        let split = split(url).unwrap();
        assert_eq!(split.rest, "postgres://u:p@h/d?connect_timeout=2");
        assert_eq!(split.roots.as_deref(), Some("/etc/a root.pem"));
        assert!(split.verified);
        assert_eq!(super::split("postgres://h/d?sslrootcert=system").unwrap().roots, None);
    }

    #[test]
    fn what_is_not_supported_is_refused_in_one_sentence() {
        for (query, why) in [
            ("sslcert=/c.pem&sslkey=/k.pem", "it has sslcert, and certificates of clients are not supported"),
            ("sslkey=/k.pem", "it has sslkey, and certificates of clients are not supported"),
            ("sslmode=allow", "sslmode=allow tries without TLS first"),
            ("sslcrl=/crl.pem", "it has sslcrl, which is not supported"),
            ("sslrootcert=%2", "sslrootcert has a %"),
        ] {
            let refused = split(&format!("postgres://h/d?{query}")).unwrap_err();
            assert!(refused.starts_with(why), "{query}: {refused}");
        }
    }
}
