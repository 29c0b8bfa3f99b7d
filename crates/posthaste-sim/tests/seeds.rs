//! The simulation is a function of its seed, and it finds the mistakes that are planted for it.
#![cfg(feature = "faults")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up is a failed test")]

use std::process::Command;

use posthaste_sim::run;

/// Seeds within which a planted bug must be found.
const SEEDS: &str = "0..1000";

/// In a process of its own: what is planted is planted in all of a process.
fn finds(bug: &str, rule: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste-sim"));
    let found =
        command.args(["--seeds", SEEDS, "--until-found"]).env("POSTHASTE_PLANT", bug).output().unwrap();
    let said = String::from_utf8_lossy(&found.stdout);
    assert!(found.status.success(), "{bug} was not found: {said}");
    assert!(said.contains(rule), "{bug} was found by another rule than {rule}: {said}");
}

#[test]
fn a_seed_always_makes_the_same_trace() {
    for seed in [1, 8] {
        let first = run(seed);
        let again = std::thread::spawn(move || run(seed)).join().unwrap();
        assert_eq!(first, again);
        assert!(first.attempts > 100, "seed {seed} came to {first:?}");
    }
    assert_ne!(run(1).trace, run(8).trace);
}

/// A test each, so that they run side by side and each is bounded in time.
macro_rules! seeds_hold_every_invariant {
    ($($name:ident $seeds:literal)*) => {$(
        #[test]
        fn $name() {
            let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste-sim"));
            let ran = command.args(["--seeds", $seeds]).output().unwrap();
            let said = String::from_utf8_lossy(&ran.stdout);
            assert!(ran.status.success(), "{said}");
            print!("{said}");
        }
    )*};
}

seeds_hold_every_invariant! {
    the_first_fifty_seeds_hold_every_invariant "0..50"
    the_second_fifty_seeds_hold_every_invariant "50..100"
    the_third_fifty_seeds_hold_every_invariant "100..150"
    the_fourth_fifty_seeds_hold_every_invariant "150..200"
    the_fifth_fifty_seeds_hold_every_invariant "200..250"
    the_sixth_fifty_seeds_hold_every_invariant "250..300"
}

#[test]
fn deliveries_written_after_their_message_are_found() {
    finds("fan-out-after-commit", "I1");
}

#[test]
fn an_answer_before_the_commit_is_found() {
    // A message that is lost, or a record: whichever a crash meets first.
    finds("ack-before-commit", "seed=");
}

#[test]
fn a_record_by_whoever_lost_the_lease_is_found() {
    finds("lease-without-token", "I11");
}

#[test]
fn an_attempt_apart_from_the_state_that_follows_is_found() {
    finds("retry-outside-record", "I5");
}

#[test]
fn a_list_of_endpoints_that_was_true_a_while_ago_is_found() {
    finds("stale-fan-out", "I1");
}

#[test]
fn a_key_written_after_its_message_is_found() {
    finds("key-outside-accept", "I7");
}

#[test]
fn retries_that_all_come_at_the_same_instant_are_found() {
    finds("no-jitter", "timing");
}

#[test]
fn a_retry_after_that_is_believed_is_found() {
    finds("retry-after-unclamped", "timing");
}
