//! How a connection stands, in words that are always true.

use std::fmt;
use std::time::Duration;

use crate::words;

/// Shortest time between two lines that say that a connection is still away.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How a connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It is opened for the first time.
    Connecting,
    /// Requests come. So many waited when it was opened.
    Ready { waiting: u32 },
    /// It broke, or could not be opened.
    Reconnecting { attempt: u32, offline: Duration, why: String },
    /// It is over, and stays so.
    Ended { why: String },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::Ready { waiting: 0 } => f.write_str("ready"),
            Self::Ready { waiting } => write!(f, "ready, {waiting} waiting"),
            Self::Reconnecting { attempt, offline, why } => {
                write!(f, "reconnecting (attempt {attempt}, offline {}): {why}", whole(*offline))
            }
            Self::Ended { why } => write!(f, "ended: {why}"),
        }
    }
}

/// `40 s`, `12 min`: nobody counts the tenths of a second in which nothing works.
fn whole(time: Duration) -> String {
    if time.as_secs() < 60 { format!("{} s", time.as_secs()) } else { words::span(time) }
}

/// Which of many tries to reconnect are worth a line: the first, and then ever fewer of them.
#[derive(Debug, Default)]
pub(crate) struct Said(Option<Duration>);

impl Said {
    /// Whether to say this one.
    pub(crate) fn is_news(&mut self, state: &State) -> bool {
        let State::Reconnecting { offline, .. } = state else {
            self.0 = None;
            return true;
        };
        let wait = |last: Duration| SAID_AGAIN_AFTER.max(last / 2);
        let news = self.0.is_none_or(|last| *offline >= last + wait(last));
        if news {
            self.0 = Some(*offline);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(attempt: u32, offline_secs: u64) -> State {
        let offline = Duration::from_secs(offline_secs);
        State::Reconnecting { attempt, offline, why: "it closed".to_owned() }
    }

    #[test]
    fn states_are_words() {
        assert_eq!(State::Connecting.to_string(), "connecting");
        assert_eq!(State::Ready { waiting: 0 }.to_string(), "ready");
        assert_eq!(State::Ready { waiting: 12 }.to_string(), "ready, 12 waiting");
        assert_eq!(away(3, 40).to_string(), "reconnecting (attempt 3, offline 40 s): it closed");
        assert_eq!(away(90, 720).to_string(), "reconnecting (attempt 90, offline 12 min): it closed");
    }

    #[test]
    fn a_night_without_a_connection_is_a_page_of_lines_and_not_a_book() {
        let mut said = Said::default();
        let spoken = (0..8 * 3_600).step_by(10).filter(|secs| said.is_news(&away(1, *secs)));
        let spoken: Vec<_> = spoken.collect();
        assert_eq!(spoken[..4], [0, 10, 20, 30]);
        assert!(spoken.len() < 25, "{spoken:?}");
        assert!(said.is_news(&State::Ready { waiting: 0 }));
        assert!(said.is_news(&away(1, 0)), "the next time it is away is said again");
    }
}
