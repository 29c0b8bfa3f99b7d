//! What an id names that stands alone, and where that is: people have ids out of logs, without what they belong to.

use posthaste_core::id::{AppId, AttemptId, EndpointId, ID_BYTES, JobId, MessageId, RefusalId, SourceId};

/// An id, and what its prefix says that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// An app.
    App(AppId),
    /// An endpoint.
    Endpoint(EndpointId),
    /// A source.
    Source(SourceId),
    /// A message.
    Message(MessageId),
    /// An attempt.
    Attempt(AttemptId),
    /// A job.
    Job(JobId),
    /// A request that a source refused.
    Refusal(RefusalId),
}

impl Named {
    /// Reads an id of any kind.
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, _) = text.split_once('_')?;
        match prefix {
            "app" => AppId::parse(text).map(Self::App),
            "ep" => EndpointId::parse(text).map(Self::Endpoint),
            "src" => SourceId::parse(text).map(Self::Source),
            "msg" => MessageId::parse(text).map(Self::Message),
            "atmpt" => AttemptId::parse(text).map(Self::Attempt),
            "qtask" => JobId::parse(text).map(Self::Job),
            "log" => RefusalId::parse(text).map(Self::Refusal),
            _ => None,
        }
    }

    /// What it is, in one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::App(_) => "app",
            Self::Endpoint(_) => "endpoint",
            Self::Source(_) => "source",
            Self::Message(_) => "message",
            Self::Attempt(_) => "attempt",
            Self::Job(_) => "job",
            Self::Refusal(_) => "refusal",
        }
    }

    /// As stored.
    pub(crate) fn as_bytes(&self) -> &[u8; ID_BYTES] {
        match self {
            Self::App(id) => id.as_bytes(),
            Self::Endpoint(id) => id.as_bytes(),
            Self::Source(id) => id.as_bytes(),
            Self::Message(id) => id.as_bytes(),
            Self::Attempt(id) => id.as_bytes(),
            Self::Job(id) => id.as_bytes(),
            Self::Refusal(id) => id.as_bytes(),
        }
    }
}

/// Where something is: what it belongs to, and itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The app that it is, or belongs to; a source's own, too.
    pub app: AppId,
    /// The source, where that app is a source's.
    pub source: Option<SourceId>,
    /// The message, of a message and of an attempt.
    pub message: Option<MessageId>,
    /// The endpoint, of an endpoint, of an attempt and of a job.
    pub endpoint: Option<EndpointId>,
}

/// Statements of both stores, up to how they write a parameter: `{id}` and `{env}`. Each selects app, source, message and
/// endpoint. None scans what grows with time: messages and attempts are looked up by their keys, if need be once for
/// each app or endpoint of the environment.
pub(crate) mod sql {
    use super::Named;

    /// Apps that can be asked about, and the source of each.
    const OF_APP: &str = "p.environment = {env} AND p.kind <> 1 AND p.deleted_at IS NULL";

    /// The statements that find it, tried in order. `attempts`: what else holds of the rows of attempts.
    pub(crate) fn of(named: &Named, attempts: &str) -> Vec<String> {
        let none = "CAST(NULL AS BYTES)";
        let sql = |message: &str, endpoint: &str, rest: &str| {
            let (from, condition) = rest.split_once(" WHERE ").unwrap_or((rest, "TRUE"));
            format!(
                "SELECT p.id, (SELECT s.id FROM source s WHERE s.app = p.id), {message}, {endpoint} \
                 FROM {from} WHERE {condition} AND {OF_APP} LIMIT 1"
            )
        };
        match named {
            Named::App(_) => vec![sql(none, none, "app p WHERE p.id = {id}")],
            Named::Endpoint(_) => vec![sql(
                none,
                "e.id",
                "endpoint e CROSS JOIN app p WHERE e.id = {id} AND e.deleted_at IS NULL AND p.id = e.app",
            )],
            Named::Source(_) => vec![sql(
                none,
                none,
                "source o CROSS JOIN app p WHERE o.id = {id} AND o.deleted_at IS NULL AND p.id = o.app",
            )],
            // Most are owed to somebody, and what is owed knows its app; the others are looked for app by app.
            Named::Message(_) => vec![
                sql(
                    "m.id",
                    none,
                    "delivery d CROSS JOIN app p CROSS JOIN message m \
                     WHERE d.message = {id} AND p.id = d.app AND m.app = p.id AND m.id = {id}",
                ),
                sql("m.id", none, "app p CROSS JOIN message m WHERE m.app = p.id AND m.id = {id}"),
            ],
            Named::Attempt(_) => vec![sql(
                "a.message",
                "a.endpoint",
                &format!(
                    "endpoint e CROSS JOIN app p CROSS JOIN attempt a \
                     WHERE p.id = e.app AND a.endpoint = e.id AND a.id = {{id}}{attempts}"
                ),
            )],
            Named::Job(_) => {
                vec![sql(none, "j.endpoint", "job j CROSS JOIN app p WHERE j.id = {id} AND p.id = j.app")]
            }
            Named::Refusal(_) => vec![sql(
                none,
                none,
                "source o CROSS JOIN app p CROSS JOIN refusal r WHERE o.environment = {env} \
                 AND o.deleted_at IS NULL AND p.id = o.app AND r.source = o.id AND r.id = {id}",
            )],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_says_what_an_id_names() {
        let letters = "2mXU5QaBcDeFgHiJkLmNoPqRsTu";
        for (prefix, word) in [
            ("app", "app"),
            ("ep", "endpoint"),
            ("src", "source"),
            ("msg", "message"),
            ("atmpt", "attempt"),
            ("qtask", "job"),
            ("log", "refusal"),
        ] {
            assert_eq!(Named::parse(&format!("{prefix}_{letters}")).unwrap().word(), word);
        }
        for text in ["msg_", "msg", "", "tok_2mXU5QaBcDeFgHiJkLmNoPqRsTu", "msg_2mXU5QaBcDeFgHiJkLmNoPqRsT"] {
            assert_eq!(Named::parse(text), None, "{text}");
        }
    }
}
