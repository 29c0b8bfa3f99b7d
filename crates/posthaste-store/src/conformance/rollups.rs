//! What counts over time promise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use posthaste_core::attempt::Attempt;
use posthaste_core::delivery::{Claimed, DeadLetter, Verdict};
use posthaste_core::id::{AppId, EndpointId};
use posthaste_core::limits::{ROLLUP_DAYS_KEPT, ROLLUP_HOURS_KEPT, ROLLUP_STEP_ROWS};
use posthaste_core::name::Uid;
use posthaste_core::rollup::{Bar, Counts, Fineness, Scope, class_of};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;

use super::world::{LEASE, World};
use crate::error::ChangeError;
use crate::intake::NewMessage;
use crate::queue::Record;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The bars of all time.
async fn bars(world: &World, scope: Scope) -> Vec<Bar> {
    bars_in(world, world.environment, scope, (Timestamp::EPOCH, Timestamp::from_micros(i64::MAX))).await
}

async fn bars_in(
    world: &World,
    environment: EnvironmentId,
    scope: Scope,
    (since, until): (Timestamp, Timestamp),
) -> Vec<Bar> {
    let bars = world.store.counted(environment, scope, since, until).await.unwrap();
    assert!(bars.is_sorted_by(|one, next| one.start < next.start), "in the order of time, each once");
    bars
}

/// All that was ever counted.
async fn sum(world: &World, scope: Scope) -> Counts {
    add_up(&bars(world, scope).await)
}

fn add_up(bars: &[Bar]) -> Counts {
    let mut sum = Counts::default();
    for bar in bars {
        sum.add(&bar.counts);
    }
    sum
}

fn accepted(count: u64) -> Counts {
    Counts { accepted: count, ..Counts::default() }
}

/// Makes counts coarser until there is nothing left to do; returns in how many steps.
async fn compacts(world: &World) -> u32 {
    for step in 1..100 {
        if !world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap().more {
            return step;
        }
    }
    panic!("it comes to an end")
}

/// Accepts a message and tries it once.
async fn delivers(world: &World, app: AppId, endpoint: EndpointId, status: u16, verdict: Verdict) -> Claimed {
    world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    world.tries(&claimed, status, verdict).await;
    claimed
}

pub async fn an_accepted_message_is_counted_for_its_app_and_its_environment(world: World) {
    let (app, other) = (world.app().await, world.app().await);
    let endpoint = world.endpoint(app).await;
    for app in [app, app, other] {
        world.accepts(app).await;
    }
    assert_eq!(sum(&world, Scope::Environment).await, accepted(3));
    assert_eq!(sum(&world, Scope::App(app)).await, accepted(2));
    assert_eq!(sum(&world, Scope::App(other)).await, accepted(1));
    assert_eq!(sum(&world, Scope::Endpoint(endpoint)).await, Counts::default());
}

pub async fn what_a_source_received_and_what_is_told_are_counted_as_accepted(world: World) {
    world.operational_endpoint().await;
    let source = world.source().await;
    world.receives(&source).await;
    let again = world.received_as(&source, 1);
    world.store.receive(again, world.now()).await.unwrap();
    let again = world.received_as(&source, 1);
    world.store.receive(again, world.now()).await.unwrap();
    assert_eq!(sum(&world, Scope::App(source.app)).await, accepted(2), "a repetition is no message");
    assert_eq!(sum(&world, Scope::Environment).await, accepted(2));
    let app = world.app().await;
    world.endpoint(app).await;
    assert_eq!(sum(&world, Scope::Environment).await, accepted(3), "that an endpoint was made is told");
}

pub async fn a_refused_or_repeated_message_counts_nothing(world: World) {
    let app = world.app().await;
    let key = world.key();
    let keyed = |new: &mut NewMessage| {
        new.idempotency = Some(key.clone());
        new.event_id = Some(Uid::parse("evt-1").unwrap());
    };
    world.accepts_with(app, keyed).await;
    world.accepts_with(app, keyed).await;
    let taken = world.message_with(app, |new| new.event_id = Some(Uid::parse("evt-1").unwrap()));
    assert!(matches!(world.store.accept(taken, world.now()).await, Err(ChangeError::Taken(_))));
    let nobodys =
        world.message_with(app, |new| new.app = World::to(world.id::<posthaste_core::id::AppKind>()));
    assert!(world.store.accept(nobodys, world.now()).await.is_err());
    assert_eq!(sum(&world, Scope::Environment).await, accepted(1));
    assert_eq!(sum(&world, Scope::App(app)).await, accepted(1));
}

pub async fn what_is_recorded_is_counted_for_endpoint_app_and_environment(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let retry = Verdict::RetryAt(world.now().later(DAY));
    delivers(&world, app, endpoint, 200, Verdict::Delivered).await;
    delivers(&world, app, endpoint, 500, retry).await;
    delivers(&world, app, endpoint, 0, retry).await;
    delivers(&world, app, endpoint, 400, Verdict::GiveUp(DeadLetter::Exhausted)).await;
    world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    world.records(&claimed, None, Verdict::GiveUp(DeadLetter::EndpointDisabled)).await;
    let mut expected =
        Counts { delivered: 1, dead: 2, succeeded: 1, refused: 2, unanswered: 1, ..Counts::default() };
    expected.took[class_of(Duration::from_millis(12))] = 4;
    assert_eq!(sum(&world, Scope::Endpoint(endpoint)).await, expected);
    let expected = Counts { accepted: 5, ..expected };
    assert_eq!(sum(&world, Scope::App(app)).await, expected);
    assert_eq!(sum(&world, Scope::Environment).await, expected);
}

pub async fn what_comes_after_a_disabled_or_deleted_endpoint_is_counted(world: World) {
    let app = world.app().await;
    let (disabled, deleted) = (world.endpoint(app).await, world.endpoint(app).await);
    world.accepts(app).await;
    let claimed = [world.claims_one(disabled).await, world.claims_one(deleted).await];
    world.disables(app, disabled, true).await;
    world.deletes(app, deleted).await;
    for claimed in &claimed {
        world.tries(claimed, 200, Verdict::Delivered).await;
    }
    for endpoint in [disabled, deleted] {
        assert_eq!(sum(&world, Scope::Endpoint(endpoint)).await.delivered, 1);
    }
    assert_eq!(sum(&world, Scope::App(app)).await.delivered, 2);
}

pub async fn what_is_recorded_without_the_lease_or_again_counts_nothing(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    world.accepts(app).await;
    let lost = world.claims_one(endpoint).await;
    world.advance(LEASE);
    world.store.release_expired(10, world.now()).await.unwrap();
    let attempt = world.attempt(&lost, 200);
    assert!(!world.records(&lost, Some(attempt), Verdict::Delivered).await.fenced);
    assert_eq!(sum(&world, Scope::Endpoint(endpoint)).await, Counts::default());
    let held = world.claims_one(endpoint).await;
    let attempt = world.attempt(&held, 200);
    for still_ours in [true, false] {
        let recorded = world.records(&held, Some(attempt.clone()), Verdict::Delivered).await;
        assert_eq!(recorded.fenced, still_ours);
    }
    let counts = sum(&world, Scope::Endpoint(endpoint)).await;
    assert_eq!((counts.delivered, counts.attempts()), (1, 1));
    assert_eq!(world.attempts(app, lost.message.id).await.len(), 2, "the attempt is kept all the same");
}

pub async fn records_of_one_delivery_that_race_are_counted_once(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..10 {
        world.accepts(app).await;
        let claimed = world.claims_one(endpoint).await;
        let record = |attempt: Attempt| Record {
            key: claimed.key(),
            lease: claimed.lease,
            attempt: Some(attempt),
            verdict: Verdict::Delivered,
        };
        for record in [record(world.attempt(&claimed, 200)), record(world.attempt(&claimed, 200))] {
            let (store, now) = (Arc::clone(&world.store), world.now());
            racing.spawn(async move { store.record(record, now).await.unwrap().fenced });
        }
    }
    let ours = racing.join_all().await.into_iter().filter(|fenced| *fenced).count();
    let counts = sum(&world, Scope::Environment).await;
    assert_eq!((ours, counts.delivered, counts.attempts()), (10, 10, 10));
}

pub async fn what_several_write_at_once_adds_up(world: World) {
    let (app, other) = (world.app().await, world.app().await);
    world.endpoint(app).await;
    let mut racing = tokio::task::JoinSet::new();
    for number in 0..600 {
        let new = world.message(if number % 3 == 0 { other } else { app });
        let (store, now) = (Arc::clone(&world.store), world.now());
        racing.spawn(async move { store.accept(new, now).await.unwrap() });
    }
    racing.join_all().await;
    assert_eq!(sum(&world, Scope::App(app)).await, accepted(400));
    assert_eq!(sum(&world, Scope::App(other)).await, accepted(200));
    assert_eq!(sum(&world, Scope::Environment).await, accepted(600));
}

pub async fn counts_come_by_the_minute_and_in_the_time_asked_for(world: World) {
    let app = world.app().await;
    let first = Fineness::Minute.start_of(world.now());
    for _ in 0..4 {
        world.accepts(app).await;
        world.advance(MINUTE);
    }
    let minute = |number: u32| first.later(number * MINUTE);
    let all: Vec<_> = (0..4).map(|number| Bar { start: minute(number), counts: accepted(1) }).collect();
    assert_eq!(bars(&world, Scope::App(app)).await, all);
    let some = bars_in(&world, world.environment, Scope::App(app), (minute(1), minute(3))).await;
    assert_eq!(some, all[1..3]);
}

pub async fn old_counts_become_coarser_and_then_go(world: World) {
    let app = world.app().await;
    let scope = Scope::App(app);
    let began = Fineness::Hour.start_of(world.now());
    for _ in 0..3 {
        world.accepts(app).await;
        world.accepts(app).await;
        world.advance(20 * MINUTE);
    }
    world.advance(2 * HOUR);
    world.accepts(app).await;
    let fine = bars(&world, scope).await;
    assert_eq!(fine.len(), 4);
    compacts(&world).await;
    assert_eq!(bars(&world, scope).await, fine, "an hour becomes one when its last minute is old enough");
    world.advance(HOUR);
    compacts(&world).await;
    let hours = [
        Bar { start: began, counts: accepted(6) },
        Bar { start: began.later(3 * HOUR), counts: accepted(1) },
    ];
    assert_eq!(bars(&world, scope).await, hours);
    world.advance(ROLLUP_HOURS_KEPT);
    compacts(&world).await;
    assert_eq!(bars(&world, scope).await, hours, "a day becomes one when its last hour is old enough");
    world.advance(DAY);
    compacts(&world).await;
    let day = [Bar { start: Fineness::Day.start_of(began), counts: accepted(7) }];
    assert_eq!(bars(&world, scope).await, day);
    world.advance(390 * DAY);
    compacts(&world).await;
    assert_eq!(sum(&world, Scope::Environment).await, accepted(7));
    world.advance(ROLLUP_DAYS_KEPT);
    compacts(&world).await;
    assert_eq!(bars(&world, scope).await, []);
    assert_eq!(bars(&world, Scope::Environment).await, []);
}

pub async fn what_is_counted_late_joins_what_is_already_coarse(world: World) {
    let app = world.app().await;
    let now = world.now();
    world.accepts(app).await;
    world.advance(5 * HOUR);
    compacts(&world).await;
    let late = world.message(app);
    world.store.accept(late, now).await.unwrap();
    let hour = [Bar { start: Fineness::Hour.start_of(now), counts: accepted(2) }];
    assert_eq!(bars(&world, Scope::App(app)).await, hour);
    compacts(&world).await;
    assert_eq!(bars(&world, Scope::App(app)).await, hour);
}

pub async fn counts_become_coarser_in_steps_and_several_at_once_lose_none(world: World) {
    let app = world.app().await;
    let minutes = u64::from(ROLLUP_STEP_ROWS);
    let mut accepting = tokio::task::JoinSet::new();
    for _ in 0..minutes {
        let new = world.message(app);
        let (store, now) = (Arc::clone(&world.store), world.now());
        accepting.spawn(async move { store.accept(new, now).await.unwrap() });
        world.advance(MINUTE);
    }
    accepting.join_all().await;
    world.advance(DAY);
    let first = world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
    assert!(first.more, "there are twice as many rows as one step takes");
    assert_eq!(sum(&world, Scope::App(app)).await, accepted(minutes), "half-way too");
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (store, now) = (Arc::clone(&world.store), world.now());
        racing.spawn(async move { store.forget(Timestamp::EPOCH, now).await.unwrap() });
    }
    racing.join_all().await;
    compacts(&world).await;
    let hours = bars(&world, Scope::App(app)).await;
    assert_eq!(add_up(&hours), accepted(minutes));
    assert_eq!(hours.len() as u64, minutes.div_ceil(60));
    assert_eq!(sum(&world, Scope::Environment).await, accepted(minutes));
}

pub async fn counts_of_another_environment_are_not_seen(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    delivers(&world, app, endpoint, 500, Verdict::RetryAt(world.now().later(DAY))).await;
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let always = (Timestamp::EPOCH, Timestamp::from_micros(i64::MAX));
    let scopes = [Scope::Environment, Scope::App(app), Scope::Endpoint(endpoint)];
    for scope in scopes {
        assert_eq!(bars_in(&world, elsewhere, scope, always).await, []);
        assert_eq!(bars(&world, scope).await.len(), 1);
    }
    let sums = world.store.counted_by(elsewhere, &scopes, always.0, always.1).await.unwrap();
    assert_eq!(sums, [Counts::default(); 3]);
    assert_eq!(world.store.unwell(elsewhere, 10).await.unwrap(), []);
}

pub async fn counts_of_several_things_come_added_up_in_the_order_asked_for(world: World) {
    let apps = [world.app().await, world.app().await, world.app().await];
    let began = world.now();
    for (times, app) in (0..).zip(apps) {
        for _ in 0..times {
            world.accepts(app).await;
            world.advance(2 * HOUR);
        }
    }
    compacts(&world).await;
    let scopes = [apps[2], apps[0], apps[1]].map(Scope::App);
    let counted = async |since, until| world.store.counted_by(world.environment, &scopes, since, until).await;
    let sums = counted(Fineness::Hour.start_of(began), world.now()).await.unwrap();
    assert_eq!(sums, [accepted(2), Counts::default(), accepted(1)]);
    let sums = counted(began.later(HOUR), world.now()).await.unwrap();
    assert_eq!(sums, [accepted(2), Counts::default(), Counts::default()]);
    assert_eq!(world.store.counted_by(world.environment, &[], began, world.now()).await.unwrap(), []);
}

pub async fn things_are_found_among_many_wherever_they_lie(world: World) {
    let mut apps = Vec::new();
    for number in 0..40_u64 {
        let app = world.app().await;
        for _ in 0..number {
            world.accepts(app).await;
        }
        apps.push(app);
    }
    let asked = [39, 1, 20, 20, 0, 21, 5];
    let scopes = asked.map(|number| Scope::App(apps[number]));
    let until = world.now().later(MINUTE);
    let sums = world.store.counted_by(world.environment, &scopes, Timestamp::EPOCH, until).await.unwrap();
    assert_eq!(sums, asked.map(|number| accepted(number as u64)), "also one that is asked for twice");
    let each = world.store.counted_each(world.environment, &scopes, Timestamp::EPOCH, until).await.unwrap();
    for (scope, bars) in scopes.into_iter().zip(&each) {
        let alone = world.store.counted(world.environment, scope, Timestamp::EPOCH, until).await.unwrap();
        assert_eq!(bars, &alone, "together as alone");
    }
    let added = each.iter().map(|bars| {
        let mut sum = Counts::default();
        for bar in bars {
            sum.add(&bar.counts);
        }
        sum
    });
    assert_eq!(added.collect::<Vec<_>>(), sums);
}

pub async fn endpoints_that_fail_are_listed_the_longest_first(world: World) {
    let app = world.app().await;
    let [well, gone, failing, deleted] = [
        world.endpoint(app).await,
        world.endpoint(app).await,
        world.endpoint(app).await,
        world.endpoint(app).await,
    ];
    world.accepts(app).await;
    let retry = Verdict::RetryAt(world.now().later(DAY));
    let began = world.now();
    for (endpoint, status) in [(well, 200), (failing, 0), (gone, 410), (deleted, 500)] {
        world.advance(MINUTE);
        let claimed = world.claims_one(endpoint).await;
        world.tries(&claimed, status, retry).await;
    }
    world.deletes(app, deleted).await;
    let unwell = world.store.unwell(world.environment, 10).await.unwrap();
    let seen: Vec<_> = unwell.iter().map(|one| (one.endpoint, one.disabled)).collect();
    assert_eq!(seen, [(failing, false), (gone, true)]);
    assert!(unwell[0].failing_since > began && unwell[0].failing_since < unwell[1].failing_since);
    assert_eq!((unwell[0].app, &*unwell[0].app_name, unwell[0].operational), (app, "An app", false));
    assert_eq!(unwell[0].url, "https://receiver.example.com/hooks");
    assert_eq!(world.store.unwell(world.environment, 1).await.unwrap(), unwell[..1]);
}

/// What a random walk believes was counted.
#[derive(Default)]
struct Book {
    counts: BTreeMap<Scope, Counts>,
    held: Vec<Claimed>,
}

impl Book {
    fn note(&mut self, scopes: &[Scope], counts: &Counts) {
        for scope in scopes {
            self.counts.entry(*scope).or_default().add(counts);
        }
    }

    async fn ends_one(&mut self, world: &World, app: AppId) {
        if self.held.is_empty() {
            return;
        }
        let at = usize::try_from(world.roll(self.held.len() as u64)).unwrap();
        let claimed = self.held.swap_remove(at);
        let (status, verdict) = match world.roll(5) {
            0 => (500, Verdict::GiveUp(DeadLetter::Exhausted)),
            1 => (503, Verdict::RetryAt(world.now().later(MINUTE))),
            2 => (0, Verdict::RetryAt(world.now())),
            _ => (200, Verdict::Delivered),
        };
        let mut attempt = world.attempt(&claimed, status);
        attempt.timing.total = Duration::from_millis(world.roll(30_000));
        let counts = Counts::of_record(Some(&attempt), verdict);
        if world.records(&claimed, Some(attempt), verdict).await.fenced {
            let scopes = [Scope::Environment, Scope::App(app), Scope::Endpoint(claimed.endpoint.id)];
            self.note(&scopes, &counts);
        }
    }
}

pub async fn sums_agree_with_what_was_accepted_and_recorded(world: World) {
    let app = world.app().await;
    let endpoints = [world.endpoint(app).await, world.endpoint(app).await, world.endpoint(app).await];
    let mut book = Book::default();
    for _ in 0..600 {
        match world.roll(60) {
            0..18 => {
                world.accepts(app).await;
                book.note(&[Scope::Environment, Scope::App(app)], &accepted(1));
            }
            18..32 => {
                let endpoint = endpoints[usize::try_from(world.roll(3)).unwrap()];
                book.held.extend(world.store.claim(endpoint, 3, LEASE, world.now()).await.unwrap());
            }
            32..54 => book.ends_one(&world, app).await,
            54..58 => {
                world.advance(Duration::from_secs(world.roll(40)));
                world.store.release_expired(1_000, world.now()).await.unwrap();
            }
            58 => world.advance(2 * HOUR),
            _ => {
                world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
            }
        }
    }
    world.advance(ROLLUP_HOURS_KEPT);
    compacts(&world).await;
    assert!(book.counts[&Scope::Environment].attempts() > 50, "something happened");
    for (scope, counts) in &book.counts {
        assert_eq!(sum(&world, *scope).await, *counts, "{scope:?}");
    }
}
