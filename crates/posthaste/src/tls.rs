//! Where the listener's certificate comes from, and what keeps it fresh while we serve.

use std::path::Path;
use std::sync::Arc;

use posthaste_tls::acme::{Acme, AcmeSettings};
use posthaste_tls::files::{Files, Watched, read_roots};
use posthaste_tls::{Served, server_config};
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;

use crate::config::{self, ConfigError, Settings, Tls};
use crate::system::{SystemDice, SystemTimer};

/// What the listener shows, and what has to run beside it.
pub(crate) struct Secured {
    served: Arc<Served>,
    keeper: Keeper,
}

enum Keeper {
    Files(Watched),
    Acme(Acme),
}

/// What the settings ask for; or one sentence why it cannot be had.
pub(crate) fn prepare(settings: &Settings) -> Result<Option<Secured>, ConfigError> {
    let Some(tls) = &settings.tls else { return Ok(None) };
    let served = Arc::new(Served::default());
    let keeper = match tls {
        Tls::Files(files) => Keeper::Files(watched(files, &served)?),
        Tls::Acme(acme) => Keeper::Acme(kept(acme, &served)?),
    };
    Ok(Some(Secured { served, keeper }))
}

fn watched(files: &Files, served: &Arc<Served>) -> Result<Watched, ConfigError> {
    Watched::open(files.clone(), Arc::clone(served), Arc::new(SystemTimer)).map_err(|error| {
        let setting = if error.path == files.key { "tls-key-file" } else { "tls-certificate-file" };
        ConfigError::Machine(format!("{setting} {error}"))
    })
}

fn kept(acme: &config::Acme, served: &Arc<Served>) -> Result<Acme, ConfigError> {
    let settings = AcmeSettings {
        domains: acme.domains.clone(),
        contact: acme.contact.clone(),
        directory_url: acme.directory_url.clone(),
        cache_dir: acme.cache_dir.clone(),
        extra_roots: roots("acme-root-file", acme.root_file.as_deref())?,
    };
    Acme::open(settings, Arc::clone(served), Arc::new(SystemTimer), Arc::new(SystemDice))
        .map_err(|error| ConfigError::Machine(format!("acme-cache-dir {error}")))
}

/// The roots in a setting's file; none if it is not set.
pub(crate) fn roots(setting: &str, path: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let read = |path| read_roots(path).map_err(|error| ConfigError::Machine(format!("{setting} {error}")));
    Ok(path.map(read).transpose()?.unwrap_or_default())
}

impl Secured {
    /// The listener's side of it. From now on the certificate is kept fresh, for as long as the runtime lives.
    pub(crate) fn start(self, registry: &mut Registry) -> anyhow::Result<Arc<ServerConfig>> {
        self.served.register(registry);
        match self.keeper {
            Keeper::Files(watched) => drop(tokio::spawn(watched.watch())),
            Keeper::Acme(acme) => drop(tokio::spawn(acme.run())),
        }
        Ok(server_config(self.served)?)
    }
}
