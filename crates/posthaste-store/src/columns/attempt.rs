//! The headers of an answer, in one column: `name: value` lines, as they came.

use bytes::Bytes;

/// The column of these headers.
pub(crate) fn write_headers(headers: &[(String, Bytes)]) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        lines.extend_from_slice(name.as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value);
        lines.push(b'\n');
    }
    lines
}

/// The headers of this column.
pub(crate) fn read_headers(lines: &[u8]) -> Vec<(String, Bytes)> {
    lines.split(|byte| *byte == b'\n').filter_map(header).collect()
}

fn header(line: &[u8]) -> Option<(String, Bytes)> {
    let colon = line.windows(2).position(|pair| pair == b": ")?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    Some((name.to_owned(), Bytes::copy_from_slice(&line[colon + 2..])))
}
