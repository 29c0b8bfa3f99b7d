//! Moves everything from the embedded store to PostgreSQL, in steps that survive being killed, and checks it.

mod error;
mod run;
pub(crate) mod table;
pub(crate) mod tables;

pub use error::ImportError;
pub use run::{Moved, Options, Report, Step, Tell, check, dry_run, import};

/// Every column that moves, as `table.column`: for tests that hold them against a schema.
#[cfg(feature = "conformance")]
pub fn moved_columns() -> Vec<String> {
    let names = |table: &'static table::Table| {
        table.columns.iter().map(move |column| format!("{}.{}", table.name, column.name))
    };
    tables::TABLES.iter().flat_map(names).collect()
}
