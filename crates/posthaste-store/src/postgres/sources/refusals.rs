//! Requests that were not taken, for whoever wants to see why. They are kept by `batch/refuse.rs`.

use posthaste_core::id::{RefusalId, SourceId};
use posthaste_core::source::Refusal;
use tokio_postgres::{Client, Row};

use super::super::statement::{Statement, bytes};
use super::super::{pages, rows};
use crate::error::StoreError;
use crate::origin;
use crate::page::{Page, PageRequest};
use crate::seal::Vault;

pub(super) async fn list(
    client: &Client,
    vault: &Vault,
    source: SourceId,
    page: &PageRequest<RefusalId>,
) -> Result<Page<Refusal>, StoreError> {
    let of = bytes(&source);
    let mut select = Statement::new(
        "SELECT id, at, status, reason, remote, body_bytes, origin, body FROM refusal WHERE source = ",
    );
    select.bind(&of);
    pages::page(client, select, "id", page, bytes, |row| read(row, source, vault)).await
}

fn read(row: &Row, source: SourceId, vault: &Vault) -> Result<Refusal, StoreError> {
    let id: RefusalId = rows::id(row, 0)?;
    let origin = origin::open(vault, id.as_bytes(), row.try_get(6)?);
    let remote: Option<&str> = row.try_get(4)?;
    Ok(Refusal {
        id,
        source,
        at: rows::at(row, 1)?,
        status: u16::try_from(row.try_get::<_, i32>(2)?).unwrap_or_default(),
        reason: row.try_get(3)?,
        origin: origin.map_err(|e| rows::corrupt("refusal", format!("{id}: {e}")))?,
        body: row.try_get::<_, Vec<u8>>(7)?.into(),
        body_bytes_count: rows::count(row, 5)?,
        remote: remote.and_then(|text| text.parse().ok()),
    })
}
