//! A request's body in the other ways it may be read: as the fields of a form, as its parts, and as bytes.

use serde::Serialize;

use crate::payload::{self, Payload};
use crate::words;

/// Fields of a form, or parts of a body, that are shown.
const SHOWN_MAX: usize = 100;

/// What a form's field holds.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Field {
    name: String,
    value: String,
}

/// One part of a body that has several.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    headers: Vec<(String, String)>,
    body: Payload,
}

/// All of them that make sense of this body.
#[derive(Debug, Serialize)]
pub(crate) struct Views {
    body: Payload,
    fields: Vec<Field>,
    parts: Vec<Part>,
    hex: Option<String>,
    size: String,
}

pub(crate) fn views(content_type: &str, body: &[u8]) -> Views {
    let (kind, rest) = content_type.split_once(';').unwrap_or((content_type, ""));
    let kind = kind.trim().to_ascii_lowercase();
    let shown = payload::shown(body);
    let is_bytes = shown.kind == "bytes";
    Views {
        fields: if kind == "application/x-www-form-urlencoded" { fields(body) } else { vec![] },
        parts: match boundary(rest).filter(|_| kind.starts_with("multipart/")) {
            Some(boundary) => parts(&boundary, body),
            None => vec![],
        },
        hex: (!body.is_empty() && !is_bytes).then(|| payload::hex(body)),
        body: shown,
        size: words::size(body.len()),
    }
}

fn fields(body: &[u8]) -> Vec<Field> {
    let pairs = form_urlencoded::parse(body).take(SHOWN_MAX);
    pairs.map(|(name, value)| Field { name: name.into_owned(), value: value.into_owned() }).collect()
}

/// The boundary among a content type's parameters.
fn boundary(parameters: &str) -> Option<String> {
    let mut pairs = parameters.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let value = value.trim().trim_matches('"');
    (!value.is_empty()).then(|| value.to_owned())
}

/// Where `needle` begins.
fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

/// RFC 2046 §5.1: what stands between the lines that begin with the boundary.
fn parts(boundary: &str, body: &[u8]) -> Vec<Part> {
    let opening = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let Some(start) = find(body, opening.as_bytes()) else { return vec![] };
    let mut rest = &body[start + opening.len()..];
    let mut parts = vec![];
    // Behind the last one stand two hyphens more.
    while parts.len() < SHOWN_MAX && !rest.starts_with(b"--") {
        let line_end = find(rest, b"\r\n").map_or(rest.len(), |at| at + 2);
        // Of a part without headers the next line break is the one that ends them.
        let content = &rest[line_end..];
        let end = find(content, between.as_bytes()).unwrap_or(content.len());
        parts.push(part(&content[..end]));
        match content.get(end + between.len()..) {
            Some(next) => rest = next,
            None => break,
        }
    }
    parts
}

fn part(content: &[u8]) -> Part {
    let (head, body) = match find(content, b"\r\n\r\n") {
        Some(at) => (&content[..at], &content[at + 4..]),
        None => (&[][..], content.strip_prefix(b"\r\n").unwrap_or(content)),
    };
    let head = String::from_utf8_lossy(head);
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    Part {
        headers: headers.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect(),
        body: payload::shown(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_shown_by_its_fields() {
        let shown = views("application/x-www-form-urlencoded; charset=utf-8", b"a=1&b=x+y%26");
        let field = |name: &str, value: &str| Field { name: name.to_owned(), value: value.to_owned() };
        assert_eq!(shown.fields, [field("a", "1"), field("b", "x y&")]);
        assert!(shown.parts.is_empty() && shown.hex.is_some());
    }

    #[test]
    fn a_body_of_parts_is_shown_part_by_part() {
        let body = b"preamble\r\n--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n\
            --X\r\nContent-Type: image/png\r\n\r\n\x89PNG\xff\r\n--X--\r\n";
        let shown = views("multipart/form-data; boundary=\"X\"", body);
        assert_eq!(shown.parts.len(), 2);
        assert_eq!(shown.parts[0].body.text, "one");
        assert_eq!(shown.parts[0].headers[0].1, "form-data; name=\"a\"");
        assert_eq!(shown.parts[1].body.kind, "bytes");
    }

    #[test]
    fn a_body_that_is_cut_or_is_none_of_its_boundary_makes_no_trouble() {
        for body in
            [&b""[..], b"--X", b"--X\r\n", b"--X\r\nA: b", b"--X--", b"no boundary", b"--X\r\n--X\r\n--X"]
        {
            let shown = views("multipart/mixed; boundary=X", body);
            assert!(shown.parts.len() <= 2, "{body:?}");
        }
        assert!(views("multipart/mixed", b"--X\r\n\r\na\r\n--X--").parts.is_empty());
    }

    #[test]
    fn parts_are_bounded() {
        let body = "--X\r\n\r\na\r\n".repeat(1_000);
        assert_eq!(views("multipart/mixed; boundary=X", body.as_bytes()).parts.len(), SHOWN_MAX);
    }
}
