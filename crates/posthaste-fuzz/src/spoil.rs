//! Changes to known bytes: what parsers trip over, at random places.

/// A generator of numbers that is always the same (xorshift, Marsaglia 2003).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Starts from a seed, which is not zero.
    pub fn seeded(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `below`.
    pub fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let below = u64::try_from(below.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.0 % below).unwrap_or_default()
    }

    /// The bytes with some of them cut off, doubled, flipped or replaced.
    pub fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut spoiled = bytes.to_vec();
        for _ in 0..=self.roll(4) {
            let at = self.roll(spoiled.len() + 1);
            let to = (at + self.roll(16)).min(spoiled.len());
            let piece = PIECES[self.roll(PIECES.len())];
            match self.roll(6) {
                0 => spoiled.truncate(at),
                1 => drop(spoiled.splice(at..to, piece.iter().copied())),
                2 => drop(spoiled.splice(at..at, piece.iter().copied())),
                3 => {
                    let copied = spoiled[at..to].to_vec();
                    drop(spoiled.splice(at..at, copied.repeat(1 + self.roll(3))));
                }
                4 => drop(spoiled.drain(at..to)),
                _ => {
                    let bit = 1 << self.roll(8);
                    spoiled.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
                }
            }
        }
        spoiled
    }
}

const PIECES: &[&[u8]] = &[
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"{",
    b"}",
    b"[[[[",
    b"]",
    b"=",
    b",",
    b":",
    b";",
    b"%",
    b"%00",
    b"%ff",
    b"\xff\xfe",
    b"..",
    b"-",
    b"_",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"0",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"9223372036854775807",
    b"18446744073709551616",
    b"\xc3\xa9",
    b"\xf0\x9f\x92\xa9",
    b"\\u0000",
    b"\\ud800",
    b"--",
    b"*/",
    b"?",
    b"#",
    b"@",
    b"[::1]",
    b"127.0.0.1",
    b"0x7f000001",
    b"v1,",
    b"sha256=",
    b"whsec_",
    b"whsk_",
    b"==",
];
