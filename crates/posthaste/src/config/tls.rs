//! The settings of the listener's certificate: two files, or none.

use std::path::PathBuf;

use posthaste_tls::files::Files;

use super::{ConfigError, Raw};

/// Where the listener's certificate comes from.
#[derive(Debug, Clone)]
pub(crate) enum Tls {
    /// Two files, which somebody else renews.
    Files(Files),
}

pub(super) fn check(raw: &Raw) -> Result<Option<Tls>, ConfigError> {
    let path = |name| raw.filled(name).map(PathBuf::from);
    match (path("tls-certificate-file"), path("tls-key-file")) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(Tls::Files(Files { certificate, key }))),
        (Some(_), None) => Err(lonely("tls-certificate-file", "tls-key-file")),
        (None, Some(_)) => Err(lonely("tls-key-file", "tls-certificate-file")),
    }
}

fn lonely(set: &str, unset: &str) -> ConfigError {
    ConfigError::Together(format!("{set} is set and {unset} is not: set both for HTTPS, or none"))
}
