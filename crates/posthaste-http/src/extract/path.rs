//! The names in a path, percent-decoded. What cannot be decoded names nothing.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::Shared;
use crate::error::{Answer, ApiError};

/// As axum's own, but refused in the shape of all our errors.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Answer<Self> {
        let names = axum::extract::Path::from_request_parts(parts, state).await;
        names
            .map(|axum::extract::Path(names)| Self(names))
            .map_err(|_| ApiError::bad_request("the path is not UTF-8"))
    }
}
