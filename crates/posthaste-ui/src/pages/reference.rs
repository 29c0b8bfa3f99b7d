//! The API's reference: every operation on a page of its own, beside the list of all.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Html;
use axum::routing::get;
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::Frame;
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::reference::Operation;
use crate::session::Visitor;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/api", get(all)).route("/ui/api/{operation}", get(one))
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    q: String,
}

/// Operations under one heading.
#[derive(Serialize)]
struct Group<'o> {
    heading: String,
    rows: Vec<Row<'o>>,
}

#[derive(Serialize)]
struct Row<'o> {
    id: &'o str,
    method: &'o str,
    path: &'o str,
    summary: &'o str,
}

fn groups<'o>(operations: &'o [Operation], wanted: &str) -> Vec<Group<'o>> {
    let mut groups: Vec<Group<'o>> = vec![];
    for Operation { id, group, method, path, summary, .. } in
        operations.iter().filter(|one| one.matches(wanted))
    {
        let heading = group.replace('-', " ");
        let row = Row { id, method, path, summary };
        match groups.last_mut() {
            Some(last) if last.heading == heading => last.rows.push(row),
            _ => groups.push(Group { heading, rows: vec![row] }),
        }
    }
    groups
}

async fn all(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Answer<Html<String>> {
    shown(&state, &visitor, &wanted.q, None)
}

async fn one(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(operation): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Answer<Html<String>> {
    shown(&state, &visitor, &wanted.q, Some(&operation))
}

fn shown(state: &Shared, visitor: &Visitor, q: &str, id: Option<&str>) -> Answer<Html<String>> {
    visitor.environment()?;
    let operations = state.operations();
    let one = match id {
        None => None,
        Some(id) => {
            let found = operations.iter().find(|operation| operation.id == id);
            Some(found.ok_or(UiError::NotFound("operation"))?)
        }
    };
    let here = id.map_or_else(|| "/ui/api".to_owned(), |id| format!("/ui/api/{id}"));
    let context = context! {
        frame => Frame::of(visitor), q => q.trim(), groups => groups(operations, q), one, here,
        server => state.public_url, count => operations.len(),
    };
    Ok(state.templates.render("reference.html", context))
}
