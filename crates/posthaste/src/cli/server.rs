//! Which server a command asks, with which token, and how it prints what it hears.

use clap::{Args, ValueEnum};

/// Which server, and who asks.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServerArgs {
    /// The server [default: POSTHASTE_SERVER, then the profile's, then http://127.0.0.1:8071]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The API token [default: POSTHASTE_TOKEN, then the profile's, then what a server of this directory has left]
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// A server and a token that `posthaste config profile set` has kept [default: POSTHASTE_PROFILE]
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table on a terminal, plain elsewhere
    #[default]
    Auto,
    /// Columns for people: short times and ids
    Table,
    /// Columns with a tab in between, whole ids, RFC 3339; no headings
    Plain,
    /// What the API answers
    Json,
    /// The same, one object a line
    Jsonl,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct OutputArgs {
    /// How to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", value_enum, default_value_t = Format::Auto)]
    pub(crate) format: Format,
    /// Short for --output json
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
}
