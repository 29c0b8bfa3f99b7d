//! Whether the answer to a handshake is the one that the provider wants.

use posthaste_signature::provider::Answer;
use serde_json::Value;

/// How it differs. More than what is wanted does no harm, and a text may come as JSON's only text.
pub(crate) fn differs(
    wanted: &Answer,
    header: &dyn Fn(&str) -> Option<String>,
    body: &[u8],
) -> Option<String> {
    let framing = ["content-type", "x-content-type-options"];
    for (name, value) in wanted.headers.iter().filter(|(name, _)| !framing.contains(name)) {
        let came = header(name);
        if came.as_deref() != Some(value) {
            return Some(format!("the header {name} must be \"{value}\", and is {came:?}"));
        }
    }
    let text = String::from_utf8_lossy(body);
    let came: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let is_right = match serde_json::from_str::<Value>(&wanted.body) {
        Ok(Value::Object(members)) => members.iter().all(|(name, value)| came.get(name) == Some(value)),
        _ => {
            let holds = |value: &Value| value.as_str() == Some(&wanted.body);
            let within = came.as_object().is_some_and(|members| members.values().any(holds));
            wanted.body.is_empty() || text.trim() == wanted.body || holds(&came) || within
        }
    };
    (!is_right).then(|| format!("the body must be {}, and is {}", wanted.body, text.trim()))
}
#[cfg(test)]
mod tests {
    use super::*;

    fn answered(provider: &str, url: &str, body: &[u8]) -> Answer {
        use posthaste_signature::provider::{Keys, Receiver, Request, Settings};
        let headers = http::HeaderMap::new();
        let method = if body.is_empty() { "GET" } else { "POST" };
        let receiver = Receiver::unready(provider, Settings::default()).unwrap();
        let request = Request { method, url, headers: &headers, body };
        receiver.handshake(&request, 1_760_000_000, &Keys::default()).unwrap().unwrap()
    }

    #[test]
    fn an_answer_is_right_as_text_or_as_json_and_wrong_otherwise() {
        let none = |_: &str| None;
        let text = answered("dropbox", "https://a.example/in?challenge=abc", b"");
        for (body, is_right) in
            [("abc", true), (" abc\n", true), (r#"{"challenge":"abc"}"#, true), ("abcd", false), ("", false)]
        {
            assert_eq!(differs(&text, &none, body.as_bytes()).is_none(), is_right, "{body}");
        }
        let json = answered("miro", "https://a.example/in", br#"{"challenge":"abc"}"#);
        assert_eq!(differs(&json, &none, br#"{"more":1,"challenge":"abc"}"#), None);
        assert!(differs(&json, &none, b"abc").unwrap().contains("challenge"));
    }
}
