//! As little HTTP/1.1 as a measurement needs: the load and the receiver share two cores with what they measure, so
//! what they burn would be counted against it.

use anyhow::{Context as _, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Reads messages with `Content-Length` bodies off a connection, one after another.
pub(super) struct Wire<R> {
    stream: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// A message: its first line and headers as one text, and its body.
pub(super) struct Incoming<'a> {
    pub(super) head: &'a str,
    pub(super) body: &'a [u8],
}

impl<R: AsyncRead + Unpin> Wire<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { stream, buffer: vec![0; 16 * 1024], start: 0, end: 0 }
    }

    /// The next message; `None` when the other side closed in between two.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Incoming<'_>>> {
        let head_len = loop {
            if let Some(at) = find(&self.buffer[self.start..self.end], b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read_more().await? {
                return Ok(None);
            }
        };
        let body_len = content_length(&self.buffer[self.start..self.start + head_len])?;
        while self.end - self.start < head_len + body_len {
            if !self.read_more().await? {
                bail!("the connection closed within a body");
            }
        }
        let whole = &self.buffer[self.start..self.start + head_len + body_len];
        self.start += head_len + body_len;
        let (head, body) = whole.split_at(head_len);
        Ok(Some(Incoming { head: std::str::from_utf8(head).context("a head is not UTF-8")?, body }))
    }

    async fn read_more(&mut self) -> anyhow::Result<bool> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let read = self.stream.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        Ok(read > 0)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Zero when there is none: an answer of 204 has no body.
fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let head = std::str::from_utf8(head).context("a head is not UTF-8")?;
    for line in head.lines() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            return value.trim().parse().context("a content-length is no number");
        }
    }
    Ok(0)
}
