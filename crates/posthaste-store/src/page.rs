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

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, in the list's order (also when asked for `Before`).
    pub rows: Vec<T>,
    /// There is nothing further in the direction that was asked for.
    pub done: bool,
}
