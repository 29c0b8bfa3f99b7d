//! What `posthaste --help` shows first: the commands in groups, and examples.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::Cli;

/// The groups in order, and the commands in each. A command that stands in none is shown with the last.
const GROUPS: [(&str, &[&str]); 3] = [
    ("Daily", &["dev", "listen", "trigger", "send", "tail", "show", "replay", "verify", "sign", "bin"]),
    (
        "Resources",
        &["app", "endpoint", "event-type", "message", "attempt", "source", "token", "apply", "export"],
    ),
    ("Operate", &[]),
];

const EXAMPLES: &str = "Examples:
  posthaste dev                                                    a server, a receiver and a first signed webhook
  posthaste trigger stripe.charge.succeeded --to :3000/webhooks    an event as Stripe would send it
  posthaste tail --status failed                                   what goes wrong, as it does
  posthaste show msg_2mXU5QaBcDeFgHiJkLmNoPqRsTu --curl            the same request again

`posthaste help COMMAND` says more, `posthaste help exit-codes` what an exit code means. Nothing is ever reported to
anybody: there is no telemetry.";

/// The command line, with its help in groups.
pub(crate) fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    let text = grouped(&command);
    // By its own name, whatever the file is called.
    Cli::command().bin_name("posthaste").help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{text}\nOptions:\n{{options}}\n\n{EXAMPLES}\n"
    ))
}

fn grouped(command: &Command) -> String {
    let shown: Vec<_> = command.get_subcommands().filter(|one| !one.is_hide_set()).collect();
    let width = shown.iter().map(|one| one.get_name().len()).max().unwrap_or_default();
    let is_named = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let mut text = String::new();
    for (at, (heading, names)) in GROUPS.iter().enumerate() {
        let is_last = at + 1 == GROUPS.len();
        let named = names.iter().filter_map(|name| shown.iter().find(|one| one.get_name() == *name));
        let others = shown.iter().filter(|one| is_last && !is_named(one.get_name()));
        let _ = writeln!(text, "\n{heading}:");
        for one in named.chain(others) {
            let about = one.get_about().map(ToString::to_string).unwrap_or_default();
            // The beginning says what it is; the whole is in its own help.
            let about = about.split("; ").flat_map(|part| part.split(": ")).next().unwrap_or_default();
            text.push_str(format!("  {:width$}  {about}", one.get_name()).trim_end());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_the_help_once() {
        let help = command().render_help().to_string();
        let mut built = Cli::command();
        built.build();
        for one in built.get_subcommands().filter(|one| !one.is_hide_set()) {
            let begins = format!("  {} ", one.get_name());
            let count = help.lines().filter(|line| line.starts_with(&begins)).count();
            assert_eq!(count, 1, "{}", one.get_name());
        }
    }
}
