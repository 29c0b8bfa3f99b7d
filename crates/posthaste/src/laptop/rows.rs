//! Rows of a list as they come, page after page: nothing of them is kept.

use serde_json::Value;

use super::output::{Column, Output, cell, headings, padded, short};
use crate::cli::server::Format;
use crate::telemetry::{print_line, print_text};

/// A list that is being printed.
pub(crate) struct Rows {
    format: Format,
    columns: &'static [Column],
    /// Of the first page; later pages keep to it where they can.
    widths: Vec<usize>,
    count: u64,
}

impl Rows {
    pub(crate) fn begin(output: Output, columns: &'static [Column]) -> Self {
        Self { format: output.format(), columns, widths: vec![], count: 0 }
    }

    /// Prints a page.
    pub(crate) fn add(&mut self, objects: &[Value]) {
        match self.format {
            Format::Json => objects.iter().for_each(|object| self.add_json(object)),
            Format::Jsonl => objects.iter().for_each(|object| print_line(&object.to_string())),
            Format::Table => self.add_table(objects),
            Format::Auto | Format::Plain => {
                for object in objects {
                    let cells: Vec<_> = self.columns.iter().map(|(_, at)| cell(object, at)).collect();
                    print_line(&cells.join("\t"));
                }
            }
        }
        if self.format != Format::Json {
            self.count += objects.len() as u64;
        }
    }

    fn add_json(&mut self, object: &Value) {
        print_text(if self.count == 0 { "[\n  " } else { ",\n  " });
        print_text(&format!("{object:#}").replace('\n', "\n  "));
        self.count += 1;
    }

    fn add_table(&mut self, objects: &[Value]) {
        let rows: Vec<Vec<String>> = objects
            .iter()
            .map(|object| self.columns.iter().map(|(_, at)| short(&cell(object, at))).collect())
            .collect();
        if self.count == 0 {
            let headings = headings(self.columns);
            self.widths = headings.iter().map(|heading| heading.chars().count()).collect();
            for row in &rows {
                for (width, cell) in self.widths.iter_mut().zip(row) {
                    *width = (*width).max(cell.chars().count());
                }
            }
            if !rows.is_empty() {
                print_line(&padded(&headings, &self.widths));
            }
        }
        for row in &rows {
            print_line(&padded(row, &self.widths));
        }
    }

    /// Ends the list, and says how many there were.
    pub(crate) fn end(self) -> u64 {
        if self.format == Format::Json {
            print_line(if self.count == 0 { "[]" } else { "\n]" });
        }
        self.count
    }
}
