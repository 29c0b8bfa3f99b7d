//! `application/x-www-form-urlencoded` texts, and the one multipart field that a provider sends.

use super::refusal::Refusal;

/// The most parameters that are looked at one by one: each costs many times its bytes.
const PAIRS_COUNT_MAX: usize = 10_000;
/// Letters of a boundary (RFC 2046 §5.1.1).
const BOUNDARY_LETTERS_MAX: usize = 70;

/// The first value of a parameter, decoded.
pub(crate) fn value(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Whether a parameter is there more than once. Of those, some receivers read the first and some the last, so that one
/// could be verified and another believed.
pub(crate) fn is_repeated(form: &[u8], name: &str) -> bool {
    form_urlencoded::parse(form).filter(|(key, _)| key == name).nth(1).is_some()
}

/// All parameters, decoded, in the order sent.
pub(crate) fn pairs(form: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    if form_urlencoded::parse(form).nth(PAIRS_COUNT_MAX).is_some() {
        return Err(Refusal::malformed("the form", format!("{PAIRS_COUNT_MAX} parameters at most")));
    }
    Ok(form_urlencoded::parse(form).map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
}

/// Names and values one after the other, sorted by name; names that repeat keep their order.
pub(crate) fn sorted(form: &[u8]) -> Result<String, Refusal> {
    let mut pairs = pairs(form)?;
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect())
}

/// A field of a `multipart/form-data` body (RFC 7578), by name; else of a form.
pub(crate) fn field(content_type: &str, body: &[u8], name: &str) -> Option<Vec<u8>> {
    let Some(boundary) = boundary(content_type) else { return value(body, name).map(String::into_bytes) };
    let delimiter = format!("--{boundary}");
    let wanted = format!("name=\"{name}\"");
    parts(body, delimiter.as_bytes()).find_map(|part| {
        let head_end = find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&part[..head_end]).ok()?;
        let is_wanted = head.lines().any(|line| {
            line.to_ascii_lowercase().starts_with("content-disposition:") && line.contains(&wanted)
        });
        let value = &part[head_end + 4..];
        is_wanted.then(|| value.strip_suffix(b"\r\n").unwrap_or(value).to_vec())
    })
}

fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|item| item.trim().strip_prefix("boundary="))?;
    Some(boundary.trim_matches('"')).filter(|boundary| (1..=BOUNDARY_LETTERS_MAX).contains(&boundary.len()))
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}

fn parts<'a>(body: &'a [u8], delimiter: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let from = rest.take()?;
        let Some(end) = find(from, delimiter) else { return Some(from) };
        rest = Some(&from[end + delimiter.len()..]);
        Some(&from[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multipart_field_is_found_by_name() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\n\
            Content-Disposition: form-data; name=\"json\"\r\n\r\n{\"b\":2}\r\n--x--\r\n";
        let field = |name| field("multipart/form-data; boundary=x", body, name);
        assert_eq!(field("json").as_deref(), Some(&b"{\"b\":2}"[..]));
        assert_eq!(field("c"), None);
    }

    #[test]
    fn a_form_is_sorted_by_name_alone() {
        assert_eq!(sorted(b"b=2&a=1&b=1").as_deref(), Ok("a1b2b1"));
    }
}
