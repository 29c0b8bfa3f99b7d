//! Whether a stream gets colours, and which: the conventions of the terminals, not a setting of ours.

use std::io::IsTerminal;

/// What the environment says of colours.
#[derive(Debug, Default, Clone)]
struct Said {
    no_color: bool,
    forced: bool,
    is_dumb: bool,
}

/// Paints, or does not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// For a stream.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        Self(wanted(&said(), stream.is_terminal()))
    }

    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    #[cfg(test)]
    pub(crate) const fn never() -> Self {
        Self(false)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// Green for success, yellow for a refusal, red for what broke.
    pub(crate) fn status(self, word: &str) -> String {
        let code = match word.as_bytes().first() {
            Some(b'2') => "32",
            Some(b'3' | b'4') => "33",
            _ => "31",
        };
        self.with(code, word)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the terminal is described by the environment, and is no setting of ours"
)]
fn said() -> Said {
    let value = |name: &str| std::env::var(name).unwrap_or_default();
    let forced = value("CLICOLOR_FORCE");
    Said {
        no_color: !value("NO_COLOR").is_empty(),
        forced: !forced.is_empty() && forced != "0",
        is_dumb: value("TERM") == "dumb",
    }
}

/// Whether a view can be drawn at all.
pub(crate) fn is_dumb() -> bool {
    said().is_dumb
}

fn wanted(said: &Said, is_terminal: bool) -> bool {
    !said.no_color && (said.forced || is_terminal && !said.is_dumb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_and_no_color_has_the_last_word() {
        let plain = Said::default();
        let forced = Said { forced: true, ..Said::default() };
        let dumb = Said { is_dumb: true, ..Said::default() };
        assert!(wanted(&plain, true) && !wanted(&plain, false));
        assert!(wanted(&forced, false) && !wanted(&dumb, true));
        assert!(!wanted(&Said { no_color: true, ..forced }, true));
        assert_eq!(Paint(false).status("500"), "500");
        assert_eq!(Paint(true).status("500"), "\x1b[31m500\x1b[0m");
    }
}
