//! The feature itself: what happens at a point, and which bugs are planted.
//!
//! `POSTHASTE_FAULT=commit.after=abort@3` aborts at the third hit of that point; `panic`, `pause` (SIGSTOP) and `delay:250`
//! (milliseconds) in place of `abort`, several with `,` between. `POSTHASTE_PLANT` names bugs, with `,` between, and
//! `POSTHASTE_PLAYS_NEXT_VERSION`, set to anything, adds a migration that no release has. What cannot be read
//! ends the process: a fault that was not injected must not pass for one that was survived.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use crate::{Bug, POINTS};

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The process ends there and then, like by SIGKILL.
    Abort,
    /// The thread panics.
    Panic,
    /// The thread sleeps.
    Delay(Duration),
    /// The process stands still until somebody lets it go on.
    Pause,
}

struct Armed {
    action: Action,
    /// Hits until it happens; then it is over.
    hits_left: u64,
}

static ARMED: LazyLock<Mutex<HashMap<&'static str, Armed>>> =
    LazyLock::new(|| Mutex::new(from_environment()));
static PLANTED: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(planted_by_environment()));

/// Looks on at every point that a thread passes, and may panic there.
pub type Watch = Box<dyn FnMut(&'static str)>;

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Calls `watch` at every point that this thread passes from now on; `None` calls nothing any more.
pub fn watch(watch: Option<Watch>) {
    WATCH.with(|current| *current.borrow_mut() = watch);
}

/// Lets `action` happen at hit number `hit` of `point`, counted from 1 and from now.
pub fn arm(point: &str, action: Action, hit: u64) {
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    armed.insert(named(point), Armed { action, hits_left: hit });
}

/// A point is passed. Called by [`point!`](crate::point).
///
/// # Panics
/// If it was told to.
pub fn hit(name: &'static str) {
    WATCH.with(|watch| {
        if let Ok(mut watch) = watch.try_borrow_mut()
            && let Some(watch) = &mut *watch
        {
            watch(name);
        }
    });
    let action = {
        let mut all = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(armed) = all.get_mut(name) else { return };
        armed.hits_left = armed.hits_left.saturating_sub(1);
        if armed.hits_left > 0 {
            return;
        }
        let action = armed.action;
        all.remove(name);
        action
    };
    match action {
        Action::Abort => std::process::abort(),
        Action::Panic => panic!("told to panic at {name}"),
        Action::Delay(time) => std::thread::sleep(time),
        Action::Pause => stand_still(),
    }
}

/// SIGSTOP, sent by a process that does not stand still with us.
fn stand_still() {
    let own = std::process::id().to_string();
    if !std::process::Command::new("kill").args(["-STOP", &own]).status().is_ok_and(|sent| sent.success()) {
        refuse("this process could not be made to stand still");
    }
}

/// Makes a mistake part of this process.
pub fn plant(bug: Bug) {
    PLANTED.fetch_or(1 << bug as u8, Ordering::Relaxed);
}

/// Whether `bug` was planted.
pub fn planted(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) & (1 << bug as u8) != 0
}

/// Whether this process plays a version that is yet to be released, in a test that lets two run together.
pub fn plays_next_version() -> bool {
    static PLAYS: LazyLock<bool> = LazyLock::new(|| !from_env("POSTHASTE_PLAYS_NEXT_VERSION").is_empty());
    *PLAYS
}

fn named(point: &str) -> &'static str {
    let known = POINTS.into_iter().flatten().find(|known| **known == point);
    known.copied().unwrap_or_else(|| refuse(&format!("there is no point {point} to inject a fault at")))
}

#[expect(clippy::disallowed_methods, reason = "no setting: nothing that a release reads")]
fn from_env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn from_environment() -> HashMap<&'static str, Armed> {
    let text = from_env("POSTHASTE_FAULT");
    let all = text.split(',').filter(|one| !one.is_empty());
    all.map(|one| {
        read(one).unwrap_or_else(|| {
            refuse(&format!(
                "POSTHASTE_FAULT has {one}: write point=abort@3, point=panic, point=pause or point=delay:250"
            ))
        })
    })
    .collect()
}

fn read(text: &str) -> Option<(&'static str, Armed)> {
    let (point, rest) = text.split_once('=')?;
    let (action, hit) = rest.split_once('@').unwrap_or((rest, "1"));
    let action = match action.split_once(':') {
        None if action == "abort" => Action::Abort,
        None if action == "panic" => Action::Panic,
        None if action == "pause" => Action::Pause,
        Some(("delay", millis)) => Action::Delay(Duration::from_millis(millis.parse().ok()?)),
        _ => return None,
    };
    Some((named(point), Armed { action, hits_left: hit.parse().ok()? }))
}

fn planted_by_environment() -> u16 {
    let text = from_env("POSTHASTE_PLANT");
    let bit = |name: &str| match Bug::ALL.iter().find(|bug| bug.name() == name) {
        Some(bug) => 1 << *bug as u8,
        None => refuse(&format!("POSTHASTE_PLANT names {name}, which is no bug that can be planted")),
    };
    text.split(',').filter(|one| !one.is_empty()).map(bit).fold(0, |all, bit: u16| all | bit)
}

#[expect(clippy::print_stderr, reason = "there is nobody else to tell, and the process ends")]
fn refuse(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(64)
}
