//! Messages.

use std::time::Duration;

use posthaste_core::id::{AppId, ID_BYTES, MessageId};
use posthaste_core::message::Message;
use posthaste_core::name::EventTypeName;
use rusqlite::types::ToSql;
use rusqlite::{Connection, named_params};

use super::super::pages::Listing;
use super::super::rows;
use crate::error::{ChangeError, StoreError};
use crate::history::MessageFilter;
use crate::page::{Page, PageRequest};
use crate::seal::Vault;

pub(super) fn get(
    conn: &Connection,
    vault: &Vault,
    app: AppId,
    id: MessageId,
    with_body: bool,
) -> Result<Message, ChangeError> {
    let sql = format!("{} AND m.id = :id", select(with_body));
    let mut statement = conn.prepare_cached(&sql).map_err(StoreError::from)?;
    let values = named_params! { ":app": app.as_bytes(), ":id": id.as_bytes() };
    let mut found = statement.query(values).map_err(StoreError::from)?;
    let row = found.next().map_err(StoreError::from)?.ok_or(ChangeError::NotFound("message"))?;
    Ok(rows::message(row, 0, vault)?)
}

/// Without bodies they are not even touched.
fn select(with_body: bool) -> String {
    let (body, join) = if with_body {
        (rows::BODY_COLUMNS, "LEFT JOIN body b ON b.id = m.body")
    } else {
        ("NULL, NULL", "")
    };
    format!("SELECT {}, {body} FROM message m {join} WHERE m.app = :app", rows::MESSAGE_COLUMNS)
}

pub(super) fn list(
    conn: &Connection,
    vault: &Vault,
    app: AppId,
    filter: &MessageFilter,
    page: &PageRequest<MessageId>,
    with_body: bool,
) -> Result<Page<Message>, StoreError> {
    let conditions = Conditions::of(filter, [" AND m.id >= :after", " AND m.id < :before"]);
    let select = select(with_body) + &conditions.sql();
    let mut values = conditions.values();
    values.push((":app", app.as_bytes()));
    let listing = Listing { select: &select, key: "m.id", values };
    let read = |row: &rusqlite::Row<'_>| {
        let message = rows::message(row, 0, vault)?;
        let weight = message.weight();
        Ok((message, weight))
    };
    listing.page_of_heavy(conn, page, |id| *id.as_bytes(), read)
}

/// A message filter as conditions on `message m`, and its times as a range of ids.
pub(super) struct Conditions {
    names: Vec<(&'static str, &'static str, String)>,
    range: Vec<(&'static str, &'static str, [u8; ID_BYTES])>,
}

impl Conditions {
    /// `ids`: the column whose ids lie in the range, with `>=` and `<` behind it.
    pub(super) fn of(filter: &MessageFilter, ids: [&'static str; 2]) -> Self {
        let mut names = Vec::new();
        if let Some(types) = &filter.event_types {
            let types = rows::joined(types.iter().map(EventTypeName::as_str)).unwrap_or_default();
            names.push((" AND instr(:event_types, '|' || m.event_type || '|') > 0", ":event_types", types));
        }
        if let Some(channel) = &filter.channel {
            names.push((" AND instr(m.channels, :channel) > 0", ":channel", format!("|{channel}|")));
        }
        if let Some(tag) = &filter.tag {
            names.push((" AND instr(m.tags, :tag) > 0", ":tag", format!("|{tag}|")));
        }
        let edge = |at| *MessageId::first_at(at).as_bytes();
        let mut range = Vec::new();
        if let Some(after) = filter.after {
            range.push((ids[0], ":after", edge(after.later(Duration::from_micros(1)))));
        }
        if let Some(before) = filter.before {
            range.push((ids[1], ":before", edge(before)));
        }
        Self { names, range }
    }

    /// Conditions on the message itself, which need the message to be read.
    pub(super) fn names_sql(&self) -> String {
        self.names.iter().map(|(sql, ..)| *sql).collect()
    }

    /// All conditions.
    pub(super) fn sql(&self) -> String {
        self.range.iter().map(|(sql, ..)| *sql).collect::<String>() + &self.names_sql()
    }

    pub(super) fn values(&self) -> Vec<(&'static str, &dyn ToSql)> {
        let names = self.names.iter().map(|(_, name, value)| (*name, value as &dyn ToSql));
        names.chain(self.range.iter().map(|(_, name, value)| (*name, value as &dyn ToSql))).collect()
    }
}
