//! The servers under test: one, or several that share a database.

use super::process::{ServerProcess, Usage};
use crate::cli::BenchArgs;

/// At least one.
pub(super) struct Nodes {
    first: ServerProcess,
    others: Vec<ServerProcess>,
}

impl Nodes {
    pub(super) fn start(args: &BenchArgs) -> anyhow::Result<Self> {
        if args.floor {
            return Ok(Self { first: ServerProcess::start_floor()?, others: vec![] });
        }
        let url = args.database_url.as_deref();
        let first = ServerProcess::start(args.data_dir.as_deref(), url)?;
        let others = (1..args.nodes).map(|_| ServerProcess::start(None, url)).collect::<Result<_, _>>()?;
        Ok(Self { first, others })
    }

    /// The one that has a token.
    pub(super) fn first(&self) -> &ServerProcess {
        &self.first
    }

    fn all(&self) -> impl Iterator<Item = &ServerProcess> {
        std::iter::once(&self.first).chain(&self.others)
    }

    pub(super) fn urls(&self) -> impl Iterator<Item = &str> {
        self.all().map(|node| node.url.as_str())
    }

    /// Of all together.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        let first = self.first.usage()?;
        self.others.iter().try_fold(first, |sum, node| Ok(sum + node.usage()?))
    }

    pub(super) fn stop(self) -> anyhow::Result<()> {
        self.others.into_iter().chain([self.first]).try_for_each(ServerProcess::stop)
    }
}
