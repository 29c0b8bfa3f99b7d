//! Headers on the wire of the tunnel: pairs in order, repeated ones kept, each byte of a value one code point.

use std::fmt;

use bytes::Bytes;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names and values in order. A value is bytes; on the wire it is the string of the code points 0 to 255 with the same
/// numbers (latin-1), so that what is ASCII can be read and what is not survives.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, Bytes)>);

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(name, value)| (name, text_of(value))))
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(String, String)>::deserialize(deserializer)?;
        let bytes = pairs.into_iter().map(|(name, text)| match bytes_of(&text) {
            Some(value) => Ok((name, value)),
            None => Err(D::Error::custom("a header's value holds a character beyond U+00FF")),
        });
        bytes.collect::<Result<_, _>>().map(Self)
    }
}

fn text_of(value: &[u8]) -> String {
    value.iter().map(|byte| char::from(*byte)).collect()
}

fn bytes_of(text: &str) -> Option<Bytes> {
    text.chars().map(|letter| u8::try_from(letter).ok()).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

/// Shows names: values may be credentials.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
