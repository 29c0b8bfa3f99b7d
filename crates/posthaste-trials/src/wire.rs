//! As little HTTP/1.1 as a trial needs, on plain connections: it must be known which byte was sent when one breaks.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes of a head or a body beyond which nobody here sends one.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A request or an answer.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// The first line and the headers.
    pub(crate) head: String,
    /// As long as `content-length` says.
    pub(crate) body: Vec<u8>,
}

impl Incoming {
    /// A header's value, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The second word of the first line: a request's path, an answer's status.
    pub(crate) fn second_word(&self) -> &str {
        self.head.split_whitespace().nth(1).unwrap_or_default()
    }
}

/// Reads messages off a connection, one after another.
pub(crate) struct Wire<R> {
    stream: R,
    unread: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Wire<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// The next message; `None` when the other side closed in between two.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Incoming>> {
        let head_len = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            let empty = self.unread.is_empty();
            if !self.read_more().await? {
                return if empty { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        };
        let head = String::from_utf8_lossy(&self.unread[..head_len]).into_owned();
        let mut incoming = Incoming { head, body: Vec::new() };
        let body_len: usize =
            incoming.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while self.unread.len() < head_len + body_len {
            if !self.read_more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        incoming.body = self.unread[head_len..head_len + body_len].to_vec();
        self.unread.drain(..head_len + body_len);
        Ok(Some(incoming))
    }

    async fn read_more(&mut self) -> io::Result<bool> {
        if self.unread.len() > MESSAGE_BYTES_MAX {
            return Err(io::Error::other("a message is longer than any that a trial sends"));
        }
        self.unread.reserve(4_096);
        Ok(self.stream.read_buf(&mut self.unread).await? > 0)
    }
}
