//! Everything in an embedded store, as rows in the order of their keys: one snapshot, only read, while nobody serves.

use std::fs::File;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{copy, lock, migrate, open};
use crate::error::StoreError;
use crate::seal::Vault;
use crate::transfer::ImportError;
use crate::transfer::table::{Cell, Column, Kind, Row, Table, hex};
use crate::transfer::tables::TABLES;

/// Rows that travel, and are written, at once.
const CHUNK_ROWS: usize = 2_000;
/// Bytes of them, give or take one row.
const CHUNK_BYTES: usize = 4 << 20;

/// A store to be read.
pub(crate) struct Export {
    conn: Connection,
    vault: Vault,
    id: String,
    /// What SQLite says of changes by others, before the snapshot.
    version: i64,
    /// No server starts here meanwhile.
    _lock: File,
}

/// Rows of one table.
pub(crate) struct Chunk {
    pub(crate) table: usize,
    pub(crate) rows: Vec<Row>,
    /// There are no more of this table.
    pub(crate) ends: bool,
}

/// Where to begin: a table, and the key of the last row of it that is not wanted.
#[derive(Clone, Default)]
pub(crate) struct Place {
    pub(crate) table: usize,
    pub(crate) after: Option<Vec<Cell>>,
}

impl Export {
    /// Opens a store that nobody serves. Its main secret is one of `secrets`, which were looked for in `places`.
    pub(crate) fn open(
        path: &Path,
        secrets: &[Zeroizing<String>],
        places: &str,
    ) -> Result<Self, ImportError> {
        let file = path.display().to_string();
        let lock = lock::serve(path)?;
        let conn = copy::look(path)?;
        let known = migrate::known();
        match migrate::schema(&conn)? {
            None => return Err(StoreError::NotAStore(file).into()),
            Some(found) if found < known => {
                let dir = path.parent().unwrap_or(path).display().to_string();
                return Err(ImportError::Older { file, dir, found, known });
            }
            // What a newer version has added would stay behind.
            Some(found) if found > known => return Err(StoreError::Newer { found, known }.into()),
            Some(_) => {}
        }
        let version = version(&conn)?;
        conn.execute_batch("BEGIN")?;
        let check = "SELECT value FROM setting WHERE name = 'key_check'";
        let check: Vec<u8> = conn.query_row(check, [], |row| row.get(0))?;
        let vault = fitting(&conn, secrets)?;
        let vault = vault.ok_or_else(|| ImportError::UnknownSecret { file, places: places.to_owned() })?;
        // Sealed with a nonce that no other store has.
        let id = hex(&Sha256::digest(check));
        Ok(Self { conn, vault, id, version, _lock: lock })
    }

    /// What tells this store from any other.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// How many rows each table has.
    pub(crate) fn counts(&self) -> Result<Vec<u64>, StoreError> {
        let count = |table: &Table| {
            let sql = format!("SELECT count(*) FROM {}", table.name);
            Ok(self.conn.query_row(&sql, [], |row| row.get(0))?)
        };
        TABLES.iter().map(count).collect()
    }

    /// Ends the snapshot. `true`: somebody has written to the store since it was opened.
    pub(crate) fn was_changed(&self) -> Result<bool, StoreError> {
        self.conn.execute_batch("COMMIT")?;
        Ok(version(&self.conn)? != self.version)
    }

    /// Sends all rows from `place` on, until nobody wants more. The last chunk of each table says so.
    pub(crate) fn send(&self, place: Place, to: &mpsc::Sender<Chunk>) -> Result<(), StoreError> {
        let mut after = place.after;
        for (number, table) in TABLES.iter().enumerate().skip(place.table) {
            if !self.send_table(number, table, after.take(), to)? {
                break;
            }
        }
        Ok(())
    }

    fn send_table(
        &self,
        number: usize,
        table: &Table,
        after: Option<Vec<Cell>>,
        to: &mpsc::Sender<Chunk>,
    ) -> Result<bool, StoreError> {
        let mut statement = self.conn.prepare(&select(table, after.is_some()))?;
        let mut found = statement.query(params_from_iter(after.iter().flatten().map(bound)))?;
        let (mut rows, mut weight) = (Vec::new(), 0);
        while let Some(row) = found.next()? {
            if rows.len() >= CHUNK_ROWS || weight >= CHUNK_BYTES {
                let chunk = Chunk { table: number, rows: std::mem::take(&mut rows), ends: false };
                if to.blocking_send(chunk).is_err() {
                    return Ok(false);
                }
                weight = 0;
            }
            let row = self.read(table, row)?;
            weight += row.iter().map(Cell::weight).sum::<usize>();
            rows.push(row);
        }
        Ok(to.blocking_send(Chunk { table: number, rows, ends: true }).is_ok())
    }

    fn read(&self, table: &Table, found: &rusqlite::Row<'_>) -> Result<Row, StoreError> {
        let mut row = Row::with_capacity(table.columns.len());
        for (index, column) in table.columns.iter().enumerate() {
            let cell = cell(column.kind, found.get_ref(index)?);
            let cell = cell.ok_or_else(|| table.corrupt(&row, column, "is of another kind"))?;
            row.push(self.opened(table, column, cell, &row)?);
        }
        if let Some(change) = table.change {
            change(&mut row)?;
        }
        Ok(row)
    }

    fn opened(&self, table: &Table, column: &Column, cell: Cell, row: &[Cell]) -> Result<Cell, StoreError> {
        let (Kind::Sealed(bound_to), Cell::Bytes(sealed)) = (column.kind, &cell) else { return Ok(cell) };
        let opened = match &row[bound_to] {
            Cell::Bytes(id) => self.vault.open(sealed, id).ok(),
            _ => None,
        };
        opened.map(Cell::Opened).ok_or_else(|| table.corrupt(row, column, "cannot be opened"))
    }
}

/// The vault that the store was written with.
fn fitting(conn: &Connection, secrets: &[Zeroizing<String>]) -> Result<Option<Vault>, StoreError> {
    for secret in secrets {
        let vault = Vault::new(secret);
        if open::key_fits(conn, &vault)? == Some(true) {
            return Ok(Some(vault));
        }
    }
    Ok(None)
}

/// Grows with each transaction of another connection.
fn version(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.query_row("PRAGMA data_version", [], |row| row.get(0))?)
}

fn select(table: &Table, after: bool) -> String {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.from).collect();
    let key = columns[..table.key].join(", ");
    let places = vec!["?"; table.key].join(", ");
    let condition = if after { format!(" WHERE ({key}) > ({places})") } else { String::new() };
    format!("SELECT {} FROM {}{condition} ORDER BY {key}", columns.join(", "), table.from)
}

/// A value as SQLite takes it.
fn bound(cell: &Cell) -> rusqlite::types::Value {
    use rusqlite::types::Value;
    match cell {
        Cell::Null => Value::Null,
        Cell::Int(number) => Value::Integer(*number),
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Bytes(bytes) => Value::Blob(bytes.clone()),
        Cell::Opened(bytes) => Value::Blob(bytes.to_vec()),
    }
}

/// A value as it is kept in PostgreSQL, which keeps no NUL in text. `None`: it is of another kind than its column.
fn cell(kind: Kind, found: ValueRef<'_>) -> Option<Cell> {
    Some(match (kind, found) {
        (_, ValueRef::Null) => Cell::Null,
        (Kind::Bool, ValueRef::Integer(number)) => Cell::Int(i64::from(number != 0)),
        (Kind::Small | Kind::Int | Kind::Big, ValueRef::Integer(number)) => Cell::Int(number),
        (Kind::Text, ValueRef::Text(text)) => {
            Cell::Text(std::str::from_utf8(text).ok()?.replace('\0', "\u{FFFD}"))
        }
        (Kind::Bytes | Kind::Id(_) | Kind::Sealed(_), ValueRef::Blob(bytes) | ValueRef::Text(bytes)) => {
            Cell::Bytes(bytes.to_vec())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Told in other ways: leases end, and what a body's row holds is in its message's.
    const LEFT: &[&str] = &["message.body", "delivery.lease_token", "delivery.lease_until"];
    const TABLES_LEFT: &[&str] = &["setting", "migration"];
    /// Of which all columns are in the statement that reads another table.
    const BODY: &[&str] = &["body.id", "body.bytes", "body.origin"];

    #[test]
    fn every_column_is_read_or_named_as_one_that_is_left() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut conn).unwrap();
        let sql = "SELECT t.name || '.' || c.name, t.name FROM sqlite_master t, pragma_table_info(t.name) c \
                   WHERE t.type = 'table'";
        let mut statement = conn.prepare(sql).unwrap();
        let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let moved: Vec<String> = TABLES
            .iter()
            .flat_map(|table| {
                table.columns.iter().map(move |column| format!("{}.{}", table.name, column.name))
            })
            .collect();
        for column in found {
            let (column, table): (String, String) = column.unwrap();
            let known = |names: &[&str]| names.contains(&column.as_str());
            let left = TABLES_LEFT.contains(&table.as_str()) || known(LEFT) || known(BODY);
            assert!(left || moved.contains(&column), "an export would leave {column} behind");
        }
        for table in TABLES {
            for after in [false, true] {
                conn.prepare(&select(table, after)).unwrap();
            }
        }
    }

    #[test]
    fn a_store_of_any_other_schema_is_refused_even_one_that_this_version_could_serve() {
        let dir = std::env::temp_dir().join(format!("posthaste-export-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("posthaste.db");
        let mut conn = open::connect(&path, open::Access::Create).unwrap();
        migrate::migrate(&mut conn).unwrap();
        let known = migrate::known();
        let newer = format!(
            "INSERT INTO migration VALUES ({next}, 'x'); \
             INSERT OR REPLACE INTO setting VALUES ('works_with', '{next} {known}')",
            next = known + 1
        );
        conn.execute_batch(&newer).unwrap();
        assert_eq!(migrate::schema(&conn).unwrap(), Some(known + 1));
        let opened = Export::open(&path, &[], "").err();
        assert!(matches!(opened, Some(ImportError::Store(StoreError::Newer { .. }))));
        conn.execute("DELETE FROM migration WHERE number >= ?1", [known]).unwrap();
        let opened = Export::open(&path, &[], "").err();
        assert!(matches!(opened, Some(ImportError::Older { .. })));
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_value_of_another_kind_is_none_and_a_nul_is_shown_as_what_it_cannot_be() {
        assert!(cell(Kind::Int, ValueRef::Text(b"1")).is_none());
        assert!(cell(Kind::Text, ValueRef::Text(b"\xFF")).is_none());
        assert!(cell(Kind::Text, ValueRef::Text(b"a\0b")) == Some(Cell::Text("a\u{FFFD}b".to_owned())));
        assert!(cell(Kind::Bytes, ValueRef::Text(b"X-A: 1")) == Some(Cell::Bytes(b"X-A: 1".to_vec())));
    }
}
