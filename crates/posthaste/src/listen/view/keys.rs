//! What each key does.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{FILTER_LETTERS_MAX, Mode, Tab, View};
use crate::listen::screen::Action;

/// The keys, and what they do; for whoever asks.
pub(super) const KEYS: [(&str, &str); 10] = [
    ("j k ↑ ↓", "move; PgUp PgDn by a page"),
    ("g G", "to the first, to the last"),
    ("Enter", "details of the request and the answer"),
    ("Tab", "in the details: the other side"),
    ("r", "have the message sent again"),
    ("c", "the same request as a curl command"),
    ("/", "show only what has these letters: a type, an id, a status"),
    ("f", "follow the newest, or stay"),
    ("? ", "these keys"),
    ("q Esc", "back; from the list: end"),
];

impl View {
    /// A key was pressed. What is asked for, if it is more than the view can do.
    pub(crate) fn press(&mut self, key: KeyEvent) -> Option<Action> {
        if key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Some(Action::Quit);
        }
        self.notice.clear();
        match self.mode {
            Mode::List => return self.in_list(key.code),
            Mode::Filter => self.in_filter(key.code),
            Mode::Details { tab, scroll } => return self.in_details(key.code, tab, scroll),
            Mode::Curl { scroll } => match (key.code, scrolled(key.code, scroll, self.page)) {
                (_, Some(scroll)) => self.mode = Mode::Curl { scroll },
                (KeyCode::Char('q' | 'c') | KeyCode::Esc, _) => self.mode = Mode::List,
                _ => {}
            },
            Mode::Keys => self.mode = Mode::List,
        }
        None
    }

    fn in_list(&mut self, code: KeyCode) -> Option<Action> {
        let page = isize::try_from(self.page).unwrap_or(1);
        match code {
            KeyCode::Char('q') => return Some(Action::Quit),
            KeyCode::Esc if self.filter.is_empty() => return Some(Action::Quit),
            KeyCode::Esc => {
                self.filter.clear();
                self.settle();
            }
            KeyCode::Char('j') | KeyCode::Down => self.go(1),
            KeyCode::Char('k') | KeyCode::Up => self.go(-1),
            KeyCode::PageDown => self.go(page),
            KeyCode::PageUp => self.go(-page),
            KeyCode::Char('g') | KeyCode::Home => self.go(isize::MIN),
            KeyCode::Char('G') | KeyCode::End => self.go(isize::MAX),
            KeyCode::Char('f') => {
                self.follow = !self.follow;
                let said = if self.follow { "the newest is followed" } else { "the cursor stays" };
                said.clone_into(&mut self.notice);
                self.settle();
            }
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('?') => self.mode = Mode::Keys,
            KeyCode::Char('r') => return self.replay(),
            KeyCode::Char('c') if self.selected.is_some() => self.mode = Mode::Curl { scroll: 0 },
            KeyCode::Enter if self.selected.is_some() => {
                self.mode = Mode::Details { tab: Tab::Request, scroll: 0 };
            }
            _ => {}
        }
        None
    }

    fn in_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.mode = Mode::List,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::List;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter) if self.filter.len() < FILTER_LETTERS_MAX => self.filter.push(letter),
            _ => {}
        }
        self.settle();
    }

    fn in_details(&mut self, code: KeyCode, tab: Tab, scroll: usize) -> Option<Action> {
        let other = if tab == Tab::Request { Tab::Response } else { Tab::Request };
        if let Some(scroll) = scrolled(code, scroll, self.page) {
            self.mode = Mode::Details { tab, scroll };
            return None;
        }
        match code {
            KeyCode::Char('q') | KeyCode::Esc | KeyCode::Enter => {
                self.mode = Mode::List;
                self.settle();
            }
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Right => {
                self.mode = Mode::Details { tab: other, scroll: 0 };
            }
            KeyCode::Char('r') => return self.replay(),
            KeyCode::Char('c') => self.mode = Mode::Curl { scroll: 0 },
            KeyCode::Char('?') => self.mode = Mode::Keys,
            _ => {}
        }
        None
    }

    fn replay(&mut self) -> Option<Action> {
        let (_, row) = self.current()?;
        let (wire, message) = (row.wire, row.request.message.clone());
        self.notice = format!("{message} is asked for again");
        Some(Action::Replay { wire, message })
    }
}

/// Where text is scrolled to by a key, if it is one that scrolls; drawing holds it to what is there.
fn scrolled(code: KeyCode, scroll: usize, page: usize) -> Option<usize> {
    match code {
        KeyCode::Char('j') | KeyCode::Down => Some(scroll.saturating_add(1)),
        KeyCode::Char('k') | KeyCode::Up => Some(scroll.saturating_sub(1)),
        KeyCode::PageDown => Some(scroll.saturating_add(page)),
        KeyCode::PageUp => Some(scroll.saturating_sub(page)),
        KeyCode::Char('g') | KeyCode::Home => Some(0),
        KeyCode::Char('G') | KeyCode::End => Some(usize::MAX),
        _ => None,
    }
}
