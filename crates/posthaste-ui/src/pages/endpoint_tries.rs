//! What was tried at an endpoint, newest first: so many are looked at, since those that failed may be rare.

use posthaste_core::app::Reference;
use posthaste_core::id::{AttemptId, AttemptKind};
use posthaste_core::limits::PAGE_ROWS_MAX;
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::history::{AttemptFilter, AttemptRow, Status};
use posthaste_store::page::{Page, PageRequest};

use super::ROWS;
use super::walk::List;
use crate::Shared;
use crate::error::Answer;

/// Attempts of an endpoint that ended in one way, or all of them.
pub(crate) struct Tries<'a> {
    pub(crate) state: &'a Shared,
    pub(crate) environment: EnvironmentId,
    pub(crate) app: &'a Reference,
    pub(crate) endpoint: &'a Reference,
    pub(crate) status: Option<Status>,
}

impl List<AttemptKind> for Tries<'_> {
    type Row = AttemptRow;
    type Found = AttemptRow;

    fn step(&self) -> u16 {
        if self.status.is_some() { PAGE_ROWS_MAX } else { ROWS }
    }

    async fn read(&self, request: PageRequest<AttemptId>) -> Answer<Page<AttemptRow>> {
        let Self { environment, app, endpoint, .. } = *self;
        let (history, any) = (&self.state.history, AttemptFilter::default());
        Ok(history.attempts_of_endpoint(environment, app, endpoint, &any, request).await?)
    }

    fn key(row: &AttemptRow) -> (AttemptId, usize) {
        (row.attempt.id, 0)
    }

    async fn judge(&self, rows: Vec<AttemptRow>) -> Answer<Vec<Option<AttemptRow>>> {
        let is_meant = |row: &AttemptRow| self.status.is_none_or(|status| row.status == status);
        Ok(rows.into_iter().map(|row| is_meant(&row).then_some(row)).collect())
    }
}
