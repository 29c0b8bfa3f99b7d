//! Origins at rest: encoded, then sealed, because some providers send their secret in a header.
//!
//! Encoded as a version and then method, query, the path if the version has one, and names and values in turn, each behind
//! its length: values come back byte for byte, whatever they hold.

use posthaste_core::dice::Dice;
use posthaste_core::origin::Origin;
use zeroize::Zeroizing;

use crate::seal::{SealError, Vault};

/// The first byte of what is sealed, if it has no path: as it was before there were any.
const PATHLESS: u8 = 1;
/// The same if it has one.
const WITH_PATH: u8 = 2;

/// An origin as it is kept in the row that `row` names.
pub(crate) fn seal(
    vault: &Vault,
    dice: &dyn Dice,
    row: &[u8],
    origin: &Origin,
) -> Result<Vec<u8>, SealError> {
    vault.seal(&encode(origin), row, dice)
}

/// Opens what was sealed for the same row.
pub(crate) fn open(vault: &Vault, row: &[u8], sealed: &[u8]) -> Result<Origin, SealError> {
    decode(&vault.open(sealed, row)?).ok_or(SealError)
}

fn encode(origin: &Origin) -> Zeroizing<Vec<u8>> {
    // Room for all of it: a vector that grows leaves copies behind.
    let room = 1 + origin.weight() + 4 * (3 + 2 * origin.headers.len());
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    bytes.push(if origin.path.is_empty() { PATHLESS } else { WITH_PATH });
    let mut put = |part: &[u8]| {
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    put(origin.method.as_bytes());
    put(origin.query.as_bytes());
    if !origin.path.is_empty() {
        put(origin.path.as_bytes());
    }
    for (name, value) in &origin.headers {
        put(name.as_bytes());
        put(value);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Origin> {
    let (version, mut rest) = bytes.split_first()?;
    if ![PATHLESS, WITH_PATH].contains(version) {
        return None;
    }
    let mut take = || {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (part, behind) = behind.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        rest = behind;
        Some(part.to_vec())
    };
    let method = String::from_utf8(take()?).ok()?;
    let query = String::from_utf8(take()?).ok()?;
    let path = if *version == WITH_PATH { String::from_utf8(take()?).ok()? } else { String::new() };
    let mut headers = Vec::new();
    while let Some(name) = take() {
        headers.push((String::from_utf8(name).ok()?, take()?));
    }
    rest.is_empty().then_some(Origin { method, path, query, headers })
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_core::dice::TestDice;

    fn origin() -> Origin {
        let headers = [("X-Twice", &b"1"[..]), ("X-Empty", b""), ("X-Twice", b"\xFF\x00\n: ")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_vec())).into();
        Origin { method: "PUT".to_owned(), path: "/a%2Fb".to_owned(), query: "a=b&c=%20".to_owned(), headers }
    }

    #[test]
    fn an_origin_comes_back_byte_for_byte() {
        let pathless = Origin { path: String::new(), ..origin() };
        assert_eq!(encode(&pathless)[0], PATHLESS, "older binaries read it");
        for origin in [origin(), pathless, Origin::default()] {
            assert_eq!(decode(&encode(&origin)), Some(origin));
        }
    }

    #[test]
    fn a_damaged_origin_is_not_read() {
        let whole = encode(&origin());
        for end in [0, 1, 3, 10, whole.len() - 1] {
            assert_eq!(decode(&whole[..end]), None, "its first {end} bytes");
        }
        assert_eq!(decode(&[&whole[..], b"x"].concat()), None);
        assert_eq!(decode(&[&[WITH_PATH + 1], &whole[1..]].concat()), None);
        assert_eq!(decode(b"\x01\xFF\xFF\xFF\xFFx"), None);
    }

    #[test]
    fn a_sealed_origin_opens_for_its_row_only_and_shows_nothing() {
        let vault = Vault::new("main");
        let sealed = seal(&vault, &TestDice::seeded(1), b"msg_1", &origin()).unwrap();
        assert!(!sealed.windows(3).any(|window| window == b"PUT"));
        assert_eq!(open(&vault, b"msg_1", &sealed), Ok(origin()));
        assert_eq!(open(&vault, b"msg_2", &sealed), Err(SealError));
    }
}
