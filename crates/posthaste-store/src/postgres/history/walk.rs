//! Pages over tables that lie in days: a few days at a time, in the list's direction, until the page is full.
//!
//! One statement over all days would plan, open and lock every partition of every table that it names: with ninety days
//! several hundred of the few thousand locks that PostgreSQL has for everybody.

use futures_util::{TryStreamExt as _, pin_mut};
use posthaste_core::day::Day;
use posthaste_core::id::{Id, Kind, MessageId};
use posthaste_core::limits::PAGE_BYTES_MAX;
use tokio_postgres::{Client, Row};

use super::super::partitions::{self, Ids};
use super::super::statement::{Statement, Value, bytes, typed};
use crate::error::StoreError;
use crate::page::{Cursor, Order, Page, PageRequest};

/// A list.
pub(super) struct List<'a> {
    /// `SELECT … FROM … WHERE …` with at least one condition, and no order or limit.
    pub(super) select: Statement<'a>,
    /// The column that it is ordered by.
    pub(super) key: &'static str,
    /// Columns that hold the message's id, one of each table that lies in days.
    pub(super) messages: &'static [&'static str],
    /// If the key is the message's id: from which message until before which. The list ends with the day that fills
    /// the page then; otherwise older days may hold what belongs between the rows that were found.
    pub(super) window: Option<Ids>,
    /// If all of it is about one message: that.
    pub(super) of: Option<MessageId>,
}

/// What a row holds: its key, its value and how many bytes it weighs.
pub(super) type Weighed<K, T> = (Id<K>, T, usize);

/// The best rows that were found so far, in the order in which they are looked for.
struct Best<K: Kind, T> {
    rows: Vec<Weighed<K, T>>,
    /// Behind which they are.
    cursor: Option<Id<K>>,
    rows_max: usize,
    ascending: bool,
    full: bool,
}

impl<K: Kind, T> Best<K, T> {
    fn add(&mut self, more: Vec<Weighed<K, T>>) {
        self.rows.extend(more);
        self.rows
            .sort_by(|(one, ..), (other, ..)| if self.ascending { one.cmp(other) } else { other.cmp(one) });
        let mut bytes = 0;
        let fits = self.rows.iter().take_while(|(.., weight)| {
            let fits = bytes < PAGE_BYTES_MAX;
            bytes += weight;
            fits
        });
        // One more than fits says that there is more.
        let count = fits.count().min(self.rows_max + 1);
        self.rows.truncate(count);
        self.full = count > self.rows_max || bytes >= PAGE_BYTES_MAX;
    }

    /// Before which the others have to be.
    fn worst(&self) -> Option<Id<K>> {
        self.rows.last().filter(|_| self.full).map(|(key, ..)| *key)
    }
}

/// Reads one page.
pub(super) async fn page<K: Kind, T>(
    client: &Client,
    list: List<'_>,
    request: &PageRequest<Id<K>>,
    read: impl Fn(&Row) -> Result<Weighed<K, T>, StoreError>,
) -> Result<Page<T>, StoreError> {
    let (cursor, backwards) = match &request.cursor {
        Cursor::Start => (None, false),
        Cursor::After(key) => (Some(*key), false),
        Cursor::Before(key) => (Some(*key), true),
    };
    let ascending = (request.order == Order::Ascending) != backwards;
    let rows_max = usize::from(request.limit);
    let mut best = Best { rows: Vec::new(), cursor, rows_max, ascending, full: false };
    let days = match &list.of {
        Some(message) => vec![Day::of_id(message)],
        None => partitions::days(client).await?,
    };
    let mut stretches = partitions::stretches(&days);
    if !ascending {
        stretches.reverse();
    }
    for stretch in stretches {
        if list.window.is_some_and(|window| is_outside(stretch, window, cursor, ascending)) {
            continue;
        }
        let found = read_stretch(client, &list, stretch, &best, &read).await?;
        best.add(found);
        if best.full && list.window.is_some() {
            break;
        }
    }
    best.rows.truncate(rows_max);
    let mut rows: Vec<T> = best.rows.into_iter().map(|(_, row, _)| row).collect();
    if backwards {
        rows.reverse();
    }
    Ok(Page { rows, done: !best.full })
}

/// Whether nothing that is asked for lies in these days.
fn is_outside<K: Kind>(stretch: Ids, window: Ids, cursor: Option<Id<K>>, ascending: bool) -> bool {
    let passed = cursor
        .map(|cursor| MessageId::from_bytes(*cursor.as_bytes()))
        .is_some_and(|cursor| if ascending { stretch.1 <= cursor } else { stretch.0 >= cursor });
    passed || stretch.1 <= window.0 || stretch.0 >= window.1
}

async fn read_stretch<K: Kind, T>(
    client: &Client,
    list: &List<'_>,
    stretch: Ids,
    best: &Best<K, T>,
    read: &impl Fn(&Row) -> Result<Weighed<K, T>, StoreError>,
) -> Result<Vec<Weighed<K, T>>, StoreError> {
    let (first, until) = (bytes(&stretch.0), bytes(&stretch.1));
    let (behind, before, direction) = if best.ascending { (">", "<", "ASC") } else { ("<", ">", "DESC") };
    let limit = i64::try_from(best.rows_max + 1).unwrap_or(i64::MAX);
    let worst = best.worst();
    let (cursor, worst) = (best.cursor.as_ref().map(bytes), worst.as_ref().map(bytes));
    let mut statement = Statement::new(list.select.sql());
    for value in list.select.values() {
        statement.also(*value);
    }
    for column in list.messages {
        statement
            .push(&format!(" AND {column} >= "))
            .bind(&first)
            .push(&format!(" AND {column} < "))
            .bind(&until);
    }
    for (bound, compare) in [(&cursor, behind), (&worst, before)] {
        if let Some(bound) = bound {
            statement.push(&format!(" AND {} {compare} ", list.key)).bind(bound as &dyn Value);
        }
    }
    statement.push(&format!(" ORDER BY {} {direction} LIMIT ", list.key)).bind(&limit);
    let found = client.query_typed_raw(statement.sql(), typed(statement.values())).await?;
    pin_mut!(found);
    let (mut rows, mut weight) = (Vec::new(), 0);
    while weight < PAGE_BYTES_MAX
        && let Some(row) = found.try_next().await?
    {
        let row = read(&row)?;
        weight += row.2;
        rows.push(row);
    }
    Ok(rows)
}
