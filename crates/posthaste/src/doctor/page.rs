//! How findings are shown: lines that line up, coloured on a terminal only; or JSON.

use std::io::IsTerminal as _;

use serde_json::json;

use super::finding::{Finding, Mark};
use crate::telemetry::print_line;

/// For people.
pub(super) fn lines(data_dir: &str, findings: &[Finding]) {
    let coloured = std::io::stdout().is_terminal();
    for line in laid_out(data_dir, findings, coloured) {
        print_line(&line);
    }
}

/// For programs.
pub(super) fn json(data_dir: &str, findings: &[Finding]) {
    let shown = findings.iter().map(|finding| {
        json!({
            "section": finding.section,
            "name": finding.name,
            "state": finding.mark.word(),
            "says": finding.says,
            "mend": finding.mend,
        })
    });
    let document = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "data_dir": data_dir,
        "ok": findings.iter().all(|finding| finding.mark != Mark::Wrong),
        "findings": shown.collect::<Vec<_>>(),
    });
    print_line(&format!("{document:#}"));
}

fn laid_out(data_dir: &str, findings: &[Finding], coloured: bool) -> Vec<String> {
    let paint = |code: &str, text: &str| {
        if coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let width = findings.iter().map(|finding| finding.name.chars().count()).max().unwrap_or(0);
    let mut lines = vec![format!("posthaste {}, data in {data_dir}", env!("CARGO_PKG_VERSION"))];
    let mut section = "";
    for finding in findings {
        if finding.section != section {
            section = finding.section;
            lines.push(String::new());
            lines.push(paint("1", section));
        }
        let mark = match finding.mark {
            Mark::Good => paint("32", "✓"),
            Mark::Unknown => paint("2", "–"),
            Mark::Warning => paint("33", "!"),
            Mark::Wrong => paint("31", "✗"),
        };
        lines.push(format!("  {mark} {:<width$}  {}", finding.name, finding.says));
        if let Some(mend) = &finding.mend {
            lines.push(format!("    {:<width$}  → {mend}", ""));
        }
    }
    lines.push(String::new());
    lines.push(verdict(findings));
    lines
}

fn verdict(findings: &[Finding]) -> String {
    let count = |mark| findings.iter().filter(|finding| finding.mark == mark).count();
    match (count(Mark::Wrong), count(Mark::Warning)) {
        (0, 0) => "Nothing is wrong.".to_owned(),
        (0, warnings) => format!("Nothing is wrong; {warnings} worth a look (!)."),
        (wrong, 0) => format!("{wrong} wrong (✗)."),
        (wrong, warnings) => format!("{wrong} wrong (✗), {warnings} worth a look (!)."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::About;
    use super::*;

    #[test]
    fn lines_line_up_under_their_sections_and_say_how_to_mend() {
        let findings = [
            About("Store", "integrity").good("all pages read well"),
            About("Store", "backups").warning("none is known", "posthaste backup FILE"),
            About("Machine", "disk").wrong("full", "free some"),
        ];
        let expected = [
            "",
            "Store",
            "  ✓ integrity  all pages read well",
            "  ! backups    none is known",
            "               → posthaste backup FILE",
            "",
            "Machine",
            "  ✗ disk       full",
            "               → free some",
            "",
            "1 wrong (✗), 1 worth a look (!).",
        ];
        assert_eq!(laid_out("d", &findings, false)[1..], expected);
        assert!(laid_out("d", &findings, true).iter().any(|line| line.contains("\x1b[31m✗")));
    }
}
