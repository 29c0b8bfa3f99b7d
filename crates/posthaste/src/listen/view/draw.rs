//! Draws the view: a list, details over it, and always the state in words on the last line.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};

use super::keys::KEYS;
use super::row::Row;
use super::{Mode, Tab, View, details};
use crate::listen::lines::{Labels, clock};
use crate::listen::state::State;
use crate::terminal::shown;

/// The narrowest and lowest that anything is drawn on.
const AREA_MIN: (u16, u16) = (20, 5);
/// Columns of a time, of a status and of milliseconds.
const TIME: usize = 12;
const STATUS: usize = 8;
const TOOK: usize = 9;
/// The widest column of types, and of sources.
const TYPE_MAX: usize = 34;
const LABEL_MAX: usize = 16;

const PLAIN: Style = Style::new();
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const CURSOR: Style = Style::new().add_modifier(Modifier::REVERSED);

impl View {
    /// Draws everything.
    pub(crate) fn draw(&mut self, area: Rect, buffer: &mut Buffer) {
        if area.width < AREA_MIN.0 || area.height < AREA_MIN.1 {
            write(buffer, area, 0, "make it larger", PLAIN);
            return;
        }
        self.head(area, buffer);
        let body = Rect { y: area.y + 2, height: area.height - 4, ..area };
        self.page = usize::from(body.height).max(1);
        match self.mode {
            Mode::List | Mode::Filter => self.list(body, buffer),
            Mode::Keys => keys(body, buffer),
            Mode::Details { tab, scroll } => {
                let lines = self.details(tab);
                let scroll = text(body, buffer, &lines, scroll);
                self.mode = Mode::Details { tab, scroll };
            }
            Mode::Curl { scroll } => {
                let lines = self.curl();
                let scroll = text(body, buffer, &lines, scroll);
                self.mode = Mode::Curl { scroll };
            }
        }
        self.foot(area, buffer);
    }

    /// Where from and where to; under it what the columns are, or which side is shown.
    fn head(&self, area: Rect, buffer: &mut Buffer) {
        let title = format!(" {} → {}", self.labels.of.join(", "), self.labels.target.url());
        write(buffer, area, 0, &title, BOLD);
        let tally = format!("{} ", self.tally.summary());
        let left = area.width.saturating_sub(width_of(&tally));
        if left > width_of(&title) {
            let corner = Rect { x: area.x + left, width: area.width - left, ..area };
            write(buffer, corner, 0, &tally, FAINT);
        }
        match self.mode {
            Mode::List | Mode::Filter => {
                let headings =
                    columns(area, self.labels.of.len(), ["time", "type", "status", "took", "", ""]);
                write(buffer, area, 1, &headings, FAINT);
            }
            Mode::Details { tab, .. } => {
                let id = self.current().map_or_else(String::new, |(_, row)| shown(&row.request.message));
                let (request, response) = match tab {
                    Tab::Request => ("[Request]", " Response "),
                    Tab::Response => (" Request ", "[Response]"),
                };
                write(buffer, area, 1, &format!(" {request} {response}   {id}"), BOLD);
            }
            Mode::Curl { .. } => write(buffer, area, 1, " the same request, for a shell", FAINT),
            Mode::Keys => write(buffer, area, 1, " keys", FAINT),
        }
    }

    fn list(&self, area: Rect, buffer: &mut Buffer) {
        let rows = self.shown();
        if rows.is_empty() {
            for (line, text) in (1..).zip(self.nothing()) {
                write(buffer, area, line, &text, PLAIN);
            }
            return;
        }
        let at = self.current().map_or(rows.len() - 1, |(at, _)| at);
        let height = usize::from(area.height);
        // As many of those before the cursor as fit, and the newest at the bottom.
        let first = at.saturating_sub(height / 2).min(rows.len().saturating_sub(height));
        for (line, (place, row)) in (0..area.height).zip(rows.iter().enumerate().skip(first)) {
            let style = if place == at { CURSOR } else { PLAIN };
            let (text, status_at) = self.row(area, row);
            write(buffer, area, line, &text, style);
            if place != at
                && let Some(went) = &row.went
            {
                let colour = colour_of(&went.outcome.word());
                let width =
                    u16::try_from(STATUS).unwrap_or_default().min(area.width.saturating_sub(status_at));
                buffer.set_style(
                    Rect::new(area.x + status_at, area.y + line, width, 1),
                    Style::new().fg(colour),
                );
            }
        }
    }

    /// A row as text, and the column of its status.
    fn row(&self, area: Rect, row: &Row) -> (String, u16) {
        let (status, took, says) = match &row.went {
            None => ("…".to_owned(), String::new(), String::new()),
            Some(went) => {
                let says = if went.outcome.is_success() { String::new() } else { went.outcome.says() };
                (went.outcome.word(), format!("{} ms", went.took.as_millis()), shown(&says))
            }
        };
        let time = clock(row.at);
        let (kind, label) = (shown(&row.request.event_type), shown(&self.labels.of[row.wire]));
        let text = columns(area, self.labels.of.len(), [&time, &kind, &status, &took, &label, &says]);
        let status_at = 1 + TIME + 2 + type_width(area) + 2;
        (text, u16::try_from(status_at).unwrap_or_default().min(area.width))
    }

    /// What stands where nothing came yet.
    fn nothing(&self) -> Vec<String> {
        if !self.filter.is_empty() {
            return vec![format!(
                " nothing of {} has \"{}\": Esc shows all",
                self.rows.len(),
                shown(&self.filter)
            )];
        }
        let mut lines = vec![" Nothing came yet.".to_owned()];
        let Labels { public_urls, providers, .. } = &self.labels;
        for (url, provider) in public_urls.iter().zip(providers) {
            let Some(url) = url.as_deref().map(shown) else { continue };
            let command = match provider {
                Some(provider) => {
                    format!(" posthaste trigger {} --secret SECRET --to {url}", shown(provider))
                }
                None => format!(" curl -d '{{\"hello\":\"world\"}}' {url}"),
            };
            lines.extend([String::new(), command]);
        }
        lines
    }

    fn details(&self, tab: Tab) -> Vec<String> {
        let Some((_, row)) = self.current() else { return Vec::new() };
        match tab {
            Tab::Request => details::request(row, &self.url_of(row)),
            Tab::Response => details::response(row),
        }
    }

    fn curl(&self) -> Vec<String> {
        let Some((_, row)) = self.current() else { return Vec::new() };
        row.curl(&self.url_of(row)).lines().map(shown).collect()
    }

    fn url_of(&self, row: &Row) -> String {
        let Labels { target, .. } = &self.labels;
        format!("{}{}", target.origin(), target.path_and_query(&row.request.path, &row.request.query))
    }

    /// The notice or the filter, and under it the state and the keys.
    fn foot(&self, area: Rect, buffer: &mut Buffer) {
        let line = area.height - 2;
        if self.mode == Mode::Filter {
            write(buffer, area, line, &format!(" /{}▏", shown(&self.filter)), BOLD);
        } else if !self.notice.is_empty() {
            write(buffer, area, line, &format!(" {}", shown(&self.notice)), BOLD);
        } else if !self.filter.is_empty() {
            write(buffer, area, line, &format!(" only with \"{}\"", shown(&self.filter)), FAINT);
        }
        let state = format!(" {}", shown(&self.state()));
        let style = Style::new().add_modifier(Modifier::BOLD).fg(self.state_colour());
        write(buffer, area, area.height - 1, &state, style);
        let keys = match self.mode {
            Mode::List => "↑↓ move  Enter details  r replay  c curl  / filter  f follow  ? keys  q end ",
            Mode::Filter => "Enter keeps it  Esc shows all ",
            Mode::Details { .. } => "↑↓ scroll  Tab other side  r replay  c curl  Esc back ",
            Mode::Curl { .. } | Mode::Keys => "Esc back ",
        };
        let (used, room) = (width_of(&state) + 3, width_of(keys));
        if used + room <= area.width {
            let corner = Rect { x: area.x + area.width - room, width: room, ..area };
            write(buffer, corner, area.height - 1, keys, FAINT);
        }
    }

    /// That of the connection, or of each.
    fn state(&self) -> String {
        if let [state] = &self.states[..] {
            return state.to_string();
        }
        let ready = self.states.iter().filter(|state| matches!(state, State::Ready { .. })).count();
        let worst =
            self.states.iter().zip(&self.labels.of).find(|(state, _)| !matches!(state, State::Ready { .. }));
        match worst {
            None => format!("ready, all {ready}"),
            Some((state, label)) => format!("{ready} of {} ready; {label}: {state}", self.states.len()),
        }
    }

    fn state_colour(&self) -> Color {
        let is_ready = |state: &State| matches!(state, State::Ready { .. });
        if self.states.iter().all(is_ready) { Color::Green } else { Color::Yellow }
    }
}

fn keys(area: Rect, buffer: &mut Buffer) {
    for (line, (key, does)) in (1..).zip(KEYS) {
        write(buffer, area, line, &format!("   {key:<10}{does}"), PLAIN);
    }
}

/// Lines from `scroll` on, or the last page; where it begins.
fn text(area: Rect, buffer: &mut Buffer, lines: &[String], scroll: usize) -> usize {
    let wrapped: Vec<&str> = lines.iter().flat_map(|line| wrap(line, usize::from(area.width) - 2)).collect();
    let scroll = scroll.min(wrapped.len().saturating_sub(usize::from(area.height)));
    for (line, text) in (0..area.height).zip(&wrapped[scroll..]) {
        write(buffer, area, line, &format!(" {text}"), PLAIN);
    }
    scroll
}

/// A long line as several.
fn wrap(line: &str, letters: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = line;
    while let Some((at, _)) = rest.char_indices().nth(letters.max(1)) {
        let (part, after) = rest.split_at(at);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

fn type_width(area: Rect) -> usize {
    (usize::from(area.width) / 3).min(TYPE_MAX)
}

/// Time, type, status, how long it took, the source if there are several, and what a failure says.
fn columns(area: Rect, sources: usize, [time, kind, status, took, label, says]: [&str; 6]) -> String {
    let kind_width = type_width(area);
    let kind = cut(kind, kind_width);
    let label = if sources > 1 { format!("{:<LABEL_MAX$}  ", cut(label, LABEL_MAX)) } else { String::new() };
    format!(" {time:<TIME$}  {kind:<kind_width$}  {status:<STATUS$}{took:>TOOK$}  {label}{says}")
}

fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

fn colour_of(word: &str) -> Color {
    match word.as_bytes().first() {
        Some(b'2') => Color::Green,
        Some(b'3' | b'4') => Color::Yellow,
        _ => Color::Red,
    }
}

fn width_of(text: &str) -> u16 {
    u16::try_from(ratatui_core::text::Span::raw(text).width()).unwrap_or(u16::MAX)
}

/// Writes a line of an area, to its end: a cursor is as wide as the screen.
fn write(buffer: &mut Buffer, area: Rect, line: u16, text: &str, style: Style) {
    if line >= area.height {
        return;
    }
    let y = area.y + line;
    buffer.set_style(Rect::new(area.x, y, area.width, 1), style);
    buffer.set_stringn(area.x, y, text, usize::from(area.width), style);
}
