//! API tokens: `phk_` and 32 random bytes. The store keeps a hash, never the token.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::dice::{Dice, roll};
use crate::id::TokenId;
use crate::tenant::Scope;
use crate::time::Timestamp;

const PREFIX: &str = "phk_";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A token in the clear: shown once, then only its hash is known.
pub struct Token(Zeroizing<String>);

impl Token {
    /// A fresh token.
    pub fn fresh(dice: &dyn Dice) -> Self {
        let bytes = Zeroizing::new(roll::<32>(dice));
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 64));
        text.push_str(PREFIX);
        for byte in bytes.iter() {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        Self(text)
    }

    /// The token itself: for the one who asked for it, nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The part that may be shown in lists, `phk_1a2b3c4d`.
    pub fn hint(&self) -> &str {
        &self.0[..PREFIX.len() + 8]
    }

    /// What the store keeps.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// SHA-256 of a token. The tokens are random, so a plain hash cannot be searched.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of what a caller presented.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// As stored.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(redacted)")
    }
}

/// What a list of tokens shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Names the token.
    pub id: TokenId,
    /// Its first letters.
    pub hint: String,
    /// The environment's name.
    pub environment: String,
    /// What it may touch.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// It was made by logging in with another one.
    pub is_session: bool,
}
