//! Pages over a table that is ordered by one key.

use futures_util::{TryStreamExt as _, pin_mut};
use posthaste_core::limits::PAGE_BYTES_MAX;
use tokio_postgres::{Client, Row};

use super::statement::{Statement, Value, typed};
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
    page_of_heavy(client, select, key, request, key_of, |row| Ok((read(row)?, 0))).await
}

/// The same for rows that carry bodies: `read` also says how many bytes a row holds, and the page ends once
/// [`PAGE_BYTES_MAX`] are reached.
pub(super) async fn page_of_heavy<'a, K, V: Value, T>(
    client: &Client,
    select: Statement<'a>,
    key: &str,
    request: &'a PageRequest<K>,
    key_of: impl Fn(&'a K) -> V,
    read: impl Fn(&Row) -> Result<(T, usize), StoreError>,
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
    let found = client.query_typed_raw(paged.sql(), typed(paged.values())).await?;
    pin_mut!(found);
    let mut rows = Vec::with_capacity(rows_max + 1);
    let mut bytes = 0;
    while bytes < PAGE_BYTES_MAX
        && let Some(row) = found.try_next().await?
    {
        let (row, weight) = read(&row)?;
        rows.push(row);
        bytes += weight;
    }
    let done = rows.len() <= rows_max && bytes < PAGE_BYTES_MAX;
    rows.truncate(rows_max);
    if backwards {
        rows.reverse();
    }
    Ok(Page { rows, done })
}
