//! A request as text: as it would stand on the wire, or as a curl command.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use posthaste_signature::provider::sign::Draft;

/// Method and target, headers, an empty line, and the body.
pub fn on_the_wire(draft: &Draft) -> Vec<u8> {
    let (host, path) = host_and_path(&draft.url);
    let mut text = format!("{} {path} HTTP/1.1\r\nhost: {host}\r\n", draft.method).into_bytes();
    for (name, value) in &draft.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(format!("content-length: {}\r\n\r\n", draft.body.len()).as_bytes());
    text.extend_from_slice(&draft.body);
    text
}

fn host_and_path(url: &str) -> (&str, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    (host, if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

/// A command that sends a body, to which headers are added.
pub fn as_curl_of(method: &str, url: &str, body: &[u8]) -> String {
    let (method, url) = (method.to_owned(), url.to_owned());
    as_curl(&Draft { method, url, body: body.to_vec(), ..Draft::default() })
}

/// A command for a shell.
pub fn as_curl(draft: &Draft) -> String {
    let text = std::str::from_utf8(&draft.body).ok().filter(|text| !text.contains('\0'));
    // What no argument can hold comes through a pipe.
    let before = match text {
        Some(_) => String::new(),
        None => format!("printf %s {} | base64 -d | ", BASE64_STANDARD.encode(&draft.body)),
    };
    let mut command = format!("{before}curl -X {} {}", draft.method, quoted(&draft.url));
    for (name, value) in &draft.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let header = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        let _ = write!(command, " \\\n  -H {}", quoted(&header));
    }
    match text {
        Some("") => {}
        Some(text) => drop(write!(command, " \\\n  --data-raw {}", quoted(text))),
        None => command.push_str(" \\\n  --data-binary @-"),
    }
    command
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
