//! Settings: default < file < environment < flag, read once and checked once. The only reader of the environment.

mod raw;
#[cfg(test)]
mod spoiled;
mod tls;
mod value;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use posthaste_core::retry::RetrySchedule;
use posthaste_core::role::Roles;
use posthaste_core::source::IpNet;
use posthaste_core::target::Allow;
use posthaste_http::state::SignatureKind;
use zeroize::Zeroizing;

pub(crate) use raw::{Origin, Raw};
pub(crate) use tls::{Acme, Tls};
pub(crate) use value::duration;

use crate::cli::SettingArgs;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Every setting, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) database_url: Option<Zeroizing<String>>,
    pub(crate) database_listen_url: Option<Zeroizing<String>>,
    pub(crate) roles: Roles,
    pub(crate) retry_schedule: RetrySchedule,
    pub(crate) request_timeout: Duration,
    pub(crate) allow_targets: Vec<Allow>,
    pub(crate) https_only: bool,
    pub(crate) target_root_file: Option<PathBuf>,
    pub(crate) max_payload: usize,
    pub(crate) main_secret: Option<Zeroizing<String>>,
    pub(crate) jwt_secret: Option<Zeroizing<String>>,
    pub(crate) default_signature: SignatureKind,
    pub(crate) retention: Duration,
    pub(crate) public_url: Option<String>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may show the customer portal in a frame.
    pub(crate) portal_frame_origins: Vec<String>,
    pub(crate) token_rate: Option<NonZeroU32>,
    pub(crate) leave_notice: Duration,
    pub(crate) tls: Option<Tls>,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    /// All of them as text, without secrets, each with where it came from.
    pub(crate) configured: Vec<[String; 3]>,
}

/// A setting that cannot be used: exit code 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Its value makes no sense.
    #[error("{name} (from {origin}) is \"{value}\": {reason}")]
    Bad { name: &'static str, origin: Origin, value: String, reason: String },
    /// The same, of a secret, which is not repeated.
    #[error("{name} (from {origin}): {reason}")]
    BadSecret { name: &'static str, origin: Origin, reason: String },
    /// The file, or a secret's file, cannot be used.
    #[error("{path}: {reason}")]
    File { path: String, reason: String },
    /// Each makes sense, and together they do not.
    #[error("{0}")]
    Together(String),
    /// Something that is not built yet.
    #[error("{0}")]
    NotSupported(String),
    /// The machine does not let us: a port that is taken, a directory that is not writable.
    #[error("{0}")]
    Machine(String),
}

/// Refuses what leads to no PostgreSQL.
fn check_scheme(name: &str, url: &str, or_else: &str) -> Result<(), ConfigError> {
    let scheme = url.split(':').next().unwrap_or_default();
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err(ConfigError::NotSupported(format!(
            "{name} names a {scheme} database: use postgres://, or leave it unset {or_else}"
        )));
    }
    Ok(())
}

/// A database is shared by nodes, and so is the secret that it is sealed with: none of them may make one up.
fn check_database(url: &str, has_main_secret: bool) -> Result<(), ConfigError> {
    check_scheme("POSTHASTE_DATABASE_URL", url, "for the embedded store")?;
    if !has_main_secret {
        return Err(ConfigError::Together(
            "POSTHASTE_DATABASE_URL needs POSTHASTE_MAIN_SECRET, the same on every node: make one with `openssl rand -hex 32`"
                .to_owned(),
        ));
    }
    Ok(())
}

/// What one node leaves undone, another must do.
fn check_roles(roles: Roles, shares_its_store: bool) -> Result<(), ConfigError> {
    if shares_its_store || !roles.are_some() {
        return Ok(());
    }
    Err(ConfigError::Together(format!(
        "POSTHASTE_ROLE is \"{roles}\" and needs --database-url: the embedded store has one process, which must do \
         everything ({})",
        Roles::ALL
    )))
}

fn check_listen_url(url: &str, has_database: bool) -> Result<(), ConfigError> {
    check_scheme("POSTHASTE_DATABASE_LISTEN_URL", url, "if no pooler is in between")?;
    if !has_database {
        return Err(ConfigError::Together(
            "POSTHASTE_DATABASE_LISTEN_URL needs POSTHASTE_DATABASE_URL: an embedded store has no other nodes"
                .to_owned(),
        ));
    }
    Ok(())
}

/// 2 for what whoever started us can mend, 1 for the rest.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    use posthaste_store::StoreError;
    use posthaste_store::transfer::ImportError;
    let import_says = error.chain().find_map(|cause| cause.downcast_ref::<ImportError>());
    let store_says = match import_says {
        Some(ImportError::Store(error)) => Some(error),
        _ => error.chain().find_map(|cause| cause.downcast_ref::<StoreError>()),
    };
    let is_theirs = matches!(
        store_says,
        Some(
            StoreError::Newer { .. }
                | StoreError::InUse(_)
                | StoreError::HalfImported
                | StoreError::WrongMainSecret
                | StoreError::NotAStore(_)
        )
    );
    let is_refused = import_says.is_some_and(ImportError::is_refusal);
    if is_theirs || is_refused || error.downcast_ref::<ConfigError>().is_some() { 2 } else { 1 }
}

impl Settings {
    /// What the listener speaks.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// How customers reach us, without a slash at the end.
    pub(crate) fn url_at(&self, address: SocketAddr) -> String {
        let known = self.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        known.unwrap_or_else(|| self.guessed_url(address))
    }

    /// If nobody says: the authority looks for us at port 443 of the certificate's names.
    fn guessed_url(&self, address: SocketAddr) -> String {
        // Listening everywhere is no address to go to: whoever starts us can go to this machine.
        let address = match address {
            everywhere if everywhere.ip().is_unspecified() => {
                SocketAddr::from(([127, 0, 0, 1], address.port()))
            }
            address => address,
        };
        match self.domains() {
            [domain, ..] => format!("https://{domain}"),
            [] => format!("{}://{address}", self.scheme()),
        }
    }

    /// Refuses a command that knows the embedded store only, where there is another.
    pub(crate) fn must_be_embedded(&self, command: &str, instead: &str) -> Result<(), ConfigError> {
        match self.database_url {
            None => Ok(()),
            Some(_) => Err(ConfigError::NotSupported(format!(
                "{command} is for the embedded store, and POSTHASTE_DATABASE_URL names a database: {instead}"
            ))),
        }
    }

    /// The names that our certificate is asked for.
    pub(crate) fn domains(&self) -> &[String] {
        self.tls.as_ref().map(Tls::domains).unwrap_or_default()
    }

    /// Reads and checks all settings.
    pub(crate) fn load(args: &SettingArgs) -> Result<(Self, Raw), ConfigError> {
        let raw = Raw::load(args)?;
        Ok((Self::check(&raw)?, raw))
    }

    fn check(raw: &Raw) -> Result<Self, ConfigError> {
        let database_url = raw.secret("database-url")?;
        let main_secret = raw.secret("main-secret")?;
        if let Some(url) = &database_url {
            check_database(url, main_secret.is_some())?;
        }
        let database_listen_url = raw.secret("database-listen-url")?;
        if let Some(url) = &database_listen_url {
            check_listen_url(url, database_url.is_some())?;
        }
        let roles = raw.parse("role", Roles::parse)?;
        check_roles(roles, database_url.is_some())?;
        Ok(Self {
            database_url,
            database_listen_url,
            roles,
            listen: raw.parse("listen", value::address)?,
            data_dir: PathBuf::from(raw.get("data-dir").unwrap_or_default()),
            retry_schedule: raw.parse("retry-schedule", value::schedule)?,
            request_timeout: raw.parse("request-timeout", value::timeout)?,
            allow_targets: raw.parse("allow-targets", value::allow_list)?,
            https_only: raw.parse("https-only", value::boolean)?,
            target_root_file: raw.filled("target-root-file").map(PathBuf::from),
            max_payload: raw.parse("max-payload", value::size)?,
            main_secret,
            jwt_secret: raw.secret("jwt-secret")?,
            default_signature: raw.parse("default-signature", value::signature)?,
            retention: raw.parse("retention", duration)?,
            public_url: raw.get("public-url").map(str::to_owned),
            trusted_proxies: raw.parse("trusted-proxies", value::networks)?,
            portal_frame_origins: raw.parse("portal-frame-origins", value::origins)?,
            token_rate: raw.parse("token-rate", value::rate)?,
            leave_notice: raw.parse("leave-notice", value::notice)?,
            tls: tls::check(raw)?,
            configured: raw.rows(),
            log: raw.get("log").unwrap_or_default().to_owned(),
            log_format: raw.parse("log-format", value::log_format)?,
        })
    }
}
