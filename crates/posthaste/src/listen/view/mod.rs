//! The interactive view: what it holds and what each key does to that. It draws into any buffer, and knows no terminal.

mod details;
mod draw;
mod keys;
mod row;
pub(crate) mod terminal;

use std::collections::VecDeque;

use row::Row;

use super::event::Event;
use super::lines::Labels;
use super::state::State;
use super::tally::Tally;

/// Requests that are kept to be looked at; the oldest go first.
const ROWS_MAX: usize = 1_000;
/// Letters of a filter.
const FILTER_LETTERS_MAX: usize = 100;

/// What is on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    List,
    /// The filter is being typed.
    Filter,
    Details {
        tab: Tab,
        scroll: usize,
    },
    Curl {
        scroll: usize,
    },
    Keys,
}

/// Which side of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Request,
    Response,
}

/// Everything that the view knows.
pub(crate) struct View {
    labels: Labels,
    states: Vec<State>,
    rows: VecDeque<Row>,
    /// The number of the next row.
    next: u64,
    /// The row under the cursor. Rows have numbers, since their places change as others come, go and are filtered.
    selected: Option<u64>,
    /// The cursor stays on the newest.
    follow: bool,
    mode: Mode,
    filter: String,
    notice: String,
    tally: Tally,
    /// Rows of text that fitted when it was drawn last: how far a page is.
    page: usize,
}

impl View {
    pub(crate) fn new(labels: Labels) -> Self {
        Self {
            states: vec![State::Connecting; labels.of.len()],
            labels,
            rows: VecDeque::new(),
            next: 0,
            selected: None,
            follow: true,
            mode: Mode::List,
            filter: String::new(),
            notice: String::new(),
            tally: Tally::default(),
            page: 1,
        }
    }

    /// Something happened.
    pub(crate) fn take(&mut self, event: &Event) {
        self.tally.count(event);
        match event {
            Event::State { wire, state } => self.states[*wire] = state.clone(),
            Event::Notice(text) => self.notice.clone_from(text),
            Event::Came { wire, at, request } => {
                if self.rows.len() >= ROWS_MAX {
                    self.rows.pop_front();
                }
                self.rows.push_back(Row::new(self.next, *wire, *at, request));
                self.next += 1;
            }
            Event::Went { wire, went, .. } => {
                let row = self.rows.iter_mut().rev().find(|row| row.is_of(*wire, &went.key));
                if let Some(row) = row {
                    row.went = Some((**went).clone());
                }
            }
        }
        self.settle();
    }

    /// The rows that the filter lets through.
    fn shown(&self) -> Vec<&Row> {
        let filter = self.filter.to_lowercase();
        self.rows.iter().filter(|row| row.matches(&filter, &self.labels.of[row.wire])).collect()
    }

    /// The row under the cursor, and its place among those that are shown.
    fn current(&self) -> Option<(usize, &Row)> {
        let selected = self.selected?;
        self.shown().into_iter().enumerate().find(|(_, row)| row.number == selected)
    }

    /// Puts the cursor on a row that is there.
    fn settle(&mut self) {
        let shown = self.shown();
        let last = shown.last().map(|row| row.number);
        let there = self.selected.filter(|selected| shown.iter().any(|row| row.number == *selected));
        // Details stay those of the row that was opened, whatever comes.
        let stays = !self.follow || !matches!(self.mode, Mode::List | Mode::Filter);
        self.selected = if stays { there.or(last) } else { last };
    }

    /// Moves the cursor by so many rows.
    fn go(&mut self, by: isize) {
        let shown = self.shown();
        let Some(last) = shown.len().checked_sub(1) else { return };
        let at = self.current().map_or(last, |(at, _)| at);
        let at = at.saturating_add_signed(by).min(last);
        self.selected = Some(shown[at].number);
        self.follow = at == last && by > 0;
    }
}

#[cfg(test)]
mod tests;
