//! `bin`: a URL that keeps whatever comes, to look at it, to send it on, and to insist on it.

use clap::{Args, Subcommand};

use super::server::{OutputArgs, ServerArgs};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BinArgs {
    #[command(subcommand)]
    pub(crate) action: Option<BinAction>,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BinAction {
    /// Wait until requests that match are there; exit 0, or 1 with what came instead
    Assert(AssertArgs),
    /// Remove what came, for good; the URL stays
    Clear(NamedArgs),
    /// Remove the bin with all that it holds: its URL is gone
    Rm(NamedArgs),
    /// List the bins
    List(ListArgs),
    /// Print a token that may look at this bin and do nothing else
    Share(ShareArgs),
}

/// How a bin answers. What is not said stays as it is.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AnswerArgs {
    /// The status that it answers with [of a new bin: 200]
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(crate) status: Option<u16>,
    /// The body that it answers with: text, or the file @FILE
    #[arg(long, value_name = "TEXT|@FILE", allow_hyphen_values = true)]
    pub(crate) body: Option<String>,
    /// A header that it answers with; again for more
    #[arg(long, value_name = "K: V")]
    pub(crate) header: Vec<String>,
    /// How long it holds its answer back, up to 10s
    #[arg(long, value_name = "TIME")]
    pub(crate) delay: Option<String>,
    /// How many of a hundred requests it answers with 500: `30%`
    #[arg(long, value_name = "PERCENT")]
    pub(crate) fail: Option<String>,
    /// The statuses that it answers with, one after the other; it stays at the last: "500, 500, 200"
    #[arg(long, value_name = "STATUS, …", conflicts_with = "status")]
    pub(crate) answers: Option<String>,
    /// How long it keeps what comes: `7d`, or `off` for as long as the server does
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<String>,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WatchArgs {
    /// The bin's name; it is made if there is none, and its URL stays the same
    #[arg(value_name = "NAME", default_value = "hello")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
    /// Send each request on from here, as it came, and show what is answered: a URL, a port, or `:3000/webhooks`
    #[arg(long, value_name = "URL", conflicts_with = "no_follow")]
    pub(crate) forward: Option<String>,
    /// Print the URL, and do not wait for what comes
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Begin with what it holds already
    #[arg(long, conflicts_with = "no_follow")]
    pub(crate) from_start: bool,
    /// Show headers and bodies, decoded
    #[arg(long)]
    pub(crate) full: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What a request must be like.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WantedArgs {
    /// Its method
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// What stands behind the bin's URL in its path
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// A header that it has: `K: V`, or `K` whatever its value
    #[arg(long, value_name = "K: V")]
    pub(crate) header: Vec<String>,
    /// A parameter that it has
    #[arg(long, value_name = "K=V")]
    pub(crate) query: Vec<String>,
    /// A value in its JSON body: `data.amount=5`, or `data.amount:=5` for the number and not the text
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) body_json: Vec<String>,
    /// The type of event, where its sender says one
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AssertArgs {
    /// The bin's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// How many requests must match, at least; 0: none may, all the time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) count: u32,
    /// How long to wait for them
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) within: String,
    /// Count only what came since then: `5m`, `now`, or an RFC 3339 instant
    #[arg(long, value_name = "TIME", conflicts_with = "from_start")]
    pub(crate) since: Option<String>,
    /// Count all that it holds; so it is without --since
    #[arg(long)]
    pub(crate) from_start: bool,
    #[command(flatten)]
    pub(crate) wanted: WantedArgs,
    /// Print {"ok":…,"matched":…,"came":…,"nearest":…}
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct NamedArgs {
    /// The bin's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ShareArgs {
    /// The bin's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// How long the token is good for, from 1h to 7d
    #[arg(long = "for", value_name = "TIME", default_value = "7d")]
    pub(crate) life: String,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
