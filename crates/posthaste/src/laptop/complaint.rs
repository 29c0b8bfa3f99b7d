//! A failure for whoever typed a command: what happened, why, and what to do next; and the exit code that says which.

use std::fmt;
use std::process::ExitCode;

use crate::telemetry::tell;
use crate::terminal::shown;

/// The command line, or a file that it names, cannot be used.
const USAGE: u8 = 2;
/// Something went wrong that none of the others names.
const FAILURE: u8 = 1;
/// No token, a wrong one, or one that may not do this.
const FORBIDDEN: u8 = 3;
/// It is not there.
const NOT_FOUND: u8 = 4;
/// What was asked for does not make sense to the server, or is in another's way.
const REJECTED: u8 = 5;
/// Nobody answers there.
const UNREACHABLE: u8 = 6;
/// A signature, or an answer to a handshake, is not right.
pub(crate) const NOT_VERIFIED: u8 = 7;
/// Of many things, some failed.
pub(crate) const PARTLY: u8 = 8;
/// It was delivered, and the receiver did not say 2xx.
pub(crate) const RECEIVER_FAILED: u8 = 9;

/// Three lines on standard error.
#[derive(Debug)]
pub(crate) struct Complaint {
    code: u8,
    what: String,
    why: String,
    next: String,
}

impl Complaint {
    pub(crate) fn is_forbidden(&self) -> bool {
        self.code == FORBIDDEN
    }

    pub(crate) fn is_unreachable(&self) -> bool {
        self.code == UNREACHABLE
    }

    pub(crate) fn usage(what: impl Into<String>, why: impl fmt::Display, next: impl Into<String>) -> Self {
        Self { code: USAGE, what: what.into(), why: why.to_string(), next: next.into() }
    }

    pub(crate) fn failure(what: impl Into<String>, why: impl fmt::Display, next: impl Into<String>) -> Self {
        Self { code: FAILURE, ..Self::usage(what, why, next) }
    }

    pub(crate) fn forbidden(
        what: impl Into<String>,
        why: impl fmt::Display,
        next: impl Into<String>,
    ) -> Self {
        Self { code: FORBIDDEN, ..Self::usage(what, why, next) }
    }

    pub(crate) fn not_found(
        what: impl Into<String>,
        why: impl fmt::Display,
        next: impl Into<String>,
    ) -> Self {
        Self { code: NOT_FOUND, ..Self::usage(what, why, next) }
    }

    pub(crate) fn rejected(what: impl Into<String>, why: impl fmt::Display, next: impl Into<String>) -> Self {
        Self { code: REJECTED, ..Self::usage(what, why, next) }
    }

    /// The same, said of one of many things of which some are done.
    pub(crate) fn after(self, done: usize, all: usize, what: &str) -> Self {
        if done == 0 {
            return self;
        }
        Self {
            code: PARTLY,
            what: format!("{done} of {all} are done, and then: {what}: {}", self.what),
            next: "mend what is named, and run the same again: what is done is left alone".to_owned(),
            ..self
        }
    }

    /// Whether it may be gone in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.code, UNREACHABLE | FAILURE)
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.code == NOT_FOUND
    }

    pub(crate) fn unreachable(
        what: impl Into<String>,
        why: impl fmt::Display,
        next: impl Into<String>,
    ) -> Self {
        Self { code: UNREACHABLE, what: what.into(), why: why.to_string(), next: next.into() }
    }

    /// What happened, in a sentence.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Why, in the words of whoever said no.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "posthaste: {}", shown(&self.what))?;
        writeln!(f, "     why: {}", shown(&self.why))?;
        write!(f, "    next: {}", shown(&self.next))
    }
}

/// The exit code of a command, once its complaint is told.
pub(crate) fn told(result: Result<ExitCode, Complaint>) -> ExitCode {
    result.unwrap_or_else(|complaint| {
        tell(&complaint.to_string());
        ExitCode::from(complaint.code)
    })
}
