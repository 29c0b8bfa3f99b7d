//! Names that callers choose: letters, digits, `-`, `_` and `.`, with a length that each use sets.

use std::fmt;
use std::sync::Arc;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no letters.
    #[error("must not be empty")]
    Empty,
    /// It is longer than its use allows.
    #[error("must be at most {0} characters long")]
    TooLong(usize),
    /// It has a character outside `a-zA-Z0-9-_.`.
    #[error("may hold only letters, digits, '-', '_' and '.'")]
    BadCharacter,
}

fn check(text: &str, length_max: usize) -> Result<Arc<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > length_max {
        return Err(NameError::TooLong(length_max));
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(NameError::BadCharacter);
    }
    Ok(text.into())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $length_max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);
        impl $name {
            /// The most characters it may have.
            pub const LENGTH_MAX: usize = $length_max;
            /// Checks the characters and the length.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text, $length_max).map(Self)
            }
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )*};
}

names! {
    /// A caller's own id for an app, an endpoint or an event.
    Uid, 256;
    /// The name of an event type, `invoice.paid`.
    EventTypeName, 256;
    /// A channel: a second filter, beside the event type.
    Channel, 128;
    /// A tag: found again in lists, never filtered on delivery.
    Tag, 128;
    /// A feature flag, group or environment name.
    Label, 256;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_letters_digits_dash_underscore_and_dot() {
        assert!(Uid::parse("user-1_A.b").is_ok());
        assert_eq!(Uid::parse(""), Err(NameError::Empty));
        assert_eq!(Uid::parse("a b"), Err(NameError::BadCharacter));
        assert_eq!(Uid::parse("ü"), Err(NameError::BadCharacter));
        assert_eq!(Channel::parse(&"x".repeat(129)), Err(NameError::TooLong(128)));
    }
}
