//! Lists that are looked through row by row: a page looks at so many and no more, and says how far it came.

use posthaste_core::id::{Id, Kind};
use posthaste_store::page::{Cursor, Order, Page, PageRequest};
use serde::Serialize;

use super::{Place, ROWS, Turns};
use crate::Shared;
use crate::error::Answer;
use crate::words::{Moment, grouped, moment};

/// Rows that one page looks at.
pub(crate) const LOOKED_ROWS_MAX: usize = 2_500;
/// Bytes of bodies that one page looks at, give or take a step.
const LOOKED_BYTES_MAX: usize = 1 << 20;

/// A list, and what is wanted of it.
pub(crate) trait List<K: Kind> {
    /// As it is read.
    type Row;
    /// As it is shown.
    type Found;

    /// Rows that one step reads.
    fn step(&self) -> u16;
    /// One step.
    async fn read(&self, request: PageRequest<Id<K>>) -> Answer<Page<Self::Row>>;
    /// By what a row is ordered, and how many bytes were read for it.
    fn key(row: &Self::Row) -> (Id<K>, usize);
    /// What is shown of each row, in their order; nothing if it is not wanted.
    async fn judge(&self, rows: Vec<Self::Row>) -> Answer<Vec<Option<Self::Found>>>;
}

/// A page of it.
pub(crate) struct Walked<F> {
    pub(crate) rows: Vec<F>,
    pub(crate) turns: Turns,
    /// Said if it did not come to the end.
    pub(crate) looked: Option<Looked>,
}

/// How far a page looked.
#[derive(Serialize)]
pub(crate) struct Looked {
    count: String,
    back_to: Moment,
}

/// Looks from a place on until the page is full, the list is over, or enough was looked at.
pub(crate) async fn walk<K: Kind, L: List<K>>(
    state: &Shared,
    place: &Place,
    list: &L,
) -> Answer<Walked<L::Found>> {
    walk_on(state, place, list, usize::from(ROWS)).await
}

/// The same for a page of any length.
pub(crate) async fn walk_on<K: Kind, L: List<K>>(
    state: &Shared,
    place: &Place,
    list: &L,
    rows_max: usize,
) -> Answer<Walked<L::Found>> {
    let start = place.request::<K>(Order::Descending)?.cursor;
    let backwards = matches!(start, Cursor::Before(_));
    let (mut cursor, mut found) = (start.clone(), Vec::new());
    let (mut looked_count, mut bytes, mut furthest) = (0, 0, None);
    let more = 'looking: loop {
        let request = PageRequest { cursor, order: Order::Descending, limit: list.step() };
        let Page { mut rows, done } = list.read(request).await?;
        if backwards {
            rows.reverse();
        }
        let keys: Vec<_> = rows.iter().map(L::key).collect();
        for (index, judged) in list.judge(rows).await?.into_iter().enumerate() {
            let (id, weight) = keys[index];
            (furthest, looked_count, bytes) = (Some(id), looked_count + 1, bytes + weight);
            found.extend(judged.map(|row| (id, row)));
            if found.len() == rows_max {
                break 'looking index + 1 < keys.len() || !done;
            }
        }
        let Some(seen) = furthest.filter(|_| !done) else { break false };
        if looked_count >= LOOKED_ROWS_MAX || bytes >= LOOKED_BYTES_MAX {
            break true;
        }
        cursor = if backwards { Cursor::Before(seen) } else { Cursor::After(seen) };
    };
    let now = state.clock.now();
    let is_cut = more && found.len() < rows_max;
    let looked = furthest.filter(|_| is_cut).map(|furthest| Looked {
        count: grouped(looked_count as u64),
        back_to: moment(furthest.made_at(), now),
    });
    let ends = (found.first().map(|(id, _)| *id), furthest.filter(|_| more));
    let turns = turns(&start, ends);
    let mut rows: Vec<_> = found.into_iter().map(|(_, row)| row).collect();
    if backwards {
        rows.reverse();
    }
    Ok(Walked { rows, turns, looked })
}

/// `nearest`: the first row that was found. `furthest`: the last that was looked at, if there is more behind it.
fn turns<K: Kind>(start: &Cursor<Id<K>>, (nearest, furthest): (Option<Id<K>>, Option<Id<K>>)) -> Turns {
    let text = |id: Option<Id<K>>| id.map(|id| id.to_string());
    match start {
        Cursor::Start => Turns { newer: None, older: text(furthest) },
        Cursor::After(from) => Turns { newer: text(nearest.or(Some(*from))), older: text(furthest) },
        Cursor::Before(_) => Turns { newer: text(furthest), older: text(nearest) },
    }
}
