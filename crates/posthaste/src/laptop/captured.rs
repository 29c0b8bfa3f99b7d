//! A request that somebody kept, in whichever form: told apart by how it begins.

use std::io::Read as _;
use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue};
use posthaste_signature::provider::Request;

use super::complaint::Complaint;
use super::{curl, har, raw};

/// The longest file that is read: the largest body that a server takes, in base64, and room around it.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A request, whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Captured {
    /// Empty: not said.
    pub(crate) method: String,
    /// Empty: not said.
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Captured {
    /// As the library takes it.
    pub(crate) fn request(&self) -> Request<'_> {
        Request { method: &self.method, url: &self.url, headers: &self.headers, body: &self.body }
    }

    pub(crate) fn add(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        let known: HeaderName =
            name.trim().parse().map_err(|_| format!("\"{name}\" is not a header's name"))?;
        let value = HeaderValue::from_bytes(value)
            .map_err(|_| format!("the value of {name} cannot be a header's"))?;
        self.headers.append(known, value);
        Ok(())
    }

    /// Adds `K: V`.
    pub(crate) fn add_line(&mut self, line: &[u8]) -> Result<(), String> {
        let colon = line.iter().position(|byte| *byte == b':');
        let colon =
            colon.ok_or_else(|| format!("\"{}\" has no colon", String::from_utf8_lossy(line).trim()))?;
        self.add(&String::from_utf8_lossy(&line[..colon]), line[colon + 1..].trim_ascii())
    }
}

/// Reads a file whole, or standard input if it is `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Complaint> {
    let mut bytes = vec![];
    let shown = path.display();
    let failed = |error: std::io::Error| {
        Complaint::usage(
            format!("cannot read {shown}"),
            error,
            "name a file that can be read, or `-` for stdin",
        )
    };
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Complaint::usage(
            format!("{shown} is too long"),
            format!("at most {} MiB are read", FILE_BYTES_MAX / (1024 * 1024)),
            "cut out the one request that matters",
        ));
    }
    Ok(bytes)
}

/// Whether there is a request in it, and not a body alone.
pub(crate) fn is_request(text: &[u8]) -> bool {
    raw::is_raw(text) || raw::is_log(text) || curl::is_curl(text) || har::is_har(text)
}

/// The request in it: `entry` of a HAR, from 1 on.
pub(crate) fn parse(text: &[u8], entry: usize) -> Result<Captured, String> {
    if raw::is_raw(text) {
        raw::parse(text)
    } else if raw::is_log(text) {
        raw::parse_log(text)
    } else if curl::is_curl(text) {
        curl::parse(text)
    } else if har::is_har(text) {
        har::parse(text, entry)
    } else {
        Err("it begins neither with a request line such as `POST /in HTTP/1.1`, nor with `curl`, and is no HAR"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use posthaste_core::request::printed::{as_curl, on_the_wire};
    use posthaste_signature::provider::sign::Draft;

    use super::*;

    #[test]
    fn what_is_printed_is_read_back_the_same() {
        let mut draft = Draft {
            method: "POST".to_owned(),
            url: "https://a.example/in?x=%2F".to_owned(),
            body: br#"{"it's":"\n"}"#.to_vec(),
            ..Draft::default()
        };
        draft.headers.append("x-a", HeaderValue::from_static("1"));
        draft.headers.append("x-a", HeaderValue::from_static("2"));
        for text in [on_the_wire(&draft), as_curl(&draft).into_bytes()] {
            let read = parse(&text, 1).unwrap();
            assert_eq!((&read.url, &read.body), (&draft.url, &draft.body));
            assert_eq!(read.headers.get_all("x-a").iter().count(), 2);
        }
    }
}
