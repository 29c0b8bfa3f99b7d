//! Colours, where somebody looks at them.

use std::io::IsTerminal as _;

/// Whether standard output is a terminal that wants colours.
#[expect(
    clippy::disallowed_methods,
    reason = "NO_COLOR and TERM are no settings of ours: every program heeds them"
)]
pub(crate) fn is_wanted() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// A status, green if all is well and red if not.
pub(crate) fn status(text: &str, is_well: bool, is_wanted: bool) -> String {
    match (is_wanted, is_well) {
        (false, _) => text.to_owned(),
        (true, true) => format!("\x1b[32m{text}\x1b[0m"),
        (true, false) => format!("\x1b[31m{text}\x1b[0m"),
    }
}
