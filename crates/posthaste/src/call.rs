//! A small HTTP caller for our own API: the commands talk to the server as any client would.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::Url;

use crate::{judged, unjudged};

/// One kept-alive connection to a server.
pub(crate) struct Caller {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    token: Option<String>,
}

/// What the server answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as text, for people.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, if the status is one of success.
    pub(crate) fn json(&self) -> anyhow::Result<serde_json::Value> {
        if !(200..300).contains(&self.status) {
            bail!("the server answered {}: {}", self.status, self.text());
        }
        serde_json::from_slice(&self.body).context("the server's answer is not JSON")
    }
}

async fn talk<S>(stream: S) -> anyhow::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// An address without the brackets that it has in a URL.
fn bare(host: &str) -> &str {
    host.trim_matches(['[', ']'])
}

/// A connection to where a URL leads.
async fn reach(url: &str) -> anyhow::Result<(Url, String, TcpStream)> {
    let url = Url::parse(url).with_context(|| format!("\"{url}\" is not a URL"))?;
    let host = url.host_str().context("the URL names no host")?.to_owned();
    let port = url.port_or_known_default().context("the URL names no port")?;
    let stream = TcpStream::connect((bare(&host), port)).await?;
    Ok((url, host, stream))
}

impl Caller {
    /// Connects to `http://host:port`, or to `https://host:port` if there is no token to give away: the certificate of
    /// a server on this machine is for the name that the world knows it by, and is not judged.
    pub(crate) async fn connect(url: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let (url, host, stream) = reach(url).await?;
        let sender = match url.scheme() {
            "http" => talk(stream).await?,
            "https" if token.is_none() => talk(unjudged::handshake(bare(&host), stream).await?).await?,
            _ => bail!("only http:// is supported here so far"),
        };
        Ok(Self::over(sender, &url, &host, token))
    }

    /// Connects to a server that gets this token: one that speaks https has a certificate for its name.
    pub(crate) async fn connect_judged(url: &str, token: &str) -> anyhow::Result<Self> {
        let (url, host, stream) = reach(url).await?;
        let sender = match url.scheme() {
            "https" => talk(judged::handshake(bare(&host), stream).await?).await?,
            _ => talk(stream).await?,
        };
        Ok(Self::over(sender, &url, &host, Some(token)))
    }

    fn over(sender: SendRequest<Full<Bytes>>, url: &Url, host: &str, token: Option<&str>) -> Self {
        let port = url.port_or_known_default().unwrap_or_default();
        Self { sender, host: format!("{host}:{port}"), token: token.map(str::to_owned) }
    }

    /// Whether the connection may be used again.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// GETs a path.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send("GET", path, String::new()).await
    }

    /// Sends JSON to a path.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: String) -> anyhow::Result<Answer> {
        self.send_with(method, path, &[], body).await
    }

    /// Sends JSON to a path, with more headers.
    pub(crate) async fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: String,
    ) -> anyhow::Result<Answer> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, &self.host)
            .header(http::header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Full::from(body))?).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }
}
