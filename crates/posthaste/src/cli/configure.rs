//! Commands about the command line itself, and about what is kept in files: profiles, `apply`, `export`, completions, man
//! pages.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::server::{OutputArgs, ServerArgs};

#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    #[command(subcommand)]
    pub(crate) action: ProfileAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileAction {
    /// Keep a server and its token under a name, for --profile NAME and `POSTHASTE_PROFILE`
    Set {
        /// The profile
        name: String,
        /// The server
        #[arg(long, value_name = "URL")]
        server: Option<String>,
        /// The API token for it; `-` reads it from stdin, so that no shell remembers it
        #[arg(long, value_name = "TOKEN")]
        token: Option<String>,
        /// Use it where nothing else is said
        #[arg(long)]
        default: bool,
    },
    /// List profiles, with the beginnings of their tokens
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Forget a profile
    #[command(visible_alias = "rm")]
    Remove {
        /// The profile
        name: String,
    },
}

/// What to apply.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ApplyArgs {
    /// A file of TOML, or a directory whose *.toml are read in the order of their names; again for more
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Print what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Delete what an apply has made and the files no longer name
    #[arg(long)]
    pub(crate) prune: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What to export.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CompletionArgs {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ManArgs {
    /// Write the pages of all commands into this directory, instead of the first to stdout
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
