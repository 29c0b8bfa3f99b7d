//! Which point is reached by doing what, and at which of its hits the server dies.

use posthaste_fault::{ANYWHERE, EMBEDDED, POSTGRES};

/// What is done to reach a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Play {
    /// Messages and requests of a provider, some refused by their receivers, one endpoint's all.
    Load,
    /// Dead letters are put back.
    Recover,
    /// The same by a replay.
    Replay,
    /// A signing secret is rotated, under load.
    Rotate,
    /// Retention finds messages that are past their time.
    Retention,
    /// The very first start, on an empty directory.
    FirstStart,
    /// A start after a death with requests under way.
    TakeOver,
    /// SIGTERM under load.
    Drain,
    /// The receivers have the requests and have not answered yet.
    Unanswered,
    /// The receivers have just answered.
    JustAnswered,
    /// A panic in place of an abort: the process lives on.
    Panic,
    /// The database dies, so that nobody knows what came of the transactions under way.
    Outage,
    /// Nothing goes wrong, for as long as nodes need to say a few times that they live.
    Calm,
    /// The process stands still in place of an abort, is taken for dead, and goes on.
    Pause,
}

/// One case.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) play: Play,
    /// The point, and at which hit it happens; `None`: it is killed from outside.
    pub(super) at: Option<(&'static str, u64)>,
}

impl Case {
    pub(super) fn name(&self) -> String {
        match (self.at, self.play) {
            (Some((point, hit)), Play::Panic) => format!("{point}=panic@{hit}"),
            (Some((point, hit)), Play::Pause) => format!("{point}=pause@{hit}"),
            (Some((point, hit)), Play::FirstStart) => format!("first start, {point}=abort@{hit}"),
            (Some((point, hit)), _) => format!("{point}=abort@{hit}"),
            (None, Play::Outage) => "PostgreSQL dies three times".to_owned(),
            (None, Play::Calm) => "nothing goes wrong".to_owned(),
            (None, play) => format!("{play:?}, SIGKILL"),
        }
    }

    pub(super) fn file_name(&self) -> String {
        self.name().replace([' ', ',', '=', '@'], "-")
    }

    /// `POSTHASTE_FAULT`.
    pub(super) fn fault(&self) -> Option<String> {
        let (point, hit) = self.at?;
        let action = match self.play {
            Play::Panic => "panic",
            Play::Pause => "pause",
            _ => "abort",
        };
        Some(format!("{point}={action}@{hit}"))
    }
}

/// The hits at which the server dies at a point.
fn hits(point: &str) -> &'static [u64] {
    match point {
        "commit.before" | "commit.after" => &[1, 2, 5, 20, 60],
        "commit.handed_over" => &[1, 20],
        "accept.message_inserted" | "accept.half_fanned_out" | "accept.inserted" | "accept.answering" => {
            &[1, 20]
        }
        "send.claimed" | "send.resolved" | "send.head_received" | "send.body_read" => &[1, 30],
        "record.before" | "record.attempt_inserted" | "record.delivered" | "record.committed" => &[1, 30],
        "record.retry_scheduled" | "claim.leased" | "claim.committed" => &[1, 5],
        "recover.half_put_back" | "replay.half_put_back" | "retention.half_forgotten" => &[1, 5],
        "take_over.half_put_back" => &[1, 3],
        "migrate.half_applied" => &[1, 2, 3],
        _ => &[1],
    }
}

fn play_of(point: &str) -> Play {
    match point {
        "node.joined" => return Play::FirstStart,
        "node.half_taken_over" | "node.taken_over" => return Play::TakeOver,
        "batch.unknown" => return Play::Outage,
        _ => {}
    }
    match point.split('.').next() {
        Some("recover" | "job") => Play::Recover,
        Some("replay") => Play::Replay,
        Some("rotate") => Play::Rotate,
        Some("retention" | "forget") => Play::Retention,
        Some("migrate" | "schema") => Play::FirstStart,
        Some("take_over") => Play::TakeOver,
        Some("drain") => Play::Drain,
        _ => Play::Load,
    }
}

/// Points at which a panic is tried: each task and thread that has one.
const PANICS: [(&str, u64); 14] = [
    ("accept.parsed", 3),
    ("accept.half_fanned_out", 3),
    ("accept.answering", 3),
    ("receive.verified", 2),
    ("receive.inserted", 2),
    ("commit.before", 5),
    ("commit.after", 5),
    ("claim.leased", 2),
    ("claim.committed", 2),
    ("send.claimed", 5),
    ("send.head_received", 5),
    ("record.before", 5),
    ("record.attempt_inserted", 5),
    ("record.committed", 5),
];

/// Every case of one server on the embedded store.
pub(super) fn embedded() -> Vec<Case> {
    let mut cases = Vec::new();
    for point in ANYWHERE.iter().chain(EMBEDDED) {
        let play = play_of(point);
        cases.extend(hits(point).iter().map(|hit| Case { play, at: Some((point, *hit)) }));
    }
    for point in ["commit.before", "commit.after"] {
        cases.extend([1, 2].map(|hit| Case { play: Play::FirstStart, at: Some((point, hit)) }));
    }
    cases.extend([Play::Unanswered, Play::JustAnswered].map(|play| Case { play, at: None }));
    cases.extend(PANICS.map(|at| Case { play: Play::Panic, at: Some(at) }));
    cases
}

/// Two nodes that nothing happens to.
pub(super) const CALM: Case = Case { play: Play::Calm, at: None };
/// Two nodes whose database dies again and again.
pub(super) const OUTAGES: Case = Case { play: Play::Outage, at: None };
/// A node that stands still while an answer to it is on its way.
pub(super) const STANDS_STILL: Case = Case { play: Play::Pause, at: Some(("send.head_received", 20)) };

/// Hits at which one of two nodes dies: more than one where the first is a node's own start.
fn hits_over_postgres(point: &str) -> &'static [u64] {
    match point {
        "transaction.written" | "transaction.committed" => &[4, 40],
        "batch.moved" | "batch.entered" => &[1, 20],
        "node.beaten" => &[1, 2],
        "transaction.handed_over" | "batch.answering" | "batch.taken" | "send.head_received" => &[20],
        "record.before" | "record.committed" => &[20],
        _ => &[1],
    }
}

/// Points at which a node stands still: with nothing open, with a transaction open, with its outcome unheard of.
const PAUSES: [(&str, u64); 8] = [
    ("send.claimed", 20),
    ("send.head_received", 20),
    ("record.before", 20),
    ("batch.keys_taken", 5),
    ("batch.claimed", 2),
    ("batch.moved", 10),
    ("transaction.written", 20),
    ("transaction.committed", 20),
];

/// Points at which a panic is tried over PostgreSQL.
const PANICS_OVER_POSTGRES: [(&str, u64); 5] = [
    ("accept.parsed", 3),
    ("batch.taken", 5),
    ("batch.moved", 5),
    ("transaction.written", 10),
    ("record.before", 5),
];

/// Every case of two nodes over PostgreSQL.
pub(super) fn over_postgres() -> Vec<Case> {
    let mut cases = Vec::new();
    for point in ANYWHERE.iter().chain(POSTGRES) {
        let play = play_of(point);
        cases.extend(hits_over_postgres(point).iter().map(|hit| Case { play, at: Some((point, *hit)) }));
    }
    for point in ["transaction.written", "transaction.committed"] {
        cases.extend([1, 2].map(|hit| Case { play: Play::FirstStart, at: Some((point, hit)) }));
    }
    cases.extend([CALM, OUTAGES]);
    cases.extend(PAUSES.map(|at| Case { play: Play::Pause, at: Some(at) }));
    cases.extend(PANICS_OVER_POSTGRES.map(|at| Case { play: Play::Panic, at: Some(at) }));
    cases
}
