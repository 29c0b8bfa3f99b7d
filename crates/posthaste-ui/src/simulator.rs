//! A provider's request, made up and signed as it would be, with a mistake in it if somebody wants to see one.

use posthaste_core::dice::Dice;
use posthaste_core::source::Source;
use posthaste_core::{bin, time::Timestamp};
use posthaste_events::{Event, fresh_id};
use posthaste_signature::provider::sign::{Draft, Moment, PrivateKey, Signer, needed_key, rehearse};
use posthaste_signature::provider::{Provider, Settings, find};
use serde_json::Value;

/// How old a request is whose age is the mistake.
const OLD_MS: i64 = 24 * 3_600 * 1_000;

/// What is wrong with the request, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    None,
    /// Signed with a secret that nobody has.
    BadSignature,
    /// Signed a day ago.
    OldTime,
    /// Not signed.
    Unsigned,
}

impl Mistake {
    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "signature" => Self::BadSignature,
            "time" => Self::OldTime,
            "unsigned" => Self::Unsigned,
            _ => Self::None,
        }
    }
}

/// What a source believes; nothing in particular if it is a bin, or takes what nobody signs.
pub(crate) fn verified_by(source: &Source) -> Option<&'static Provider> {
    let unsigned = [bin::PROVIDER, bin::SCHEME];
    if unsigned.contains(&source.provider.as_str()) { None } else { find(&source.provider) }
}

/// What is to be signed, and with what.
pub(crate) struct Asked<'a> {
    pub(crate) event: &'a Event,
    /// The fields of the body, as they were edited.
    pub(crate) body: Value,
    pub(crate) url: &'a str,
    /// With what the source verifies, or what was typed.
    pub(crate) settings: Settings,
    pub(crate) mistake: Mistake,
}

/// The request; or why it cannot be made, in a sentence.
pub(crate) fn made(asked: Asked<'_>, now: Timestamp, dice: &dyn Dice) -> Result<Draft, String> {
    let Asked { event, body, url, mut settings, mistake } = asked;
    let slug = event.provider.slug.as_str();
    let id = fresh_id(dice);
    let mut at_ms = now.as_micros().div_euclid(1_000);
    if mistake == Mistake::OldTime {
        at_ms -= OLD_MS;
    }
    let mut filled = event.fill(&id, at_ms, url, dice);
    filled.body = body;
    filled.write();
    let mut draft = filled.draft;
    if mistake == Mistake::Unsigned || !event.is_signed() {
        return Ok(draft);
    }
    if mistake == Mistake::BadSignature {
        settings.secrets.clear();
    }
    let failed = |error: &dyn std::fmt::Display| {
        format!("Nothing can be signed as {} does: {error}. Send it unsigned instead.", event.provider.name)
    };
    rehearse(slug, &mut settings, url).map_err(|error| failed(&error))?;
    let key = needed_key(slug, settings.variant.as_deref()).and_then(PrivateKey::for_tests);
    let signer = Signer::new(slug, settings, key).map_err(|error| failed(&error))?;
    signer.sign(&mut draft, &Moment { at_ms, id: &id }).map_err(|error| failed(&error))?;
    Ok(draft)
}

/// The body of an event to begin with, as people edit it.
pub(crate) fn body_of(event: &Event, url: &str, now: Timestamp, dice: &dyn Dice) -> String {
    event.fill(&fresh_id(dice), now.as_micros().div_euclid(1_000), url, dice).pretty()
}

/// The same on the command line.
pub(crate) fn as_command(event: &Event, target: &str, mistake: Mistake, is_verified: bool) -> String {
    let secret = match mistake {
        Mistake::Unsigned => " --unsigned",
        Mistake::BadSignature => " --secret wrong",
        _ if is_verified => " --secret \"$SECRET\"",
        _ => "",
    };
    format!("posthaste trigger {}.{} --source {target}{secret}", event.provider.slug, event.name)
}

#[cfg(test)]
mod tests {
    use posthaste_core::dice::TestDice;
    use posthaste_signature::provider::{Keys, Receiver};

    use super::*;

    const URL: &str = "https://hooks.example.com/in/x";

    fn verdict(slug: &str, mistake: Mistake) -> bool {
        let (dice, now) = (TestDice::seeded(1), Timestamp::from_secs(1_760_000_000));
        let event = posthaste_events::event(find(slug).unwrap(), None).unwrap();
        let settings = Settings { secrets: vec!["a secret of theirs".to_owned()], ..Settings::default() };
        let receiver = Receiver::new(slug, settings.clone()).unwrap();
        let body = serde_json::from_str(&body_of(&event, URL, now, &dice)).unwrap();
        let draft = made(Asked { event: &event, body, url: URL, settings, mistake }, now, &dice).unwrap();
        receiver.verify(&draft.request(), now.as_secs(), &Keys::default()).is_ok()
    }

    #[test]
    fn a_request_is_believed_unless_a_mistake_was_asked_for() {
        for slug in ["github", "stripe", "slack"] {
            assert!(verdict(slug, Mistake::None), "{slug}");
            assert!(!verdict(slug, Mistake::BadSignature), "{slug}");
            assert!(!verdict(slug, Mistake::Unsigned), "{slug}");
        }
        assert!(!verdict("stripe", Mistake::OldTime));
        assert!(verdict("github", Mistake::OldTime), "GitHub signs no time");
    }

    #[test]
    fn the_command_line_says_the_same() {
        let event = posthaste_events::event(find("github").unwrap(), Some("push")).unwrap();
        let line = |mistake, is_verified| as_command(&event, "gh", mistake, is_verified);
        assert_eq!(
            line(Mistake::None, true),
            "posthaste trigger github.push --source gh --secret \"$SECRET\""
        );
        assert_eq!(line(Mistake::None, false), "posthaste trigger github.push --source gh");
        assert_eq!(line(Mistake::Unsigned, true), "posthaste trigger github.push --source gh --unsigned");
    }
}
