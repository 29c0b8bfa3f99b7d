//! How long the server took for a page, said in its head for whoever measures: <https://www.w3.org/TR/server-timing/>.

use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

pub(crate) async fn tell(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let mut response = next.run(request).await;
    let took_ms = began.elapsed().as_secs_f64() * 1_000.0;
    if let Ok(told) = HeaderValue::try_from(format!("page;dur={took_ms:.2}")) {
        response.headers_mut().insert(SERVER_TIMING, told);
    }
    response
}
