//! Sending from here: messages of an app signed with an endpoint's secret, those of a source as they came.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};
use posthaste_core::time::Clock as _;
use posthaste_signature::provider::sign::{Draft, Moment};
use serde_json::Value;
use serde_json::value::RawValue;

use super::asked::Asked;
use crate::cli::laptop::{SchemeArgs, SignerArgs};
use crate::laptop::complaint::Complaint;
use crate::laptop::post::Sender;
use crate::laptop::server::{Server, part};
use crate::laptop::signing::{self, Ready};
use crate::system::SystemTimer;

/// Headers that are about a connection, or that the client writes itself.
const NOT_SENT_ON: [&str; 5] =
    ["host", "content-length", "connection", "transfer-encoding", "accept-encoding"];

/// A message as the API shows it, its payload letter by letter.
pub(crate) type Shown = BTreeMap<String, Box<RawValue>>;

fn field(message: &Shown, name: &str) -> Value {
    message.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

pub(crate) fn text(message: &Shown, name: &str) -> String {
    field(message, name).as_str().unwrap_or_default().to_owned()
}

/// How messages go out from here.
pub(crate) struct Here<'s> {
    server: &'s Server,
    sender: Sender,
    url: String,
    /// The id of the app, also of a source.
    app: String,
    endpoint: Option<String>,
    signer: Option<Ready>,
}

impl<'s> Here<'s> {
    pub(crate) async fn of(server: &'s Server, asked: &Asked, url: String) -> Result<Self, Complaint> {
        let endpoint = asked.body.get("endpoint").and_then(Value::as_str).map(str::to_owned);
        let (app, secret_path) = match asked.owner.split_once('/') {
            Some(("source", source)) => {
                let found = server.get(&format!("/ingest/api/v1/source/{source}")).await?;
                (found["appId"].as_str().unwrap_or_default().to_owned(), None)
            }
            _ => {
                let app = asked.owner.trim_start_matches("app/").to_owned();
                let endpoint = match &endpoint {
                    Some(endpoint) => part(endpoint),
                    None => only_endpoint(server, &app).await?,
                };
                (app.clone(), Some(format!("/api/v1/app/{app}/endpoint/{endpoint}/secret")))
            }
        };
        let signer = match secret_path {
            Some(path) => {
                let secret = server.get(&path).await?["key"].as_str().unwrap_or_default().to_owned();
                let scheme = SchemeArgs { secret: vec![secret], ..SchemeArgs::default() };
                let args = SignerArgs { scheme, key: None };
                Some(signing::ready("standard-webhooks", &args, &url)?)
            }
            None => None,
        };
        Ok(Self { server, sender: Sender::new(&url)?, url, app, endpoint, signer })
    }

    /// The messages that are asked for, page by page; those of a status only with an endpoint.
    pub(crate) async fn messages(&self, asked: &Asked) -> Result<Vec<Shown>, Complaint> {
        if let Some(Value::Array(ids)) = asked.body.get("messages") {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids.iter().filter_map(Value::as_str) {
                found.push(self.read(&format!("/api/v1/app/{}/msg/{}", self.app, part(id))).await?);
            }
            return Ok(found);
        }
        let path = self.list(asked);
        let (mut found, mut iterator) = (Vec::new(), String::new());
        loop {
            let page = self.read(&format!("{path}{iterator}")).await?;
            let rows = page.get("data").map_or("[]", |data| data.get());
            let rows: Vec<Shown> = serde_json::from_str(rows).map_err(|error| odd(&error))?;
            found.extend(rows);
            let next = text(&page, "iterator");
            if field(&page, "done") == true || next.is_empty() {
                return Ok(found);
            }
            iterator = format!("&iterator={}", part(&next));
        }
    }

    fn list(&self, asked: &Asked) -> String {
        let text = |name: &str| asked.body.get(name).and_then(Value::as_str);
        let mut query = String::from("limit=250&with_content=true");
        let place = match &self.endpoint {
            Some(endpoint) => {
                match text("status").unwrap_or("failed") {
                    "delivered" => query.push_str("&status=0"),
                    "failed" => query.push_str("&status=2"),
                    _ => {}
                }
                format!("endpoint/{}/msg", part(endpoint))
            }
            None => "msg".to_owned(),
        };
        for (name, from) in [("after", "since"), ("before", "until")] {
            if let Some(at) = text(from) {
                let _ = write!(query, "&{name}={}", part(at));
            }
        }
        for kind in asked.body.get("eventTypes").and_then(Value::as_array).into_iter().flatten() {
            let _ = write!(query, "&event_types={}", part(kind.as_str().unwrap_or_default()));
        }
        format!("/api/v1/app/{}/{place}?{query}", self.app)
    }

    async fn read(&self, path: &str) -> Result<Shown, Complaint> {
        // Asked as text: as values, numbers would be written anew.
        let answer = self.server.success(&http::Method::GET, path).await?;
        serde_json::from_slice(&answer.body).map_err(|error| odd(&error))
    }

    /// Sends one, and says whether it was taken.
    pub(crate) async fn send(&self, message: &Shown) -> Result<bool, Complaint> {
        let id = text(message, "id");
        let mut draft = draft(message, &self.url);
        if let Some(signer) = &self.signer {
            let at_ms = SystemTimer.now().as_micros().div_euclid(1000);
            signing::sign(&signer.signer, &mut draft, &Moment { at_ms, id: &id })?;
        }
        let reply = self.sender.send(&draft, &id, &text(message, "eventType")).await?;
        Ok((200..300).contains(&reply.status))
    }
}

/// The app's endpoint, if it has only one: whose secret would it be otherwise?
async fn only_endpoint(server: &Server, app: &str) -> Result<String, Complaint> {
    let found = server.get(&format!("/api/v1/app/{app}/endpoint?limit=2")).await?;
    match found["data"].as_array().map(Vec::as_slice) {
        Some([one]) => Ok(one["id"].as_str().unwrap_or_default().to_owned()),
        _ => Err(Complaint::usage(
            "it is not known whose secret is to sign",
            "the app does not have exactly one endpoint",
            "name one: --endpoint EP",
        )),
    }
}

/// The request as it came, or a POST of the payload.
fn draft(message: &Shown, url: &str) -> Draft {
    let payload = message.get("payload").map_or("", |raw| raw.get());
    let value = field(message, "payload");
    let body = match text(message, "payloadEncoding").as_str() {
        "text" => value["text"].as_str().unwrap_or_default().as_bytes().to_vec(),
        "base64" => BASE64_STANDARD.decode(value["base64"].as_str().unwrap_or_default()).unwrap_or_default(),
        _ => payload.as_bytes().to_vec(),
    };
    let request = field(message, "request");
    let mut draft = Draft {
        method: request["method"].as_str().unwrap_or("POST").to_owned(),
        url: url.to_owned(),
        body,
        ..Draft::default()
    };
    if let Some(query) = request["query"].as_str().filter(|query| !query.is_empty()) {
        draft.url.push(if url.contains('?') { '&' } else { '?' });
        draft.url.push_str(query);
    }
    for (name, values) in request["headers"].as_object().into_iter().flatten() {
        let values = values.as_array().cloned().unwrap_or_else(|| vec![values.clone()]);
        let name = HeaderName::try_from(name).ok().filter(|name| !NOT_SENT_ON.contains(&name.as_str()));
        for value in &values {
            let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
            if let (Some(name), Some(value)) = (&name, value) {
                draft.headers.append(name.clone(), value);
            }
        }
    }
    if request.is_null() {
        draft.headers.insert("content-type", HeaderValue::from_static("application/json"));
    }
    draft
}

fn odd(error: &serde_json::Error) -> Complaint {
    Complaint::failure("the server answered with what is no message", error, "is it a Posthaste server?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_out_letter_by_letter_and_a_request_as_it_came() {
        let sent = serde_json::from_str(r#"{"id":"msg_1","payload":{"n":1.50,"b":1}}"#).unwrap();
        let draft_of = draft(&sent, "http://a.example/in");
        assert_eq!(
            (draft_of.method.as_str(), draft_of.body.as_slice()),
            ("POST", br#"{"n":1.50,"b":1}"#.as_slice())
        );
        let received = serde_json::from_str(
            r#"{"payload":{"base64":"AP8="},"payloadEncoding":"base64","request":{"method":"PUT","query":"a=1",
               "headers":{"X-A":["1","2"],"Host":"h","Content-Length":"2"}}}"#,
        );
        let draft_of = draft(&received.unwrap(), "http://a.example/in");
        assert_eq!((draft_of.method.as_str(), draft_of.url.as_str()), ("PUT", "http://a.example/in?a=1"));
        assert_eq!((draft_of.body, draft_of.headers.len()), (vec![0, 255], 2));
    }
}
