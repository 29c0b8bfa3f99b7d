//! The body: JSON, in UTF-8, within a limit of bytes and of depth. The listener sees to its time.

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::Shared;
use crate::error::{Answer, ApiError};
use crate::slow::TooSlow;
use crate::state::ApiState;

/// Room around a payload for the other fields of a message.
const ENVELOPE_BYTES: usize = 64 * 1024;
/// How deep JSON may be nested: deeper than any real payload, far from any stack's end.
pub(crate) const DEPTH_MAX: usize = 64;

/// A body that is UTF-8 and was announced as JSON; whether it is, its reader finds out.
pub(crate) struct JsonBody(pub(crate) Bytes);

impl JsonBody {
    /// The body as text.
    pub(crate) fn text(&self) -> Answer<&str> {
        let text =
            std::str::from_utf8(&self.0).map_err(|_| ApiError::bad_request("the body is not UTF-8"))?;
        if text.trim().is_empty() {
            return Err(ApiError::bad_request("the body is empty: a JSON object is expected"));
        }
        if depth(text.as_bytes()) > DEPTH_MAX {
            return Err(ApiError::bad_request(format!("the body's depth is over the limit of {DEPTH_MAX}")));
        }
        Ok(text)
    }
}

impl FromRequest<Shared> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Shared) -> Answer<Self> {
        check_type(request.headers())?;
        read(request.into_body(), limit(state)).await.map(Self)
    }
}

/// Bytes of a body: the largest payload, and the room around it.
pub(crate) fn limit(state: &ApiState) -> usize {
    state.settings.max_payload + ENVELOPE_BYTES
}

/// Reads a body to its end, within the limit.
pub(crate) async fn read(body: axum::body::Body, limit: usize) -> Answer<Bytes> {
    // What says itself that it is too long need not be waited for.
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::too_large(limit));
    }
    let (mut body, mut read) = (Limited::new(body, limit), Read::default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| not_read(&*error, limit))?;
        if let Ok(piece) = frame.into_data() {
            read = read.and(piece);
        }
    }
    Ok(read.done())
}

/// What was read so far of a body. Most are one piece, which is not copied. Several are: each is a slice of a buffer of
/// its own, of 8 KiB however short the piece, and a body that comes byte by byte would hold thousands of them.
#[derive(Default)]
pub(crate) enum Read {
    #[default]
    Nothing,
    Whole(Bytes),
    Pieces(BytesMut),
}

impl Read {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Whole(piece) => piece.len(),
            Self::Pieces(pieces) => pieces.len(),
        }
    }

    pub(crate) fn and(self, piece: Bytes) -> Self {
        let mut pieces = match self {
            Self::Nothing => return Self::Whole(piece),
            Self::Whole(first) => BytesMut::from(&*first),
            Self::Pieces(pieces) => pieces,
        };
        pieces.extend_from_slice(&piece);
        Self::Pieces(pieces)
    }

    pub(crate) fn done(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::Whole(piece) => piece,
            Self::Pieces(pieces) => pieces.freeze(),
        }
    }
}

/// Why a body within a limit could not be read.
pub(crate) fn not_read(error: &(dyn std::error::Error + Send + Sync + 'static), limit: usize) -> ApiError {
    if error.is::<LengthLimitError>() {
        ApiError::too_large(limit)
    } else if TooSlow::caused(error) {
        ApiError::TooSlow
    } else {
        ApiError::bad_request("the body broke off before its end")
    }
}

/// No content type at all is taken for JSON: whoever holds a token has no need to fool a browser.
fn check_type(headers: &HeaderMap) -> Answer<()> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && encoding.as_bytes() != b"identity"
    {
        return Err(ApiError::unsupported_media("content-encoding must be identity: send the body as it is"));
    }
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let value = value.to_str().unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > 5 && essence.to_ascii_lowercase().ends_with("+json"));
    if !is_json {
        return Err(ApiError::unsupported_media("content-type must be application/json"));
    }
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.eq_ignore_ascii_case("charset").then(|| value.trim_matches('"').to_ascii_lowercase())
    });
    match charset.as_deref() {
        None | Some("utf-8" | "utf8") => Ok(()),
        Some(_) => Err(ApiError::unsupported_media("the charset must be utf-8")),
    }
}

/// How deep brackets are nested, strings apart. Counted before parsing, so that no parser recurses deeper.
pub(crate) fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
    }
    deepest
}

/// What serde says of a body that is no JSON, as one sentence that repeats nothing of it.
pub(crate) fn not_json(error: &serde_json::Error) -> ApiError {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "ends too early".to_owned(),
        _ if error.to_string().starts_with("trailing characters") => {
            "has trailing characters behind it".to_owned()
        }
        _ => "is not JSON".to_owned(),
    };
    ApiError::bad_request(format!("the body {what}, at line {} column {}", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::{StreamExt as _, stream};

    use super::*;

    /// A byte, and the buffer that it holds in memory.
    struct Piece(#[expect(dead_code, reason = "held, and counted")] Arc<()>);

    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            b"x"
        }
    }

    #[tokio::test]
    async fn a_body_that_comes_byte_by_byte_holds_no_buffer_for_each() {
        let buffers = Arc::new(());
        let most = Arc::new(AtomicUsize::new(0));
        let (held, seen) = (Arc::clone(&buffers), Arc::clone(&most));
        let pieces = stream::iter(0..1_000).map(move |_| {
            seen.fetch_max(Arc::strong_count(&held) - 2, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_owner(Piece(Arc::clone(&held))))
        });
        let body = axum::body::Body::from_stream(pieces);
        assert_eq!(read(body, 1_000).await.unwrap().len(), 1_000);
        assert!(most.load(Ordering::Relaxed) <= 1, "{most:?} buffers were held at once");
    }

    #[test]
    fn depth_counts_brackets_and_not_strings() {
        assert_eq!(depth(br#"{"a":[1,{"b":"]]{{[["}]}"#), 3);
        assert_eq!(depth(br#"{"a\"{":"\\"}"#), 1);
        assert_eq!(depth(b"1"), 0);
    }
}
