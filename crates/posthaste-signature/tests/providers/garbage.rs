//! Requests and settings that make no sense: they are refused, and nothing else happens.

use http::{HeaderMap, HeaderValue};
use posthaste_signature::provider::{Keys, Receiver, Request, Settings};

use crate::vector;

/// A generator of numbers that is always the same (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below.max(1)).unwrap()).unwrap()
    }

    /// The bytes with a few of them changed, cut off, doubled or replaced by what parsers trip over.
    fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        const PIECES: [&[u8]; 16] = [
            b"",
            b"\"",
            b"{",
            b"[[[[",
            b"=",
            b",",
            b"%",
            b"\xff\xfe",
            b"..",
            b"null",
            b"99999999999999999999",
            b"9223372036854775807",
            b"-1",
            b"\xc3\xa9",
            b"--",
            b"\\u",
        ];
        let mut spoiled = bytes.to_vec();
        for _ in 0..=self.roll(3) {
            let at = self.roll(spoiled.len() + 1);
            let to = at + self.roll(spoiled.len() + 1 - at);
            let piece = PIECES[self.roll(PIECES.len())];
            match self.roll(3) {
                0 => spoiled.truncate(at),
                1 => drop(spoiled.splice(at..to.min(at + 4), piece.iter().copied())),
                _ => drop(spoiled.splice(at..at, piece.iter().copied())),
            }
        }
        spoiled
    }
}

#[test]
fn spoiled_requests_are_refused_and_explained_without_a_panic() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for vector in vector::all().iter().filter(|vector| vector.is_valid()) {
        let receiver = Receiver::unready(&vector.provider, vector.settings()).unwrap();
        let (headers, body) = (vector.header_map(str::to_owned), vector.body());
        for _ in 0..4 {
            let spoil_headers = dice.roll(2) == 0;
            let mut others = HeaderMap::new();
            for (name, value) in &headers {
                let spoiled =
                    if spoil_headers { dice.spoil(value.as_bytes()) } else { value.as_bytes().to_vec() };
                if let Ok(value) = HeaderValue::from_bytes(&spoiled) {
                    others.append(name, value);
                }
            }
            let body = if spoil_headers { body.clone() } else { dice.spoil(&body) };
            let url = String::from_utf8_lossy(&dice.spoil(vector.url.as_bytes())).into_owned();
            for method in ["POST", "GET", "OPTIONS", "HEAD", ""] {
                let request = Request { method, url: &url, headers: &others, body: &body };
                let (now, keys) = (vector.now_unix, Keys::default());
                let _ = receiver.handshake(&request, now, &keys);
                match receiver.verify(&request, now, &keys) {
                    Ok(verified) => {
                        let _ = receiver.event_type(&request, &verified);
                        let _ = receiver.delivery_id(&request, &verified);
                    }
                    Err(refusal) if method == "POST" => {
                        let _ = receiver.explain(&request, now, &keys, &refusal);
                    }
                    Err(_) => {}
                }
                let _ = receiver.delivered(&request);
            }
        }
    }
}

#[test]
fn spoiled_settings_build_no_receiver_or_one_that_refuses() {
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    for vector in vector::all().iter().filter(|vector| vector.is_delivery() && vector.is_valid()) {
        for _ in 0..3 {
            let mut settings: Settings = vector.settings();
            for secret in &mut settings.secrets {
                *secret = String::from_utf8_lossy(&dice.spoil(secret.as_bytes())).into_owned();
            }
            for value in settings.values.values_mut() {
                let text = dice.spoil(value.to_string().as_bytes());
                *value = serde_json::from_slice(&text)
                    .unwrap_or_else(|_| String::from_utf8_lossy(&text).into_owned().into());
            }
            if let Ok(receiver) = Receiver::new(&vector.provider, settings) {
                let _ = vector.verdict(&receiver, &vector.body());
            }
        }
    }
}

#[test]
fn a_secret_that_is_empty_is_none() {
    for provider in posthaste_signature::provider::all() {
        let settings = Settings { secrets: vec![String::new()], ..Settings::default() };
        let open = matches!(provider.scheme(), "none" | "unknown");
        // These take their keys from the provider, whatever the secret.
        let published = matches!(provider.slug.as_str(), "aws-sns" | "truelayer");
        let ready = Receiver::new(&provider.slug, settings);
        assert!(open || published || ready.is_err(), "{}", provider.slug);
    }
}
