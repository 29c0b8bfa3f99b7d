//! What a provider is answered.

use serde_json::Value;

/// What to answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// An address of the provider that has to be fetched, once the answer is out, to confirm.
    pub then_get: Option<String>,
    /// A secret that the provider gave us in the handshake: from now on it signs with it. Only a receiver without any
    /// secret learns one, or whoever finds the address could set it.
    pub learned: Option<String>,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn text(body: impl Into<String>) -> Self {
        let answer = Self { body: body.into(), ..Self::status(200) };
        answer.with("content-type", "text/plain").with("x-content-type-options", "nosniff")
    }

    pub(crate) fn json(body: &Value) -> Self {
        let answer = Self { body: body.to_string(), ..Self::status(200) };
        answer.with("content-type", "application/json").with("x-content-type-options", "nosniff")
    }
}
