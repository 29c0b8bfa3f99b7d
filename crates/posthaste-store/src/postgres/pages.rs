//! Pages over a table that is ordered by one key.

use tokio_postgres::{Client, Row};

use super::statement::{Statement, Value, query};
use crate::error::StoreError;
use crate::page::{Cursor, Order, Page, PageRequest};

/// Reads one page of `SELECT … FROM … WHERE …`, which has at least one condition and no order or limit, ordered by the
/// column `key`. `key_of` turns a key into what is stored.
pub(super) async fn page<'a, K, V: Value, T>(
    client: &Client,
    select: Statement<'a>,
    key: &str,
    request: &'a PageRequest<K>,
    key_of: impl Fn(&'a K) -> V,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let (bound, backwards) = match &request.cursor {
        Cursor::Start => (None, false),
        Cursor::After(key) => (Some(key_of(key)), false),
        Cursor::Before(key) => (Some(key_of(key)), true),
    };
    let ascending = (request.order == Order::Ascending) != backwards;
    let (compare, direction) = if ascending { (">", "ASC") } else { ("<", "DESC") };
    let rows_max = usize::from(request.limit);
    let limit = i64::from(request.limit) + 1;
    // A statement of its own: what the conditions bind lives longer than the bound.
    let mut paged = Statement::new(select.sql());
    for value in select.values() {
        paged.also(*value);
    }
    if let Some(bound) = &bound {
        paged.push(&format!(" AND {key} {compare} ")).bind(bound);
    }
    paged.push(&format!(" ORDER BY {key} {direction} LIMIT ")).bind(&limit);
    let found = query(client, paged.sql(), paged.values()).await?;
    let mut rows = found.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let done = rows.len() <= rows_max;
    rows.truncate(rows_max);
    if backwards {
        rows.reverse();
    }
    Ok(Page { rows, done })
}
