//! What is kept from one start to the next: the account with its key, and the certificate with its key. For the owner
//! of the process only, and each file replaced whole.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::pair::Pair;

const ACCOUNT: &str = "account.json";
const CERTIFICATE: &str = "certificate.pem";

/// Something that could not be kept, or was not fit to be read.
#[derive(Debug, thiserror::Error)]
#[error("{} {reason}", path.display())]
pub struct CacheError {
    path: PathBuf,
    reason: String,
}

/// A directory for one authority.
#[derive(Debug)]
pub(super) struct Cache(PathBuf);

impl Cache {
    /// Each authority has its own: what one issued in a trial must not be taken for what another does.
    pub(super) fn open(dir: &Path, directory_url: &str) -> Result<Self, CacheError> {
        let authority = directory_url.split("://").last().unwrap_or_default();
        let plain = |sign: char| if sign.is_ascii_alphanumeric() || sign == '.' { sign } else { '_' };
        // Never `.` or `..`, which would be somebody else's directory.
        let dir = dir.join(format!("from_{}", authority.chars().map(plain).collect::<String>()));
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        match made {
            Ok(()) => Ok(Self(dir)),
            Err(error) => Err(CacheError { path: dir, reason: format!("cannot be made: {error}") }),
        }
    }

    /// The account, as it was kept.
    pub(super) fn account(&self) -> Result<Option<Zeroizing<String>>, CacheError> {
        self.read(ACCOUNT)
    }

    pub(super) fn keep_account(&self, text: &str) -> Result<(), CacheError> {
        self.write(ACCOUNT, text)
    }

    pub(super) fn forget_account(&self) -> Result<(), CacheError> {
        let path = self.0.join(ACCOUNT);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(CacheError { path, reason: format!("cannot be removed: {error}") })
            }
            _ => Ok(()),
        }
    }

    /// The certificate, if one was kept that can be served.
    pub(super) fn certificate(&self) -> Result<Option<Pair>, CacheError> {
        let Some(text) = self.read(CERTIFICATE)? else { return Ok(None) };
        match Pair::parse(text.as_bytes(), text.as_bytes()) {
            Ok(pair) => Ok(Some(pair)),
            Err(error) => {
                tracing::warn!("{} {error}: another one is asked for", self.0.join(CERTIFICATE).display());
                Ok(None)
            }
        }
    }

    /// Chain and key in one file, so that they cannot part.
    pub(super) fn keep_certificate(&self, chain: &str, key: &str) -> Result<(), CacheError> {
        let both = Zeroizing::new(format!("{}\n{key}", chain.trim_end()));
        self.write(CERTIFICATE, &both)
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, CacheError> {
        let path = self.0.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CacheError { path, reason: format!("cannot be read: {error}") }),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), CacheError> {
        let path = self.0.join(name);
        let beside = self.0.join(format!("{name}.new"));
        let replace = || {
            // Left from a process that died here, perhaps with another mode.
            let _ = std::fs::remove_file(&beside);
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)
        };
        replace()
            .map_err(|error| CacheError { path: path.clone(), reason: format!("cannot be written: {error}") })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    const AUTHORITY: &str = "https://acme.example/directory";

    fn temporary(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("posthaste-acme-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn what_is_kept_is_for_its_owner_only_and_comes_back_from_the_same_authority_only() {
        let dir = temporary("kept");
        let key = KeyPair::generate().unwrap();
        let names = ["a.example".to_owned(), "b.example".to_owned()];
        let certificate = CertificateParams::new(names.to_vec()).unwrap().self_signed(&key).unwrap();
        let cache = Cache::open(&dir, AUTHORITY).unwrap();
        assert!(cache.certificate().unwrap().is_none() && cache.account().unwrap().is_none());
        cache.keep_account("{}").unwrap();
        let (chain, key) = (certificate.pem(), key.serialize_pem());
        for _ in 0..2 {
            cache.keep_certificate(&chain, &key).unwrap();
        }
        let kept = Cache::open(&dir, AUTHORITY).unwrap().certificate().unwrap().unwrap();
        assert!(kept.covers(&names) && !kept.covers(&names[..1]));
        assert!(!kept.covers(&[names.to_vec(), vec!["c.example".to_owned()]].concat()));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&cache.0), 0o700);
        assert_eq!((mode(&cache.0.join(CERTIFICATE)), mode(&cache.0.join(ACCOUNT))), (0o600, 0o600));
        let staging = Cache::open(&dir, "https://staging.example/directory").unwrap();
        assert!(staging.certificate().unwrap().is_none());
        cache.forget_account().unwrap();
        cache.forget_account().unwrap();
        assert!(cache.account().unwrap().is_none());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_certificate_that_was_damaged_is_none_and_a_directory_that_cannot_be_made_is_named() {
        let dir = temporary("damaged");
        let cache = Cache::open(&dir, AUTHORITY).unwrap();
        cache.keep_certificate("-----BEGIN CERTIFICATE-----", "").unwrap();
        assert!(cache.certificate().unwrap().is_none());
        let below_a_file = cache.0.join(CERTIFICATE);
        let error = Cache::open(&below_a_file, AUTHORITY).unwrap_err().to_string();
        assert!(error.contains("certificate.pem") && error.contains("cannot be made"), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
