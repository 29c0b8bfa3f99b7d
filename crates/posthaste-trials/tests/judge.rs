//! The judge on trial: it lets honest ledgers pass, and each forged set is caught by the invariant that it breaks.

use posthaste_trials::judge::{
    Answer, Counted, EndpointFact, Fault, ForbiddenChange, Got, Invariant, Ledgers, State, StoredAttempt,
    StoredCounts, StoredDelivery, StoredKey, StoredMessage, Told, What, hash, judge, tally,
};

const SECOND: i64 = 1_000_000;
const BEGAN: i64 = 1_700_000_000 * SECOND;

fn at(seconds: i64) -> i64 {
    BEGAN + seconds * SECOND
}

/// One message to two endpoints: the first takes it at once, the second refuses twice and is given up.
fn honest() -> Ledgers {
    let endpoint = |id: &str, wanted: Option<&[&str]>| EndpointFact {
        id: id.to_owned(),
        app: "app_a".to_owned(),
        event_types: wanted.map(|names| names.iter().map(|&name| name.to_owned()).collect()),
        alive_from: at(-10),
        alive_until: None,
    };
    Ledgers {
        told: vec![told(1, "msg_1", at(0))],
        got: vec![
            got("ep_good", at(1), Some(200)),
            got("ep_bad", at(1), Some(500)),
            got("ep_bad", at(3), Some(500)),
        ],
        faults: vec![],
        store: posthaste_trials::judge::Dump {
            messages: vec![stored("msg_1")],
            deliveries: vec![
                delivery("ep_good", State::Delivered, 1),
                StoredDelivery { why: Some("exhausted".to_owned()), ..delivery("ep_bad", State::Dead, 2) },
            ],
            attempts: vec![
                attempt("atmpt_1", "ep_good", at(1), 200),
                attempt("atmpt_2", "ep_bad", at(1), 500),
                attempt("atmpt_3", "ep_bad", at(3), 500),
            ],
            keys: vec![StoredKey { message: "msg_1".to_owned() }],
            unfinished_jobs: 0,
            forbidden: vec![],
            counted: None,
        },
        endpoints: vec![
            endpoint("ep_good", None),
            endpoint("ep_bad", Some(&["order.paid"])),
            endpoint("ep_other", Some(&["order.sent"])),
        ],
        quiescent: true,
        worker_slots: 2,
        kept_since: None,
    }
}

fn told(request: u64, message: &str, asked_at: i64) -> Told {
    Told {
        request,
        app: "app_a".to_owned(),
        key: Some("key-1".to_owned()),
        event_id: None,
        event_type: Some("order.paid".to_owned()),
        body_hash: hash(b"{}"),
        asked_at,
        answered_at: asked_at + SECOND / 2,
        answer: Answer::Accepted { message: message.to_owned(), said: hash(b"accepted") },
    }
}

fn stored(id: &str) -> StoredMessage {
    StoredMessage {
        id: id.to_owned(),
        app: "app_a".to_owned(),
        event_type: "order.paid".to_owned(),
        event_id: None,
        body_hash: Some(hash(b"{}")),
        created_at: at(0) + 1,
    }
}

fn delivery(endpoint: &str, state: State, attempts: u32) -> StoredDelivery {
    let (message, endpoint) = ("msg_1".to_owned(), endpoint.to_owned());
    StoredDelivery {
        message,
        endpoint,
        state,
        due_at: None,
        lease_until: None,
        attempts,
        manual: false,
        why: None,
    }
}

fn attempt(id: &str, endpoint: &str, started_at: i64, status: u16) -> StoredAttempt {
    let (id, message, endpoint) = (id.to_owned(), "msg_1".to_owned(), endpoint.to_owned());
    StoredAttempt { id, message, endpoint, started_at, status }
}

fn got(endpoint: &str, at: i64, status: Option<u16>) -> Got {
    Got {
        endpoint: endpoint.to_owned(),
        message: "msg_1".to_owned(),
        body_hash: hash(b"{}"),
        signed: true,
        timestamp: at / SECOND,
        at: at + 1_000,
        status,
    }
}

fn crash(from: i64, until: i64) -> Fault {
    Fault { what: What::Crash, endpoint: None, from, until }
}

/// The ledgers of a crash after the good endpoint answered and before that was recorded: it gets the message again.
fn crashed() -> Ledgers {
    let mut ledgers = honest();
    ledgers.faults.push(crash(at(2), at(3)));
    ledgers.got.push(got("ep_good", at(4), Some(200)));
    ledgers.store.attempts[0].started_at = at(4);
    ledgers
}

fn passes(ledgers: &Ledgers) {
    let violations = judge(ledgers);
    assert!(violations.is_empty(), "{violations:#?}");
}

/// `forge` is applied to honest ledgers, and the judge finds `invariant` broken and nothing else.
fn caught_in(mut ledgers: Ledgers, invariant: Invariant, saw: &str, forge: impl FnOnce(&mut Ledgers)) {
    forge(&mut ledgers);
    let violations = judge(&ledgers);
    assert!(violations.iter().any(|v| v.saw.contains(saw)), "nothing says \"{saw}\": {violations:#?}");
    assert!(violations.iter().all(|v| v.invariant == invariant), "{violations:#?}");
}

fn caught(invariant: Invariant, saw: &str, forge: impl FnOnce(&mut Ledgers)) {
    caught_in(honest(), invariant, saw, forge);
}

#[test]
fn honest_ledgers_pass() {
    passes(&honest());
    passes(&crashed());
}

#[test]
fn the_figures_are_those_of_the_ledgers() {
    let ledgers = crashed();
    let shown = tally(&ledgers, &judge(&ledgers)).to_string();
    assert_eq!(shown, "kills=1 acked=1 delivered=1 dead=1 repeated=1 lost=0");
}

#[test]
fn i1_an_accepted_message_that_is_gone_is_caught_and_counted_as_lost() {
    let forge = |ledgers: &mut Ledgers| {
        let mut gone = told(2, "msg_2", at(5));
        gone.key = Some("key-2".to_owned());
        gone.body_hash = hash(b"2");
        ledgers.told.push(gone);
    };
    caught(Invariant::I1, "the message is not in the store", forge);
    let mut ledgers = honest();
    forge(&mut ledgers);
    assert_eq!(tally(&ledgers, &judge(&ledgers)).lost, 1);
    ledgers.kept_since = Some(at(10));
    passes(&ledgers);
}

#[test]
fn i1_a_missing_delivery_is_caught_even_of_a_message_that_nobody_was_told_of() {
    let forge = |ledgers: &mut Ledgers| {
        ledgers.store.deliveries.remove(1);
        ledgers.store.attempts.truncate(1);
        ledgers.got.truncate(1);
    };
    caught(Invariant::I1, "no delivery to ep_bad", forge);
    caught(Invariant::I1, "no delivery to ep_bad", |ledgers| {
        forge(ledgers);
        ledgers.told[0].answer = Answer::Unknown;
    });
}

#[test]
fn i1_an_endpoint_that_came_later_is_owed_nothing() {
    let mut ledgers = honest();
    ledgers.endpoints.push(EndpointFact {
        id: "ep_late".to_owned(),
        alive_from: at(0) + SECOND / 4,
        ..ledgers.endpoints[0].clone()
    });
    passes(&ledgers);
}

#[test]
fn i1_a_delivery_that_nobody_wants_is_caught() {
    caught(Invariant::I1, "does not want order.paid", |ledgers| {
        ledgers
            .store
            .deliveries
            .push(StoredDelivery { why: Some("gone".to_owned()), ..delivery("ep_other", State::Dead, 0) });
    });
}

#[test]
fn i1_a_delivery_without_its_message_is_caught() {
    caught(Invariant::I1, "not stored", |ledgers| {
        let mut orphan = delivery("ep_bad", State::Dead, 0);
        (orphan.message, orphan.why) = ("msg_0".to_owned(), Some("gone".to_owned()));
        ledgers.store.deliveries.push(orphan);
    });
}

#[test]
fn i2_what_is_open_when_all_is_healed_is_stuck() {
    let forge = |ledgers: &mut Ledgers| {
        let delivery = &mut ledgers.store.deliveries[1];
        (delivery.state, delivery.due_at, delivery.why) = (State::Waiting, Some(at(60)), None);
    };
    caught(Invariant::I2, "is Waiting to ep_bad although everything is healed", forge);
    let mut ledgers = honest();
    forge(&mut ledgers);
    ledgers.quiescent = false;
    passes(&ledgers);
    caught(Invariant::I2, "1 jobs are not finished", |ledgers| ledgers.store.unfinished_jobs = 1);
}

#[test]
fn i2_what_is_open_with_no_time_to_go_on_at_is_stuck_at_any_time() {
    let mut ledgers = honest();
    ledgers.quiescent = false;
    caught_in(ledgers.clone(), Invariant::I2, "with no time to go on at", |ledgers| {
        ledgers.store.deliveries[1].state = State::Waiting;
    });
    caught_in(ledgers, Invariant::I2, "with no end of its lease", |ledgers| {
        ledgers.store.deliveries[1].state = State::InFlight;
    });
    caught(Invariant::I2, "is due or leased all the same", |ledgers| {
        ledgers.store.deliveries[0].lease_until = Some(at(60));
    });
}

#[test]
fn i3_delivered_without_a_2xx_at_the_receiver_is_caught() {
    caught(Invariant::I3, "is delivered to ep_good, which answered no 2xx", |ledgers| {
        ledgers.got[0].status = Some(500);
        ledgers.store.attempts[0].status = 500;
    });
    caught(Invariant::I3, "without an attempt that says so", |ledgers| {
        ledgers.store.attempts[0].status = 0;
    });
}

#[test]
fn i3_given_up_without_a_reason_is_caught() {
    caught(Invariant::I3, "without a reason", |ledgers| ledgers.store.deliveries[1].why = None);
}

#[test]
fn i4_a_second_2xx_without_a_fault_between_is_caught() {
    let twice = |ledgers: &mut Ledgers| {
        ledgers.got.push(got("ep_good", at(4), Some(200)));
        ledgers.store.attempts.push(attempt("atmpt_4", "ep_good", at(4), 200));
        ledgers.store.deliveries[0].attempts = 2;
    };
    caught(Invariant::I4, "answered 2xx twice", twice);
    // One before and one after explain nothing, nor does one at another endpoint.
    caught(Invariant::I4, "answered 2xx twice", |ledgers| {
        twice(ledgers);
        ledgers.faults.extend([crash(at(-5), at(0)), crash(at(5), at(6))]);
        let endpoint = Some("ep_bad".to_owned());
        ledgers.faults.push(Fault { what: What::Receiver, endpoint, from: at(2), until: at(3) });
    });
    let mut ledgers = honest();
    twice(&mut ledgers);
    ledgers.faults.push(crash(at(2), at(3)));
    passes(&ledgers);
}

#[test]
fn i4_more_repetitions_than_faults_are_caught() {
    caught(Invariant::I4, "answered 2xx 3 times, and 1 faults", |ledgers| {
        for (seconds, id) in [(4, "atmpt_4"), (6, "atmpt_5")] {
            ledgers.got.push(got("ep_good", at(seconds), Some(200)));
            ledgers.store.attempts.push(attempt(id, "ep_good", at(seconds), 200));
        }
        ledgers.store.deliveries[0].attempts = 3;
        ledgers.faults.push(Fault { what: What::Receiver, ..crash(at(2), at(5)) });
    });
}

#[test]
fn i5_what_was_received_without_an_attempt_is_caught_unless_a_crash_followed() {
    let forge = |ledgers: &mut Ledgers| ledgers.got.push(got("ep_bad", at(5), None));
    caught(Invariant::I5, "there is no attempt, nor a crash afterwards", forge);
    let mut ledgers = honest();
    forge(&mut ledgers);
    ledgers.faults.push(crash(at(5), at(6)));
    passes(&ledgers);
    // A delivery is under way once.
    caught_in(ledgers, Invariant::I5, "2 times without an attempt before the same crash", forge);
}

#[test]
fn i5_the_attempt_after_a_crash_is_told_from_the_one_before_it_within_one_second() {
    let mut ledgers = honest();
    ledgers.faults.push(crash(at(1) + 10_000, at(1) + 20_000));
    ledgers.got.push(Got { at: at(1) + 31_000, ..got("ep_good", at(1), Some(200)) });
    ledgers.store.attempts[0].started_at = at(1) + 30_000;
    passes(&ledgers);
}

#[test]
fn i5_a_crash_loses_no_more_attempts_than_there_are_worker_slots() {
    caught_in(crashed(), Invariant::I5, "there are 0 worker slots", |ledgers| ledgers.worker_slots = 0);
}

#[test]
fn i5_an_attempt_that_claims_a_status_that_nobody_answered_is_caught() {
    caught(Invariant::I5, "says that ep_bad answered 500, and it did not", |ledgers| drop(ledgers.got.pop()));
    caught(Invariant::I5, "says that ep_bad answered 502", |ledgers| {
        ledgers.got[2].status = None;
        ledgers.store.attempts[2].status = 502;
        ledgers.faults.push(crash(at(3), at(4)));
    });
}

#[test]
fn i5_an_attempt_apart_from_its_state_is_caught() {
    caught(Invariant::I5, "1 attempts are counted at ep_bad and 2 are there", |ledgers| {
        ledgers.store.deliveries[1].attempts = 1;
    });
    caught(Invariant::I5, "3 attempts are counted at ep_bad and 2 are there", |ledgers| {
        ledgers.store.deliveries[1].attempts = 3;
        ledgers.store.deliveries[1].manual = true;
    });
    let mut put_back = honest();
    put_back.store.deliveries[1].attempts = 1;
    put_back.store.deliveries[1].manual = true;
    passes(&put_back);
}

#[test]
fn i6_other_bytes_another_id_or_no_signature_are_caught() {
    caught(Invariant::I6, "other bytes", |ledgers| ledgers.got[2].body_hash = hash(b"{ }"));
    caught(Invariant::I6, "no signature that verifies", |ledgers| ledgers.got[0].signed = false);
    caught_in(crashed(), Invariant::I6, "names no message", |ledgers| {
        ledgers.got[0].message = "msg_9".to_owned();
    });
    caught(Invariant::I6, "got a message of app_a", |ledgers| {
        ledgers.endpoints.push(EndpointFact {
            id: "ep_foreign".to_owned(),
            app: "app_b".to_owned(),
            ..ledgers.endpoints[0].clone()
        });
        ledgers.got.push(got("ep_foreign", at(1), None));
        ledgers.faults.push(crash(at(4), at(5)));
    });
}

#[test]
fn i7_one_key_that_became_two_messages_is_caught() {
    let second = |ledgers: &mut Ledgers| {
        let mut other = stored("msg_2");
        other.app = "app_a".to_owned();
        ledgers.store.messages.push(other);
        let twin =
            |delivery: &StoredDelivery| StoredDelivery { message: "msg_2".to_owned(), ..delivery.clone() };
        let twins: Vec<_> = ledgers.store.deliveries.iter().map(twin).collect();
        for delivery in twins {
            let dead =
                StoredDelivery { state: State::Dead, attempts: 0, why: Some("gone".to_owned()), ..delivery };
            ledgers.store.deliveries.push(dead);
        }
    };
    caught(Invariant::I7, "2 messages are stored of the one key key-1", second);
    caught(Invariant::I7, "answered with this message and with msg_1", |ledgers| {
        second(ledgers);
        ledgers.told.push(told(1, "msg_2", at(1)));
    });
}

#[test]
fn i7_answers_that_differ_and_keys_of_nothing_are_caught() {
    caught(Invariant::I7, "the answers differ", |ledgers| {
        let said = hash(b"accepted, perhaps");
        let answer = Answer::Accepted { message: "msg_1".to_owned(), said };
        ledgers.told.push(Told { answer, ..told(1, "msg_1", at(1)) });
    });
    caught(Invariant::I7, "which is not stored", |ledgers| {
        ledgers.store.keys.push(StoredKey { message: "msg_2".to_owned() });
    });
}

#[test]
fn i7_a_key_that_is_refused_although_its_message_is_stored_is_caught() {
    let again = |status| Told { answer: Answer::Refused(status), ..told(1, "msg_1", at(1)) };
    caught(Invariant::I7, "was refused with 409, and its message is stored", |ledgers| {
        ledgers.told.push(again(409));
    });
    let mut ledgers = honest();
    ledgers.told.extend([again(503), again(429)]);
    passes(&ledgers);
}

#[test]
fn i7_an_event_id_that_two_messages_have_is_caught() {
    caught(Invariant::I7, "has the event id paid-1", |ledgers| {
        ledgers.store.messages[0].event_id = Some("paid-1".to_owned());
        ledgers.told[0].event_id = Some("paid-1".to_owned());
        let other = StoredMessage { app: "app_b".to_owned(), ..ledgers.store.messages[0].clone() };
        ledgers.store.messages.push(StoredMessage { id: "msg_2".to_owned(), ..other.clone() });
        ledgers.store.messages.push(StoredMessage { id: "msg_3".to_owned(), body_hash: None, ..other });
    });
}

#[test]
fn i8_a_2xx_for_something_else_than_what_is_stored_is_caught() {
    caught(Invariant::I8, "another payload is stored", |ledgers| ledgers.told[0].body_hash = hash(b"[]"));
    caught(Invariant::I8, "another event type is stored", |ledgers| {
        ledgers.told[0].event_type = Some("order.sent".to_owned());
    });
}

#[test]
fn i8_a_2xx_while_the_disk_failed_for_what_is_not_stored_is_caught() {
    caught(Invariant::I8, "not in the store", |ledgers| {
        let mut gone = told(2, "msg_2", at(5));
        (gone.key, gone.body_hash) = (Some("key-2".to_owned()), hash(b"2"));
        ledgers.told.push(gone);
        ledgers.faults.push(Fault { what: What::Disk, ..crash(at(4), at(6)) });
    });
}

#[test]
fn i11_a_delivery_that_somebody_moved_who_held_no_lease_is_caught() {
    caught(Invariant::I11, "was Delivered and somebody made it Waiting", |ledgers| {
        let (message, endpoint) = ("msg_1".to_owned(), "ep_good".to_owned());
        ledgers.store.forbidden.push(ForbiddenChange {
            message,
            endpoint,
            from: State::Delivered,
            to: State::Waiting,
        });
    });
}

/// The counts of the honest ledgers.
fn counted() -> Counted {
    let all = StoredCounts { accepted: 1, delivered: 1, dead: 1, attempts: 3 };
    Counted { environments: all, apps: all, endpoints: StoredCounts { accepted: 0, ..all } }
}

fn miscounted(saw: &str, forge: impl FnOnce(&mut StoredCounts)) {
    caught(Invariant::I12, saw, |ledgers| {
        let mut all = counted().environments;
        forge(&mut all);
        let endpoints = StoredCounts { accepted: 0, ..all };
        ledgers.store.counted = Some(Counted { environments: all, apps: all, endpoints });
    });
}

#[test]
fn i12_what_is_not_counted_or_counted_twice_is_caught() {
    let mut ledgers = honest();
    ledgers.store.counted = Some(counted());
    passes(&ledgers);
    miscounted("2 messages accepted are counted and 1 are there", |all| all.accepted = 2);
    miscounted("0 deliveries delivered are counted and 1 are there", |all| all.delivered = 0);
    miscounted("2 deliveries given up are counted and 1 are there", |all| all.dead = 2);
    miscounted("2 attempts are counted and 3 are there", |all| all.attempts = 2);
    caught(Invariant::I12, "endpoints together have", |ledgers| {
        let endpoints = StoredCounts::default();
        ledgers.store.counted = Some(Counted { endpoints, ..counted() });
    });
    caught(Invariant::I12, "apps together have", |ledgers| {
        let apps = StoredCounts::default();
        ledgers.store.counted = Some(Counted { apps, ..counted() });
    });
}

#[test]
fn i12_what_lost_its_lease_or_was_sent_again_need_not_add_up() {
    let mut ledgers = honest();
    let all = StoredCounts { delivered: 4, attempts: 2, ..counted().environments };
    let endpoints = StoredCounts { accepted: 0, ..all };
    ledgers.store.counted = Some(Counted { environments: all, apps: all, endpoints });
    ledgers.faults.push(Fault { what: What::Pause, ..crash(at(0), at(1)) });
    ledgers.store.deliveries[0].manual = true;
    passes(&ledgers);
}

#[test]
fn i4_a_database_that_was_away_for_a_moment_explains_no_repetition() {
    let twice = |until| {
        move |ledgers: &mut Ledgers| {
            ledgers.got.push(got("ep_good", at(30), Some(200)));
            ledgers.store.attempts.push(attempt("atmpt_4", "ep_good", at(30), 200));
            ledgers.store.deliveries[0].attempts = 2;
            ledgers.faults.push(Fault { what: What::Outage, ..crash(at(2), until) });
        }
    };
    caught(Invariant::I4, "no fault lies between", twice(at(4)));
    let mut ledgers = honest();
    twice(at(20))(&mut ledgers);
    passes(&ledgers);
}
