//! Where events are shown: lines, or the view.

use posthaste_core::time::Timestamp;

use super::event::Event;
use super::lines::{Labels, Lines};
use super::view::View;
use super::view::terminal::Stage;

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
    View(Box<Stage>),
    /// It ends: the terminal is as it was.
    Closed,
}

impl Screen {
    /// The view, or why there can be none.
    pub(crate) fn view(labels: &Labels) -> Result<Self, String> {
        Stage::take(View::new(labels.clone())).map(|stage| Self::View(Box::new(stage)))
    }

    pub(crate) fn show(&mut self, event: &Event, now: Timestamp) {
        match self {
            Self::Lines(lines) => lines.show(event, now),
            Self::View(stage) => stage.show(event),
            Self::Closed => {}
        }
    }

    /// The next thing that somebody asks for; nobody can ask lines.
    pub(crate) async fn action(&mut self) -> Action {
        match self {
            Self::View(stage) => stage.action().await,
            Self::Lines(_) | Self::Closed => std::future::pending().await,
        }
    }

    /// Gives the terminal back at once: what is left to do may take a moment, and a second signal ends the process.
    pub(crate) fn close(&mut self) {
        if matches!(self, Self::View(_)) {
            *self = Self::Closed;
        }
    }
}
