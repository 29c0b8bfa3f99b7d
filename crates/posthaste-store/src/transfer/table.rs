//! What a table is to whoever moves it, and its rows on their way: opened, so that they read alike on both sides.

use posthaste_core::id::{ID_BYTES, Id, Kind as Named};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::columns::corrupt;
use crate::error::StoreError;

/// A table: which columns it has in PostgreSQL, and where SQLite has them.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// What stands behind SQLite's FROM.
    pub(crate) from: &'static str,
    /// So many of the first columns are its key.
    pub(crate) key: usize,
    pub(crate) columns: &'static [Column],
    /// A column that SQLite does not have, and what it begins with.
    pub(crate) fixed: Option<(&'static str, &'static str)>,
    /// What becomes of a row on its way.
    pub(crate) change: Option<Change>,
}

pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// What SQLite selects.
    pub(crate) from: &'static str,
    pub(crate) kind: Kind,
}

/// What a column holds, as PostgreSQL's types tell it apart.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Bool,
    Small,
    Int,
    Big,
    Text,
    Bytes,
    /// An id, and how it is shown.
    Id(fn([u8; ID_BYTES]) -> String),
    /// Encrypted with the main secret, and bound to the bytes of this column.
    Sealed(usize),
}

const fn plain(name: &'static str, kind: Kind) -> Column {
    Column { name, from: name, kind }
}

pub(crate) const fn flag(name: &'static str) -> Column {
    plain(name, Kind::Bool)
}

pub(crate) const fn small(name: &'static str) -> Column {
    plain(name, Kind::Small)
}

pub(crate) const fn int(name: &'static str) -> Column {
    plain(name, Kind::Int)
}

pub(crate) const fn big(name: &'static str) -> Column {
    plain(name, Kind::Big)
}

pub(crate) const fn text(name: &'static str) -> Column {
    plain(name, Kind::Text)
}

pub(crate) const fn bytes(name: &'static str) -> Column {
    plain(name, Kind::Bytes)
}

pub(crate) const fn sealed(name: &'static str, bound_to: usize) -> Column {
    plain(name, Kind::Sealed(bound_to))
}

pub(crate) const fn id<K: Named>(name: &'static str) -> Column {
    plain(name, Kind::Id(shown::<K>))
}

impl Column {
    /// The same, from elsewhere.
    pub(crate) const fn of(self, from: &'static str) -> Self {
        Self { from, ..self }
    }
}

fn shown<K: Named>(bytes: [u8; ID_BYTES]) -> String {
    Id::<K>::from_bytes(bytes).to_string()
}

/// A value on its way.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    /// Numbers of every width, and truth.
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// What was sealed where it came from.
    Opened(Zeroizing<Vec<u8>>),
}

/// What is done to a row.
pub(crate) type Change = fn(&mut Row) -> Result<(), StoreError>;

/// Values in the order of their table's columns.
pub(crate) type Row = Vec<Cell>;

impl Cell {
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Null | Self::Int(_) => 8,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Opened(bytes) => bytes.len(),
        }
    }

    /// What it is, how long it is and what it holds: two rows read alike only if they are.
    fn hash_into(&self, hash: &mut Sha256) {
        let (mark, bytes) = match self {
            Self::Null => (0_u8, &[][..]),
            Self::Int(number) => {
                hash.update([1]);
                hash.update(number.to_be_bytes());
                return;
            }
            Self::Text(text) => (2, text.as_bytes()),
            Self::Bytes(bytes) => (3, bytes.as_slice()),
            Self::Opened(bytes) => (4, bytes.as_slice()),
        };
        hash.update([mark]);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
}

/// The digest of a row.
pub(crate) fn digest(row: &[Cell]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for cell in row {
        cell.hash_into(&mut hash);
    }
    hash.finalize().into()
}

impl Table {
    pub(crate) fn names(&self) -> String {
        join(self.columns.iter().map(|column| column.name))
    }

    /// The names of its key, with something behind each.
    pub(crate) fn key_names(&self, behind: &str) -> String {
        join(self.columns[..self.key].iter().map(|column| format!("{}{behind}", column.name)))
    }

    /// The key of a row, for people.
    pub(crate) fn shown_key(&self, row: &[Cell]) -> String {
        let shown = |(column, cell): (&Column, &Cell)| match (column.kind, cell) {
            (Kind::Id(shown), Cell::Bytes(bytes)) => match <[u8; ID_BYTES]>::try_from(bytes.as_slice()) {
                Ok(id) => shown(id),
                Err(_) => hex(bytes),
            },
            (_, Cell::Bytes(bytes)) => hex(bytes),
            (_, Cell::Int(number)) => number.to_string(),
            (_, Cell::Text(text)) => text.clone(),
            (_, Cell::Null | Cell::Opened(_)) => "nothing".to_owned(),
        };
        let parts: Vec<String> = self.columns[..self.key].iter().zip(row).map(shown).collect();
        parts.join(" ")
    }

    /// A row of it that does not make sense.
    pub(crate) fn corrupt(&self, row: &[Cell], column: &Column, what: &str) -> StoreError {
        corrupt(self.name, format!("{}: {} {what}", self.shown_key(row), column.name))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn join(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    let mut joined = String::new();
    for name in names {
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(name.as_ref());
    }
    joined
}
