//! A tower layer: what reaches the service behind it comes from the provider. Needs the feature `tower`.
//!
//! The body is read whole, since the signature is over its bytes, and passed on as it was. Requests that only ask
//! whether we are there are answered here. What is not believed gets 401 and a sentence; a body that is too large gets
//! 413 and one that ends early 400. Where a key of the provider's has to be fetched first, the answer is 503, so that
//! the provider sends the request again.
//!
//! ```
//! use axum::routing::post;
//! use axum::{Extension, Router};
//! use posthaste_signature::provider::layer::VerifyLayer;
//! use posthaste_signature::provider::{Receiver, Settings, Verified};
//!
//! async fn paid(Extension(verified): Extension<Verified>, body: String) -> String {
//!     format!("{} bytes under secret {}", body.len(), verified.secret_index)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings { secrets: vec!["whsec_5f1a".to_owned()], ..Settings::default() };
//! let verify = VerifyLayer::new(Receiver::new("stripe", settings)?).public_url("https://example.com");
//! let app: Router = Router::new().route("/in/stripe", post(paid)).layer(verify);
//! # Ok(())
//! # }
//! ```
//!
//! There is no time limit here: put one, such as tower-http's, around this layer, or a sender may take forever.

use std::error::Error;
use std::fmt;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf as _, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Either, Full, LengthLimitError, Limited};
use tower_layer::Layer;
use tower_service::Service;

use super::{Answer, Keys, Receiver, Refusal, Verified};

/// The largest body, unless another is set.
pub const BODY_BYTES_MAX: usize = 20 * 1024 * 1024;

/// Our own answer, or that of the service behind.
pub type VerifyBody<B> = Either<Full<Bytes>, B>;

type Now = Arc<dyn Fn() -> i64 + Send + Sync>;
type Fetched = Arc<dyn Fn() -> Arc<Keys> + Send + Sync>;

/// Verifies every request with one receiver.
///
/// The service behind finds [`Verified`] in the request's extensions. Our own answers carry what led to them in
/// theirs, for a layer around this one: the [`Refusal`], or the [`Answer`] to a handshake, which may hold a secret to
/// keep or an address to fetch.
#[derive(Clone)]
pub struct VerifyLayer {
    receiver: Arc<Receiver>,
    public_url: Option<Arc<str>>,
    body_bytes_max: usize,
    now: Now,
    keys: Fetched,
}

impl VerifyLayer {
    /// A layer for one receiver, which may be shared.
    pub fn new(receiver: impl Into<Arc<Receiver>>) -> Self {
        let none = Arc::new(Keys::default());
        Self {
            receiver: receiver.into(),
            public_url: None,
            body_bytes_max: BODY_BYTES_MAX,
            now: Arc::new(system_now),
            keys: Arc::new(move || Arc::clone(&none)),
        }
    }

    /// The address that the provider calls, which some of them sign. With a path it is taken as it is; without, the
    /// path of each request is put behind it; the query is always that of the request. Unless it is set, it is
    /// `https`, the host that the request names, and its path as the service sees it.
    #[must_use]
    pub fn public_url(mut self, url: impl Into<Arc<str>>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// The largest body that is read, in bytes.
    #[must_use]
    pub fn body_limit(mut self, bytes_max: usize) -> Self {
        self.body_bytes_max = bytes_max;
        self
    }

    /// Where the time comes from, in seconds since 1970, if not from the system.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }

    /// Where the keys are that were fetched for this receiver, for providers who publish theirs.
    #[must_use]
    pub fn keys(mut self, keys: impl Fn() -> Arc<Keys> + Send + Sync + 'static) -> Self {
        self.keys = Arc::new(keys);
        self
    }

    /// The address of a request as the provider knows it.
    fn url(&self, parts: &Parts) -> String {
        let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        match &self.public_url {
            Some(url) => {
                let authority_at = url.find("://").map_or(0, |at| at + 3);
                match url[authority_at..].find('/') {
                    Some(path_at) if authority_at + path_at + 1 < url.len() => {
                        let query = target.find('?').map_or("", |at| &target[at..]);
                        format!("{url}{query}")
                    }
                    _ => format!("{}{target}", url.trim_end_matches('/')),
                }
            }
            None => {
                let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
                let host = parts.uri.authority().map(http::uri::Authority::as_str).or(named);
                format!("https://{}{target}", host.unwrap_or_default())
            }
        }
    }

    /// Believes a request, or says what to answer instead.
    fn judge(&self, parts: &Parts, body: &[u8]) -> Result<Verified, Instead> {
        let url = self.url(parts);
        let request =
            super::Request { method: parts.method.as_str(), url: &url, headers: &parts.headers, body };
        let (now, keys) = ((self.now)(), (self.keys)());
        match self.receiver.handshake(&request, now, &keys) {
            None => self.receiver.verify(&request, now, &keys).map_err(Instead::Refused),
            Some(Ok(answer)) => Err(Instead::Answered(answer)),
            Some(Err(refusal)) => Err(Instead::Refused(refusal)),
        }
    }
}

/// The settings may be secrets, so none is shown.
impl fmt::Debug for VerifyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyLayer").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Verify { inner, layer: Arc::new(self.clone()) }
    }
}

/// A service with a [`VerifyLayer`] in front.
#[derive(Debug, Clone)]
pub struct Verify<S> {
    inner: S,
    layer: Arc<VerifyLayer>,
}

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<VerifyBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that said it was ready is the one to call.
        let next = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, next);
        let layer = Arc::clone(&self.layer);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let judged = match read(body, layer.body_bytes_max).await {
                Ok(body) => layer.judge(&parts, &body).map(|verified| (verified, body)),
                Err(unread) => Err(unread),
            };
            match judged {
                Ok((verified, body)) => {
                    parts.extensions.insert(verified);
                    let answer = ready.call(Request::from_parts(parts, Full::new(body))).await?;
                    Ok(answer.map(Either::Right))
                }
                Err(instead) => Ok(instead.into_response().map(Either::Left)),
            }
        })
    }
}

/// What is answered in place of the service behind.
enum Instead {
    Unread(StatusCode, String),
    Refused(Refusal),
    Answered(Answer),
}

impl Instead {
    fn into_response(self) -> Response<Full<Bytes>> {
        match self {
            Self::Unread(status, sentence) => said(status, sentence),
            Self::Refused(refusal) => refused(refusal),
            Self::Answered(answer) => answered(answer),
        }
    }
}

/// The whole body, or what to say instead. One whose length is told and too large is not begun.
async fn read<B>(body: B, bytes_max: usize) -> Result<Bytes, Instead>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let too_large = || {
        Instead::Unread(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {bytes_max} bytes"))
    };
    if body.size_hint().lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    let mut body = pin!(Limited::new(body, bytes_max));
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return too_large();
            }
            Instead::Unread(StatusCode::BAD_REQUEST, "the body could not be read to its end".to_owned())
        })?;
        let Ok(mut piece) = frame.into_data() else { continue };
        let piece = piece.copy_to_bytes(piece.remaining());
        if first.is_empty() && all.is_empty() {
            first = piece;
            continue;
        }
        // Copied: each piece holds a buffer of its connection, which is far larger if the body comes byte by byte.
        all.extend_from_slice(&mem::take(&mut first));
        all.extend_from_slice(&piece);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    let mut response = said(status, refusal.to_string());
    response.extensions_mut().insert(refusal);
    response
}

fn said(status: StatusCode, sentence: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(sentence)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn answered(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body.clone())));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in &answer.headers {
        // What is echoed came in a header or a query; what no header may hold is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().append(*name, value);
        }
    }
    response.extensions_mut().insert(answer);
    response
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one clock of those who use the layer; `clock` takes another"
)]
fn system_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
