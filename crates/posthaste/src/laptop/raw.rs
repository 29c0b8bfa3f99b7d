//! A request as it stood on the wire, or as `curl -v` wrote it down.

use super::captured::Captured;

/// Where a body begins, and how long the head before it is.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let end = |mark: &[u8]| text.windows(mark.len()).position(|window| window == mark);
    match (end(b"\r\n\r\n"), end(b"\n\n")) {
        (Some(at), other) if other.is_none_or(|other| at < other) => (&text[..at], &text[at + 4..]),
        (_, Some(at)) => (&text[..at], &text[at + 2..]),
        (_, None) => (text, b""),
    }
}

fn request_line(line: &[u8]) -> Option<(&str, &str)> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_method = method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    (is_method && version.starts_with("HTTP/") && words.next().is_none()).then_some((method, target))
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

pub(super) fn is_raw(text: &[u8]) -> bool {
    lines(text).next().is_some_and(|line| request_line(line).is_some())
}

/// Whether `curl -v` wrote it: what it sent stands behind `> `.
pub(super) fn is_log(text: &[u8]) -> bool {
    lines(text).filter_map(|line| line.strip_prefix(b"> ")).any(|line| request_line(line).is_some())
}

pub(super) fn parse(text: &[u8]) -> Result<Captured, String> {
    let (head, body) = split(text);
    let mut captured = parse_head(lines(head))?;
    let is_chunked = captured.headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
    captured.body = match is_chunked.then(|| unchunked(body)).flatten() {
        Some(whole) => whole,
        None => body[..stated_len(&captured, body)].to_vec(),
    };
    Ok(captured)
}

/// The head alone: a body is not in such a log.
pub(super) fn parse_log(text: &[u8]) -> Result<Captured, String> {
    let sent = lines(text).filter_map(|line| line.strip_prefix(b"> "));
    // Of several requests the last: those before were redirected, or asked for a password.
    let sent: Vec<_> = sent.filter(|line| !line.is_empty()).collect();
    let last = sent.iter().rposition(|line| request_line(line).is_some()).unwrap_or_default();
    parse_head(sent[last..].iter().copied())
}

fn parse_head<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Result<Captured, String> {
    let first = lines.next().and_then(request_line);
    let (method, target) = first.ok_or("its first line is no request line such as `POST /in HTTP/1.1`")?;
    let mut captured = Captured { method: method.to_owned(), ..Captured::default() };
    for line in lines {
        captured.add_line(line)?;
    }
    let host = captured.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    // Providers call by https, though a proxy in front may have made http of it; on one machine it is http.
    let scheme = if is_local(host) { "http" } else { "https" };
    captured.url =
        if target.contains("://") { target.to_owned() } else { format!("{scheme}://{host}{target}") };
    Ok(captured)
}

fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "[::1]") || name.starts_with("127.")
}

/// What Content-Length says, where that is less than there is: editors put a line feed behind.
fn stated_len(captured: &Captured, body: &[u8]) -> usize {
    let stated = captured.headers.get("content-length").and_then(|value| value.to_str().ok());
    stated.and_then(|text| text.parse().ok()).map_or(body.len(), |len: usize| len.min(body.len()))
}

/// The body of chunks (RFC 9112 §7.1), if it is one.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = vec![];
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_stood_on_the_wire() {
        let text = b"POST /in?a=1 HTTP/1.1\r\nHost: hooks.example.com\r\nX-A: 1\r\nX-A: 2\r\nEmpty:\r\n\r\n{\"a\":\r\n\r\n1}";
        let captured = parse(text).unwrap();
        assert_eq!(captured.url, "https://hooks.example.com/in?a=1");
        assert_eq!(captured.headers.get_all("x-a").iter().count(), 2);
        assert_eq!(captured.headers["empty"], "");
        assert_eq!(captured.body, b"{\"a\":\r\n\r\n1}");
    }

    #[test]
    fn on_this_machine_it_was_http() {
        let captured = parse(b"POST /in HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n\r\n").unwrap();
        assert_eq!(captured.url, "http://127.0.0.1:3000/in");
    }

    #[test]
    fn what_an_editor_put_behind_the_body_is_not_of_it() {
        let captured = parse(b"POST / HTTP/1.1\nContent-Length: 2\n\n{}\n").unwrap();
        assert_eq!(captured.body, b"{}");
    }

    #[test]
    fn chunks_are_put_together() {
        let text =
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(text).unwrap().body, b"abcde");
    }

    #[test]
    fn of_what_curl_said_the_last_request_counts() {
        let log = b"* Trying 127.0.0.1\n> GET /a HTTP/1.1\n> Host: x\n>\n< HTTP/1.1 301\n> POST /b HTTP/1.1\r\n> Host: y\r\n> X-Sig: 1\r\n";
        let captured = parse_log(log).unwrap();
        assert_eq!((captured.method.as_str(), captured.url.as_str()), ("POST", "https://y/b"));
        assert_eq!(captured.headers["x-sig"], "1");
    }
}
