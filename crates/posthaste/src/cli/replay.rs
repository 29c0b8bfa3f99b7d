//! `posthaste replay`: what goes back, how fast, and from where.

use clap::Args;

use super::server::{OutputArgs, ServerArgs};

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReplayArgs {
    /// Messages or attempts to send again, `msg_…`, `atmpt_…`; without --app or --source the server says where they are
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Whose deliveries: an app's id or uid
    #[arg(long, value_name = "APP", conflicts_with = "source")]
    pub(crate) app: Option<String>,
    /// Whose deliveries: a source's id or uid
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    /// Only those to this endpoint, by its id or uid
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// How they stand: failed, delivered or any [default: failed; of messages that are named, any]
    #[arg(long, value_name = "STATUS", value_parser = ["failed", "delivered", "any"])]
    pub(crate) status: Option<String>,
    /// Only of messages accepted from then on: 24h, 2026-11-12 or RFC 3339
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Only of messages accepted before then
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// Only of this event type; again for each
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,
    /// At most how many a second: `20/s`
    #[arg(long, value_name = "N/s")]
    pub(crate) rate: Option<String>,
    /// Count them, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before it begins; needed without a terminal
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// From here, once each, to this URL, a port or `:3000/webhooks` instead of the endpoints; nothing is recorded
    #[arg(long, value_name = "URL", conflicts_with_all = ["wait", "no_wait"])]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What becomes of the job.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WatchArgs {
    /// Wait for what the receivers answer; exit 9 if one of them said anything but 2xx
    #[arg(long)]
    pub(crate) wait: bool,
    /// Start the job and do not watch it
    #[arg(long, conflicts_with = "wait")]
    pub(crate) no_wait: bool,
    /// Watch a job that was started before
    #[arg(long, value_name = "JOB", conflicts_with_all = ["ids", "app", "source", "to", "dry_run"])]
    pub(crate) job: Option<String>,
    /// Stop that job; what it has put back stays so
    #[arg(long, requires = "job")]
    pub(crate) cancel: bool,
}
