//! Text of others, so that it can stand in a terminal or a log: what steers a terminal is written out.

use std::fmt::Write as _;

/// Marks that turn the direction of text around: what is shown is then not what was sent.
fn is_steering(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, with control characters and marks of direction as escapes.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || is_steering(letter) {
            let _ = write!(shown, "{}", letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_out_and_the_rest_is_left_alone() {
        assert_eq!(shown("Grüße, 世界 🎉 \\ \"x\""), "Grüße, 世界 🎉 \\ \"x\"");
        assert_eq!(shown("a\x1b[2J\r\nb\0\x7f\u{9b}"), "a\\u{1b}[2J\\r\\nb\\u{0}\\u{7f}\\u{9b}");
        assert_eq!(shown("user\u{202e}gnp.exe\u{2066}"), "user\\u{202e}gnp.exe\\u{2066}");
    }
}
