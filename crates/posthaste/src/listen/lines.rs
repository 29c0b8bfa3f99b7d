//! What happens, as lines: data on standard output, states and hints on standard error.

use posthaste_core::time::Timestamp;
use posthaste_tunnel::frame::Request;
use serde_json::{Value, json};

use super::colour::Paint;
use super::event::{Event, Outcome, Went, kind_word};
use super::state::{Said, State};
use super::target::Target;
use crate::telemetry::{print_line, tell};
use crate::terminal::shown;
use crate::words;

/// Between the parts of a line.
const GAP: &str = "  ";

/// What lines are made of that events do not say.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    /// The source or app of each wire.
    pub(crate) of: Vec<String>,
    pub(crate) name: String,
    pub(crate) target: Target,
    pub(crate) public_urls: Vec<Option<String>>,
    /// Whose signatures each source takes, if anybody's.
    pub(crate) providers: Vec<Option<String>>,
}

/// Which form the lines have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Jsonl,
}

/// A line, and where it goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Data(String),
    Aside(String),
}

impl Line {
    fn print(&self) {
        match self {
            Self::Data(text) => print_line(text),
            Self::Aside(text) => tell(text),
        }
    }
}

/// Writes lines.
pub(crate) struct Lines {
    form: Form,
    labels: Labels,
    data: Paint,
    aside: Paint,
    said: Vec<Said>,
}

impl Lines {
    pub(crate) fn new(form: Form, labels: Labels, data: Paint, aside: Paint) -> Self {
        let said = labels.of.iter().map(|_| Said::default()).collect();
        Self { form, labels, data, aside, said }
    }

    /// Prints an event that happened now.
    pub(crate) fn show(&mut self, event: &Event, now: Timestamp) {
        self.of(event, now).iter().for_each(Line::print);
    }

    fn of(&mut self, event: &Event, now: Timestamp) -> Vec<Line> {
        match event {
            Event::State { wire, state } => self.state(*wire, state, now),
            Event::Notice(text) => vec![self.aside(now, text)],
            Event::Came { wire, at, request } => vec![Line::Data(self.came(*wire, *at, request))],
            Event::Went { wire, at, went } => self.went(*wire, *at, went),
        }
    }

    fn aside(&self, at: Timestamp, text: &str) -> Line {
        Line::Aside(format!("{}{GAP}{}", self.aside.faint(&clock(at)), shown(text)))
    }

    fn state(&mut self, wire: usize, state: &State, now: Timestamp) -> Vec<Line> {
        let mut lines = Vec::new();
        if let (Form::Jsonl, State::Ready { waiting }) = (self.form, state) {
            lines.push(Line::Data(self.ready(wire, *waiting, now).to_string()));
        }
        if self.said[wire].is_news(state) {
            let whose =
                if self.labels.of.len() > 1 { format!("{}: ", self.labels.of[wire]) } else { String::new() };
            let text = shown(&format!("{whose}{state}"));
            lines.push(Line::Aside(format!(
                "{}{GAP}{}",
                self.aside.faint(&clock(now)),
                self.aside.bold(&text)
            )));
        }
        lines
    }

    fn ready(&self, wire: usize, waiting: u32, now: Timestamp) -> Value {
        json!({
            "event": "ready",
            "at": now.to_string(),
            "name": self.labels.name,
            "of": self.labels.of[wire],
            "url": self.labels.public_urls[wire],
            "target": self.labels.target.url(),
            "waiting": waiting,
        })
    }

    fn came(&self, wire: usize, at: Timestamp, request: &Request) -> String {
        if self.form == Form::Jsonl {
            return json!({
                "event": "request",
                "at": at.to_string(),
                "of": self.labels.of[wire],
                "id": request.message,
                "try": request.attempt,
                "type": request.event_type,
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "bytes": request.body.len(),
            })
            .to_string();
        }
        let mut parts = vec![
            self.data.faint(&clock(at)),
            format!("→ {}", shown(&request.message)),
            shown(&self.labels.of[wire]),
            self.data.bold(&shown(&request.event_type)),
            words::size(request.body.len() as u64),
        ];
        if request.attempt > 1 {
            parts.push(format!("try {}", request.attempt));
        }
        parts.join(GAP)
    }

    fn went(&self, wire: usize, at: Timestamp, went: &Went) -> Vec<Line> {
        let took_ms = u64::try_from(went.took.as_millis()).unwrap_or(u64::MAX);
        if self.form == Form::Jsonl {
            let (status, kind) = match &went.outcome {
                Outcome::Answered { status, .. } => (Some(*status), None),
                Outcome::Failed { kind, .. } => (None, Some(kind_word(*kind))),
            };
            let line = json!({
                "event": if status.is_some() { "answer" } else { "failed" },
                "at": at.to_string(),
                "of": self.labels.of[wire],
                "id": went.message,
                "try": went.key.1,
                "status": status,
                "kind": kind,
                "durationMs": took_ms,
                "says": went.outcome.says(),
            });
            return vec![Line::Data(line.to_string())];
        }
        let mut parts = vec![
            self.data.faint(&clock(at)),
            format!("← {}", shown(&went.message)),
            self.data.status(&went.outcome.word()),
            shown(&went.to),
            words::span(went.took),
        ];
        if went.outcome.is_success() {
            return vec![Line::Data(parts.join(GAP))];
        }
        let says = went.outcome.says();
        if !says.is_empty() {
            parts.push(shown(&says));
        }
        let id = shown(&went.message);
        let hint = format!("replay: posthaste replay {id}   show: posthaste show {id}");
        let indent = " ".repeat(clock(at).len());
        vec![Line::Data(parts.join(GAP)), Line::Aside(format!("{indent}{GAP}{}", self.aside.faint(&hint)))]
    }
}

/// `14:32:18.402`, in UTC.
pub(crate) fn clock(at: Timestamp) -> String {
    at.to_string().get(11..23).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
