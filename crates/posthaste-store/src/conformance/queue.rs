//! What the queue promises.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use posthaste_core::attempt::Trigger;
use posthaste_core::delivery::{Claimed, DeadLetter, DeliveryKey, DeliveryState, Verdict};
use posthaste_core::id::{AppId, EndpointId, MessageId};
use posthaste_core::limits::{FAILING_BEFORE_DISABLE, JOB_STEP_ROWS};
use posthaste_core::time::Timestamp;

use super::world::{LEASE, World};
use crate::directory::Owner;
use crate::error::ChangeError;
use crate::queue::{Backlog, Commits, NewRecover, Record};

const MINUTE: Duration = Duration::from_secs(60);

async fn app_and_endpoint(world: &World) -> (AppId, EndpointId) {
    let app = world.app().await;
    (app, world.endpoint(app).await)
}

async fn endpoint_of(world: &World, app: AppId, endpoint: EndpointId) -> posthaste_core::endpoint::Endpoint {
    let owner = Owner::App(app.into());
    world.store.endpoint(world.environment, &owner, &World::to(endpoint)).await.unwrap()
}

pub async fn no_two_callers_hold_a_live_lease_on_one_delivery(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    for _ in 0..100 {
        world.accepts(app).await;
    }
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (store, now) = (Arc::clone(&world.store), world.now());
        racing.spawn(async move { store.claim(endpoint, 7, LEASE, now).await.unwrap() });
    }
    let claimed: Vec<_> = racing.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 100);
    assert_eq!(claimed.iter().map(Claimed::key).collect::<HashSet<_>>().len(), 100);
    assert_eq!(claimed.iter().map(|c| c.lease.token).collect::<HashSet<_>>().len(), 100);
}

/// What a random walk believes.
#[derive(Default)]
struct Walk {
    held: HashMap<DeliveryKey, Claimed>,
    stale: Vec<Claimed>,
    ended: HashSet<DeliveryKey>,
}

pub async fn whatever_happens_leases_stay_apart_and_nothing_is_lost(world: World) {
    for _ in 0..4 {
        random_walk(&world).await;
    }
}

async fn random_walk(world: &World) {
    let app = world.app().await;
    let endpoints = [world.endpoint(app).await, world.endpoint(app).await];
    let mut walk = Walk::default();
    let mut messages_count = 0;
    for _ in 0..600 {
        match world.roll(10) {
            0..3 => {
                world.accepts(app).await;
                messages_count += 1;
            }
            3..6 => {
                let endpoint = endpoints[usize::from(world.roll(2) == 1)];
                let limit = u32::try_from(world.roll(5)).unwrap();
                let claimed = world.store.claim(endpoint, limit, LEASE, world.now()).await.unwrap();
                walk.take(claimed, world.now());
            }
            6..8 => walk.end_one(world).await,
            8 => {
                world.advance(Duration::from_secs(world.roll(40)));
                let limit = u32::try_from(world.roll(10)).unwrap();
                world.store.release_expired(limit, world.now()).await.unwrap();
            }
            _ => walk.try_without_the_lease(world).await,
        }
    }
    // Whoever still holds something is gone now: the rest comes back, and can be delivered.
    for _ in 0..200 {
        world.advance(LEASE);
        world.store.release_expired(1_000, world.now()).await.unwrap();
        for endpoint in endpoints {
            for claimed in world.claims(endpoint).await {
                world.tries(&claimed, 200, Verdict::Delivered).await;
                walk.ended.insert(claimed.key());
            }
        }
        if walk.ended.len() == 2 * messages_count {
            break;
        }
    }
    // Not the backlog: over PostgreSQL a count that crosses a commit is off until the next one.
    assert_eq!(world.store.oldest_due().await.unwrap(), None);
    assert_eq!(walk.ended.len(), 2 * messages_count, "each message reached both endpoints or was given up");
}

impl Walk {
    fn take(&mut self, claimed: Vec<Claimed>, now: Timestamp) {
        for one in claimed {
            assert!(!self.ended.contains(&one.key()), "what has ended is not claimed");
            if let Some(before) = self.held.insert(one.key(), one) {
                assert!(before.lease.until <= now, "a live lease was given away");
                self.stale.push(before);
            }
        }
    }

    async fn end_one(&mut self, world: &World) {
        let Some(key) = self.held.keys().min().copied() else { return };
        let Some(claimed) = self.held.remove(&key) else { return };
        let verdict = match world.roll(4) {
            0 => Verdict::Delivered,
            1 => Verdict::RetryAt(world.now().later(Duration::from_secs(world.roll(30)))),
            2 => Verdict::GiveUp(DeadLetter::Exhausted),
            _ => {
                let release = vec![(claimed.key(), claimed.lease)];
                return world.store.release(release, world.now()).await.unwrap();
            }
        };
        let attempt = world.attempt(&claimed, if verdict == Verdict::Delivered { 200 } else { 500 });
        let ours = world.records(&claimed, Some(attempt), verdict).await.fenced;
        assert!(ours || claimed.lease.until <= world.now(), "a live lease was taken away");
        if ours && !matches!(verdict, Verdict::RetryAt(_)) {
            self.ended.insert(key);
        }
    }

    async fn try_without_the_lease(&mut self, world: &World) {
        let Some(claimed) = self.stale.pop() else { return };
        let attempt = world.attempt(&claimed, 200);
        assert!(!world.records(&claimed, Some(attempt), Verdict::Delivered).await.fenced);
    }
}

pub async fn a_claim_takes_what_is_due_oldest_first_and_no_more_than_asked(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let later = world.now().later(MINUTE);
    let second = world.accepts_with(app, |new| new.deliver_at = Some(later)).await;
    let mut expected = vec![];
    for _ in 0..3 {
        expected.push(world.accepts(app).await);
    }
    world.advance(2 * MINUTE);
    expected.push(second);
    expected.push(world.accepts(app).await);
    let mut got = vec![];
    for limit in [2, 2, 2] {
        let claimed = world.store.claim(endpoint, limit, LEASE, world.now()).await.unwrap();
        got.extend(claimed.iter().map(|c| c.message.id));
    }
    // Five in three claims, the sixth place stays empty.
    assert_eq!(got, expected);
}

pub async fn what_waits_for_an_endpoint_is_counted_up_to_a_bound(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let waiting = async |most| {
        let tally = world.store.waiting_for(endpoint, most).await.unwrap();
        (tally.count, tally.more)
    };
    assert_eq!(waiting(9).await, (0, false));
    let later = world.now().later(MINUTE);
    world.accepts_with(app, |new| new.deliver_at = Some(later)).await;
    for _ in 0..2 {
        world.accepts(app).await;
    }
    assert_eq!((waiting(9).await, waiting(3).await, waiting(2).await), ((3, false), (3, false), (2, true)));
    world.store.claim(endpoint, 1, LEASE, world.now()).await.unwrap();
    assert_eq!(waiting(9).await, (2, false), "what is in flight does not wait");
}

pub async fn a_claim_carries_the_message_the_endpoint_and_the_attempts_made(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let message = world.accepts(app).await;
    let first = world.claims_one(endpoint).await;
    assert_eq!((first.attempts_made, first.trigger), (0, Trigger::Scheduled));
    assert_eq!(first.environment, world.environment);
    assert_eq!(*first.endpoint, endpoint_of(&world, app, endpoint).await);
    assert_eq!(first.lease.until, world.now().later(LEASE));
    assert_eq!(first.undeliverable(), None);
    let kept = world.store.message(world.environment, &app.into(), &World::to(message), true).await;
    assert_eq!(*first.message, kept.unwrap());
    world.tries(&first, 500, Verdict::RetryAt(world.now())).await;
    assert_eq!(world.claims_one(endpoint).await.attempts_made, 1);
}

pub async fn endpoints_with_something_due_are_listed_in_order(world: World) {
    let app = world.app().await;
    let mut endpoints: Vec<EndpointId> = vec![];
    for _ in 0..5 {
        endpoints.push(world.endpoint(app).await);
    }
    world.endpoint_with(world.app().await, |_| {}).await;
    world.accepts(app).await;
    let retried = world.claims_one(endpoints[2]).await;
    world.tries(&retried, 500, Verdict::RetryAt(world.now().later(MINUTE))).await;
    endpoints.remove(2);
    let due = |after, limit| world.store.due_endpoints(after, limit, world.now());
    assert_eq!(due(None, 10).await.unwrap(), endpoints);
    assert_eq!(due(None, 3).await.unwrap(), endpoints[..3]);
    assert_eq!(due(Some(endpoints[1]), 10).await.unwrap(), endpoints[2..]);
    assert!(due(Some(endpoints[3]), 10).await.unwrap().is_empty());
}

pub async fn the_oldest_due_delivery_is_the_one_that_waited_longest(world: World) {
    let app = world.app().await;
    let (first, _) = (world.endpoint(app).await, world.endpoint(app).await);
    assert_eq!(world.store.oldest_due().await.unwrap(), None);
    world.accepts(app).await;
    let (due, later) = (world.now(), world.now().later(MINUTE));
    let claimed = world.claims_one(first).await;
    world.tries(&claimed, 500, Verdict::RetryAt(later)).await;
    assert_eq!(world.store.oldest_due().await.unwrap(), Some(due));
}

pub async fn attempt_new_state_and_health_appear_together(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let message = world.accepts(app).await;
    let due = world.now().later(MINUTE);
    let claimed = world.claims_one(endpoint).await;
    let attempt = world.tries(&claimed, 503, Verdict::RetryAt(due)).await;
    assert_eq!(world.state(app, message).await, DeliveryState::Waiting { due });
    assert_eq!(world.attempts(app, message).await[0].attempt.id, attempt);
    assert_eq!(endpoint_of(&world, app, endpoint).await.failing_since, Some(world.now()));
}

pub async fn a_record_without_the_lease_keeps_the_attempt_and_leaves_the_state(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let message = world.accepts(app).await;
    let lost = world.claims_one(endpoint).await;
    world.advance(LEASE);
    assert_eq!(world.store.release_expired(10, world.now()).await.unwrap(), 1);
    let held = world.claims_one(endpoint).await;
    let late = world.attempt(&lost, 500);
    let recorded = world.records(&lost, Some(late), Verdict::GiveUp(DeadLetter::Exhausted)).await;
    assert!(!recorded.fenced);
    assert_eq!(world.state(app, message).await, DeliveryState::InFlight { lease: held.lease });
    assert_eq!(world.attempts(app, message).await.len(), 1);
    world.tries(&held, 200, Verdict::Delivered).await;
    assert_eq!(world.destinations(app, message).await[0].attempts_made, 1);
}

pub async fn a_record_that_is_repeated_counts_once(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let message = world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    let attempt = world.attempt(&claimed, 200);
    for ours in [true, false] {
        let recorded = world.records(&claimed, Some(attempt.clone()), Verdict::Delivered).await;
        assert_eq!(recorded.fenced, ours);
    }
    assert_eq!(world.attempts(app, message).await.len(), 1);
    assert_eq!(world.destinations(app, message).await[0].attempts_made, 1);
}

pub async fn a_retry_waits_until_its_time_and_is_hinted_at(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    let desk = world.desk(true);
    let due = world.now().later(MINUTE);
    world.tries(&claimed, 500, Verdict::RetryAt(due)).await;
    assert_eq!(desk.due(), [(endpoint, due)]);
    assert!(world.claims(endpoint).await.is_empty());
    world.advance(MINUTE);
    world.claims_one(endpoint).await;
}

pub async fn a_delivery_that_is_given_up_keeps_its_reason(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    for why in
        [DeadLetter::Exhausted, DeadLetter::Gone, DeadLetter::EndpointDisabled, DeadLetter::ContentGone]
    {
        let message = world.accepts(app).await;
        let claimed = world.claims_one(endpoint).await;
        assert!(world.records(&claimed, None, Verdict::GiveUp(why)).await.fenced);
        assert_eq!(world.state(app, message).await, DeliveryState::DeadLettered { why });
        assert!(world.attempts(app, message).await.is_empty());
        assert_eq!(world.destinations(app, message).await[0].attempts_made, 0);
    }
}

pub async fn a_410_disables_the_endpoint_and_hints_at_what_waits_for_it(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    let desk = world.desk(false);
    let attempt = world.attempt(&claimed, 410);
    let recorded = world.records(&claimed, Some(attempt), Verdict::GiveUp(DeadLetter::Gone)).await;
    assert!(recorded.disabled_endpoint);
    assert!(endpoint_of(&world, app, endpoint).await.disabled);
    assert!(desk.due().iter().any(|(hinted, due)| *hinted == endpoint && *due <= world.now()));
    assert!(world.owed_to(app, world.accepts(app).await).await.is_empty());
}

pub async fn an_endpoint_that_fails_for_days_is_disabled_and_one_success_forgives(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let fail = async |status, verdict| {
        world.accepts(app).await;
        let claimed = world.claims_one(endpoint).await;
        let attempt = world.attempt(&claimed, status);
        world.records(&claimed, Some(attempt), verdict).await.disabled_endpoint
    };
    let give_up = Verdict::GiveUp(DeadLetter::Exhausted);
    assert!(!fail(500, give_up).await);
    world.advance(FAILING_BEFORE_DISABLE);
    assert!(!fail(200, Verdict::Delivered).await);
    assert_eq!(endpoint_of(&world, app, endpoint).await.failing_since, None);
    assert!(!fail(0, give_up).await);
    world.advance(FAILING_BEFORE_DISABLE.saturating_sub(Duration::from_secs(1)));
    assert!(!fail(500, give_up).await);
    world.advance(Duration::from_secs(1));
    assert!(fail(500, give_up).await);
    assert!(endpoint_of(&world, app, endpoint).await.disabled);
}

pub async fn a_released_delivery_is_due_at_once_and_untried(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    let desk = world.desk(true);
    let release = vec![(claimed.key(), claimed.lease)];
    world.store.release(release.clone(), world.now()).await.unwrap();
    assert_eq!(desk.due(), [(endpoint, world.now())]);
    let again = world.claims_one(endpoint).await;
    assert_eq!(again.attempts_made, 0);
    assert_ne!(again.lease.token, claimed.lease.token);
    // Whoever lost the lease gives nothing back.
    world.store.release(release, world.now()).await.unwrap();
    assert!(world.claims(endpoint).await.is_empty());
}

pub async fn what_is_given_back_keeps_its_place_before_what_was_accepted_later(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let first = world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    world.advance(LEASE / 4);
    let second = world.accepts(app).await;
    world.advance(LEASE / 4);
    world.store.release(vec![(claimed.key(), claimed.lease)], world.now()).await.unwrap();
    let order: Vec<_> = world.claims(endpoint).await.iter().map(|claimed| claimed.message.id).collect();
    assert_eq!(order, [first, second]);
}

pub async fn an_expired_lease_goes_back_and_a_live_one_does_not(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    world.accepts(app).await;
    let first = world.claims_one(endpoint).await;
    world.advance(LEASE / 2);
    world.accepts(app).await;
    world.claims_one(endpoint).await;
    world.advance(LEASE / 2);
    assert_eq!(world.store.release_expired(10, world.now()).await.unwrap(), 1);
    assert_eq!(world.store.release_expired(10, world.now()).await.unwrap(), 0);
    assert_eq!(world.claims_one(endpoint).await.message.id, first.message.id);
}

pub async fn what_waits_for_a_disabled_endpoint_is_claimed_to_be_ended(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    world.accepts(app).await;
    let desk = world.desk(false);
    world.disables(app, endpoint, true).await;
    assert_eq!(desk.due(), [(endpoint, world.now())]);
    let claimed = world.claims_one(endpoint).await;
    assert_eq!(claimed.undeliverable(), Some(DeadLetter::EndpointDisabled));
}

pub async fn what_waits_for_a_deleted_endpoint_is_claimed_to_be_ended(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    world.accepts(app).await;
    let desk = world.desk(false);
    world.deletes(app, endpoint).await;
    assert_eq!(desk.due(), [(endpoint, world.now())]);
    let claimed = world.claims_one(endpoint).await;
    assert_eq!(claimed.undeliverable(), Some(DeadLetter::EndpointDeleted));
}

pub async fn what_waits_for_a_deleted_app_is_claimed_to_be_ended(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    world.accepts(app).await;
    let desk = world.desk(false);
    world.store.delete_app(world.environment, &app.into(), world.now()).await.unwrap();
    assert_eq!(desk.due(), [(endpoint, world.now())]);
    let claimed = world.claims_one(endpoint).await;
    assert_eq!(claimed.undeliverable(), Some(DeadLetter::EndpointDeleted));
}

pub async fn a_resend_puts_a_delivery_back_with_its_full_schedule(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let message = world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    world.tries(&claimed, 500, Verdict::GiveUp(DeadLetter::Exhausted)).await;
    let desk = world.desk(false);
    world.resends(app, message, endpoint).await;
    assert_eq!(desk.due(), [(endpoint, world.now())]);
    let again = world.claims_one(endpoint).await;
    assert_eq!((again.attempts_made, again.trigger), (0, Trigger::Manual));
}

pub async fn a_resend_makes_a_delivery_that_never_was(world: World) {
    let app = world.app().await;
    let message = world.accepts(app).await;
    let endpoint = world.endpoint(app).await;
    world.resends(app, message, endpoint).await;
    assert_eq!(world.claims_one(endpoint).await.message.id, message);
}

pub async fn a_resend_leaves_a_delivery_in_flight_alone(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let message = world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    world.resends(app, message, endpoint).await;
    assert_eq!(world.state(app, message).await, DeliveryState::InFlight { lease: claimed.lease });
}

pub async fn a_resend_goes_out_even_to_a_disabled_endpoint(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    world.disables(app, endpoint, true).await;
    let message = world.accepts(app).await;
    world.resends(app, message, endpoint).await;
    assert_eq!(world.claims_one(endpoint).await.undeliverable(), None);
}

pub async fn what_is_not_there_or_has_no_body_cannot_be_resent(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let (message, expunged) = (world.accepts(app).await, world.accepts(app).await);
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let to = World::to::<posthaste_core::id::MessageKind>;
    world.store.expunge_message(world.environment, &app.into(), &to(expunged)).await.unwrap();
    for (environment, message, endpoint) in [
        (elsewhere, message, endpoint),
        (world.environment, expunged, endpoint),
        (world.environment, MessageId::MIN, endpoint),
        (world.environment, message, EndpointId::MIN),
    ] {
        let (message, endpoint) = (to(message), World::to(endpoint));
        let refused = world.store.resend(environment, &app.into(), &message, &endpoint, world.now()).await;
        assert!(matches!(refused, Err(ChangeError::NotFound(_))));
    }
}

fn recovery(world: &World, app: AppId, endpoint: EndpointId, since: Timestamp) -> NewRecover {
    NewRecover {
        id: world.id(),
        environment: world.environment,
        app: app.into(),
        endpoint: World::to(endpoint),
        since,
        until: world.now(),
    }
}

pub async fn a_recovery_puts_back_the_dead_letters_of_its_time_in_steps(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let old = world.accepts(app).await;
    world.advance(MINUTE);
    let since = world.now();
    let count = u64::from(JOB_STEP_ROWS) + 1;
    for _ in 0..count {
        world.accepts(app).await;
    }
    let delivered = world.accepts(app).await;
    for claimed in world.claims(endpoint).await {
        let ended = claimed.message.id != delivered;
        let verdict = if ended { Verdict::GiveUp(DeadLetter::Exhausted) } else { Verdict::Delivered };
        world.records(&claimed, None, verdict).await;
    }
    world.advance(MINUTE);
    let asked = recovery(&world, app, endpoint, since);
    let desk = world.desk(false);
    let job = world.store.recover(asked, world.now()).await.unwrap();
    assert_eq!((job.done_count, job.is_over(), desk.jobs_count()), (0, false, 1));
    let step = world.store.step_job(world.now()).await.unwrap().unwrap();
    assert_eq!((step.done_count, step.is_over()), (u64::from(JOB_STEP_ROWS), false));
    let step = world.store.step_job(world.now()).await.unwrap().unwrap();
    assert_eq!((step.done_count, step.is_over()), (count, true));
    assert_eq!(world.store.step_job(world.now()).await.unwrap(), None);
    assert_eq!(world.store.job(world.environment, job.id).await.unwrap(), Some(step));
    let claimed = world.claims(endpoint).await;
    assert_eq!(claimed.len() as u64, count);
    assert!(claimed.iter().all(|c| c.attempts_made == 0 && c.trigger == Trigger::Manual));
    let dead = DeliveryState::DeadLettered { why: DeadLetter::Exhausted };
    assert_eq!(world.state(app, old).await, dead, "it was accepted before that time");
}

pub async fn a_job_of_another_environment_is_not_seen(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let asked = recovery(&world, app, endpoint, world.now());
    let job = world.store.recover(asked.clone(), world.now()).await.unwrap();
    assert_eq!(world.store.job(elsewhere, job.id).await.unwrap(), None);
    let foreign = NewRecover { environment: elsewhere, id: world.id(), ..asked };
    assert!(matches!(world.store.recover(foreign, world.now()).await, Err(ChangeError::NotFound(_))));
}

pub async fn old_messages_that_are_owed_to_nobody_are_forgotten(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let event_id = posthaste_core::name::Uid::parse("evt-1").unwrap();
    let ended = world.accepts_with(app, |new| new.event_id = Some(event_id.clone())).await;
    let claimed = world.claims_one(endpoint).await;
    world.tries(&claimed, 200, Verdict::Delivered).await;
    let owed = world.accepts(app).await;
    world.advance(MINUTE);
    let before = world.now();
    let young = world.accepts(app).await;
    let forgotten = world.store.forget(before, world.now()).await.unwrap();
    assert_eq!((forgotten.messages_count, forgotten.more), (1, false));
    let there = async |id| {
        let id = World::to::<posthaste_core::id::MessageKind>(id);
        world.store.message(world.environment, &app.into(), &id, true).await.is_ok()
    };
    assert!(!there(ended).await && there(owed).await && there(young).await);
    world.accepts_with(app, |new| new.event_id = Some(event_id)).await;
    assert_eq!(world.claims(endpoint).await.len(), 3, "what is owed is still owed");
}

pub async fn a_body_is_forgotten_at_its_own_time_and_the_message_stays(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let at = world.now().later(MINUTE);
    let message = world.accepts_with(app, |new| new.expunge_at = Some(at)).await;
    assert_eq!(world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap().bodies_count, 0);
    world.advance(MINUTE);
    let forgotten = world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
    assert_eq!((forgotten.messages_count, forgotten.bodies_count), (0, 1));
    let kept = world.store.message(world.environment, &app.into(), &World::to(message), true).await;
    assert_eq!(kept.unwrap().body, None);
    assert_eq!(world.claims_one(endpoint).await.undeliverable(), Some(DeadLetter::ContentGone));
}

pub async fn forgetting_goes_on_in_steps_until_nothing_is_left(world: World) {
    let app = world.app().await;
    for _ in 0..posthaste_core::limits::RETENTION_STEP_ROWS + 5 {
        world.accepts(app).await;
    }
    world.advance(MINUTE);
    let mut steps = vec![];
    loop {
        let forgotten = world.store.forget(world.now(), world.now()).await.unwrap();
        steps.push(forgotten.messages_count);
        if !forgotten.more {
            break;
        }
    }
    assert_eq!(steps, [u64::from(posthaste_core::limits::RETENTION_STEP_ROWS), 5]);
}

pub async fn the_backlog_is_counted_as_it_changes(world: World) {
    let app = world.app().await;
    let (first, second) = (world.endpoint(app).await, world.endpoint(app).await);
    let is = |waiting_count, in_flight_count| {
        assert_eq!(world.store.backlog(), Backlog { waiting_count, in_flight_count });
    };
    is(0, 0);
    let message = world.accepts(app).await;
    is(2, 0);
    let claimed = world.claims_one(first).await;
    is(1, 1);
    world.tries(&claimed, 500, Verdict::RetryAt(world.now())).await;
    is(2, 0);
    let claimed = world.claims_one(first).await;
    world.tries(&claimed, 200, Verdict::Delivered).await;
    is(1, 0);
    world.resends(app, message, first).await;
    world.resends(app, message, first).await;
    is(2, 0);
    let claimed = world.claims_one(second).await;
    world.store.release(vec![(claimed.key(), claimed.lease)], world.now()).await.unwrap();
    is(2, 0);
    world.desk(true);
    world.accepts(app).await;
    is(2, 2);
}

pub async fn commands_that_wait_together_are_committed_together(world: World) {
    let app = world.app().await;
    let Commits { commits_count, commands_count, .. } = world.store.commits();
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let (store, new, now) = (Arc::clone(&world.store), world.message(app), world.now());
        racing.spawn(async move { store.accept(new, now).await.unwrap() });
    }
    racing.join_all().await;
    let after = world.store.commits();
    assert_eq!(after.commands_count - commands_count, 500);
    assert!(after.commits_count - commits_count < 500, "some shared a commit");
}

pub async fn what_happens_to_attempts_is_told_to_operational_webhooks(world: World) {
    let watcher = world.operational_endpoint().await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    assert_eq!(world.told(watcher).await, ["endpoint.created"]);
    let retry = Verdict::RetryAt(world.now());
    for attempt in 1..=5_u32 {
        if attempt == 1 {
            world.accepts(app).await;
        }
        let claimed = world.claims_one(endpoint).await;
        world.tries(&claimed, 500, retry).await;
        let expected: &[&str] = if attempt == 4 { &["message.attempt.failing"] } else { &[] };
        assert_eq!(world.told(watcher).await, expected, "attempt {attempt}");
    }
    let claimed = world.claims_one(endpoint).await;
    world.tries(&claimed, 200, Verdict::Delivered).await;
    assert_eq!(world.told(watcher).await, ["message.attempt.recovered"]);
    world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    world.tries(&claimed, 410, Verdict::GiveUp(DeadLetter::Gone)).await;
    assert_eq!(world.told(watcher).await, ["endpoint.disabled", "message.attempt.exhausted"]);
}

pub async fn what_happens_to_operational_webhooks_is_not_told_to_them(world: World) {
    let (watcher, other) = (world.operational_endpoint().await, world.operational_endpoint().await);
    world.endpoint(world.app().await).await;
    let claimed = world.claims_one(other).await;
    let attempt = world.attempt(&claimed, 410);
    let record = Record {
        key: claimed.key(),
        lease: claimed.lease,
        attempt: Some(attempt),
        verdict: Verdict::GiveUp(DeadLetter::Gone),
    };
    assert!(world.store.record(record, world.now()).await.unwrap().disabled_endpoint);
    assert_eq!(world.told(watcher).await, ["endpoint.created"]);
}
