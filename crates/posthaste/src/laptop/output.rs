//! Data on standard output: a table for people, or lines and JSON for programs.

use std::io::IsTerminal as _;

use serde_json::Value;

use crate::cli::server::{Format, OutputArgs};
use crate::telemetry::print_line;
use crate::terminal::shown;

/// Letters of a cell in a table; what is longer is cut, and whole in every other format.
const CELL_LETTERS_MAX: usize = 48;
/// Letters of an id that a table shows.
const TAIL_LETTERS: usize = 8;

/// A column: its heading, and where its value is in an object.
pub(crate) type Column = (&'static str, &'static str);

/// How one command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output(Format);

impl Output {
    pub(crate) fn of(args: OutputArgs) -> Self {
        Self(match args.format {
            _ if args.json => Format::Json,
            Format::Auto if std::io::stdout().is_terminal() => Format::Table,
            Format::Auto => Format::Plain,
            format => format,
        })
    }

    pub(crate) fn format(self) -> Format {
        self.0
    }

    /// Whether a program reads it.
    pub(crate) fn is_for_programs(self) -> bool {
        matches!(self.0, Format::Json | Format::Jsonl)
    }

    /// Prints one field of an object alone, or the object as it is.
    pub(crate) fn field(self, object: &Value, name: &str) {
        if self.is_for_programs() { self.object(object) } else { print_line(&text(&object[name])) }
    }

    /// Prints one object: its fields one a line, or as it is.
    pub(crate) fn object(self, object: &Value) {
        match self.0 {
            Format::Json => print_line(&format!("{object:#}")),
            Format::Jsonl => print_line(&object.to_string()),
            format => {
                let fields: Vec<_> = object.as_object().into_iter().flatten().collect();
                let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
                for (name, value) in fields {
                    let value = text(value);
                    match format {
                        Format::Table => print_line(format!("{name:width$}  {value}").trim_end()),
                        _ => print_line(&format!("{name}\t{value}")),
                    }
                }
            }
        }
    }
}

pub(super) fn headings(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|(heading, _)| heading.to_uppercase()).collect()
}

/// Cells as a line of a table.
pub(super) fn padded(cells: &[String], widths: &[usize]) -> String {
    let cells: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    cells.join("  ").trim_end().to_owned()
}

/// The value at a place such as `response.status`, as text.
pub(super) fn cell(object: &Value, at: &str) -> String {
    text(at.split('.').fold(object, |value, name| &value[name]))
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => shown(text),
        Value::Array(all) if all.iter().all(Value::is_string) => {
            all.iter().filter_map(Value::as_str).map(shown).collect::<Vec<_>>().join(",")
        }
        other => shown(&other.to_string()),
    }
}

/// As it stands in a table: a time without its date's year and fractions, an id without its tail.
pub(super) fn short(cell: &str) -> String {
    if let Ok(at) = cell.parse::<jiff::Timestamp>() {
        return at.strftime("%m-%d %H:%M:%S").to_string();
    }
    if let Some((prefix, rest)) = cell.split_once('_')
        && rest.len() == posthaste_core::id::ID_LETTERS
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        // Ids begin with their time: what tells two of one moment apart is at the end.
        return format!("{prefix}_…{}", &rest[rest.len() - TAIL_LETTERS..]);
    }
    let mut letters = cell.chars();
    let kept: String = letters.by_ref().take(CELL_LETTERS_MAX).collect();
    if letters.next().is_some() { format!("{kept}…") } else { kept }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_short_times_and_ids_and_lines_up() {
        let objects = [
            json!({"id": "app_2Kx9fZbQv1h0WcYlH8mTtJp3aRs", "name": "A\u{1b}[2J", "at": "2026-11-12T14:32:18.402Z"}),
            json!({"id": "app_2Kx9fZbQv1h0WcYlH8mTtJp3aRt", "deep": {"n": 7}}),
        ];
        let columns: [Column; 4] = [("id", "id"), ("name", "name"), ("at", "at"), ("n", "deep.n")];
        let widths = [13, 12, 14, 1];
        let expected = [
            "app_…TtJp3aRs  A\\u{1b}[2J    11-12 14:32:18",
            "app_…TtJp3aRt                                7",
        ];
        for (object, expected) in objects.iter().zip(expected) {
            let cells: Vec<_> = columns.iter().map(|(_, at)| short(&cell(object, at))).collect();
            assert_eq!(padded(&cells, &widths), expected);
        }
        assert_eq!(padded(&headings(&columns), &widths), "ID             NAME          AT              N");
    }

    #[test]
    fn what_is_long_is_cut_in_a_table_only() {
        let long = "x".repeat(CELL_LETTERS_MAX + 1);
        assert_eq!(short(&long).chars().count(), CELL_LETTERS_MAX + 1);
        assert!(short(&long).ends_with('…'));
        assert_eq!(cell(&json!({"a": long}), "a").len(), CELL_LETTERS_MAX + 1);
    }
}
