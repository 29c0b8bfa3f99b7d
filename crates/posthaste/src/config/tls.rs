//! The settings of the listener's certificate: two files, or an authority, or none.

use std::path::PathBuf;

use posthaste_tls::files::Files;

use super::{ConfigError, Raw, value};

/// Where the listener's certificate comes from.
#[derive(Debug, Clone)]
pub(crate) enum Tls {
    /// Two files, which somebody else renews.
    Files(Files),
    /// An authority that speaks ACME.
    Acme(Acme),
}

/// Which authority, and for what.
#[derive(Debug, Clone)]
pub(crate) struct Acme {
    pub(crate) domains: Vec<String>,
    pub(crate) contact: Option<String>,
    pub(crate) directory_url: String,
    pub(crate) cache_dir: PathBuf,
    pub(crate) root_file: Option<PathBuf>,
}

impl Tls {
    /// The names that the certificate is to be for, as far as we choose them.
    pub(crate) fn domains(&self) -> &[String] {
        match self {
            Self::Files(_) => &[],
            Self::Acme(acme) => &acme.domains,
        }
    }
}

pub(super) fn check(raw: &Raw) -> Result<Option<Tls>, ConfigError> {
    let path = |name| raw.filled(name).map(PathBuf::from);
    let files = match (path("tls-certificate-file"), path("tls-key-file")) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(Files { certificate, key }),
        (Some(_), None) => return Err(lonely("tls-certificate-file", "tls-key-file")),
        (None, Some(_)) => return Err(lonely("tls-key-file", "tls-certificate-file")),
    };
    let domains = raw.parse("acme-domains", value::domains)?;
    let accepted = raw.parse("acme-terms-accepted", value::boolean)?;
    let acme = Acme {
        domains,
        contact: raw.parse("acme-contact", value::contact)?,
        directory_url: raw.parse("acme-directory-url", value::https_url)?,
        cache_dir: path("acme-cache-dir")
            .unwrap_or_else(|| PathBuf::from(raw.get("data-dir").unwrap_or_default()).join("acme")),
        root_file: path("acme-root-file"),
    };
    match (files, acme.domains.is_empty()) {
        (files, true) => Ok(files.map(Tls::Files)),
        (Some(_), false) => Err(ConfigError::Together(
            "tls-certificate-file and acme-domains are both set: the certificate comes from one of them, unset the other"
                .to_owned(),
        )),
        (None, false) if !accepted => Err(ConfigError::Together(format!(
            "acme-domains is set and acme-terms-accepted is not true: read the terms of {} and set it to true if you agree",
            acme.directory_url
        ))),
        (None, false) => Ok(Some(Tls::Acme(acme))),
    }
}

fn lonely(set: &str, unset: &str) -> ConfigError {
    ConfigError::Together(format!("{set} is set and {unset} is not: set both for HTTPS, or none"))
}
