//! Pages over a table that is ordered by one key.

use posthaste_core::limits::PAGE_BYTES_MAX;
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, StatementStatus};

use crate::error::StoreError;
use crate::page::{Cursor, Order, Page, PageRequest};

/// What to read: `columns … FROM … WHERE` conditions, and the key that orders it.
pub(super) struct Listing<'a> {
    /// `SELECT … FROM … WHERE …`, without order or limit; at least one condition.
    pub(super) select: &'a str,
    /// The column that orders the list.
    pub(super) key: &'a str,
    /// Values of the conditions, by name.
    pub(super) values: Vec<(&'a str, &'a dyn ToSql)>,
}

impl Listing<'_> {
    /// Reads one page. `key_of` turns a key into what is stored.
    pub(super) fn page<K, V: ToSql, T>(
        self,
        conn: &Connection,
        request: &PageRequest<K>,
        key_of: impl Fn(&K) -> V,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        self.page_of_heavy(conn, request, key_of, |row| Ok((read(row)?, 0)))
    }

    /// The same for rows that carry bodies: `read` also says how many bytes a row holds, and the page ends once
    /// [`PAGE_BYTES_MAX`] are reached.
    pub(super) fn page_of_heavy<K, V: ToSql, T>(
        self,
        conn: &Connection,
        request: &PageRequest<K>,
        key_of: impl Fn(&K) -> V,
        read: impl Fn(&Row<'_>) -> Result<(T, usize), StoreError>,
    ) -> Result<Page<T>, StoreError> {
        let (bound, backwards) = match &request.cursor {
            Cursor::Start => (None, false),
            Cursor::After(key) => (Some(key_of(key)), false),
            Cursor::Before(key) => (Some(key_of(key)), true),
        };
        let ascending = (request.order == Order::Ascending) != backwards;
        let (compare, direction) = if ascending { (">", "ASC") } else { ("<", "DESC") };
        let mut sql = self.select.to_owned();
        if bound.is_some() {
            sql = format!("{sql} AND {} {compare} :page_bound", self.key);
        }
        sql = format!("{sql} ORDER BY {} {direction} LIMIT :page_limit", self.key);
        let limit = i64::from(request.limit) + 1;
        let mut values: Vec<(&str, &dyn ToSql)> = self.values.clone();
        values.push((":page_limit", &limit));
        if let Some(bound) = &bound {
            values.push((":page_bound", bound));
        }
        let mut statement = conn.prepare_cached(&sql)?;
        let mut found = statement.query(values.as_slice())?;
        let mut rows = Vec::with_capacity(usize::from(request.limit) + 1);
        let mut bytes = 0;
        while bytes < PAGE_BYTES_MAX
            && let Some(row) = found.next()?
        {
            let (row, weight) = read(row)?;
            rows.push(row);
            bytes += weight;
        }
        drop(found);
        // Every list is a range of an index: tests fail where one would read or sort a whole table.
        debug_assert_eq!(statement.get_status(StatementStatus::FullscanStep), 0, "{sql}");
        debug_assert_eq!(statement.get_status(StatementStatus::Sort), 0, "{sql}");
        let done = rows.len() <= usize::from(request.limit) && bytes < PAGE_BYTES_MAX;
        rows.truncate(usize::from(request.limit));
        if backwards {
            rows.reverse();
        }
        Ok(Page { rows, done })
    }
}
