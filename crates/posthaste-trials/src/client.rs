//! One connection to the server under trial, and the API calls that set the scene.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::wire::{Incoming, Wire};

/// How long an answer may take. A server that is slower than this counts as gone.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// A kept-alive connection.
pub(crate) struct Connection {
    incoming: Wire<OwnedReadHalf>,
    outgoing: OwnedWriteHalf,
}

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let (incoming, outgoing) = stream.into_split();
        Ok(Self { incoming: Wire::new(incoming), outgoing })
    }

    /// Sends a whole request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<Incoming> {
        let asked = async {
            self.outgoing.write_all(request).await?;
            self.incoming.next().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        };
        tokio::time::timeout(ANSWER_MAX, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A request's bytes. `headers` end with a line break each.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: trial\r\ncontent-type: application/json\r\n");
    format!("{head}{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// The API, to an operator.
pub(crate) struct Api {
    pub(crate) server: SocketAddr,
    pub(crate) token: String,
}

impl Api {
    /// The answer's JSON, if it is one of success.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, text) = self.answer(method, path, body).await?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} was answered {status}: {text}");
        }
        serde_json::from_str(&text)
            .with_context(|| format!("{method} {path} was answered with no JSON: {text}"))
    }

    /// The answer's status and text.
    pub(crate) async fn answer(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<(u16, String)> {
        let authorization = format!("authorization: Bearer {}\r\n", self.token);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut connection = Connection::open(self.server).await?;
        let answer = connection.ask(&request(method, path, &authorization, &body)).await?;
        Ok((answer.second_word().parse()?, String::from_utf8_lossy(&answer.body).into_owned()))
    }
}
