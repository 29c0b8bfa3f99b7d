//! What a replay puts back: which of the deliveries that it comes by, how many at a time, and when it goes on.

use std::num::NonZeroU16;
use std::time::Duration;

use crate::endpoint::Filter;
use crate::fanout::wants;
use crate::id::MessageId;
use crate::limits::JOB_STEP_ROWS;
use crate::name::{Channel, EventTypeName, Tag};
use crate::time::Timestamp;

/// Into how many steps a replay with a rate divides a second: often enough to look even, seldom enough for a store.
const STEPS_PER_SECOND: u32 = 4;

/// Which deliveries, by how they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// That were given up.
    Failed,
    /// That succeeded.
    Delivered,
    /// Both of these. What still waits is owed anyway, and is left alone.
    Ended,
    /// That never were, though the endpoint wants the message.
    Missing,
}

impl Which {
    const ALL: [Self; 4] = [Self::Failed, Self::Delivered, Self::Ended, Self::Missing];

    /// The word that the store uses.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Ended => "any",
            Self::Missing => "missing",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|which| which.word() == word)
    }

    const fn takes(self, standing: Standing) -> bool {
        matches!(
            (self, standing),
            (Self::Failed | Self::Ended, Standing::DeadLettered)
                | (Self::Delivered | Self::Ended, Standing::Delivered)
                | (Self::Missing, Standing::Nothing)
        )
    }
}

/// How a delivery stands, as far as a replay cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Nothing,
    /// It waits or is in flight.
    Owed,
    /// It succeeded.
    Delivered,
    /// It was given up.
    DeadLettered,
}

/// What is to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayFilter {
    /// How it stands.
    pub which: Which,
    /// Messages accepted from then on …
    pub since: Timestamp,
    /// … and before then, which is never later than when it was asked for.
    pub until: Timestamp,
    /// Of these event types.
    pub event_types: Option<Vec<EventTypeName>>,
    /// On this channel.
    pub channel: Option<Channel>,
    /// With this tag.
    pub tag: Option<Tag>,
    /// Only of these messages, in the order of their ids.
    pub messages: Option<Vec<MessageId>>,
}

/// A delivery that a replay comes by, or a message that may lack one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Of which message.
    pub message: MessageId,
    /// How it stands.
    pub standing: Standing,
    /// The message's event type; none if the message is gone.
    pub event_type: Option<EventTypeName>,
    /// Its channels.
    pub channels: Vec<Channel>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Whether its payload is still there.
    pub has_body: bool,
}

impl Candidate {
    /// A message that is not there: nothing takes it.
    pub const fn of_nothing(message: MessageId) -> Self {
        Self {
            message,
            standing: Standing::Nothing,
            event_type: None,
            channels: vec![],
            tags: vec![],
            has_body: false,
        }
    }
}

impl ReplayFilter {
    /// Whether this is asked for. `endpoint`: what the endpoint wants, which counts for what it was never owed.
    pub fn takes(&self, candidate: &Candidate, endpoint: &Filter) -> bool {
        let Some(event_type) = &candidate.event_type else { return false };
        self.which.takes(candidate.standing)
            && self.event_types.as_ref().is_none_or(|types| types.contains(event_type))
            && self.channel.as_ref().is_none_or(|channel| candidate.channels.contains(channel))
            && self.tag.as_ref().is_none_or(|tag| candidate.tags.contains(tag))
            && (self.which != Which::Missing || wants(endpoint, event_type, &candidate.channels))
    }
}

/// What one step does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picked {
    /// Of these messages it puts the delivery back.
    pub put_back: Vec<MessageId>,
    /// So many matched whose payload is gone.
    pub lost_count: u64,
    /// The last that was looked at; the next step begins behind it.
    pub last: Option<MessageId>,
    /// All candidates were looked at.
    pub all_seen: bool,
}

/// Goes through candidates in the order of their messages, until `room` of them are to be put back.
pub fn pick(filter: &ReplayFilter, endpoint: &Filter, candidates: &[Candidate], room: u32) -> Picked {
    let mut picked = Picked { all_seen: true, ..Picked::default() };
    for candidate in candidates {
        if picked.put_back.len() >= room as usize {
            picked.all_seen = false;
            break;
        }
        picked.last = Some(candidate.message);
        if filter.takes(candidate, endpoint) {
            if candidate.has_body {
                picked.put_back.push(candidate.message);
            } else {
                picked.lost_count += 1;
            }
        }
    }
    picked
}

/// How fast a replay puts back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace(pub Option<NonZeroU16>);

impl Pace {
    /// How many one step puts back at most.
    pub fn room(self) -> u32 {
        self.0
            .map_or(JOB_STEP_ROWS, |rate| (u32::from(rate.get()) / STEPS_PER_SECOND).clamp(1, JOB_STEP_ROWS))
    }

    /// When the next step may be, after one that put so many back. Whoever comes late does not make up for it: a rate is
    /// never exceeded.
    pub fn next(self, now: Timestamp, put_back_count: usize) -> Timestamp {
        let Some(rate) = self.0 else { return now };
        let count = u32::try_from(put_back_count).unwrap_or(u32::MAX);
        now.later(Duration::from_secs(1) * count / u32::from(rate.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(which: Which) -> ReplayFilter {
        ReplayFilter {
            which,
            since: Timestamp::EPOCH,
            until: Timestamp::from_secs(1_800_000_000),
            event_types: None,
            channel: None,
            tag: None,
            messages: None,
        }
    }

    fn candidate(second: i64, standing: Standing) -> Candidate {
        Candidate {
            message: MessageId::first_at(Timestamp::from_secs(1_700_000_000 + second)),
            standing,
            event_type: EventTypeName::parse("a.b").ok(),
            channels: vec![Channel::parse("x").unwrap()],
            tags: vec![Tag::parse("t").unwrap()],
            has_body: true,
        }
    }

    #[test]
    fn how_a_delivery_stands_decides_what_takes_it() {
        use Standing::{DeadLettered, Delivered, Nothing, Owed};
        let cases: &[(Which, &[Standing])] = &[
            (Which::Failed, &[DeadLettered]),
            (Which::Delivered, &[Delivered]),
            (Which::Ended, &[Delivered, DeadLettered]),
            (Which::Missing, &[Nothing]),
        ];
        for (which, taken) in cases {
            for standing in [Nothing, Owed, Delivered, DeadLettered] {
                let takes = filter(*which).takes(&candidate(0, standing), &Filter::default());
                assert_eq!(takes, taken.contains(&standing), "{which:?} {standing:?}");
            }
            assert_eq!(Which::from_word(which.word()), Some(*which));
        }
    }

    #[test]
    fn event_type_channel_and_tag_have_to_fit() {
        let dead = candidate(0, Standing::DeadLettered);
        let fits = |change: &dyn Fn(&mut ReplayFilter)| {
            let mut filter = filter(Which::Failed);
            change(&mut filter);
            filter.takes(&dead, &Filter::default())
        };
        let types = |name| Some(vec![EventTypeName::parse(name).unwrap()]);
        assert!(fits(&|f| f.event_types = types("a.b")) && !fits(&|f| f.event_types = types("a")));
        assert!(
            fits(&|f| f.channel = Channel::parse("x").ok())
                && !fits(&|f| f.channel = Channel::parse("y").ok())
        );
        assert!(fits(&|f| f.tag = Tag::parse("t").ok()) && !fits(&|f| f.tag = Tag::parse("u").ok()));
    }

    #[test]
    fn what_was_never_owed_is_made_only_for_an_endpoint_that_wants_it() {
        let missing = candidate(0, Standing::Nothing);
        let other = Filter { event_types: Some(vec![EventTypeName::parse("c").unwrap()]), channels: None };
        assert!(filter(Which::Missing).takes(&missing, &Filter::default()));
        assert!(!filter(Which::Missing).takes(&missing, &other));
        let dead = candidate(0, Standing::DeadLettered);
        assert!(filter(Which::Failed).takes(&dead, &other), "it was owed when it was accepted");
    }

    #[test]
    fn a_step_ends_when_it_is_full_and_the_next_begins_behind_it() {
        let mut candidates: Vec<_> = (0..4).map(|n| candidate(n, Standing::DeadLettered)).collect();
        candidates[0].has_body = false;
        candidates[1].standing = Standing::Owed;
        let filter = filter(Which::Failed);
        let picked = pick(&filter, &Filter::default(), &candidates, 1);
        assert_eq!(picked.put_back, [candidates[2].message]);
        assert_eq!(
            (picked.lost_count, picked.last, picked.all_seen),
            (1, Some(candidates[2].message), false)
        );
        let picked = pick(&filter, &Filter::default(), &candidates, 2);
        assert_eq!((picked.put_back.len(), picked.all_seen), (2, true));
        let nothing = pick(&filter, &Filter::default(), &[], 2);
        assert_eq!((nothing.last, nothing.all_seen), (None, true));
    }

    #[test]
    fn a_rate_is_spread_over_its_second_and_never_exceeded() {
        let now = Timestamp::from_secs(1_700_000_000);
        for (rate, room, rests_ms) in
            [(1, 1, 1_000), (3, 1, 333), (20, 5, 250), (1_000, 250, 250), (10_000, 500, 50)]
        {
            let pace = Pace(NonZeroU16::new(rate));
            assert_eq!(pace.room(), room, "{rate}");
            let rests = pace.next(now, room as usize).since(now);
            assert_eq!(rests.as_millis(), rests_ms, "{rate}");
            assert_eq!(pace.next(now, 0), now, "a step that put nothing back is followed at once");
        }
        assert_eq!((Pace(None).room(), Pace(None).next(now, 500)), (JOB_STEP_ROWS, now));
    }
}
