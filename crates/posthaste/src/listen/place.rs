//! Whose requests are listened to: the source or app at the server, and the endpoint of this listener on it.

use std::fmt;

use http::Method;
use serde_json::{Value, json};

use crate::laptop::complaint::Complaint;
use crate::laptop::server::{Server, part};

/// What takes whatever comes, as often as it comes.
const UNSIGNED: &str = posthaste_core::bin::PROVIDER;

/// A listener's endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The source or app, as it was named.
    pub(crate) label: String,
    /// The path of the connection.
    pub(crate) listen: String,
    /// Where the provider sends to, if it is a source.
    pub(crate) public_url: Option<String>,
    /// The provider that signs, if it is a source that has one.
    pub(crate) provider: Option<String>,
    /// The endpoint's path in the API.
    endpoint: String,
    /// By which a message is sent again: the app's id, and the endpoint's.
    resend: (String, String),
}

/// How an absent source is made.
#[derive(Clone, Default)]
pub(crate) struct Make {
    pub(crate) provider: Option<String>,
    pub(crate) secret: Option<String>,
    /// It may be made of no provider's, for whatever comes.
    pub(crate) unsigned: bool,
}

/// Shows no secret.
impl fmt::Debug for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Make").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Place {
    /// At a source, which is made if it may be.
    pub(crate) async fn at_source(
        server: &Server,
        (source, make): (&str, &Make),
        listener: &str,
        types: &[String],
    ) -> Result<Self, Complaint> {
        let path = format!("/ingest/api/v1/source/{}", part(source));
        let found = match server.get(&path).await {
            Err(complaint) if complaint.is_not_found() => make_source(server, (source, &path), make).await?,
            found => known(found?, source, make)?,
        };
        let (endpoint, id) = endpoint(server, &path, listener, types).await?;
        let app = found["appId"].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            label: source.to_owned(),
            listen: format!("/api/posthaste/v1/source/{}/endpoint/{id}/listen", part(source)),
            public_url: found["ingestUrl"].as_str().map(str::to_owned),
            provider: found["type"].as_str().filter(|_| found["bin"] != true).map(str::to_owned),
            endpoint,
            resend: (app, id),
        })
    }

    /// At an app.
    pub(crate) async fn at_app(
        server: &Server,
        app: &str,
        listener: &str,
        types: &[String],
    ) -> Result<Self, Complaint> {
        let path = format!("/api/v1/app/{}", part(app));
        let (endpoint, id) = endpoint(server, &path, listener, types).await?;
        Ok(Self {
            label: app.to_owned(),
            listen: format!("/api/posthaste/v1/app/{}/endpoint/{id}/listen", part(app)),
            public_url: None,
            provider: None,
            endpoint,
            resend: (app.to_owned(), id),
        })
    }

    /// The secret that our signature is made with.
    pub(crate) async fn secret(&self, server: &Server) -> Result<String, Complaint> {
        let secret = server.get(&format!("{}/secret", self.endpoint)).await?;
        Ok(secret["key"].as_str().unwrap_or_default().to_owned())
    }

    /// The host that the provider sends to.
    pub(crate) fn public_host(&self) -> Option<String> {
        let url = url::Url::parse(self.public_url.as_deref()?).ok()?;
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }

    /// Sends a message to this listener once more.
    pub(crate) async fn resend(&self, server: &Server, message: &str) -> Result<(), Complaint> {
        let (app, endpoint) = &self.resend;
        let path = format!("/api/v1/app/{}/msg/{}/endpoint/{endpoint}/resend", part(app), part(message));
        server.post(&path, &json!({})).await.map(drop)
    }
}

/// A source that is there has to be what was asked for.
fn known(source: Value, name: &str, make: &Make) -> Result<Value, Complaint> {
    let is = |field: &str| source[field].as_str().unwrap_or_default().to_owned();
    match &make.provider {
        Some(asked) if is("type") != provider_type(asked) => Err(Complaint::rejected(
            format!("the source \"{name}\" is one of {}, not of {asked}", is("type")),
            "a source is of one provider, and what is there is left alone",
            "leave --provider out, or name another --source",
        )),
        _ => Ok(source),
    }
}

/// As the API calls it.
fn provider_type(name: &str) -> &str {
    posthaste_signature::provider::find(name).map_or(name, |provider| provider.svix_type())
}

async fn make_source(server: &Server, (name, path): (&str, &str), make: &Make) -> Result<Value, Complaint> {
    let provider = make.provider.as_deref().or(make.unsigned.then_some(UNSIGNED)).ok_or_else(|| {
        Complaint::not_found(
            format!("there is no source \"{name}\" at {}", server.url()),
            "a source is made of a provider, and none is named",
            format!("name it, and the source is made: posthaste listen --source {name} --provider stripe"),
        )
    })?;
    let config = make.secret.as_ref().map_or_else(|| json!({}), |secret| json!({ "secret": secret }));
    let body = json!({ "name": name, "type": provider, "config": config });
    server.ask(Method::PUT, path, Some(&body)).await
}

/// This listener's endpoint: made if it is absent, and left alone if it is as it should be. Its path and its id.
async fn endpoint(
    server: &Server,
    of: &str,
    listener: &str,
    types: &[String],
) -> Result<(String, String), Complaint> {
    let path = format!("{of}/endpoint/listen-{}", part(listener));
    let url = format!("listener:{listener}");
    let before = match server.get(&path).await {
        Err(complaint) if complaint.is_not_found() => None,
        found => Some(found?),
    };
    let wanted = (!types.is_empty()).then(|| json!(types));
    let is_right = |found: &Value| {
        found["url"] == json!(url) && wanted.as_ref().is_none_or(|wanted| found["filterTypes"] == *wanted)
    };
    let endpoint = match before {
        Some(found) if is_right(&found) => found,
        before => {
            let mut body = json!({ "url": url, "description": format!("posthaste listen as {listener}") });
            // What somebody said of it, and what is not ours to say, stays.
            for field in ["description", "channels", "metadata", "throttleRate", "filterTypes", "disabled"] {
                if let Some(value) =
                    before.as_ref().map(|before| &before[field]).filter(|value| !value.is_null())
                {
                    body[field] = value.clone();
                }
            }
            if let Some(wanted) = wanted {
                body["filterTypes"] = wanted;
            }
            server.ask(Method::PUT, &path, Some(&body)).await?
        }
    };
    let id = endpoint["id"].as_str().unwrap_or_default().to_owned();
    Ok((path, id))
}
