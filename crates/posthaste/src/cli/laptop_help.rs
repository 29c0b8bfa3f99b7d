//! What `--help` says, letter by letter: a change of it is a change that users see.

use clap::CommandFactory as _;

use crate::cli::Cli;

fn help(name: &str) -> String {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    cli.find_subcommand_mut(name).unwrap().render_help().to_string()
}

#[test]
fn help_is_what_was_agreed() {
    for (name, agreed) in [
        ("verify", include_str!("../../fixtures/help/verify.txt")),
        ("sign", include_str!("../../fixtures/help/sign.txt")),
        ("trigger", include_str!("../../fixtures/help/trigger.txt")),
        ("send", include_str!("../../fixtures/help/send.txt")),
        ("listen", include_str!("../../fixtures/help/listen.txt")),
        ("bin", include_str!("../../fixtures/help/bin.txt")),
    ] {
        let said = help(name);
        assert_eq!(said, agreed, "crates/posthaste/fixtures/help/{name}.txt");
    }
}
