//! Where events are shown: lines, or the view.

use posthaste_core::time::Timestamp;

use super::event::Event;
use super::lines::{Labels, Lines};

/// What somebody asks for at the keyboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// To end.
    Quit,
    /// To have a message sent again.
    Replay { wire: usize, message: String },
}

/// Shows events.
pub(crate) enum Screen {
    Lines(Box<Lines>),
}

impl Screen {
    /// The view, or why there can be none.
    pub(crate) fn view(_labels: &Labels) -> Result<Self, String> {
        Err("there is none yet".to_owned())
    }

    pub(crate) fn show(&mut self, event: &Event, now: Timestamp) {
        match self {
            Self::Lines(lines) => lines.show(event, now),
        }
    }

    /// The next thing that somebody asks for; nobody can ask lines.
    pub(crate) async fn action(&mut self) -> Action {
        match self {
            Self::Lines(_) => std::future::pending().await,
        }
    }

    /// The terminal as it was.
    pub(crate) fn close(&mut self) {}
}
