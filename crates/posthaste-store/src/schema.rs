//! Which binaries may work with a store: by the migrations that were applied to it, and by what their files say.

use std::fmt;

use posthaste_fault::plays_next_version;
use sha2::{Digest as _, Sha256};

use crate::columns::corrupt;
use crate::error::StoreError;

/// How a file says, in the comments that it begins with, which is the oldest schema whose binaries go on working with a
/// store after it. One that says nothing lets none go on that is older than itself.
const WORKS_WITH_MARK: &str = "-- works with:";

/// A migration that a store remembers: its number and its file's checksum.
pub(crate) type Applied = (u32, String);

/// The released ones; and behind them, in a binary that plays the next version in a test, one more.
pub(crate) fn migrations(released: &[&'static str], next: &'static str) -> Vec<&'static str> {
    let next = plays_next_version().then_some(next);
    released.iter().copied().chain(next).collect()
}

/// What a binary that migrates leaves in the store for older ones, as text: `5 3` is schema 5, with which binaries of
/// schema 3 and later work. Of another schema than the store's own it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorksWith {
    schema: u32,
    oldest: u32,
}

impl WorksWith {
    /// One step that older binaries cannot work with counts, whatever the others say.
    pub(crate) fn of(migrations: &[&str]) -> Self {
        let oldest = (1..).zip(migrations).map(|(number, sql)| works_with(number, sql)).max().unwrap_or(0);
        Self { schema: count(migrations), oldest }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (schema, oldest) = text.split_once(' ')?;
        Some(Self { schema: schema.parse().ok()?, oldest: oldest.parse().ok()? })
    }
}

impl fmt::Display for WorksWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.schema, self.oldest)
    }
}

/// The schema that a store has, if a binary that knows these migrations may work with it.
pub(crate) fn judge(
    known: &[&str],
    applied: &[Applied],
    works_with: Option<WorksWith>,
) -> Result<u32, StoreError> {
    let known_count = count(known);
    let found = applied.iter().map(|(number, _)| *number).max().unwrap_or(0);
    let works = |kept: WorksWith| kept.schema == found && kept.oldest <= known_count;
    if found > known_count && !works_with.is_some_and(works) {
        return Err(StoreError::Newer { found, known: known_count });
    }
    for (number, checksum) in applied.iter().filter(|(number, _)| *number <= known_count) {
        let ours = number.checked_sub(1).and_then(|index| known.get(index as usize));
        if ours.is_none_or(|sql| checksum_of(sql) != *checksum) {
            let detail = format!("number {number} is not the one that this version knows");
            return Err(corrupt("migration", detail));
        }
    }
    Ok(found)
}

/// The oldest schema whose binaries work with a store after this one.
fn works_with(number: u32, sql: &str) -> u32 {
    let mut head = sql.lines().take_while(|line| line.starts_with("--"));
    let said = head.find_map(|line| line.strip_prefix(WORKS_WITH_MARK));
    let oldest = said.and_then(|said| said.trim().parse::<u32>().ok());
    oldest.filter(|oldest| *oldest <= number).unwrap_or(number)
}

pub(crate) fn count(migrations: &[&str]) -> u32 {
    u32::try_from(migrations.len()).unwrap_or(u32::MAX)
}

pub(crate) fn checksum_of(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPANDING: &str = "-- works with: 1\n-- A column.\nALTER TABLE a ADD COLUMN b TEXT;";
    const SILENT: &str = "-- A rule that older binaries break.\nALTER TABLE a ALTER COLUMN b SET NOT NULL;";

    fn applied(migrations: &[&str]) -> Vec<Applied> {
        (1..).zip(migrations).map(|(number, sql)| (number, checksum_of(sql))).collect()
    }

    #[test]
    fn an_older_binary_works_with_a_store_that_was_only_expanded() {
        let newer = ["first", EXPANDING, EXPANDING];
        let kept = Some(WorksWith::of(&newer));
        assert_eq!(judge(&newer[..1], &applied(&newer), kept).unwrap(), 3);
        assert_eq!(judge(&newer[..2], &applied(&newer), kept).unwrap(), 3);
        assert_eq!(judge(&newer, &applied(&newer), kept).unwrap(), 3);
    }

    #[test]
    fn an_older_binary_refuses_what_it_cannot_work_with() {
        let newer = ["first", SILENT, EXPANDING];
        let kept = Some(WorksWith::of(&newer));
        assert_eq!(
            kept.map(|kept| kept.oldest),
            Some(2),
            "one step that breaks older binaries counts, whatever the later ones say"
        );
        let refused = judge(&newer[..1], &applied(&newer), kept).unwrap_err().to_string();
        assert_eq!(refused, "the store has schema 3, this version knows up to 1: use a newer posthaste");
        assert_eq!(judge(&newer[..2], &applied(&newer), kept).unwrap(), 3);
        for unsaid in [None, WorksWith::parse("2 1"), WorksWith::parse("1")] {
            let refused = judge(&newer[..2], &applied(&newer), unsaid);
            assert!(matches!(refused, Err(StoreError::Newer { found: 3, known: 2 })), "{unsaid:?}");
        }
    }

    #[test]
    fn a_migration_that_is_another_one_is_refused_though_the_store_is_newer() {
        let newer = ["first", EXPANDING];
        let others = ["another first"];
        assert!(matches!(
            judge(&others, &applied(&newer), Some(WorksWith::of(&newer))),
            Err(StoreError::Corrupt { .. })
        ));
    }

    #[test]
    fn what_a_file_cannot_mean_counts_as_unsaid() {
        for sql in ["-- works with: 3\n", "-- works with: all\n", "SELECT 1;\n-- works with: 1\n", ""] {
            assert_eq!(works_with(2, sql), 2, "{sql:?}");
        }
        assert_eq!(works_with(2, "-- A table.\n-- works with: 1\n"), 1);
    }
}
