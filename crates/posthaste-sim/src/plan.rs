//! What happens in a world, drawn before it begins: who sends what when, and what goes wrong.

use std::time::Duration;

use crate::network::Mood;
use crate::stream::Stream;

/// Days that the clients are busy in; most worlds last hours.
const SPANS: [Duration; 5] = [
    Duration::from_secs(600),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(8 * 3600),
    Duration::from_secs(26 * 3600),
    Duration::from_secs(6 * 24 * 3600),
];
/// Messages of one world.
const MESSAGES: (usize, usize) = (70, 130);
/// Endpoints that are there from the beginning, and all of them.
pub(crate) const ENDPOINTS: (usize, usize) = (16, 20);
/// The fault points that a world passes: at each of them it can die.
const DEADLY: [&str; 29] = [
    "accept.message_inserted",
    "accept.half_fanned_out",
    "accept.inserted",
    "receive.key_taken",
    "receive.inserted",
    "commit.before",
    "commit.before",
    "commit.after",
    "commit.after",
    "commit.handed_over",
    "claim.leased",
    "claim.committed",
    "send.claimed",
    "send.connected",
    "send.head_received",
    "send.body_read",
    "record.before",
    "record.attempt_inserted",
    "record.delivered",
    "record.retry_scheduled",
    "record.dead_lettered",
    "record.endpoint_disabled",
    "record.committed",
    "recover.created",
    "recover.half_put_back",
    "recover.cursor_saved",
    "rotate.rotated",
    "take_over.half_put_back",
    "drain.begun",
];

/// What somebody does to an endpoint or a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Make,
    Disable,
    Enable,
    Delete,
    Rotate,
    Refilter,
    Resend,
    Recover,
    Pause,
    Resume,
}

/// Something that happens at its time.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A client sends its message, by its number, for the first time or again.
    Ask(usize),
    /// Somebody acts on an endpoint, by its number.
    Act(Action, usize),
    /// A receiver's mood changes.
    Feel(usize, Mood),
    /// The process is to die at a point.
    Arm(&'static str, usize),
    /// The process dies now.
    Kill,
    /// The process is asked to leave.
    Drain,
    /// A process starts.
    Start,
    /// The wall clock jumps by so many microseconds.
    Jump(i64),
    /// A node stands still for so long.
    Freeze(Duration),
    /// Nothing goes wrong any more.
    Heal,
}

/// The character of one world.
pub(crate) struct Plan {
    pub(crate) span: Duration,
    pub(crate) messages: usize,
    pub(crate) engines: usize,
    pub(crate) stalls: usize,
    pub(crate) small_lanes: bool,
    pub(crate) events: Vec<(Duration, Event)>,
}

impl Plan {
    /// The plan that follows from a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let dice = Stream::of(seed, "plan");
        let span = *dice.pick(&SPANS).unwrap_or(&SPANS[0]);
        let messages = MESSAGES.0 + dice.below(MESSAGES.1 - MESSAGES.0);
        let pauses = dice.chance(35);
        let mut plan = Self {
            span,
            messages,
            engines: if pauses && dice.chance(60) { 2 } else { 1 },
            stalls: if pauses { 30 } else { 0 },
            small_lanes: dice.chance(30),
            events: Vec::new(),
        };
        plan.asks(&dice);
        plan.moods(&dice);
        plan.actions(&dice);
        plan.deaths(&dice);
        // Two engines of one process would both tell the store of the same jump.
        if plan.engines == 1 && dice.chance(35) {
            plan.jumps(&dice);
        }
        if plan.engines == 2 {
            plan.freezes(&dice);
        }
        plan.events.push((span, Event::Heal));
        plan
    }

    fn at_any_time(&mut self, dice: &Stream, event: Event) {
        self.events.push((dice.between(Duration::ZERO, self.span), event));
    }

    /// In bursts: what is asked at once is committed together.
    fn asks(&mut self, dice: &Stream) {
        let mut number = 0;
        while number < self.messages {
            let at = dice.between(Duration::ZERO, self.span);
            let spread = if dice.chance(50) { Duration::ZERO } else { Duration::from_secs(20) };
            for _ in 0..=dice.below(12) {
                let at = at + dice.between(Duration::ZERO, spread);
                self.events.push((at, Event::Ask(number)));
                number += 1;
            }
        }
        self.messages = number;
    }

    fn moods(&mut self, dice: &Stream) {
        for endpoint in 0..ENDPOINTS.1 {
            self.events.push((Duration::ZERO, Event::Feel(endpoint, Mood::drawn(dice))));
            for _ in 0..dice.below(3) {
                self.at_any_time(dice, Event::Feel(endpoint, Mood::drawn(dice)));
            }
        }
    }

    fn actions(&mut self, dice: &Stream) {
        for endpoint in ENDPOINTS.0..ENDPOINTS.1 {
            self.at_any_time(dice, Event::Act(Action::Make, endpoint));
        }
        let often = [
            (Action::Disable, 2),
            (Action::Enable, 6),
            (Action::Delete, 2),
            (Action::Rotate, 4),
            (Action::Refilter, 4),
            (Action::Resend, 6),
            (Action::Recover, 5),
            (Action::Pause, 2),
            (Action::Resume, 2),
        ];
        for (action, times) in often {
            for _ in 0..dice.below(times + 1) {
                self.at_any_time(dice, Event::Act(action, dice.below(ENDPOINTS.1)));
            }
        }
    }

    fn deaths(&mut self, dice: &Stream) {
        if dice.chance(10) {
            return;
        }
        for _ in 0..dice.below(7) {
            let event = match dice.below(10) {
                0..7 => {
                    Event::Arm(dice.pick(&DEADLY).copied().unwrap_or("commit.before"), 1 + dice.below(20))
                }
                7..9 => Event::Kill,
                _ => Event::Drain,
            };
            self.at_any_time(dice, event);
        }
    }

    fn jumps(&mut self, dice: &Stream) {
        for _ in 0..=dice.below(2) {
            let hour = 3_600_000_000;
            self.at_any_time(dice, Event::Jump(if dice.chance(50) { hour } else { -hour }));
        }
    }

    fn freezes(&mut self, dice: &Stream) {
        for _ in 0..=dice.below(4) {
            let time = dice.between(Duration::from_secs(30), Duration::from_secs(600));
            self.at_any_time(dice, Event::Freeze(time));
        }
    }
}
