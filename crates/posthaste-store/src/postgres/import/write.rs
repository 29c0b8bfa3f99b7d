//! Rows of any table in one statement, one array a column.

use posthaste_core::id::{ID_BYTES, MessageId};

use super::super::partitions;
use super::super::statement::{Text, Value, execute};
use super::super::work::Work;
use crate::error::StoreError;
use crate::transfer::table::{Cell, Column, Kind, Row, Table};

/// Writes rows as new ones, sealed with our own main secret.
pub(super) async fn rows(work: &Work, table: &Table, mut rows: Vec<Row>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    for row in &mut rows {
        seal(work, table, row)?;
    }
    partitions::need(&work.shared, messages(table, &rows)).await?;
    let arrays = (0..table.columns.len()).map(|index| array(table, &rows, index));
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    let values: Vec<&dyn Value> = arrays.iter().map(|array| &**array as &dyn Value).collect();
    execute(work.client(), &insert(table), &values).await?;
    Ok(())
}

/// Which messages rows belong to that lie in days.
fn messages(table: &Table, rows: &[Row]) -> impl Iterator<Item = MessageId> {
    let name = match table.name {
        "message" => Some("id"),
        "attempt" => Some("message"),
        _ => None,
    };
    let index = name.and_then(|name| table.columns.iter().position(|column| column.name == name));
    let ids = index.into_iter().flat_map(move |index| rows.iter().map(move |row| &row[index]));
    ids.filter_map(|cell| match cell {
        Cell::Bytes(id) => <[u8; ID_BYTES]>::try_from(id.as_slice()).ok().map(MessageId::from_bytes),
        _ => None,
    })
}

/// Numbers that PostgreSQL would give out by itself stay as they were.
fn insert(table: &Table) -> String {
    let places: Vec<String> = (1..=table.columns.len()).map(|number| format!("${number}")).collect();
    let (name, value) = table
        .fixed
        .map_or((String::new(), String::new()), |(name, value)| (format!(", {name}"), format!(", {value}")));
    format!(
        "INSERT INTO {} ({}{name}) OVERRIDING SYSTEM VALUE SELECT u.*{value} FROM UNNEST({}) AS u",
        table.name,
        table.names(),
        places.join(", ")
    )
}

fn seal(work: &Work, table: &Table, row: &mut Row) -> Result<(), StoreError> {
    for (index, column) in table.columns.iter().enumerate() {
        let (Kind::Sealed(bound_to), Cell::Opened(plain)) = (column.kind, &row[index]) else { continue };
        let sealed = match &row[bound_to] {
            Cell::Bytes(id) => work.shared.vault.seal(plain, id, &*work.shared.dice).ok(),
            _ => None,
        };
        let sealed = sealed.ok_or_else(|| table.corrupt(row, column, "cannot be sealed"))?;
        row[index] = Cell::Bytes(sealed);
    }
    Ok(())
}

/// One column of all rows.
fn array<'r>(table: &Table, rows: &'r [Row], index: usize) -> Result<Box<dyn Value + 'r>, StoreError> {
    let column = &table.columns[index];
    Ok(match column.kind {
        Kind::Bool => Box::new(numbers(table, column, rows, index, |number| Some(number != 0))?),
        Kind::Small => Box::new(numbers(table, column, rows, index, |number| i16::try_from(number).ok())?),
        Kind::Int => Box::new(numbers(table, column, rows, index, |number| i32::try_from(number).ok())?),
        Kind::Big => Box::new(numbers(table, column, rows, index, Some)?),
        Kind::Text => Box::new(rows.iter().map(|row| text(&row[index])).collect::<Vec<_>>()),
        Kind::Bytes | Kind::Id(_) | Kind::Sealed(_) => {
            Box::new(rows.iter().map(|row| bytes(&row[index])).collect::<Vec<_>>())
        }
    })
}

fn numbers<T>(
    table: &Table,
    column: &Column,
    rows: &[Row],
    index: usize,
    narrow: impl Fn(i64) -> Option<T>,
) -> Result<Vec<Option<T>>, StoreError> {
    let narrowed = rows.iter().map(|row| match row[index] {
        Cell::Int(number) => match narrow(number) {
            Some(number) => Ok(Some(number)),
            None => Err(table.corrupt(row, column, "is too large")),
        },
        _ => Ok(None),
    });
    narrowed.collect()
}

fn text(cell: &Cell) -> Option<Text<'_>> {
    match cell {
        Cell::Text(text) => Some(Text(text)),
        _ => None,
    }
}

fn bytes(cell: &Cell) -> Option<&[u8]> {
    match cell {
        Cell::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}
