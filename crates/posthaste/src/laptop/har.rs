//! A HAR file, as browsers and proxies save it, to read (<http://www.softwareishard.com/blog/har-12-spec/>).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::captured::Captured;

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    request: Asked,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Field>,
    post_data: Option<Posted>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Posted {
    #[serde(default)]
    text: String,
    /// `base64`: what is no text is written so, here and by others.
    encoding: Option<String>,
    #[serde(default)]
    params: Vec<Field>,
}

pub(super) fn is_har(text: &[u8]) -> bool {
    serde_json::from_slice::<Har>(text).is_ok()
}

pub(super) fn parse(text: &[u8], entry: usize) -> Result<Captured, String> {
    let har: Har = serde_json::from_slice(text).map_err(|error| format!("it is no HAR: {error}"))?;
    let count = har.log.entries.len();
    let found = entry.checked_sub(1).and_then(|at| har.log.entries.into_iter().nth(at));
    let Asked { method, url, headers, post_data } =
        found.ok_or_else(|| format!("it holds {count} requests, and none is number {entry}"))?.request;
    let mut captured = Captured { method: method.to_ascii_uppercase(), url, ..Captured::default() };
    // HTTP/2's names of the request line begin with a colon.
    for Field { name, value } in headers.iter().filter(|field| !field.name.starts_with(':')) {
        captured.add(name, value.as_bytes())?;
    }
    if let Some(posted) = post_data {
        captured.body = match posted.encoding.as_deref() {
            Some("base64") => BASE64_STANDARD.decode(&posted.text).map_err(|error| error.to_string())?,
            _ if posted.text.is_empty() => form(&posted.params).into_bytes(),
            _ => posted.text.into_bytes(),
        };
    }
    Ok(captured)
}

/// Some save a form's fields and not its text.
fn form(params: &[Field]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for Field { name, value } in params {
        form.append_pair(name, value);
    }
    form.finish()
}

#[cfg(test)]
mod tests {
    use posthaste_core::request::har::{Answered, entry, file};
    use posthaste_signature::provider::sign::Draft;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_the_same() {
        for body in [&b"{\"a\":1}"[..], b"\xff\0", b""] {
            let mut draft = Draft {
                method: "PUT".to_owned(),
                url: "https://a.example/in?x=%2F".to_owned(),
                body: body.to_vec(),
                ..Draft::default()
            };
            draft.headers.append("x-a", http::HeaderValue::from_static("1"));
            draft.headers.append("x-a", http::HeaderValue::from_static("2"));
            let written = file(&[entry(&draft, &Answered::default())]).to_string();
            let read = parse(written.as_bytes(), 1).unwrap();
            assert_eq!((&read.method, &read.url, &read.body), (&draft.method, &draft.url, &draft.body));
            assert_eq!(read.headers, draft.headers);
        }
    }

    const HAR: &[u8] = br#"{"log":{"version":"1.2","entries":[
        {"request":{"method":"GET","url":"https://a.example/","headers":[]}},
        {"request":{"method":"POST","url":"https://a.example/in","headers":[{"name":":method","value":"POST"},
         {"name":"X-Sig","value":"1"}],"postData":{"mimeType":"application/json","text":"{\"a\":1}"}}}]}}"#;

    #[test]
    fn any_request_of_a_har_can_be_read() {
        let captured = parse(HAR, 2).unwrap();
        assert_eq!((captured.method.as_str(), &captured.body[..]), ("POST", &b"{\"a\":1}"[..]));
        assert_eq!(captured.headers["x-sig"], "1");
        assert!(parse(HAR, 1).unwrap().body.is_empty());
        assert!(parse(HAR, 3).unwrap_err().contains("2 requests"));
    }
}
