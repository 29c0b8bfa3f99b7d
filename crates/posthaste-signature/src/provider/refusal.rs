//! Why a request is not believed.

use super::receiver::SetupError;

/// The check that failed, and what was expected in form. It never holds a secret, nor the right signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A header, field or parameter that the scheme needs is not there, or empty.
    #[error("{0} is missing")]
    Missing(String),
    /// It is there, and does not look as it must.
    #[error("{what} is not {expected}")]
    Malformed {
        /// What.
        what: String,
        /// What it should look like.
        expected: String,
    },
    /// Checked, and wrong: another secret, or changed bytes.
    #[error("{0} does not match the request")]
    Mismatch(String),
    /// A token or a password that is not the configured one.
    #[error("{0} is not the configured one")]
    WrongToken(String),
    /// A handshake for a subscription that is not ours.
    #[error("{what} in this handshake is not ours")]
    NotOurs {
        /// What the provider sent back, or sent.
        what: String,
        /// The status that the provider takes for no.
        status: u16,
    },
    /// Rightly signed, and too long ago: a replay, or a slow clock.
    #[error("the request was signed {age_secs} s ago; at most {tolerance_secs} s are tolerated")]
    Expired {
        /// How long ago.
        age_secs: u64,
        /// How long would be tolerated.
        tolerance_secs: u64,
    },
    /// Rightly signed, by a clock too far ahead.
    #[error("the request was signed {ahead_secs} s in the future; at most {tolerance_secs} s are tolerated")]
    Future {
        /// How far ahead.
        ahead_secs: u64,
        /// How far would be tolerated.
        tolerance_secs: u64,
    },
    /// The signature names a way of signing that this provider does not use.
    #[error("the signature says it was made with {0}, which is not accepted here")]
    Algorithm(String),
    /// A claim, or a hash that the signature covers, is not about this request.
    #[error("the signed {0} is not that of this request")]
    Claim(String),
    /// The signature names a key that we do not have.
    #[error("the key {0} that signed is not among the known ones")]
    UnknownKey(String),
    /// The request wants us to trust a key from where the provider publishes none.
    #[error("{0} is not a place where this provider publishes its keys")]
    UntrustedKey(String),
    /// The key has to be fetched from here first; then verify again.
    #[error("the provider's key has to be fetched from {0} first")]
    KeyNeeded(String),
    /// The receiver lacks a secret or a setting, so nothing can be believed.
    #[error("this receiver cannot verify yet: {0}")]
    NotReady(SetupError),
    /// Nobody says how this provider signs.
    #[error("how this provider signs is not known, so nothing can be believed")]
    UnknownScheme,
}

impl Refusal {
    /// The HTTP status to refuse with.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotOurs { status, .. } => *status,
            // Ours to mend: the provider should try again.
            Self::KeyNeeded(_) | Self::NotReady(_) => 503,
            _ => 401,
        }
    }

    /// The key's id comes from the request and may be of any length; what we say about it is not.
    pub(crate) fn unknown_key(id: &str) -> Self {
        Self::UnknownKey(shortened(id))
    }

    /// Likewise an address.
    pub(crate) fn untrusted_key(url: &str) -> Self {
        Self::UntrustedKey(shortened(url))
    }

    /// Likewise a way of signing.
    pub(crate) fn algorithm(name: &str) -> Self {
        Self::Algorithm(shortened(name))
    }

    /// The value was there, and not in its form.
    pub(crate) fn malformed(what: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), expected: expected.into() }
    }
}

/// What a request says, as far as it is repeated to people.
pub(crate) fn shortened(text: &str) -> String {
    /// Letters of it.
    const LETTERS_MAX: usize = 200;
    text.chars().take(LETTERS_MAX).collect()
}
