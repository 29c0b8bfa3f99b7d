//! Prefixed ids that sort by time: a KSUID of 20 bytes behind a prefix, `msg_2mXU5Q…` on the wire.
//!
//! Layout (as the `ksuid-ms` flavour has it): 4 bytes of seconds since 2014-05-13, 1 byte of 4 ms steps,
//! then 15 bytes of payload. Here the first two payload bytes carry the time within the step, so that ids
//! made one after the other sort in that order; the other 13 are random.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use crate::dice::{Dice, roll};
use crate::time::Timestamp;

/// Bytes in an id, prefix apart.
pub const ID_BYTES: usize = 20;
/// Letters in an id, prefix apart: 160 bits need 27 digits in base 62.
pub const ID_LETTERS: usize = 27;
const KSUID_EPOCH_SECS: i64 = 1_400_000_000;
const STEP_MICROS: i64 = 4_000;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What an id names; only its prefix differs.
pub trait Kind: Copy + Eq + Ord + Hash + Send + Sync + 'static {
    /// With its underscore, `msg_`.
    const PREFIX: &'static str;
}

/// An id of one kind of thing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id<K: Kind>([u8; ID_BYTES], PhantomData<K>);

impl<K: Kind> Id<K> {
    /// The smallest id: sorts before all others.
    pub const MIN: Self = Self([0; ID_BYTES], PhantomData);
    /// The largest id: sorts after all others.
    pub const MAX: Self = Self([0xFF; ID_BYTES], PhantomData);

    /// A fresh id for something that happens `now`.
    pub fn fresh(now: Timestamp, dice: &dyn Dice) -> Self {
        let mut id = Self::first_at(now);
        id.0[7..].copy_from_slice(&roll::<13>(dice));
        id
    }

    /// The smallest id that could have been made at `instant`: the edge of a time range.
    pub fn first_at(instant: Timestamp) -> Self {
        let micros = instant.as_micros().rem_euclid(1_000_000);
        let secs = u32::try_from(instant.as_secs() - KSUID_EPOCH_SECS);
        let secs = secs.unwrap_or(if instant.as_secs() < KSUID_EPOCH_SECS { 0 } else { u32::MAX });
        let step = u8::try_from(micros / STEP_MICROS).unwrap_or(u8::MAX);
        let within = u16::try_from((micros % STEP_MICROS) * 65_536 / STEP_MICROS).unwrap_or(u16::MAX);
        let mut bytes = [0; ID_BYTES];
        bytes[..4].copy_from_slice(&secs.to_be_bytes());
        bytes[4] = step;
        bytes[5..7].copy_from_slice(&within.to_be_bytes());
        Self(bytes, PhantomData)
    }

    /// When it was made, to about 61 ns.
    pub fn made_at(&self) -> Timestamp {
        let b = &self.0;
        let secs = i64::from(u32::from_be_bytes([b[0], b[1], b[2], b[3]])) + KSUID_EPOCH_SECS;
        let within = i64::from(u16::from_be_bytes([b[5], b[6]])) * STEP_MICROS / 65_536;
        Timestamp::from_micros(secs * 1_000_000 + i64::from(b[4]) * STEP_MICROS + within)
    }

    /// From stored bytes.
    pub const fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes, PhantomData)
    }

    /// As stored.
    pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
        &self.0
    }

    /// Reads `prefix` + 27 letters; anything else is `None`, and may be a uid.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: &[u8; ID_LETTERS] = text.strip_prefix(K::PREFIX)?.as_bytes().try_into().ok()?;
        decode(letters).map(|bytes| Self(bytes, PhantomData))
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(K::PREFIX)?;
        f.write_str(std::str::from_utf8(&encode(&self.0)).unwrap_or_default())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn encode(bytes: &[u8; ID_BYTES]) -> [u8; ID_LETTERS] {
    let mut limbs = [0_u32; 5];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(4)) {
        *limb = u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
    }
    let mut letters = [b'0'; ID_LETTERS];
    for letter in letters.iter_mut().rev() {
        let mut remainder = 0_u64;
        for limb in &mut limbs {
            let value = (remainder << 32) | u64::from(*limb);
            *limb = u32::try_from(value / 62).unwrap_or(u32::MAX);
            remainder = value % 62;
        }
        *letter = ALPHABET[usize::try_from(remainder).unwrap_or(0)];
    }
    letters
}

fn decode(letters: &[u8; ID_LETTERS]) -> Option<[u8; ID_BYTES]> {
    let mut limbs = [0_u32; 5];
    for letter in letters {
        let mut carry = u64::try_from(ALPHABET.iter().position(|a| a == letter)?).ok()?;
        for limb in limbs.iter_mut().rev() {
            let value = u64::from(*limb) * 62 + carry;
            *limb = u32::try_from(value & 0xFFFF_FFFF).ok()?;
            carry = value >> 32;
        }
        if carry != 0 {
            return None;
        }
    }
    let mut bytes = [0; ID_BYTES];
    for (chunk, limb) in bytes.chunks_exact_mut(4).zip(limbs) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    Some(bytes)
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $alias:ident, $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $kind;
        impl Kind for $kind { const PREFIX: &'static str = $prefix; }
        $(#[$doc])*
        pub type $alias = Id<$kind>;
    )*};
}

kinds! {
    /// Names an app.
    AppKind, AppId, "app_";
    /// Names an endpoint.
    EndpointKind, EndpointId, "ep_";
    /// Names a message.
    MessageKind, MessageId, "msg_";
    /// Names an attempt.
    AttemptKind, AttemptId, "atmpt_";
    /// Names a token, without being one.
    TokenKind, TokenId, "tok_";
    /// Names a job.
    JobKind, JobId, "qtask_";
    /// Names an environment to Svix's own tokens (`sub`).
    OrgKind, OrgId, "org_";
    /// Names a source.
    SourceKind, SourceId, "src_";
    /// Names a request that a source refused.
    RefusalKind, RefusalId, "log_";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::TestDice;

    #[test]
    fn an_id_is_its_prefix_and_27_letters_and_reads_back() {
        let id = MessageId::fresh(Timestamp::from_secs(1_700_000_000), &TestDice::seeded(1));
        let text = id.to_string();
        assert_eq!(text.len(), 4 + ID_LETTERS);
        assert_eq!(MessageId::parse(&text), Some(id));
        assert_eq!(AppId::parse(&text), None, "another kind's prefix is refused");
        assert_eq!(MessageId::parse("msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz"), None, "more than 160 bits");
        assert_eq!(MessageId::MAX.to_string(), "msg_aWgEPTl1tmebfsQzFP4bxwgy80V");
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let dice = TestDice::seeded(2);
        let mut ids = Vec::new();
        for micros in 0..5_000 {
            let instant = Timestamp::from_micros(1_700_000_000_000_000 + micros * 7);
            let id = MessageId::fresh(instant, &dice);
            assert!(id.made_at().as_micros().abs_diff(instant.as_micros()) <= 1);
            ids.push((id, id.to_string()));
        }
        assert!(ids.is_sorted(), "as bytes and as text");
    }
}
