//! Where the listener's certificate comes from, and what keeps it fresh while we serve.

use std::sync::Arc;

use posthaste_tls::files::Watched;
use posthaste_tls::{Served, server_config};
use prometheus_client::registry::Registry;
use rustls::ServerConfig;

use crate::config::{ConfigError, Settings, Tls};
use crate::system::SystemTimer;

/// What the listener shows, and what has to run beside it.
pub(crate) struct Secured {
    served: Arc<Served>,
    keeper: Keeper,
}

enum Keeper {
    Files(Watched),
}

/// What the settings ask for; or one sentence why it cannot be had.
pub(crate) fn prepare(settings: &Settings) -> Result<Option<Secured>, ConfigError> {
    let Some(tls) = &settings.tls else { return Ok(None) };
    let served = Arc::new(Served::default());
    let keeper = match tls {
        Tls::Files(files) => {
            let watched = Watched::open(files.clone(), Arc::clone(&served), Arc::new(SystemTimer));
            Keeper::Files(watched.map_err(|error| {
                let setting = if error.path == files.key { "tls-key-file" } else { "tls-certificate-file" };
                ConfigError::Machine(format!("{setting} {error}"))
            })?)
        }
    };
    Ok(Some(Secured { served, keeper }))
}

impl Secured {
    /// The listener's side of it. From now on the certificate is kept fresh, for as long as the runtime lives.
    pub(crate) fn start(self, registry: &mut Registry) -> anyhow::Result<Arc<ServerConfig>> {
        self.served.register(registry);
        match self.keeper {
            Keeper::Files(watched) => drop(tokio::spawn(watched.watch())),
        }
        Ok(server_config(self.served)?)
    }
}
