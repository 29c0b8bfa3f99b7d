//! A body for people: JSON with line breaks, forms as fields, files by name and size, and bytes in hex.

use serde_json::Value;

use super::came::Came;
use crate::terminal::shown;
use crate::words;

/// Bytes that are shown in hex; the rest is counted.
const HEX_BYTES_MAX: usize = 1_024;
/// Bytes on one line of them.
const HEX_LINE_BYTES: usize = 16;
/// Lines of text that are shown; the rest is counted.
const LINES_MAX: usize = 500;
/// Letters of one value of a form.
const VALUE_LETTERS_MAX: usize = 200;
/// Parts of a body that are listed.
const PARTS_MAX: usize = 200;

/// The body's lines, fit for a terminal.
pub(crate) fn lines(came: &Came) -> Vec<String> {
    let body = &came.body[..];
    let kind = came.header("content-type").unwrap_or_default().to_ascii_lowercase();
    if body.is_empty() {
        return vec!["(no body)".to_owned()];
    }
    if let Ok(json) = serde_json::from_slice::<Value>(body) {
        return text(&format!("{json:#}"));
    }
    if kind.starts_with("application/x-www-form-urlencoded") {
        let fields = url::form_urlencoded::parse(body).take(PARTS_MAX);
        return fields.map(|(name, value)| shown(&format!("{name} = {}", short(&value)))).collect();
    }
    if kind.starts_with("multipart/")
        && let Some(parts) =
            came.header("content-type").and_then(boundary).and_then(|mark| parts(body, &mark))
    {
        return parts.iter().map(Part::line).collect();
    }
    match std::str::from_utf8(body) {
        Ok(whole) => text(whole),
        Err(_) => hex(body),
    }
}

/// The beginning of a body, for a line among others.
pub(crate) fn first_line(came: &Came, letters_max: usize) -> String {
    let text = String::from_utf8_lossy(&came.body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut letters = line.chars();
    let kept: String = letters.by_ref().take(letters_max).collect();
    let more = if letters.next().is_some() { "…" } else { "" };
    shown(&format!("{kept}{more}"))
}

fn text(whole: &str) -> Vec<String> {
    let mut lines: Vec<_> = whole.lines().take(LINES_MAX).map(shown).collect();
    let more = whole.lines().count().saturating_sub(LINES_MAX);
    if more > 0 {
        lines.push(format!("… and {}", words::count(more as u64, "line")));
    }
    lines
}

fn short(value: &str) -> String {
    let mut letters = value.chars();
    let kept: String = letters.by_ref().take(VALUE_LETTERS_MAX).collect();
    if letters.next().is_some() { format!("{kept}…") } else { kept }
}

fn hex(body: &[u8]) -> Vec<String> {
    let line = |(number, bytes): (usize, &[u8])| {
        let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let letter = |byte: &u8| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' };
        let letters: String = bytes.iter().map(letter).collect();
        format!("{:08x}  {:47}  {letters}", number * HEX_LINE_BYTES, digits.join(" "))
    };
    let shown = &body[..body.len().min(HEX_BYTES_MAX)];
    let mut lines: Vec<_> = shown.chunks(HEX_LINE_BYTES).enumerate().map(line).collect();
    if body.len() > HEX_BYTES_MAX {
        lines.push(format!("… and {} more", words::size((body.len() - HEX_BYTES_MAX) as u64)));
    }
    lines
}

/// One part of a body of several.
#[derive(Debug, PartialEq)]
struct Part<'b> {
    name: Option<String>,
    file: Option<String>,
    kind: Option<String>,
    body: &'b [u8],
}

impl Part<'_> {
    fn line(&self) -> String {
        let name = self.name.as_deref().unwrap_or("(no name)");
        let kind = self.kind.as_deref().unwrap_or("text/plain");
        let size = words::size(self.body.len() as u64);
        shown(&match (&self.file, std::str::from_utf8(self.body)) {
            (Some(file), _) => format!("{name} = file {file}  {kind}  {size}"),
            (None, Ok(text)) => format!("{name} = {}", short(text)),
            (None, Err(_)) => format!("{name} = {kind}  {size}"),
        })
    }
}

/// What stands between the parts (RFC 2046 §5.1).
fn boundary(content_type: &str) -> Option<String> {
    parameter(content_type, "boundary").filter(|mark| !mark.is_empty())
}

/// A parameter of a header's value: `name=value` or `name="value"`.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
        is_wanted.then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}

/// The parts of a body; `None` if it is not made of any.
fn parts<'b>(body: &'b [u8], mark: &str) -> Option<Vec<Part<'b>>> {
    let (first, between) = (format!("--{mark}"), format!("\r\n--{mark}"));
    let mut rest = &body[find(body, first.as_bytes())? + first.len()..];
    let mut parts = vec![];
    while !rest.starts_with(b"--") && parts.len() < PARTS_MAX {
        let end = find(rest, between.as_bytes())?;
        let part = rest[..end].strip_prefix(b"\r\n")?;
        let (head, body) = match find(part, b"\r\n\r\n") {
            Some(at) => (&part[..at], &part[at + 4..]),
            None => (&b""[..], part.strip_prefix(b"\r\n")?),
        };
        let head = String::from_utf8_lossy(head);
        let header = |wanted: &str| {
            head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
            })
        };
        let disposition = header("content-disposition").unwrap_or_default();
        parts.push(Part {
            name: parameter(&disposition, "name"),
            file: parameter(&disposition, "filename"),
            kind: header("content-type"),
            body,
        });
        rest = &rest[end + between.len()..];
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(kind: &str, body: &[u8]) -> Vec<String> {
        let headers = vec![("Content-Type".to_owned(), Some(kind.as_bytes().to_vec()))];
        lines(&Came { headers, body: body.to_vec(), ..Came::default() })
    }

    #[test]
    fn json_has_line_breaks_whatever_it_is_called() {
        assert_eq!(decoded("text/plain", br#"{"a":[1]}"#), ["{", "  \"a\": [", "    1", "  ]", "}"]);
        assert_eq!(decoded("", b""), ["(no body)"]);
    }

    #[test]
    fn a_form_is_its_fields() {
        let form = decoded("application/x-www-form-urlencoded; charset=utf-8", b"a=1+2&b=%C3%BC&a=\x1b");
        assert_eq!(form, ["a = 1 2", "b = ü", "a = \\u{1b}"]);
    }

    #[test]
    fn files_are_named_and_measured() {
        let body = b"ignored\r\n--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--XX\r\n\
                     content-disposition: form-data; name=photo; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\
                     \x89PNG\r\n--XX--\r\n";
        assert_eq!(
            decoded("multipart/form-data; boundary=\"XX\"", body),
            ["note = hello", "photo = file a.png  image/png  4 bytes"]
        );
        // What is cut off is shown as what it is.
        assert_eq!(decoded("multipart/form-data; boundary=XX", b"--XX\r\nhello"), ["--XX", "hello"]);
    }

    #[test]
    fn bytes_are_in_hex_and_text_cannot_steer_a_terminal() {
        let hex = decoded("image/png", b"\x89PNG\x00 and so on, and on");
        assert_eq!(hex[0], "00000000  89 50 4e 47 00 20 61 6e 64 20 73 6f 20 6f 6e 2c  .PNG. and so on,");
        assert_eq!(hex.len(), 2);
        assert_eq!(decoded("text/plain", "a\x1b[2J\nb".as_bytes()), ["a\\u{1b}[2J", "b"]);
        let long = decoded("", &[0xff; HEX_BYTES_MAX + 2]);
        assert_eq!(long.last().unwrap(), "… and 2 bytes more");
    }
}
