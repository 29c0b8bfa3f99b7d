//! Reads rows back as they would travel.

use tokio_postgres::Client;

use super::super::statement::{Statement, Text, Value, query, query_opt};
use crate::error::StoreError;
use crate::seal::Vault;
use crate::transfer::table::{Cell, Kind, Row, Table};

/// Which rows: behind one key, up to another.
pub(super) struct Range<'a> {
    pub(super) after: Option<&'a Row>,
    pub(super) until: Option<&'a Row>,
    pub(super) limit: usize,
}

/// The largest key of a table.
pub(super) async fn last_key(client: &Client, table: &Table) -> Result<Option<Row>, StoreError> {
    let (key, order) = (table.key_names(""), table.key_names(" DESC"));
    let sql = format!("SELECT {key} FROM {} ORDER BY {order} LIMIT 1", table.name);
    let Some(found) = query_opt(client, &sql, &[]).await? else { return Ok(None) };
    let cells = table.columns[..table.key].iter().enumerate();
    cells.map(|(index, column)| cell(column.kind, &found, index)).collect::<Result<Row, _>>().map(Some)
}

/// Rows in the order of their keys, opened.
pub(super) async fn rows(
    client: &Client,
    vault: &Vault,
    table: &Table,
    range: &Range<'_>,
) -> Result<Vec<Row>, StoreError> {
    let (after, until) = (range.after.map(|row| key(table, row)), range.until.map(|row| key(table, row)));
    let limit = i64::try_from(range.limit).unwrap_or(i64::MAX);
    let key = table.key_names("");
    let mut statement = Statement::new(format!("SELECT {} FROM {} WHERE true", table.names(), table.name));
    for (edge, sign) in [(&after, ">"), (&until, "<=")] {
        let Some(edge) = edge else { continue };
        let mut joint = format!(" AND ({key}) {sign} (");
        for value in edge {
            statement.push(&joint).bind(&**value);
            ", ".clone_into(&mut joint);
        }
        statement.push(")");
    }
    statement.push(&format!(" ORDER BY {key} LIMIT ")).bind(&limit);
    let found = query(client, statement.sql(), statement.values()).await?;
    found.iter().map(|found| row(vault, table, found)).collect()
}

fn key<'r>(table: &Table, row: &'r Row) -> Vec<Box<dyn Value + 'r>> {
    let value = |cell: &'r Cell| -> Box<dyn Value + 'r> {
        match cell {
            Cell::Null => Box::new(None::<i64>),
            Cell::Int(number) => Box::new(*number),
            Cell::Text(text) => Box::new(Text(text)),
            Cell::Bytes(bytes) => Box::new(bytes.as_slice()),
            Cell::Opened(bytes) => Box::new(bytes.as_slice()),
        }
    };
    row[..table.key].iter().map(value).collect()
}

fn row(vault: &Vault, table: &Table, found: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let mut row = Row::with_capacity(table.columns.len());
    for (index, column) in table.columns.iter().enumerate() {
        let cell = match (column.kind, cell(column.kind, found, index)?) {
            (Kind::Sealed(bound_to), Cell::Bytes(sealed)) => {
                let opened = match &row[bound_to] {
                    Cell::Bytes(id) => vault.open(&sealed, id).ok(),
                    _ => None,
                };
                let opened = opened.ok_or_else(|| table.corrupt(&row, column, "cannot be opened"))?;
                Cell::Opened(opened)
            }
            (_, cell) => cell,
        };
        row.push(cell);
    }
    Ok(row)
}

fn cell(kind: Kind, found: &tokio_postgres::Row, index: usize) -> Result<Cell, StoreError> {
    let number = |number: Option<i64>| number.map_or(Cell::Null, Cell::Int);
    Ok(match kind {
        Kind::Bool => number(found.try_get::<_, Option<bool>>(index)?.map(i64::from)),
        Kind::Small => number(found.try_get::<_, Option<i16>>(index)?.map(i64::from)),
        Kind::Int => number(found.try_get::<_, Option<i32>>(index)?.map(i64::from)),
        Kind::Big => number(found.try_get(index)?),
        Kind::Text => found.try_get::<_, Option<String>>(index)?.map_or(Cell::Null, Cell::Text),
        Kind::Bytes | Kind::Id(_) | Kind::Sealed(_) => {
            found.try_get::<_, Option<Vec<u8>>>(index)?.map_or(Cell::Null, Cell::Bytes)
        }
    })
}
