//! Secrets at rest: XChaCha20-Poly1305, each bound to the row that it belongs to.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use posthaste_core::dice::{Dice, roll};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;

/// What was sealed cannot be opened: another key, another row, or damaged bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value cannot be opened")]
pub struct SealError;

/// Seals and opens with one key.
pub struct Vault(XChaCha20Poly1305);

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(redacted)")
    }
}

impl Vault {
    /// The vault of a main secret. The secret is random, so one hash makes its key.
    pub fn new(main_secret: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"posthaste at rest\0");
        hash.update(main_secret.as_bytes());
        let key = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
        Self(XChaCha20Poly1305::new((&*key).into()))
    }

    /// Seals `plain` for the row that `row` names.
    pub fn seal(&self, plain: &[u8], row: &[u8], dice: &dyn Dice) -> Result<Vec<u8>, SealError> {
        let nonce = roll::<NONCE_BYTES>(dice);
        let payload = Payload { msg: plain, aad: row };
        let sealed = self.0.encrypt((&nonce).into(), payload).map_err(|_| SealError)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what was sealed for the same row.
    pub fn open(&self, sealed: &[u8], row: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SealError)?;
        let payload = Payload { msg: sealed, aad: row };
        self.0.decrypt(nonce.into(), payload).map(Zeroizing::new).map_err(|_| SealError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_core::dice::TestDice;

    #[test]
    fn what_is_sealed_for_one_row_opens_for_that_row_and_key_only() {
        let vault = Vault::new("main secret");
        let sealed = vault.seal(b"whsec_x", b"ep_1", &TestDice::seeded(1)).unwrap();
        assert!(!sealed.windows(5).any(|w| w == b"whsec"));
        assert_eq!(vault.open(&sealed, b"ep_1").unwrap().as_slice(), b"whsec_x");
        assert!(vault.open(&sealed, b"ep_2").is_err());
        assert!(Vault::new("another").open(&sealed, b"ep_1").is_err());
        assert!(vault.open(b"short", b"ep_1").is_err());
    }
}
