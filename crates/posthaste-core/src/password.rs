//! Operators' passwords: Argon2id as <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
//! asks for it (19 MiB, two passes), kept as a PHC string that says how it was made.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use zeroize::Zeroizing;

use crate::dice::{Dice, roll};

/// Letters of a password, at least.
pub const PASSWORD_LETTERS_MIN: usize = 12;
/// And at most: a sentence, and no book to keep us busy with.
pub const PASSWORD_LETTERS_MAX: usize = 256;
/// Bytes of salt.
const SALT_BYTES: usize = 16;
/// What is looked at if there is no password, so that it takes as long: of random bytes that nobody kept.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGtub3dzIHRoaXM$Q2Vx8Y0mqDR1mWTbIBl4BqFZfF1kS8nD0Yc2iUeGvXo";

/// A password that may be kept.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Refuses what is too short or too long, with the rest of a sentence.
    pub fn new(text: String) -> Result<Self, &'static str> {
        let text = Zeroizing::new(text);
        match text.chars().count() {
            ..PASSWORD_LETTERS_MIN => Err("must have at least 12 letters: a few words are easy to remember"),
            PASSWORD_LETTERS_MIN..=PASSWORD_LETTERS_MAX => Ok(Self(text)),
            _ => Err("must have at most 256 letters"),
        }
    }

    /// What is kept of it. Takes some ten milliseconds, on purpose.
    pub fn hashed(&self, dice: &dyn Dice) -> Option<String> {
        let salt = roll::<SALT_BYTES>(dice);
        Argon2::default().hash_password_with_salt(self.0.as_bytes(), &salt).ok().map(|hash| hash.to_string())
    }
}

/// Whether somebody typed the password of which this is kept. `None`: there is none, and it takes as long to say so.
pub fn is_it(typed: &str, kept: Option<&str>) -> bool {
    if typed.chars().count() > PASSWORD_LETTERS_MAX {
        return false;
    }
    let Ok(hash) = PasswordHash::new(kept.unwrap_or(NOBODYS)) else { return false };
    Argon2::default().verify_password(typed.as_bytes(), &hash).is_ok() && kept.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::TestDice;

    fn password(text: &str) -> Result<Password, &'static str> {
        Password::new(text.to_owned())
    }

    #[test]
    fn what_is_kept_knows_its_password_and_no_other() {
        let dice = TestDice::seeded(1);
        let kept = password("correct horse battery").unwrap().hashed(&dice).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(is_it("correct horse battery", Some(&kept)));
        for wrong in ["", "correct horse batter", "Correct horse battery", "correct horse battery "] {
            assert!(!is_it(wrong, Some(&kept)), "{wrong}");
        }
        assert_ne!(password("correct horse battery").unwrap().hashed(&dice).unwrap(), kept, "another salt");
    }

    #[test]
    fn nobody_gets_in_without_a_password_or_by_one_that_cannot_be_read() {
        assert!(PasswordHash::new(NOBODYS).is_ok(), "it takes as long as a real one");
        for kept in [None, Some(""), Some("plain text"), Some("$argon2id$v=19$")] {
            assert!(!is_it("correct horse battery", kept) && !is_it("", kept), "{kept:?}");
        }
    }

    #[test]
    fn a_password_has_twelve_letters_at_least() {
        assert!(password("elf letters").is_err() && password("zwölf lettes").is_ok());
        assert!(password(&"x".repeat(257)).is_err() && password(&"x".repeat(256)).is_ok());
    }
}
