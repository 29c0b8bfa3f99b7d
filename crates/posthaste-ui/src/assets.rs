//! What pages load: built into the binary, named by what is in it, kept by browsers for good.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// A file, and what it is.
const FILES: &[(&str, &str, &str)] = &[
    (
        "page.css",
        "text/css; charset=utf-8",
        concat!(
            include_str!("../assets/page.css"),
            include_str!("../assets/overview.css"),
            include_str!("../assets/messages.css"),
            include_str!("../assets/tools.css"),
            include_str!("../assets/guard.css"),
        ),
    ),
    ("page.js", "text/javascript; charset=utf-8", include_str!("../assets/page.js")),
    ("messages.js", "text/javascript; charset=utf-8", include_str!("../assets/messages.js")),
    ("overview.js", "text/javascript; charset=utf-8", include_str!("../assets/overview.js")),
    ("guard.js", "text/javascript; charset=utf-8", include_str!("../assets/guard.js")),
    // https://htmx.org, 2.0.11, as npm has it; 0BSD.
    ("htmx.min.js", "text/javascript; charset=utf-8", include_str!("../assets/htmx.min.js")),
    ("mark.svg", "image/svg+xml", include_str!("../assets/mark.svg")),
];

/// FNV-1a, 64 bits: tells one version of a file from another.
pub(crate) fn mark(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Where a file is: its name changes with it.
pub(crate) fn path(file: &str) -> String {
    let found = FILES.iter().find(|(name, ..)| *name == file);
    let mark = found.map_or(0, |(.., text)| mark(text.as_bytes()));
    format!("/assets/{mark:016x}-{file}")
}

pub(crate) async fn serve(Path(asked): Path<String>) -> Response {
    let name = asked.split_once('-').map_or(asked.as_str(), |(_, name)| name);
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, text)) => {
            let kept = "public, max-age=31536000, immutable";
            ([(CONTENT_TYPE, *kind), (CACHE_CONTROL, kept)], *text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
