//! What comes to a source, from some moment on and as it comes.

use std::collections::BTreeMap;
use std::time::Duration;

use posthaste_core::time::Timestamp;

use super::came::Came;
use super::complaint::Complaint;
use super::server::{Server, part};

/// How far back is looked again: of several nodes the clocks differ, and a request is there only once it is written.
const OVERLAP: Duration = Duration::from_secs(5);
/// Requests that are asked for at once.
const PAGE_ROWS: u32 = 250;
/// How often is looked for more.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Who follows a source: each request that comes is told once.
pub(crate) struct Follow<'s> {
    server: &'s Server,
    path: String,
    /// What came before is of no interest; `None`: everything is.
    since: Option<Timestamp>,
    /// From where on is looked.
    from: Option<Timestamp>,
    /// What was told, as far as it may be seen again.
    told: BTreeMap<String, Timestamp>,
}

impl<'s> Follow<'s> {
    /// From some moment on, or from the first request that is kept.
    pub(crate) fn since(server: &'s Server, source: &str, since: Option<Timestamp>) -> Self {
        let path = format!("/ingest/api/v1/source/{}/request", part(source));
        let from = since.map(|since| since.earlier(OVERLAP));
        Self { server, path, since, from, told: BTreeMap::new() }
    }

    /// From now on, by the server's clock: what is there already counts as told.
    pub(crate) async fn from_now(server: &'s Server, source: &str) -> Result<Self, Complaint> {
        let mut follow = Self::since(server, source, None);
        let newest = server.get(&format!("{}?limit={PAGE_ROWS}", follow.path)).await?;
        let there: Vec<_> =
            newest["data"].as_array().into_iter().flatten().cloned().filter_map(Came::read).collect();
        follow.note(&there);
        Ok(follow)
    }

    /// What came since the last look, oldest first.
    pub(crate) async fn more(&mut self) -> Result<Vec<Came>, Complaint> {
        let mut new = vec![];
        let mut iterator = String::new();
        loop {
            let after = self.from.map(|from| format!("&after={from}")).unwrap_or_default();
            let path = format!("{}?order=ascending&limit={PAGE_ROWS}{after}{iterator}", self.path);
            let page = self.server.get(&path).await?;
            let rows = page["data"].as_array().cloned().unwrap_or_default();
            new.extend(rows.into_iter().filter_map(Came::read).filter(|came| {
                !self.told.contains_key(&came.id) && self.since.is_none_or(|since| came.at >= since)
            }));
            match page["iterator"].as_str() {
                Some(next) if page["done"] == false => iterator = format!("&iterator={}", part(next)),
                _ => break,
            }
        }
        self.note(&new);
        Ok(new)
    }

    fn note(&mut self, came: &[Came]) {
        self.told.extend(came.iter().map(|came| (came.id.clone(), came.at)));
        if let Some(newest) = self.told.values().max() {
            let from = newest.earlier(OVERLAP);
            self.from = self.from.max(Some(from));
            self.told.retain(|_, at| *at >= from);
        }
    }
}
