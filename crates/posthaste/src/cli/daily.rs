//! What a developer looks at all day: one thing by its id, and everything as it happens.

use clap::{Args, ValueEnum};

use super::server::{OutputArgs, ServerArgs};

/// Which part of it to show.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(multiple = false)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag, and at most one is set")]
pub(crate) struct PartArgs {
    /// Only the request: its head and body, as text
    #[arg(long)]
    pub(crate) request: bool,
    /// Only the receiver's last answer: its status and body
    #[arg(long)]
    pub(crate) response: bool,
    /// Only the request's headers
    #[arg(long)]
    pub(crate) headers: bool,
    /// Only the request's body, byte for byte
    #[arg(long)]
    pub(crate) body: bool,
    /// Only the request as it would stand on the wire, byte for byte
    #[arg(long)]
    pub(crate) raw: bool,
    /// A curl command that sends the same again
    #[arg(long)]
    pub(crate) curl: bool,
    /// The request and its answers as a HAR file, which `posthaste verify` and browsers read
    #[arg(long)]
    pub(crate) har: bool,
}

/// What to show.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ShowArgs {
    /// Any id: msg_…, atmpt_…, ep_…, app_…, src_…, log_…, qtask_…; with --app or --source also your own id of a message
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    /// The request as this endpoint gets it, where a message goes to several
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// The app of a message that is named by your own id
    #[arg(long, value_name = "APP", conflicts_with = "source")]
    pub(crate) app: Option<String>,
    /// The source of a message
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ended {
    /// The receiver said 2xx
    Success,
    /// It said something else, or nothing
    Failed,
}

/// What to follow.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TailArgs {
    /// Only this app [default: every app and source, up to 100]
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only this source
    #[arg(long, value_name = "SOURCE", conflicts_with = "app")]
    pub(crate) source: Option<String>,
    /// Only attempts at this endpoint
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// Only attempts that ended so, and no messages
    #[arg(long, value_name = "STATUS", value_enum)]
    pub(crate) status: Option<Ended>,
    /// Only these event types; a star stands for anything: 'order.*'
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
    /// Begin with what happened since then: 1h, 7d, or an RFC 3339 instant
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Begin with so many messages of each app, if --since is not given
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(0..=250))]
    pub(crate) count: u16,
    /// Show what there is and end
    #[arg(long)]
    pub(crate) no_follow: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
