//! Whose something is: what was said by flags, else what its id alone says.

use posthaste_store::named::Named;
use serde_json::Value;

use super::complaint::Complaint;
use super::server::{Server, part};

/// What is known of where something is.
#[derive(Debug, Default)]
pub(crate) struct Whose {
    /// The app, or a source's own.
    pub(crate) app: String,
    /// The message that it belongs to.
    pub(crate) message: Option<String>,
}

impl Whose {
    /// By `--app` or `--source`; else by the first of these that is an id of ours and not a uid.
    pub(crate) async fn of(
        server: &Server,
        (app, source): (Option<&str>, Option<&str>),
        ids: &[&str],
    ) -> Result<Self, Complaint> {
        if let Some(app) = app {
            return Ok(Self { app: app.to_owned(), message: None });
        }
        if let Some(source) = source {
            return Ok(Self { app: app_of_source(server, source).await?, message: None });
        }
        let id = ids.iter().find(|id| Named::parse(id).is_some());
        let Some(id) = id else {
            let next = "add --app APP or --source SOURCE";
            let Some(uid) = ids.first() else {
                let why = "each belongs to an app or to a source, and lists are of one of them";
                return Err(Complaint::usage("it is not said whose they are", why, next));
            };
            return Err(Complaint::usage(
                format!("it is not said whose \"{uid}\" is"),
                "ids of ours, such as ep_2mXU…, are found by themselves; uids are not",
                next,
            ));
        };
        let found = server.find(id).await?;
        let at = |name: &str| found[name].as_str().map(str::to_owned);
        Ok(Self { app: at("appId").unwrap_or_default(), message: at("msgId") })
    }
}

/// A source's own app, in which its endpoints, messages and attempts are.
pub(crate) async fn app_of_source(server: &Server, source: &str) -> Result<String, Complaint> {
    let found = server.get(&format!("/ingest/api/v1/source/{}", part(source))).await?;
    Ok(found["appId"].as_str().unwrap_or_default().to_owned())
}

/// The text of a field.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}
