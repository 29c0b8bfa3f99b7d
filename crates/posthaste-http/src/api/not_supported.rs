//! Operations of Svix's API that we lack: they say so, with 501, so that nobody takes them for a wrong path.

use axum::extract::MatchedPath;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::error::ApiError;
use crate::{Routes, Shared};

/// One path a line, with its methods. A path leaves this list when it is built.
const OPERATIONS: &str = include_str!("not_supported.txt");

pub(crate) fn routes(router: &mut Routes) {
    for line in OPERATIONS.lines() {
        let mut words = line.split(' ');
        let Some(path) = words.next() else { continue };
        let methods = words.filter_map(|word| match word {
            "GET" => Some(MethodFilter::GET),
            "POST" => Some(MethodFilter::POST),
            "PUT" => Some(MethodFilter::PUT),
            "PATCH" => Some(MethodFilter::PATCH),
            "DELETE" => Some(MethodFilter::DELETE),
            _ => None,
        });
        let Some(methods) = methods.reduce(MethodFilter::or) else { continue };
        let answer: MethodRouter<Shared> = on(methods, refuse);
        router.add(path, answer);
    }
}

/// Names the pattern and not the path, which may be of any length.
async fn refuse(path: MatchedPath) -> ApiError {
    ApiError::not_supported(path.as_str())
}
