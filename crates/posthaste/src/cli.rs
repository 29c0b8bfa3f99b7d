//! Every command and flag, documented once: this is where `--help` comes from.

pub(crate) mod bin;
pub(crate) mod configure;
pub(crate) mod daily;
pub(crate) mod exit_codes;
pub(crate) mod groups;
pub(crate) mod laptop;
pub(crate) mod listen;
pub(crate) mod noun;
pub(crate) mod replay;
pub(crate) mod server;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use laptop::{SendArgs, SignArgs, TriggerArgs, VerifyArgs};
use listen::ListenArgs;

/// Sends, receives and explains webhooks: one binary, one file of data.
#[derive(Debug, Parser)]
#[command(name = "posthaste", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything on this machine, nothing to configure: a server, a receiver and a first signed webhook
    Dev(DevArgs),
    /// Forward requests of a server to a program on this machine: in order, byte for byte, with its answers shown
    Listen(Box<ListenArgs>),
    /// Send an event of a provider as it would come, rightly signed; exit 9 if the receiver says anything but 2xx
    Trigger(TriggerArgs),
    /// Send any payload, signed by any scheme; exit 9 if the receiver says anything but 2xx
    Send(SendArgs),
    /// Send messages again: counted first, then by a job of the server, or from here with --to; exit 8 if some could not
    Replay(replay::ReplayArgs),
    /// Print the headers that sign a body
    Sign(SignArgs),
    /// Check a captured request as its provider signs, and say why it fails; exit 0 if it is valid, 7 if not
    Verify(VerifyArgs),
    /// Show anything by its id: a message with what became of it, an attempt, an endpoint, an app, a source
    Show(daily::ShowArgs),
    /// Follow messages and attempts as they happen, one line each
    Tail(daily::TailArgs),
    #[command(flatten)]
    Noun(noun::Asked),
    /// A URL that keeps whatever comes: watch it live, choose its answers, send it on, insist on it
    Bin(Box<bin::BinArgs>),
    /// Run the API and the engine
    Serve(SettingArgs),
    /// Make, list and revoke API tokens; works beside a running server
    Token(TokenArgs),
    /// Look at everything that operating depends on, and say how to mend what is wrong; exit 0 if nothing is, 1 if not
    Doctor(DoctorArgs),
    /// Copy the store to a file, beside a running server: consistent, checked, and all of it or nothing
    Backup(BackupArgs),
    /// Put a backup in the store's place, while no server runs
    Restore(RestoreArgs),
    /// Move an embedded store to PostgreSQL, while neither is served: goes on where it was stopped, and checks every row
    Import(ImportArgs),
    /// Bring the store to the schema of this version and end; `serve` does so too. Nodes still running are not in the way
    Migrate(SettingArgs),
    /// Ask a running server whether it is ready; exit 0 if it is, 7 if not
    Healthcheck(HealthcheckArgs),
    /// Look at settings, and keep servers and tokens by name
    Config(ConfigArgs),
    /// Measure a server: drives it over HTTP against a receiver of its own
    Bench(BenchArgs),
    /// Make the server's configuration what files of TOML say, and print first what changes
    Apply(configure::ApplyArgs),
    /// Print the server's configuration as a file that `apply` reads; secrets are not in it
    Export(configure::ExportArgs),
    /// Print a script that completes commands and flags in your shell
    Completion(configure::CompletionArgs),
    /// Print the man page, or write those of all commands into a directory
    Man(configure::ManArgs),
    /// What each exit code means
    #[command(hide = true, long_about = exit_codes::TEXT, help_template = "{about}\n")]
    ExitCodes,
    /// Print the API's OpenAPI document
    Openapi,
    /// Print the version
    Version,
    /// The floor that `bench --floor` measures against: accept, sign, forward, keep nothing
    #[command(hide = true)]
    BenchFloor,
}

/// Settings that have a flag. All others are named in `posthaste config show`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SettingArgs {
    /// A TOML file of settings
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:8071]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Directory of the embedded store and of generated secrets [default: ./posthaste-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// PostgreSQL database to use instead of the embedded store: postgres://user:password@host/name
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The same database without a pooler in between, to hear at once what other nodes tell
    #[arg(long, value_name = "URL")]
    pub(crate) database_listen_url: Option<String>,
    /// What this node does, of several on one database: one or more of api, inbound and deliver [default: all]
    #[arg(long, value_name = "ROLES")]
    pub(crate) role: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Address to listen on; loopback only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8071")]
    pub(crate) listen: String,
    /// Exit once the first delivery was verified
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) action: TokenAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Print a new token; it is shown once
    Create {
        /// The environment that it may touch, made if absent
        #[arg(long, value_name = "NAME", default_value = "default")]
        env: String,
        #[command(flatten)]
        settings: SettingArgs,
    },
    /// Print an address that logs in to the pages: good once, for half an hour
    Link {
        /// The environment that it may touch, made if absent
        #[arg(long, value_name = "NAME", default_value = "default")]
        env: String,
        #[command(flatten)]
        settings: SettingArgs,
    },
    /// List tokens, without the tokens themselves
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        settings: SettingArgs,
    },
    /// End a token, at once
    #[command(visible_alias = "rm")]
    Revoke {
        /// The token's id, `tok_…`
        id: String,
        #[command(flatten)]
        settings: SettingArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Also call this URL as a delivery would, with HEAD and no body, and say in words what stands in its way
    #[arg(long, value_name = "URL")]
    pub(crate) url: Vec<String>,
    /// Hold every index against its table too: reads the whole store
    #[arg(long)]
    pub(crate) deep: bool,
    /// Print JSON instead of lines
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where the backup goes; only its owner may read it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace FILE if it is there; until the new backup is whole, it stays what it was
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// What `posthaste backup` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// If there is a store already, put it aside; nothing of it is deleted
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The store to move, as sqlite: and its file or its data directory; it is only read
    #[arg(long, value_name = "sqlite:PATH")]
    pub(crate) from: String,
    /// Count what would move, say what is in the way, and change nothing
    #[arg(long, conflicts_with = "check")]
    pub(crate) dry_run: bool,
    /// After an import: hold every row of both against each other once more, and change nothing
    #[arg(long)]
    pub(crate) check: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HealthcheckArgs {
    /// The server to ask, by http or https; its certificate is not judged, and nothing secret is sent
    #[arg(default_value = "http://127.0.0.1:8071")]
    pub(crate) url: String,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Every setting, its value and where it came from
    Show {
        #[command(flatten)]
        settings: SettingArgs,
    },
    /// Servers and their tokens by name, for the commands that ask one
    Profile(configure::ProfileArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArgs {
    /// Messages to send
    #[arg(long, default_value_t = 50_000)]
    pub(crate) messages: u64,
    /// Endpoints that each message goes to
    #[arg(long, default_value_t = 1)]
    pub(crate) fanout: u32,
    /// Requests under way at once
    #[arg(long, default_value_t = 64)]
    pub(crate) concurrency: u32,
    /// Messages per second; 0 for as many as possible
    #[arg(long, default_value_t = 0)]
    pub(crate) rate: u32,
    /// Bytes in each payload
    #[arg(long, default_value_t = 1024)]
    pub(crate) payload: usize,
    /// Send signed requests to a source of this provider instead of messages to the API
    #[arg(long, value_name = "PROVIDER", value_parser = ["github"], conflicts_with = "floor")]
    pub(crate) inbound: Option<String>,
    /// Measure the same load through accept, sign and forward with nothing kept
    #[arg(long)]
    pub(crate) floor: bool,
    /// Measure 800 endpoints alone, and beside 100 that hang and 100 that fail
    #[arg(long, conflicts_with_all = ["inbound", "floor", "fanout"])]
    pub(crate) neighbours: bool,
    /// Measure beside so many deliveries that are owed to a dead endpoint [1000000 if no number is given]
    #[arg(long, value_name = "DELIVERIES", num_args = 0..=1, default_missing_value = "1000000",
          conflicts_with_all = ["inbound", "floor", "fanout", "neighbours"])]
    pub(crate) backlog: Option<u64>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the server under test keeps its data [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A fresh PostgreSQL database for the server under test, in place of the embedded store
    #[arg(long, value_name = "URL", conflicts_with = "floor")]
    pub(crate) database_url: Option<String>,
    /// Servers that share the database
    #[arg(long, default_value_t = 1, requires = "database_url", value_parser = clap::value_parser!(u32).range(1..=64),
          conflicts_with = "backlog")]
    pub(crate) nodes: u32,
}
