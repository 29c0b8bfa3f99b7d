//! The query string: pages and filters. Every parameter that is known and wrong is refused by name.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use posthaste_core::id::{Id, Kind};
use posthaste_core::limits::{EVENT_TYPES_PER_ENDPOINT_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use posthaste_core::name::{Channel, EventTypeName, Tag};
use posthaste_core::time::Timestamp;
use posthaste_store::history::{AttemptFilter, MessageFilter, Status};
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::Serialize;

use crate::Shared;
use crate::error::{Answer, ApiError, Invalid};

/// The decoded parameters, in order.
pub(crate) struct Query(Vec<(String, String)>);

impl FromRequestParts<Shared> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Answer<Self> {
        let text = parts.uri.query().unwrap_or_default();
        Ok(Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect()))
    }
}

fn wrong(name: &str, msg: impl std::fmt::Display) -> ApiError {
    ApiError::Invalid(vec![Invalid::new("query", name, format!("{name} {msg}"))])
}

impl Query {
    /// The one value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Answer<Option<&str>> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(wrong(name, "must be given once"));
        }
        Ok(first)
    }

    pub(crate) fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Answer<Option<T>> {
        self.get(name)?.map(|value| read(value).map_err(|msg| wrong(name, msg))).transpose()
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Answer<bool> {
        let read = |value: &str| match value {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        };
        Ok(self.read(name, read)?.unwrap_or(default))
    }

    pub(crate) fn instant(&self, name: &str) -> Answer<Option<Timestamp>> {
        self.read(name, |value| {
            Timestamp::parse(value).ok_or_else(|| "must be an RFC 3339 instant".to_owned())
        })
    }

    /// `name=a,b`, `name=a&name=b` and `name[]=a` alike.
    fn list(&self, name: &str) -> Answer<Option<Vec<EventTypeName>>> {
        let mut names = Vec::new();
        for (key, value) in &self.0 {
            let index = key.strip_prefix(name);
            let is_item = index.is_some_and(|rest| rest.is_empty() || rest == "[]" || is_index(rest));
            if !is_item {
                if index.is_some_and(|rest| rest.starts_with('[')) {
                    return Err(wrong(name, "must be a flat list"));
                }
                continue;
            }
            for item in value.split(',') {
                names.push(EventTypeName::parse(item).map_err(|error| wrong(name, error))?);
            }
        }
        if names.len() > EVENT_TYPES_PER_ENDPOINT_MAX {
            return Err(wrong(name, format!("must hold at most {EVENT_TYPES_PER_ENDPOINT_MAX} items")));
        }
        Ok((!names.is_empty()).then_some(names))
    }

    /// `limit`, `iterator` and `order`; `read` turns the iterator's text into a key.
    pub(crate) fn page<K>(
        &self,
        order: Order,
        read: impl Fn(&str) -> Result<K, String>,
    ) -> Answer<PageRequest<K>> {
        let limit = self.read("limit", |value| {
            let number = value.parse::<u16>().ok().filter(|number| (1..=PAGE_ROWS_MAX).contains(number));
            number.ok_or_else(|| format!("must be a whole number from 1 to {PAGE_ROWS_MAX}"))
        })?;
        let order = self
            .read("order", |value| match value {
                "ascending" => Ok(Order::Ascending),
                "descending" => Ok(Order::Descending),
                _ => Err("must be ascending or descending".to_owned()),
            })?
            .unwrap_or(order);
        let cursor = self.read("iterator", |value| match value.strip_prefix('-') {
            Some(key) => read(key).map(Cursor::Before),
            None => read(value).map(Cursor::After),
        })?;
        Ok(PageRequest {
            cursor: cursor.unwrap_or(Cursor::Start),
            order,
            limit: limit.unwrap_or(PAGE_ROWS_DEFAULT),
        })
    }

    /// The same for lists whose key is an id.
    pub(crate) fn page_of_ids<K: Kind>(&self, order: Order, now: Timestamp) -> Answer<PageRequest<Id<K>>> {
        self.page(order, |text| {
            let id = Id::<K>::parse(text).filter(|id| is_plausible(id.made_at(), now));
            id.ok_or_else(|| "must be the iterator of a page of this list".to_owned())
        })
    }

    pub(crate) fn message_filter(&self) -> Answer<MessageFilter> {
        let (before, after) = (self.instant("before")?, self.instant("after")?);
        if let (Some(before), Some(after)) = (before, after)
            && before < after
        {
            return Err(wrong("before", "must not lie before after"));
        }
        Ok(MessageFilter {
            event_types: self.list("event_types")?,
            channel: self.read("channel", |value| Channel::parse(value).map_err(|e| e.to_string()))?,
            tag: self.read("tag", |value| Tag::parse(value).map_err(|e| e.to_string()))?,
            before,
            after,
        })
    }

    pub(crate) fn attempt_filter(&self) -> Answer<AttemptFilter> {
        let status = self.read("status", |value| match value {
            "0" => Ok(Status::Success),
            "1" => Ok(Status::Pending),
            "2" => Ok(Status::Fail),
            "3" => Ok(Status::Sending),
            _ => Err("must be 0 (success), 1 (pending), 2 (fail) or 3 (sending)".to_owned()),
        })?;
        let status_class = self.read("status_code_class", |value| {
            let class =
                value.parse::<u16>().ok().filter(|class| matches!(class, 0 | 100 | 200 | 300 | 400 | 500));
            class.ok_or_else(|| "must be 0, 100, 200, 300, 400 or 500".to_owned())
        })?;
        let endpoint = self.get("endpoint_id")?.map(posthaste_core::app::Reference::new);
        Ok(AttemptFilter { message: self.message_filter()?, status, status_class, endpoint })
    }
}

fn is_index(text: &str) -> bool {
    let digits = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Ids of ours are no older than the first of them, and not from the future.
fn is_plausible(made_at: Timestamp, now: Timestamp) -> bool {
    const FIRST: Timestamp = Timestamp::from_secs(1_420_070_400);
    made_at >= FIRST && made_at <= now.later(std::time::Duration::from_hours(24))
}

/// A page on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListOut<T> {
    data: Vec<T>,
    iterator: Option<String>,
    prev_iterator: Option<String>,
    done: bool,
}

impl<T> ListOut<T> {
    /// `key` is the text of a row's key, from which the iterators are made.
    pub(crate) fn of<R>(
        page: posthaste_store::page::Page<R>,
        key: impl Fn(&R) -> String,
        out: impl FnMut(R) -> T,
    ) -> Self {
        let iterator = page.rows.last().map(&key);
        let prev_iterator = page.rows.first().map(|row| format!("-{}", key(row)));
        Self { data: page.rows.into_iter().map(out).collect(), iterator, prev_iterator, done: page.done }
    }
}

impl<T> ListOut<Option<T>> {
    /// Without the rows of which there is nothing to show.
    pub(crate) fn compact(self) -> ListOut<T> {
        let Self { data, iterator, prev_iterator, done } = self;
        ListOut { data: data.into_iter().flatten().collect(), iterator, prev_iterator, done }
    }
}
