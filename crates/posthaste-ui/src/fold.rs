//! JSON that can be folded: its lines as a tree, each letter as it was sent.

use serde::Serialize;

/// Lines of the longest JSON that is folded: past that a page is heavy, and shows them flat.
const LINES_MAX: usize = 2_000;
/// Members of what is shown open.
const OPEN_MEMBERS_MAX: usize = 25;
/// How deep it is open.
const OPEN_DEPTH_MAX: usize = 3;
/// How deep it is folded at all.
const DEPTH_MAX: usize = 40;

/// A line, or what stands between two brackets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fold {
    text: String,
    within: Vec<Self>,
    /// The bracket at its end.
    close: String,
    count: usize,
    is_open: bool,
}

/// From JSON with a line for each member; nothing if it is not worth folding.
pub(crate) fn folds(laid_out: &str) -> Vec<Fold> {
    let lines: Vec<_> = laid_out.lines().map(str::trim_start).collect();
    if lines.len() < 2 || lines.len() > LINES_MAX || depth_of(&lines) > DEPTH_MAX {
        return Vec::new();
    }
    within(&mut lines.into_iter(), 0).0
}

fn opens(line: &str) -> bool {
    line.ends_with(['{', '['])
}

fn closes(line: &str) -> bool {
    line.starts_with(['}', ']'])
}

fn depth_of(lines: &[&str]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for line in lines {
        if closes(line) {
            depth = depth.saturating_sub(1);
        }
        if opens(line) {
            depth += 1;
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// What stands until the next bracket that closes, and that line.
fn within<'a>(lines: &mut impl Iterator<Item = &'a str>, depth: usize) -> (Vec<Fold>, &'a str) {
    let mut folds = Vec::new();
    while let Some(line) = lines.next() {
        if closes(line) {
            return (folds, line);
        }
        let (members, close) = if opens(line) { within(lines, depth + 1) } else { (Vec::new(), "") };
        let count = members.len();
        let is_open = depth < OPEN_DEPTH_MAX && count <= OPEN_MEMBERS_MAX;
        folds.push(Fold { text: line.to_owned(), within: members, close: close.to_owned(), count, is_open });
    }
    (folds, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_brackets_is_folded_and_no_letter_is_lost() {
        let text = "{\n  \"a\": [\n    1.50,\n    \"x{\"\n  ],\n  \"b\": {}\n}";
        let all = folds(text);
        let (root, list) = (&all[0], &all[0].within[0]);
        assert_eq!((root.text.as_str(), root.close.as_str(), root.count, root.is_open), ("{", "}", 2, true));
        assert_eq!((list.text.as_str(), list.close.as_str(), list.count), ("\"a\": [", "],", 2));
        assert_eq!(list.within[1].text, "\"x{\"");
        assert_eq!(root.within[1].text, "\"b\": {}");
    }

    #[test]
    fn what_is_long_deep_or_one_line_stays_flat() {
        assert_eq!(folds("42"), []);
        assert_eq!(folds(&"1,\n".repeat(LINES_MAX + 1)), []);
        assert_eq!(folds(&format!("{}{}", "[\n".repeat(DEPTH_MAX + 1), "]\n".repeat(DEPTH_MAX + 1))), []);
    }
}
