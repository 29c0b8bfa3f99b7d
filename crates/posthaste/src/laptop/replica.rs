//! A request as it was, made again from what the API shows of it: what came in by a source, or what an endpoint is sent.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};
use posthaste_signature::provider::sign::{Draft, Moment};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::complaint::Complaint;
use super::signing;
use crate::cli::laptop::{SchemeArgs, SignerArgs};

/// What the API shows in place of a credential.
const HIDDEN: &str = "(hidden)";

/// A request, and what of it could not be had back.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) draft: Draft,
    pub(crate) notes: Vec<String>,
}

/// The payload as it stands in an answer, letter by letter.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    #[serde(borrow)]
    payload: &'a RawValue,
    payload_encoding: Option<&'a str>,
}

#[derive(Deserialize)]
struct Wrapped {
    text: Option<String>,
    base64: Option<String>,
}

/// The bytes of a message's body, out of the answer that shows the message.
pub(crate) fn body(answer: &[u8]) -> Result<Vec<u8>, String> {
    let shown: Shown<'_> =
        serde_json::from_slice(answer).map_err(|error| format!("the answer shows no payload: {error}"))?;
    let wrapped = || -> Result<Wrapped, String> {
        serde_json::from_str(shown.payload.get()).map_err(|error| format!("the payload is odd: {error}"))
    };
    match shown.payload_encoding {
        Some("text") => Ok(wrapped()?.text.unwrap_or_default().into_bytes()),
        Some("base64") => BASE64_STANDARD
            .decode(wrapped()?.base64.unwrap_or_default())
            .map_err(|error| format!("the payload is odd: {error}")),
        _ => Ok(shown.payload.get().as_bytes().to_vec()),
    }
}

/// Headers that say how a body was sent, and not what it is: whoever sends it again says so anew.
const OF_THE_CONNECTION: [&str; 6] =
    ["content-length", "transfer-encoding", "connection", "keep-alive", "expect", "host"];

/// What came in by a source, for the address that it came in by.
pub(crate) fn received(message: &Value, body: Vec<u8>, url: &str) -> Replica {
    let request = &message["request"];
    let query = request["query"].as_str().unwrap_or_default();
    let mark = if query.is_empty() { "" } else { "?" };
    let mut draft = Draft {
        method: request["method"].as_str().unwrap_or("POST").to_owned(),
        url: format!("{url}{mark}{query}"),
        body,
        ..Draft::default()
    };
    let mut notes = vec![];
    let mut hidden: Vec<&str> = vec![];
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        let values = match value {
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            value => value.as_str().into_iter().collect::<Vec<_>>(),
        };
        if values.contains(&HIDDEN) {
            hidden.push(name);
        }
        if name.eq_ignore_ascii_case("content-length") {
            let stated: Option<usize> = values.first().and_then(|text| text.parse().ok());
            if let Some(stated) = stated.filter(|stated| *stated != draft.body.len()) {
                notes.push(format!(
                    "the body was {stated} bytes, and is {} here: spaces around its JSON are not shown by the API",
                    draft.body.len()
                ));
            }
        }
        if OF_THE_CONNECTION.contains(&name.to_ascii_lowercase().as_str()) {
            continue;
        }
        for value in values {
            if let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes()))
            {
                draft.headers.append(name, value);
            }
        }
    }
    if !hidden.is_empty() || query.contains(HIDDEN) {
        hidden.push(if query.contains(HIDDEN) { "the query" } else { "" });
        hidden.retain(|name| !name.is_empty());
        notes.push(format!("the server shows no credentials: fill in {}", hidden.join(", ")));
    }
    Replica { draft, notes }
}

/// What an endpoint is sent: signed anew, since signatures are not kept.
pub(crate) fn sent(
    (url, id, body): (&str, &str, Vec<u8>),
    secret: Option<&str>,
    now_ms: i64,
) -> Result<Replica, Complaint> {
    let mut draft = Draft { method: "POST".to_owned(), url: url.to_owned(), body, ..Draft::default() };
    draft.headers.insert("content-type", HeaderValue::from_static("application/json"));
    let secret = secret.filter(|secret| secret.starts_with("whsec_"));
    let Some(secret) = secret else {
        let note = "it is not signed: the endpoint signs with a private key, or its secret may not be read";
        return Ok(Replica { draft, notes: vec![note.to_owned()] });
    };
    let scheme = SchemeArgs { secret: vec![secret.to_owned()], ..SchemeArgs::default() };
    let ready = signing::ready("standard-webhooks", &SignerArgs { scheme, key: None }, url)?;
    signing::sign(&ready.signer, &mut draft, &Moment { at_ms: now_ms, id })?;
    Ok(Replica { draft, notes: vec!["it is signed anew, with the time of now".to_owned()] })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_is_had_back_letter_by_letter() {
        assert_eq!(
            body(br#"{"id":"x","payload":{"n": 1.0e2,  "a":[ ]}}"#).unwrap(),
            br#"{"n": 1.0e2,  "a":[ ]}"#
        );
        assert_eq!(body(br#"{"payload":{"text":"a=b"},"payloadEncoding":"text"}"#).unwrap(), b"a=b");
        assert_eq!(body(br#"{"payload":{"base64":"/wA="},"payloadEncoding":"base64"}"#).unwrap(), [0xFF, 0]);
        assert_eq!(
            body(br#"{"payload":{"text":"x"},"payloadEncoding":"json"}"#).unwrap(),
            br#"{"text":"x"}"#
        );
        assert!(body(b"{}").is_err());
    }

    #[test]
    fn what_came_in_is_made_again_and_what_is_missing_is_said() {
        let message = json!({ "request": { "method": "PUT", "query": "a=1", "headers": {
            "X-Sig": "1", "x-many": ["a", "b"], "Content-Length": "4", "Authorization": "(hidden)", "Host": "x" } } });
        let replica = received(&message, b"{}".to_vec(), "http://a.example/in/door");
        assert_eq!(
            (replica.draft.method.as_str(), replica.draft.url.as_str()),
            ("PUT", "http://a.example/in/door?a=1")
        );
        assert_eq!(replica.draft.headers.get_all("x-many").iter().count(), 2);
        assert!(!replica.draft.headers.contains_key("host"));
        assert!(replica.notes[0].contains("was 4 bytes, and is 2"), "{:?}", replica.notes);
        assert!(replica.notes[1].ends_with("fill in Authorization"), "{:?}", replica.notes);
    }

    #[test]
    fn what_is_sent_is_signed_anew_with_the_secret_if_there_is_one() {
        let sent_with =
            |secret| sent(("http://a.example/", "msg_1", b"{}".to_vec()), secret, 1_614_265_330_000);
        let signed = sent_with(Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap().draft;
        assert_eq!(signed.headers["webhook-id"], "msg_1");
        assert_eq!(signed.headers["webhook-timestamp"], "1614265330");
        assert!(signed.headers.contains_key("webhook-signature"));
        let bare = sent_with(Some("whpk_x")).unwrap();
        assert!(
            !bare.draft.headers.contains_key("webhook-signature") && bare.notes[0].contains("not signed")
        );
    }
}
