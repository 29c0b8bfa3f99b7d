//! What a trial needs beside an event: an id of its own, and who would believe it.

use posthaste_core::dice::Dice;
use posthaste_signature::provider::Receiver;
use posthaste_signature::provider::sign::Signer;

/// Letters of a fresh id.
const ID_LETTERS_COUNT: usize = 27;

/// A fresh id of a message.
pub fn fresh_id(dice: &dyn Dice) -> String {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut bytes = [0; ID_LETTERS_COUNT];
    dice.fill(&mut bytes);
    let letters = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
    format!("msg_{}", letters.collect::<String>())
}

/// A receiver that believes what the signer signs.
pub fn receiver(signer: &Signer) -> Option<Receiver> {
    let mut settings = signer.settings().clone();
    if let Some(pem) = signer.public_pem() {
        settings.values.insert("public_key".to_owned(), pem.into());
    }
    Receiver::unready(&signer.provider().slug, settings).ok()
}
