//! Pages by key, never by offset: stable while rows come and go.

use posthaste_core::limits::PAGE_ROWS_DEFAULT;

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest, or alphabetically first, at the top.
    Ascending,
    /// Newest at the top.
    Descending,
}

/// Where a page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor<K> {
    /// At the top of the list.
    Start,
    /// Behind this key, in the list's order.
    After(K),
    /// The page that ends just before this key, in the list's order.
    Before(K),
}

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<K> {
    /// Where it starts.
    pub cursor: Cursor<K>,
    /// Which way the list runs.
    pub order: Order,
    /// At most so many rows.
    pub limit: u16,
}

impl<K> PageRequest<K> {
    /// The first page.
    pub fn first(order: Order) -> Self {
        Self { cursor: Cursor::Start, order, limit: PAGE_ROWS_DEFAULT }
    }
}

impl<K> PageRequest<K> {
    /// One page of two: the rows of two lists that have no key in common, in one order.
    pub(crate) fn merge<T>(&self, pages: [Page<T>; 2], key_of: impl Fn(&T) -> K) -> Page<T>
    where
        K: Ord,
    {
        let mut done = true;
        let mut rows = Vec::new();
        for page in pages {
            done &= page.done;
            rows.extend(page.rows);
        }
        rows.sort_by_key(key_of);
        if self.order == Order::Descending {
            rows.reverse();
        }
        let too_many = rows.len().saturating_sub(usize::from(self.limit));
        if matches!(self.cursor, Cursor::Before(_)) {
            rows.drain(..too_many);
        } else {
            rows.truncate(usize::from(self.limit));
        }
        Page { rows, done: done && too_many == 0 }
    }
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, in the list's order (also when asked for `Before`).
    pub rows: Vec<T>,
    /// There is nothing further in the direction that was asked for.
    pub done: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lists_make_one_whichever_way_it_runs() {
        let page = |rows: &[u8], done| Page { rows: rows.to_vec(), done };
        let request = |order, cursor| PageRequest { cursor, order, limit: 3 };
        let merge = |request: PageRequest<u8>, one, other| request.merge([one, other], |row| *row);
        let ascending = request(Order::Ascending, Cursor::Start);
        assert_eq!(merge(ascending.clone(), page(&[1, 4], true), page(&[2], true)), page(&[1, 2, 4], true));
        assert_eq!(merge(ascending, page(&[1, 4, 5], false), page(&[2], true)), page(&[1, 2, 4], false));
        let descending = request(Order::Descending, Cursor::After(9));
        assert_eq!(merge(descending, page(&[5, 4], true), page(&[8, 1], true)), page(&[8, 5, 4], false));
        let before = request(Order::Ascending, Cursor::Before(9));
        assert_eq!(merge(before, page(&[1, 8], true), page(&[5, 7], true)), page(&[5, 7, 8], false));
    }
}
