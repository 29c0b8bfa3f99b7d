//! Whether the other end is still there, judged by two clocks: what looks open may be long gone.

use std::time::Duration;

use posthaste_core::time::Timestamp;
use posthaste_tunnel::frame::SILENCE_MAX;

/// How far the wall clock may run ahead of the steady one: what is more is sleep, or a clock that was set.
const JUMP_MAX: Duration = Duration::from_secs(5);

/// When something was heard last, and when it was looked last.
#[derive(Debug)]
pub(crate) struct Watch {
    heard: Duration,
    looked: Duration,
    wall: Timestamp,
}

impl Watch {
    /// Begins now, by the steady clock and the wall clock.
    pub(crate) fn begin((steady, wall): (Duration, Timestamp)) -> Self {
        Self { heard: steady, looked: steady, wall }
    }

    /// Something was heard.
    pub(crate) fn hear(&mut self, steady: Duration) {
        self.heard = steady;
    }

    /// Why the connection is not to be believed any more, if so. To be asked each second, and before what was heard counts:
    /// a process that was stopped finds in its socket what was sent before the server gave it up.
    pub(crate) fn look(&mut self, (steady, wall): (Duration, Timestamp)) -> Option<String> {
        let between = steady.saturating_sub(self.looked);
        let by_wall = wall.since(self.wall);
        (self.looked, self.wall) = (steady, wall);
        if between > SILENCE_MAX {
            return Some(format!("this program was stopped for {} s", between.as_secs()));
        }
        if by_wall > between + JUMP_MAX {
            return Some(format!("this machine slept for {} s", by_wall.saturating_sub(between).as_secs()));
        }
        let silent = steady.saturating_sub(self.heard);
        (silent > SILENCE_MAX).then(|| format!("nothing was heard for {} s", silent.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(steady_secs: u64, wall_secs: i64) -> (Duration, Timestamp) {
        (Duration::from_secs(steady_secs), Timestamp::from_micros(wall_secs * 1_000_000))
    }

    #[test]
    fn silence_ends_a_connection_and_a_ping_keeps_it() {
        let mut watch = Watch::begin(at(100, 5_000));
        for secs in 1..=12 {
            assert_eq!(watch.look(at(100 + secs, 5_000 + i64::try_from(secs).unwrap())), None);
        }
        let said = watch.look(at(113, 5_013)).unwrap();
        assert!(said.contains("nothing was heard for 13 s"), "{said}");
        watch.hear(Duration::from_secs(113));
        assert_eq!(watch.look(at(114, 5_014)), None);
    }

    #[test]
    fn sleep_shows_in_the_wall_clock_and_being_stopped_in_the_steady_one() {
        let mut watch = Watch::begin(at(100, 5_000));
        assert!(watch.look(at(101, 8_601)).unwrap().contains("slept for 3600 s"));
        let mut watch = Watch::begin(at(100, 5_000));
        assert!(watch.look(at(120, 5_020)).unwrap().contains("stopped for 20 s"));
        let mut watch = Watch::begin(at(100, 5_000));
        assert_eq!(
            watch.look(at(101, 4_000)),
            None,
            "a clock that was put back says nothing of the connection"
        );
    }
}
