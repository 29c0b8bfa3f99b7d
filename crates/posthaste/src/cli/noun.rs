//! `app`, `endpoint` and the other nouns as commands, made from their table.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args as _, Command, FromArgMatches, Subcommand};

use super::server::{OutputArgs, ServerArgs};
use crate::laptop::nouns::{Does, Flag, Goes, NOUNS, Noun, Verb};

/// Rows that a list shows if nothing is said.
const ROWS_DEFAULT: u64 = 50;

/// What was asked of which noun.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) noun: &'static Noun,
    pub(crate) verb: &'static Verb,
    pub(crate) matches: ArgMatches,
    pub(crate) server: ServerArgs,
    pub(crate) output: OutputArgs,
}

impl Asked {
    /// The value of an argument that this verb may not even have.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.matches.try_get_one::<String>(name).ok().flatten().map(String::as_str)
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.matches.try_get_many::<String>(name).ok().flatten();
        values.into_iter().flatten().map(String::as_str).collect()
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false)
    }

    /// How many rows to list at most.
    pub(crate) fn rows_max(&self) -> u64 {
        if self.is_set("all") {
            return u64::MAX;
        }
        self.matches.try_get_one::<u64>("limit").ok().flatten().copied().unwrap_or(ROWS_DEFAULT)
    }
}

impl FromArgMatches for Asked {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let noun = NOUNS.iter().find(|noun| noun.name == name).ok_or_else(missing)?;
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let verb = noun.verbs.iter().find(|verb| verb.name == name).ok_or_else(missing)?;
        Ok(Self {
            noun,
            verb,
            matches: matches.clone(),
            server: ServerArgs::from_arg_matches(matches)?,
            output: OutputArgs::from_arg_matches(matches)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Asked {
    fn augment_subcommands(command: Command) -> Command {
        NOUNS.iter().fold(command, |command, noun| command.subcommand(command_of(noun)))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        NOUNS.iter().any(|noun| noun.name == name)
    }
}

fn command_of(noun: &Noun) -> Command {
    let command =
        Command::new(noun.name).about(noun.about).subcommand_required(true).arg_required_else_help(true);
    noun.verbs.iter().fold(command, |command, verb| command.subcommand(verb_of(verb)))
}

fn verb_of(verb: &Verb) -> Command {
    let mut command = Command::new(verb.name);
    if let Some(alias) = verb.alias() {
        command = command.visible_alias(alias);
    }
    if verb.has("id") {
        command = command.arg(Arg::new("id").value_name("ID").required(true).help("Its id, or its uid"));
    }
    if verb.takes_items() {
        let help = if matches!(verb.does, Does::Create(Some(_))) {
            "The payload: path=text, path:=JSON, @FILE, or - for stdin"
        } else {
            "What to set: path=text, path:=JSON, @FILE, or - for stdin"
        };
        command = command.arg(Arg::new("items").value_name("ITEM").num_args(0..).help(help)).arg(
            Arg::new("file")
                .short('f')
                .long("file")
                .value_name("FILE")
                .help("The same from a file of JSON or TOML; items go over it"),
        );
    }
    for owner in verb.owners() {
        command = command.arg(owner_of(verb, owner));
    }
    if verb.owners().len() > 1 {
        command = command.group(ArgGroup::new("of").args(verb.owners()).required(true));
    }
    if verb.has("app") {
        let help = "Whose it is: an app's id or uid; not needed where an id says it all";
        command = command.arg(Arg::new("app").long("app").value_name("APP").help(help)).arg(
            Arg::new("source")
                .long("source")
                .value_name("SOURCE")
                .conflicts_with("app")
                .help("Whose it is: a source's id or uid"),
        );
    }
    command = verb.flags.iter().fold(command, |command, flag| command.arg(flag_of(flag)));
    match verb.does {
        Does::List(_) => {
            command = command
                .arg(
                    Arg::new("limit")
                        .long("limit")
                        .value_name("N")
                        .value_parser(clap::value_parser!(u64).range(1..))
                        .help("How many at most [default: 50]"),
                )
                .arg(
                    Arg::new("all")
                        .long("all")
                        .action(ArgAction::SetTrue)
                        .conflicts_with("limit")
                        .help("All of them, page after page"),
                );
        }
        Does::Delete(_) => {
            let help = "Do not ask first; without a terminal this is needed";
            command =
                command.arg(Arg::new("yes").short('y').long("yes").action(ArgAction::SetTrue).help(help));
        }
        _ => {}
    }
    // Groups of arguments bring a description along, which is not this command's.
    OutputArgs::augment_args(ServerArgs::augment_args(command)).about(verb.about).long_about(None)
}

/// A flag that says what a path leaves open.
fn owner_of(verb: &Verb, name: &'static str) -> Arg {
    let (value, help) = match name {
        "message" => ("MESSAGE", "Of this message: its id, or your own id for it"),
        _ => ("ENDPOINT", "Of this endpoint: its id or uid"),
    };
    let arg = Arg::new(name).long(name).value_name(value).help(help);
    match verb.owners().as_slice() {
        // Where the id is enough, it is found by that.
        [_] if verb.has("id") => arg,
        [_] => arg.required(true),
        // One of them: the group says so.
        _ => arg,
    }
}

fn flag_of(flag: &Flag) -> Arg {
    let arg = Arg::new(flag.name).long(flag.name).help(flag.help).required(flag.required);
    match flag.goes {
        Goes::QueryFlag(_) => arg.action(ArgAction::SetTrue),
        Goes::Fields(_) => arg.value_name(flag.value).action(ArgAction::Append),
        Goes::QueryWord(_, words) => {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            arg.value_name(flag.value).value_parser(clap::builder::PossibleValuesParser::new(words))
        }
        _ => arg.value_name(flag.value),
    }
}
