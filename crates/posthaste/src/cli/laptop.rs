//! The commands for whoever writes a receiver: no server, account or network is needed for them.

use std::path::PathBuf;

use clap::Args;

use super::server::ServerArgs;

/// How a provider signs, and with what.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SchemeArgs {
    /// The secret; again for each live one while it is rotated. For public-key schemes, the public key
    #[arg(long, value_name = "SECRET", allow_hyphen_values = true)]
    pub(crate) secret: Vec<String>,
    /// A setting of the scheme, such as `public_key` or `audience`; the value may be JSON
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub(crate) config: Vec<String>,
    /// Another of the provider's schemes than its main one
    #[arg(long, value_name = "ID")]
    pub(crate) variant: Option<String>,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct VerifyArgs {
    /// A request as it was captured: its head and body, a HAR file, a curl command or what `curl -v` said; `-` for stdin.
    /// Or the id of one that a server keeps, `msg_…`: it is judged as of when it came
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Who is said to have sent it: a name out of `posthaste trigger --list` [of a kept one: its source's]
    #[arg(long, value_name = "PROVIDER", default_value = "", hide_default_value = true)]
    pub(crate) provider: String,
    /// The source that keeps it, by uid or id
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) scheme: SchemeArgs,
    /// The method, in place of the captured one [default: POST]
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// The address as the provider knows it, with scheme, host and query, in place of the captured one
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// A header, in place of captured ones of its name
    #[arg(long, value_name = "K: V", allow_hyphen_values = true)]
    pub(crate) header: Vec<String>,
    /// A file with the raw body, in place of the captured one; `-` for stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) body: Option<PathBuf>,
    /// The time to judge by, in seconds since 1970 [default: now]
    #[arg(long, value_name = "UNIX")]
    pub(crate) now: Option<i64>,
    /// How many seconds old a request may be, or `off` [default: what the provider says]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) tolerance: Option<String>,
    /// Which request of a HAR file, from 1 on
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) entry: usize,
    /// Fetch no public key: only what is configured counts
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print {"valid":…,"reason":…,"hint":…} instead of sentences
    #[arg(long)]
    pub(crate) json: bool,
}

/// A scheme to sign with, and what it may need.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SignerArgs {
    #[command(flatten)]
    pub(crate) scheme: SchemeArgs,
    /// A file with the private key, for providers that sign with one [default: a test key that everybody knows]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SignArgs {
    /// The body to sign; `-` for stdin
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// Whose scheme: a name out of `posthaste trigger --list`
    #[arg(long, value_name = "PROVIDER", default_value = "standard-webhooks")]
    pub(crate) provider: String,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
    /// The delivery's id [default: a fresh one]
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) id: Option<String>,
    /// The signed time, in seconds since 1970 [default: now]
    #[arg(long, value_name = "UNIX")]
    pub(crate) timestamp: Option<i64>,
    /// The address it will be sent to, for schemes that sign it
    #[arg(long, value_name = "URL", default_value = "https://example.com/")]
    pub(crate) url: String,
    /// The method, for schemes that sign it
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    pub(crate) method: String,
    /// A header of the request, for schemes that sign it
    #[arg(long, value_name = "K: V", allow_hyphen_values = true)]
    pub(crate) header: Vec<String>,
    /// Print a curl command that sends the body, signed, to this URL, port or `:3000/webhooks`
    #[arg(long, value_name = "URL", conflicts_with_all = ["url", "json"])]
    pub(crate) curl: Option<String>,
    /// Print JSON instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do instead of sending.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct InsteadArgs {
    /// List the providers, or the events of PROVIDER
    #[arg(long)]
    pub(crate) list: bool,
    /// Print the request instead of sending it; so it is without --to
    #[arg(long, conflicts_with = "curl")]
    pub(crate) print: bool,
    /// Print a curl command that would send it
    #[arg(long)]
    pub(crate) curl: bool,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TriggerArgs {
    /// Whose event, and which: `stripe.charge.succeeded`; the provider alone for its most usual one
    #[arg(value_name = "PROVIDER[.EVENT]", required_unless_present = "list")]
    pub(crate) event: Option<String>,
    /// Fields of the body to change: `path=text` or `path:=JSON`; also `Header:value` and `query==value`
    #[arg(value_name = "PATH=VALUE")]
    pub(crate) items: Vec<String>,
    /// Where to send it: a URL, a port, or `:3000/webhooks` for this machine
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    /// Send it to this source of a server, by uid or id, as the provider would
    #[arg(long, value_name = "NAME", conflicts_with = "to")]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
    /// Send it without a signature, to see it refused
    #[arg(long)]
    pub(crate) unsigned: bool,
    #[command(flatten)]
    pub(crate) instead: InsteadArgs,
    /// How many to send, each with ids of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) repeat: u32,
    /// At most how many a second: `10/s`
    #[arg(long, value_name = "N/s")]
    pub(crate) rate: Option<String>,
    /// Change the body in $EDITOR before it is signed
    #[arg(long)]
    pub(crate) edit: bool,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SendArgs {
    /// Where to send it: a URL, a port, or `:3000/webhooks` for this machine
    #[arg(value_name = "URL", required_unless_present = "app")]
    pub(crate) url: Option<String>,
    /// The payload: `a=text`, `a:=JSON`, `Header:value`, `query==value`, `@FILE`, or `-` for stdin
    #[arg(value_name = "ITEM")]
    pub(crate) items: Vec<String>,
    /// Whose scheme signs it: a name out of `posthaste trigger --list`, or `none`
    #[arg(long, value_name = "PROVIDER", default_value = "standard-webhooks")]
    pub(crate) sign: String,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
    /// The type of event: the fields then become its `data`, as Standard Webhooks wants it
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
    /// Send it as a message of this app of a server, by uid or id, to all of its endpoints that want it: there is no URL
    #[arg(long, value_name = "APP", requires = "event_type", conflicts_with_all = ["sign", "method", "count", "rate"])]
    pub(crate) app: Option<String>,
    /// Wait for what the endpoints answer [so it is on a terminal]
    #[arg(long, requires = "app", conflicts_with = "no_wait")]
    pub(crate) wait: bool,
    /// Do not wait for it
    #[arg(long, requires = "app")]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// The method
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    pub(crate) method: String,
    /// How many to send, each with an id of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) count: u32,
    /// At most how many a second: `10/s`
    #[arg(long, value_name = "N/s")]
    pub(crate) rate: Option<String>,
}

#[cfg(test)]
#[path = "laptop_help.rs"]
mod help;
