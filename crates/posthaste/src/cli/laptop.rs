//! The commands for whoever writes a receiver: no server, account or network is needed for them.

use std::path::PathBuf;

use clap::Args;

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
    /// A request as it was captured: its head and body, a HAR file, a curl command or what `curl -v` said; `-` for stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Who is said to have sent it: a name out of `posthaste trigger --list`
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) provider: String,
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
