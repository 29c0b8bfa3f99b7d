//! `posthaste listen`: requests of a server, forwarded to a program on this machine.

use std::time::Duration;

use clap::Args;

use super::server::{OutputArgs, ServerArgs};
use crate::config::duration;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ListenArgs {
    /// Where requests go: a port, `:3000/webhooks`, or a URL [default: the one usual port that answers on this machine]
    #[arg(value_name = "PORT|URL")]
    pub(crate) target: Option<String>,
    #[command(flatten)]
    pub(crate) whose: WhoseArgs,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// Write the signing secret into a file of variables, and change nothing else in it [VARIABLE: POSTHASTE_SECRET]
    #[arg(long, value_name = "FILE[:VARIABLE]")]
    pub(crate) env_file: Option<String>,
    /// Print the signing secret and end
    #[arg(long)]
    pub(crate) print_secret: bool,
    /// End with exit code 6 after so long without a connection [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) max_offline: Option<Duration>,
    /// An interactive view in place of lines: details of each request, replay, filter
    #[arg(short = 'i', long)]
    pub(crate) interactive: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Whose requests are listened to.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WhoseArgs {
    /// Sources, by uid or id; with --provider they are made if absent [default: one of --provider's name, or of --name]
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with_all = ["bin", "app"])]
    pub(crate) source: Vec<String>,
    /// A bin: a source that takes whatever comes; made if absent
    #[arg(long, value_name = "NAME", conflicts_with = "app")]
    pub(crate) bin: Option<String>,
    /// The messages of an app, by uid or id
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only events of this type; may be given again
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,
    /// The listener's name: the same name keeps its URL, secret and place in the queue [default: host and target]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Make absent sources of this provider: a name out of `posthaste trigger --list`
    #[arg(long, value_name = "PROVIDER", conflicts_with_all = ["app", "bin"])]
    pub(crate) provider: Option<String>,
    /// The provider's own secret, for the source that is made
    #[arg(long, value_name = "SECRET", requires = "provider", allow_hyphen_values = true)]
    pub(crate) secret: Option<String>,
}

/// How the local program is asked.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HowArgs {
    /// The path at the target, in place of the URL's own
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// How long a target that is down is tried again, within the time that the server gives
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) retry: Duration,
    /// How long the target may take to answer [default: as long as the server waits]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Leave the Host header as the provider sent it
    #[arg(long)]
    pub(crate) keep_host: bool,
    /// The target may be another machine
    #[arg(long)]
    pub(crate) allow_external: bool,
}
