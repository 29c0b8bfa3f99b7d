//! Messages.

use std::time::Duration;

use posthaste_core::id::{AppId, MessageId};
use posthaste_core::message::Message;
use posthaste_core::name::EventTypeName;
use tokio_postgres::{Client, Row};

use super::super::rows;
use super::super::statement::{Statement, Text, bytes, query_opt};
use super::walk::{self, List};
use crate::error::{ChangeError, StoreError};
use crate::history::MessageFilter;
use crate::page::{Page, PageRequest};
use crate::seal::Vault;

pub(super) async fn get(
    client: &Client,
    vault: &Vault,
    app: AppId,
    id: MessageId,
    with_body: bool,
) -> Result<Message, ChangeError> {
    let sql = format!("{}$1 AND m.id = $2", select(with_body));
    let found = query_opt(client, &sql, &[&bytes(&app), &bytes(&id)]).await?;
    Ok(rows::message(&found.ok_or(ChangeError::NotFound("message"))?, 0, vault)?)
}

/// Without bodies they are not even touched.
fn select(with_body: bool) -> String {
    let body = if with_body { rows::BODY_COLUMNS } else { "NULL::bytea, NULL::bytea" };
    format!("SELECT {}, {body} FROM message m WHERE m.app = ", rows::MESSAGE_COLUMNS)
}

pub(super) async fn list(
    client: &Client,
    vault: &Vault,
    app: AppId,
    filter: &MessageFilter,
    page: &PageRequest<MessageId>,
    with_body: bool,
) -> Result<Page<Message>, StoreError> {
    let (conditions, app) = (Conditions::of(filter), bytes(&app));
    let mut statement = Statement::new(select(with_body));
    statement.bind(&app);
    let range = conditions.range();
    range.add("m.id", &mut statement);
    let names = conditions.names();
    names.add(&mut statement);
    let read = |row: &Row| {
        let message = rows::message(row, 0, vault)?;
        let weight = message.weight();
        Ok((message.id, message, weight))
    };
    let (messages, window) = (&["m.id"][..], Some(conditions.window()));
    let list = List { select: statement, key: "m.id", messages, window, of: None };
    walk::page(client, list, page, read).await
}

/// A message filter as conditions on `message m`, and its times as a range of ids.
pub(super) struct Conditions {
    event_types: Option<Vec<String>>,
    channel: Option<String>,
    tag: Option<String>,
    after: Option<MessageId>,
    before: Option<MessageId>,
}

impl Conditions {
    pub(super) fn of(filter: &MessageFilter) -> Self {
        let types = filter.event_types.as_ref();
        Self {
            event_types: types.map(|types| types.iter().map(EventTypeName::to_string).collect()),
            channel: filter.channel.as_ref().map(|channel| format!("|{channel}|")),
            tag: filter.tag.as_ref().map(|tag| format!("|{tag}|")),
            after: filter.after.map(|after| MessageId::first_at(after.later(Duration::from_micros(1)))),
            before: filter.before.map(MessageId::first_at),
        }
    }

    /// The times, as values.
    pub(super) fn range(&self) -> Range<'_> {
        Range { after: self.after.as_ref().map(bytes), before: self.before.as_ref().map(bytes) }
    }

    /// The times: from which message until before which.
    pub(super) fn window(&self) -> (MessageId, MessageId) {
        (self.after.unwrap_or(MessageId::MIN), self.before.unwrap_or(MessageId::MAX))
    }

    /// The conditions on the message itself, as values.
    pub(super) fn names(&self) -> Names<'_> {
        Names {
            event_types: self.event_types.as_ref().map(|names| names.iter().map(|n| Text(n)).collect()),
            channel: self.channel.as_deref().map(Text),
            tag: self.tag.as_deref().map(Text),
        }
    }
}

/// From when, and until when.
pub(super) struct Range<'a> {
    after: Option<&'a [u8]>,
    before: Option<&'a [u8]>,
}

impl Range<'_> {
    /// `ids`: the column whose ids lie in the range.
    pub(super) fn add<'s>(&'s self, ids: &str, statement: &mut Statement<'s>) {
        if let Some(after) = &self.after {
            statement.push(&format!(" AND {ids} >= ")).bind(after);
        }
        if let Some(before) = &self.before {
            statement.push(&format!(" AND {ids} < ")).bind(before);
        }
    }
}

/// What the message is called.
pub(super) struct Names<'a> {
    event_types: Option<Vec<Text<'a>>>,
    channel: Option<Text<'a>>,
    tag: Option<Text<'a>>,
}

impl Names<'_> {
    pub(super) fn add<'s>(&'s self, statement: &mut Statement<'s>) {
        if let Some(event_types) = &self.event_types {
            statement.push(" AND m.event_type = ANY(").bind(event_types).push(")");
        }
        if let Some(channel) = &self.channel {
            statement.push(" AND strpos(m.channels, ").bind(channel).push(") > 0");
        }
        if let Some(tag) = &self.tag {
            statement.push(" AND strpos(m.tags, ").bind(tag).push(") > 0");
        }
    }
}
