//! What the columns of every store hold: the encodings that do not depend on the database.

pub(crate) mod attempt;
pub(crate) mod endpoint;
pub(crate) mod event_type;
pub(crate) mod job;
pub(crate) mod keys;
pub(crate) mod looks;
pub(crate) mod names;
pub(crate) mod role;
pub(crate) mod rollup;
pub(crate) mod rules;
pub(crate) mod source;

use crate::error::StoreError;

/// A row that does not make sense.
pub(crate) fn corrupt(table: &'static str, detail: impl ToString) -> StoreError {
    StoreError::Corrupt { table, detail: detail.to_string() }
}
