//! What to make of an attempt that failed: one sentence of what it means, and one of what to do.

use crate::attempt::{FailureKind, Outcome};

/// Two sentences for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// What it means.
    pub means: &'static str,
    /// What somebody can do.
    pub to_do: &'static str,
}

/// Of an outcome; none of one that is well.
pub fn advice(outcome: &Outcome) -> Option<Advice> {
    let (means, to_do) = match outcome {
        _ if outcome.is_success() => return None,
        Outcome::Failed(failure) => of_failure(failure.kind),
        Outcome::Replied(reply) => of_status(reply.status),
    };
    Some(Advice { means, to_do })
}

fn of_failure(kind: FailureKind) -> (&'static str, &'static str) {
    match kind {
        FailureKind::BlockedTarget => (
            "The address is private or reserved, and nothing was sent there.",
            "Use a public address, or let the operator allow this one by name.",
        ),
        FailureKind::Dns => (
            "The host name has no address.",
            "Look for a typing error in the URL, and at the name's DNS records.",
        ),
        FailureKind::Resolver => (
            "This server's resolver did not answer: that says nothing of the receiver.",
            "It is tried again by itself. If it stays so, look at the resolver of this server.",
        ),
        FailureKind::Connect => (
            "Nothing took the connection.",
            "See that the receiver runs, listens on this port, and that no firewall is in between.",
        ),
        FailureKind::Tls => (
            "The TLS handshake failed, so nothing was sent.",
            "See that the certificate is valid, names this host and brings its whole chain.",
        ),
        FailureKind::Timeout => (
            "The receiver did not answer in time.",
            "Answer first and work afterwards: put the message into a queue of your own.",
        ),
        FailureKind::Broken => (
            "The connection broke before the answer was there; the receiver may have the message.",
            "Look into the receiver's log for a crash, and at the proxies in between.",
        ),
        FailureKind::Protocol => (
            "What came back was not HTTP, or its head was too large.",
            "See that the port speaks HTTP, and HTTPS where the URL says so.",
        ),
        FailureKind::Request => {
            ("The request could not be made.", "Look at the endpoint's URL and at its headers.")
        }
    }
}

fn of_status(status: u16) -> (&'static str, &'static str) {
    match status {
        300..400 => (
            "The receiver sent us elsewhere, and redirects are not followed.",
            "Set the endpoint's URL to where it leads, with its last slash and https.",
        ),
        400 | 422 => (
            "The receiver did not understand the message.",
            "Compare the payload with what the receiver expects; its answer may say what it misses.",
        ),
        401 | 403 => (
            "The receiver did not let it in.",
            "See that it checks the signature with this endpoint's present secret and the body as it came, \
             and that no login or firewall stands before it.",
        ),
        404 | 405 => (
            "The receiver has nothing at this URL, or takes no POST there.",
            "Compare the URL with the receiver's route, letter by letter.",
        ),
        410 => ("The receiver said that it is gone.", "If it is back, enable the endpoint again."),
        413 => (
            "The body is larger than the receiver takes.",
            "Raise its limit, and that of the proxies before it.",
        ),
        429 => (
            "The receiver gets more than it can take.",
            "Set the endpoint's rate: what is above waits its turn here.",
        ),
        503 => (
            "The receiver, or a proxy before it, cannot take requests now.",
            "See that it runs and has room: what fails is tried again by itself.",
        ),
        502 | 504 => (
            "A proxy answered for a receiver that is not there or too slow.",
            "See that the receiver runs behind its proxy, and how long it takes.",
        ),
        500..600 => (
            "The receiver failed while it worked on the message.",
            "Look into its log at this time; once it is mended, send again.",
        ),
        _ => ("Only an answer of 2xx counts as delivered.", "Let the receiver answer 200 or 204."),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::attempt::{Failure, Reply};

    #[test]
    fn every_failure_has_two_whole_sentences_and_a_success_none() {
        let replied = |status| {
            advice(&Outcome::Replied(Reply { status, headers: vec![], body: Bytes::new(), truncated: false }))
        };
        assert_eq!(replied(204), None);
        for status in [100, 301, 400, 401, 404, 409, 410, 413, 418, 429, 500, 503, 599, 600] {
            let told = replied(status).unwrap();
            assert!(told.means.ends_with('.') && told.to_do.ends_with('.'), "{status}");
        }
        assert_ne!(replied(500), replied(503));
        for word in [
            "blocked_target",
            "dns",
            "resolver",
            "connect",
            "tls",
            "timeout",
            "broken",
            "protocol",
            "request",
        ] {
            let kind = FailureKind::from_word(word).unwrap();
            assert!(advice(&Outcome::Failed(Failure { kind, detail: String::new() })).is_some(), "{word}");
        }
    }
}
