//! An HMAC-SHA256 key with its two key blocks hashed once; knows bytes, not headers.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// A key that is ready to sign. The hashed state and the bytes are both wiped on drop.
pub(crate) struct HmacKey {
    bytes: Zeroizing<Vec<u8>>,
    /// The state after the key blocks. Cloning it for each message saves two of the SHA-256 blocks.
    keyed: Hmac<Sha256>,
}

impl HmacKey {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let keyed = Hmac::new_from_slice(bytes).expect("HMAC takes a key of any length");
        Self { bytes: Zeroizing::new(bytes.to_vec()), keyed }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The tag of the parts, as if they were one slice.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl ConstantTimeEq for HmacKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.bytes.as_slice().ct_eq(other.bytes.as_slice())
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(redacted)")
    }
}
