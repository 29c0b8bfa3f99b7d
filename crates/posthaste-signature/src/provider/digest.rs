//! The hashes that providers use, alone and keyed.

use hmac::{Hmac, KeyInit};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "md5" => Self::Md5,
            "sha1" => Self::Sha1,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    /// How many bytes it gives.
    pub(crate) fn bytes_count(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The hash of the parts, as if they were one slice.
    pub(crate) fn digest(self, parts: &[impl AsRef<[u8]>]) -> Tag {
        fn run<D: sha2::Digest>(parts: &[impl AsRef<[u8]>]) -> Tag {
            let mut hash = D::new();
            for part in parts {
                hash.update(part);
            }
            Tag::of(&hash.finalize())
        }
        match self {
            Self::Md5 => run::<Md5>(parts),
            Self::Sha1 => run::<Sha1>(parts),
            Self::Sha256 => run::<Sha256>(parts),
            Self::Sha384 => run::<Sha384>(parts),
            Self::Sha512 => run::<Sha512>(parts),
        }
    }
}

/// What a hash gives; the longest has 64 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag {
    bytes: [u8; 64],
    len: usize,
}

impl Tag {
    fn of(bytes: &[u8]) -> Self {
        let mut tag = Self { bytes: [0; 64], len: bytes.len() };
        tag.bytes[..bytes.len()].copy_from_slice(bytes);
        tag
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// An HMAC key whose two key blocks are hashed once.
#[derive(Clone)]
pub(crate) enum MacKey {
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl MacKey {
    pub(crate) fn new(hash: Hash, key: &[u8]) -> Self {
        const ANY: &str = "HMAC takes a key of any length";
        match hash {
            Hash::Md5 => Self::Md5(Hmac::new_from_slice(key).expect(ANY)),
            Hash::Sha1 => Self::Sha1(Hmac::new_from_slice(key).expect(ANY)),
            Hash::Sha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY)),
            Hash::Sha384 => Self::Sha384(Hmac::new_from_slice(key).expect(ANY)),
            Hash::Sha512 => Self::Sha512(Hmac::new_from_slice(key).expect(ANY)),
        }
    }

    /// The tag of the parts, as if they were one slice.
    pub(crate) fn tag(&self, parts: &[impl AsRef<[u8]>]) -> Tag {
        fn run<M: hmac::Mac + Clone>(keyed: &M, parts: &[impl AsRef<[u8]>]) -> Tag {
            let mut mac = keyed.clone();
            for part in parts {
                mac.update(part.as_ref());
            }
            Tag::of(&mac.finalize().into_bytes())
        }
        match self {
            Self::Md5(keyed) => run(keyed, parts),
            Self::Sha1(keyed) => run(keyed, parts),
            Self::Sha256(keyed) => run(keyed, parts),
            Self::Sha384(keyed) => run(keyed, parts),
            Self::Sha512(keyed) => run(keyed, parts),
        }
    }
}

/// The HMAC of the parts, once.
pub(crate) fn hmac(hash: Hash, key: &[u8], parts: &[impl AsRef<[u8]>]) -> Tag {
    MacKey::new(hash, key).tag(parts)
}

/// Lower-case hex of the SHA-256.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    crate::encoding::to_hex(Hash::Sha256.digest(&[bytes]).as_bytes())
}
