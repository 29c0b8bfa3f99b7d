//! One file a page: what it reads, and what its template is given.

pub(crate) mod access;
pub(crate) mod answer_form;
pub(crate) mod app;
pub(crate) mod apps;
pub(crate) mod attempt;
pub(crate) mod bin;
pub(crate) mod bin_settings;
pub(crate) mod bins;
pub(crate) mod catalogue;
pub(crate) mod edit;
pub(crate) mod endpoint;
pub(crate) mod endpoint_recover;
pub(crate) mod endpoint_settings;
pub(crate) mod endpoint_trial;
pub(crate) mod endpoint_tries;
pub(crate) mod endpoints;
pub(crate) mod event_types;
pub(crate) mod find;
pub(crate) mod jobs;
pub(crate) mod listeners;
pub(crate) mod live;
pub(crate) mod login;
pub(crate) mod login_password;
pub(crate) mod message;
pub(crate) mod messages;
pub(crate) mod overview;
pub(crate) mod portal;
pub(crate) mod portal_logo;
pub(crate) mod providers;
pub(crate) mod reference;
pub(crate) mod resend;
pub(crate) mod settings;
pub(crate) mod settings_network;
pub(crate) mod settings_server;
pub(crate) mod setup;
pub(crate) mod simulator;
pub(crate) mod source;
pub(crate) mod source_new;
pub(crate) mod source_settings;
pub(crate) mod sources;
pub(crate) mod tokens;
pub(crate) mod walk;
pub(crate) mod wanted;
pub(crate) mod welcome;

use posthaste_core::app::{App, Reference};
use posthaste_core::id::{Id, Kind};
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::page::{Cursor, Order, Page, PageRequest};
use serde::{Deserialize, Serialize};

use crate::Shared;
use crate::api::part;
use crate::error::{Answer, UiError};
use crate::session::Visitor;

/// Rows on a page of a list.
const ROWS: u16 = 50;

/// What every page tells its frame.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Frame {
    /// With what links to pages of an app begin.
    base: String,
    home: String,
    is_operator: bool,
    may_write: bool,
    is_portal: bool,
    theme: &'static str,
    look: String,
    icon: String,
    /// What the portal is called.
    name: String,
}

impl Frame {
    pub(crate) fn of(visitor: &Visitor) -> Self {
        Self {
            base: visitor.base.clone(),
            home: visitor.home(),
            is_operator: visitor.is_operator(),
            may_write: visitor.may_write(),
            is_portal: visitor.is_by_link(),
            theme: if visitor.is_by_link() { visitor.look.theme() } else { "auto" },
            look: visitor.look.over(&visitor.looks).as_segment(),
            icon: portal_logo::address(visitor),
            name: visitor.looks.name.clone().unwrap_or_default(),
        }
    }
}

/// Where in a list somebody is: behind a row, or before one.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Place {
    pub(crate) after: Option<String>,
    pub(crate) before: Option<String>,
}

impl Place {
    pub(crate) fn request<K: Kind>(&self, order: Order) -> Answer<PageRequest<Id<K>>> {
        let read = |text: &str| {
            Id::parse(text).ok_or_else(|| UiError::Rejected(format!("\"{text}\" is no place in this list.")))
        };
        let cursor = match (&self.after, &self.before) {
            (Some(after), _) => Cursor::After(read(after)?),
            (None, Some(before)) => Cursor::Before(read(before)?),
            (None, None) => Cursor::Start,
        };
        Ok(PageRequest { cursor, order, limit: ROWS })
    }

    /// Whether it is where the list begins.
    pub(crate) fn is_start(&self) -> bool {
        self.after.is_none() && self.before.is_none()
    }

    /// The same as a part of an address: what looks at this place again.
    pub(crate) fn here(&self) -> String {
        match (&self.after, &self.before) {
            (Some(after), _) => format!("after={}", part(after)),
            (None, Some(before)) => format!("before={}", part(before)),
            (None, None) => String::new(),
        }
    }

    /// Links to the rows before and after, as far as there are some.
    pub(crate) fn turns<T>(&self, page: &Page<T>, id: impl Fn(&T) -> String) -> Turns {
        let (first, last) = (page.rows.first().map(&id), page.rows.last().map(&id));
        let backwards = self.after.is_none() && self.before.is_some();
        Turns {
            newer: if self.is_start() || (backwards && page.done) { None } else { first },
            older: if page.done && !backwards { None } else { last },
        }
    }
}

/// Where a list goes on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Turns {
    newer: Option<String>,
    older: Option<String>,
}

impl Turns {
    pub(crate) const fn none() -> Self {
        Self { newer: None, older: None }
    }

    pub(crate) const fn has_older(&self) -> bool {
        self.older.is_some()
    }
}

/// An app as a heading: by its uid where it has one.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AppHead {
    key: String,
    id: String,
    name: String,
}

impl AppHead {
    fn of(App { id, uid, name, .. }: App) -> Self {
        let key = uid.map_or_else(|| id.to_string(), |uid| uid.as_str().to_owned());
        Self { key, id: id.to_string(), name }
    }
}

/// The app that a page is about. The app of a source has its source's name.
async fn head(state: &Shared, environment: EnvironmentId, app: &Reference) -> Answer<AppHead> {
    Ok(AppHead::of(state.directory.app(environment, app).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rows: &[u8], done: bool) -> Page<u8> {
        Page { rows: rows.to_vec(), done }
    }

    #[test]
    fn a_list_leads_on_only_where_there_is_more() {
        let turns = |place: &Place, page: &Page<u8>| {
            let turns = place.turns(page, u8::to_string);
            (turns.newer, turns.older)
        };
        let some = |text: &str| Some(text.to_owned());
        let start = Place::default();
        assert_eq!(turns(&start, &page(&[9, 8], true)), (None, None));
        assert_eq!(turns(&start, &page(&[9, 8], false)), (None, some("8")));
        let after = Place { after: some("x"), before: None };
        assert_eq!(turns(&after, &page(&[7, 6], true)), (some("7"), None));
        let before = Place { after: None, before: some("x") };
        assert_eq!(turns(&before, &page(&[9, 8], true)), (None, some("8")));
        assert_eq!(turns(&before, &page(&[9, 8], false)), (some("9"), some("8")));
    }
}
