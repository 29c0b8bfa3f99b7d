//! What replays promise.

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use posthaste_core::attempt::Trigger;
use posthaste_core::delivery::{DeadLetter, DeliveryState, Verdict};
use posthaste_core::id::{AppId, EndpointId, MessageId, MessageKind};
use posthaste_core::job::{Job, JobReason, JobState, JobTask, Tally};
use posthaste_core::limits::{JOB_STEP_ROWS, REPLAYS_RUNNING_MAX};
use posthaste_core::name::{Channel, EventTypeName, Tag};
use posthaste_core::replay::{Pace, ReplayFilter, Which};
use posthaste_core::time::Timestamp;

use super::world::World;
use crate::error::ChangeError;
use crate::page::{Order, PageRequest};
use crate::queue::NewRecover;
use crate::replay::{JobFilter, NewReplay, ReplayScope, ReplayStep};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

async fn app_and_endpoint(world: &World) -> (AppId, EndpointId) {
    let app = world.app().await;
    (app, world.endpoint(app).await)
}

/// Which deliveries, whenever they were accepted.
fn those(world: &World, which: Which) -> ReplayFilter {
    ReplayFilter {
        which,
        since: Timestamp::EPOCH,
        until: world.now(),
        event_types: None,
        channel: None,
        tag: None,
        messages: None,
    }
}

fn scope(world: &World, app: AppId, endpoint: Option<EndpointId>, filter: ReplayFilter) -> ReplayScope {
    ReplayScope { environment: world.environment, app: app.into(), endpoint: endpoint.map(World::to), filter }
}

fn new(world: &World, scope: ReplayScope, rate: u16) -> NewReplay {
    NewReplay { id: world.id(), scope, pace: Pace(NonZeroU16::new(rate)), total: Tally::default() }
}

/// A replay that was asked for; a moment later, so that all that is there was accepted before.
async fn asks(
    world: &World,
    app: AppId,
    endpoint: Option<EndpointId>,
    filter: ReplayFilter,
    rate: u16,
) -> Job {
    world.advance(SECOND);
    let filter = ReplayFilter { until: world.now(), ..filter };
    let new = new(world, scope(world, app, endpoint, filter), rate);
    world.store.replay(new, world.now()).await.unwrap()
}

/// Makes one step.
async fn steps(world: &World) -> Job {
    match world.store.step_replay(world.now()).await.unwrap() {
        ReplayStep::Made(job) => job,
        other => panic!("no step was made: {other:?}"),
    }
}

/// Makes steps until it is over.
async fn runs(world: &World, job: &Job) -> Job {
    for _ in 0..1_000 {
        let now = steps(world).await;
        assert_eq!(now.id, job.id);
        if now.is_over() {
            assert_eq!(world.store.job(world.environment, job.id).await.unwrap(), Some(now.clone()));
            return now;
        }
    }
    panic!("it does not end");
}

/// Ends all that is due, delivered or given up.
async fn ends(world: &World, endpoint: EndpointId, delivered: bool) {
    let verdict = if delivered { Verdict::Delivered } else { Verdict::GiveUp(DeadLetter::Exhausted) };
    loop {
        let claimed = world.claims(endpoint).await;
        if claimed.is_empty() {
            return;
        }
        for claimed in claimed {
            world.records(&claimed, None, verdict).await;
        }
    }
}

async fn accepts_and_ends(world: &World, app: AppId, endpoint: EndpointId, delivered: bool) -> MessageId {
    let message = world.accepts(app).await;
    ends(world, endpoint, delivered).await;
    message
}

/// What is due again, each by hand and with its full schedule.
async fn put_back(world: &World, endpoint: EndpointId) -> Vec<MessageId> {
    let claimed = world.claims(endpoint).await;
    assert!(claimed.iter().all(|c| c.attempts_made == 0 && c.trigger == Trigger::Manual));
    let leases = claimed.iter().map(|c| (c.key(), c.lease)).collect();
    world.store.release(leases, world.now()).await.unwrap();
    let mut ids: Vec<_> = claimed.iter().map(|c| c.message.id).collect();
    ids.sort_unstable();
    ids
}

pub async fn a_replay_puts_back_what_stands_as_asked_and_leaves_the_rest(world: World) {
    for (which, expected) in [
        (Which::Failed, vec![0]),
        (Which::Delivered, vec![1]),
        (Which::Ended, vec![0, 1]),
        (Which::Missing, vec![]),
    ] {
        let (app, endpoint) = app_and_endpoint(&world).await;
        let failed = accepts_and_ends(&world, app, endpoint, false).await;
        let delivered = accepts_and_ends(&world, app, endpoint, true).await;
        world.accepts(app).await;
        let held = world.claims_one(endpoint).await;
        let later = world.now().later(MINUTE);
        world.tries(&held, 500, Verdict::RetryAt(later)).await;
        let desk = world.desk(false);
        let job = asks(&world, app, Some(endpoint), those(&world, which), 0).await;
        assert_eq!((job.state, job.done_count, desk.jobs_count()), (JobState::Running, 0, 1));
        let over = runs(&world, &job).await;
        assert_eq!((over.state, over.done_count), (JobState::Finished, expected.len() as u64), "{which:?}");
        let both = [failed, delivered];
        let expected: Vec<_> = expected.into_iter().map(|at| both[at]).collect();
        assert_eq!(put_back(&world, endpoint).await, expected, "{which:?}");
        let owed = world.state(app, held.message.id).await;
        assert_eq!(owed, DeliveryState::Waiting { due: later }, "what waits is left alone");
        assert_eq!(world.store.step_replay(world.now()).await.unwrap(), ReplayStep::Idle);
    }
}

pub async fn a_replay_of_an_app_goes_through_all_its_endpoints(world: World) {
    let app = world.app().await;
    let (first, second) = (world.endpoint(app).await, world.endpoint(app).await);
    let other = app_and_endpoint(&world).await;
    for _ in 0..3 {
        accepts_and_ends(&world, app, first, false).await;
        ends(&world, second, false).await;
        accepts_and_ends(&world, other.0, other.1, false).await;
    }
    let job = asks(&world, app, None, those(&world, Which::Failed), 0).await;
    let over = runs(&world, &job).await;
    assert_eq!((over.done_count, over.reason), (6, None));
    for (endpoint, count) in [(first, 3), (second, 3), (other.1, 0)] {
        assert_eq!(put_back(&world, endpoint).await.len(), count);
    }
}

pub async fn event_type_channel_and_tag_narrow_a_replay(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let (refunded, eu, vip) = (
        EventTypeName::parse("invoice.refunded").unwrap(),
        Channel::parse("eu").unwrap(),
        Tag::parse("vip").unwrap(),
    );
    accepts_and_ends(&world, app, endpoint, false).await;
    let typed = world.accepts_with(app, |new| new.event_type = refunded.clone()).await;
    let heard = world.accepts_with(app, |new| new.channels = vec![eu.clone()]).await;
    let tagged = world.accepts_with(app, |new| new.tags = vec![vip.clone()]).await;
    type Narrow<'a> = &'a dyn Fn(&mut ReplayFilter);
    let cases: [(Narrow<'_>, MessageId); 3] = [
        (&|filter| filter.event_types = Some(vec![refunded.clone()]), typed),
        (&|filter| filter.channel = Some(eu.clone()), heard),
        (&|filter| filter.tag = Some(vip.clone()), tagged),
    ];
    for (narrow, expected) in cases {
        ends(&world, endpoint, false).await;
        let mut filter = those(&world, Which::Failed);
        narrow(&mut filter);
        let job = asks(&world, app, Some(endpoint), filter, 0).await;
        assert_eq!(runs(&world, &job).await.done_count, 1);
        assert_eq!(put_back(&world, endpoint).await, [expected]);
    }
}

pub async fn a_replay_of_named_messages_touches_no_other(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let mut messages = vec![];
    for number in 0..6 {
        messages.push(accepts_and_ends(&world, app, endpoint, number % 2 == 0).await);
    }
    // One is not there, and does not stop it.
    let named = vec![messages[1], messages[4], MessageId::first_at(world.now())];
    let filter = ReplayFilter { messages: Some(named.clone()), ..those(&world, Which::Ended) };
    let counted = world.store.count_replay(scope(&world, app, None, filter.clone())).await.unwrap();
    assert_eq!(counted, Tally { count: 2, more: false });
    let job = asks(&world, app, None, filter, 0).await;
    assert_eq!(runs(&world, &job).await.done_count, 2);
    assert_eq!(put_back(&world, endpoint).await, named[..2]);
}

pub async fn a_replay_of_what_is_missing_makes_the_deliveries_that_an_endpoint_wants(world: World) {
    let app = world.app().await;
    let unwanted = EventTypeName::parse("unwanted").unwrap();
    let before = world.accepts(app).await;
    world.accepts_with(app, |new| new.event_type = unwanted).await;
    let wanted = EventTypeName::parse("invoice.paid").unwrap();
    let endpoint = world.endpoint_with(app, |new| new.filter.event_types = Some(vec![wanted])).await.id;
    let owed = accepts_and_ends(&world, app, endpoint, false).await;
    let filter = those(&world, Which::Missing);
    let counted = world.store.count_replay(scope(&world, app, Some(endpoint), filter.clone())).await.unwrap();
    assert_eq!(counted.count, 1);
    let job = asks(&world, app, Some(endpoint), filter, 0).await;
    assert_eq!((job.task, runs(&world, &job).await.done_count), (JobTask::ReplayMissing, 1));
    assert_eq!(put_back(&world, endpoint).await, [before]);
    let dead = DeliveryState::DeadLettered { why: DeadLetter::Exhausted };
    assert_eq!(world.state(app, owed).await, dead, "it was owed and is not missing");
}

pub async fn what_is_counted_is_what_is_put_back(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let count = u64::from(JOB_STEP_ROWS) + 7;
    for _ in 0..count {
        world.accepts(app).await;
    }
    ends(&world, endpoint, false).await;
    let middle = world.now();
    world.advance(SECOND);
    accepts_and_ends(&world, app, endpoint, true).await;
    let counted = async |filter| world.store.count_replay(scope(&world, app, None, filter)).await.unwrap();
    world.advance(SECOND);
    assert_eq!(counted(those(&world, Which::Failed)).await, Tally { count, more: false });
    assert_eq!(counted(those(&world, Which::Ended)).await.count, count + 1);
    let later = ReplayFilter { since: middle.later(SECOND / 2), ..those(&world, Which::Ended) };
    assert_eq!(counted(later).await.count, 1);
    let job = asks(&world, app, None, those(&world, Which::Ended), 0).await;
    let first = steps(&world).await;
    assert_eq!((first.done_count, first.state), (u64::from(JOB_STEP_ROWS), JobState::Running));
    assert_eq!(runs(&world, &job).await.done_count, count + 1);
}

pub async fn what_ends_again_while_a_replay_runs_is_not_put_back_twice(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let count = u64::from(JOB_STEP_ROWS) + 1;
    for _ in 0..count {
        world.accepts(app).await;
    }
    ends(&world, endpoint, false).await;
    let job = asks(&world, app, Some(endpoint), those(&world, Which::Failed), 0).await;
    assert_eq!(steps(&world).await.done_count, u64::from(JOB_STEP_ROWS));
    ends(&world, endpoint, false).await;
    assert_eq!(runs(&world, &job).await.done_count, count);
    assert_eq!(put_back(&world, endpoint).await.len(), 1, "of the first step nothing is due a third time");
}

pub async fn a_replay_that_several_are_at_puts_each_back_once(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let count = 3 * u64::from(JOB_STEP_ROWS) + 1;
    for _ in 0..count {
        world.accepts(app).await;
    }
    ends(&world, endpoint, true).await;
    let job = asks(&world, app, Some(endpoint), those(&world, Which::Ended), 0).await;
    let mut racing = tokio::task::JoinSet::new();
    for number in 0..12_u32 {
        let (store, now) = (Arc::clone(&world.store), world.now());
        let step = racing.spawn(async move { drop(store.step_replay(now).await) });
        // Some go away in the middle, as a node does that dies.
        if number % 3 == 0 {
            step.abort();
        }
    }
    while racing.join_next().await.is_some() {}
    let now = world.store.job(world.environment, job.id).await.unwrap().unwrap();
    let over = if now.is_over() { now } else { runs(&world, &job).await };
    assert_eq!((over.state, over.done_count), (JobState::Finished, count));
    let mut seen = HashSet::new();
    loop {
        let claimed = world.claims(endpoint).await;
        if claimed.is_empty() {
            break;
        }
        assert!(claimed.iter().all(|claimed| seen.insert(claimed.message.id)));
    }
    assert_eq!(seen.len() as u64, count);
}

pub async fn what_is_accepted_after_a_replay_was_asked_for_is_not_touched(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let before = accepts_and_ends(&world, app, endpoint, false).await;
    // Whatever until it names.
    world.advance(SECOND);
    let filter = ReplayFilter { until: world.now().later(60 * MINUTE), ..those(&world, Which::Failed) };
    let new = new(&world, scope(&world, app, Some(endpoint), filter), 0);
    let job = world.store.replay(new, world.now()).await.unwrap();
    accepts_and_ends(&world, app, endpoint, false).await;
    assert_eq!(runs(&world, &job).await.done_count, 1);
    assert_eq!(put_back(&world, endpoint).await, [before]);
}

pub async fn a_rate_is_kept_by_the_clock(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    for _ in 0..25 {
        world.accepts(app).await;
    }
    ends(&world, endpoint, false).await;
    let job = asks(&world, app, Some(endpoint), those(&world, Which::Failed), 10).await;
    let began = world.now();
    let mut done = vec![];
    loop {
        match world.store.step_replay(world.now()).await.unwrap() {
            ReplayStep::Made(now) => {
                let elapsed = world.now().since(began);
                let allowed = 10.0f64.mul_add(elapsed.as_secs_f64(), 2.0);
                assert!(now.done_count as f64 <= allowed, "{} after {elapsed:?}", now.done_count);
                done.push(now.done_count);
                if now.is_over() {
                    break;
                }
            }
            ReplayStep::Later(at) => {
                assert!(at > world.now());
                world.advance(at.since(world.now()));
            }
            ReplayStep::Idle => panic!("it is not over"),
        }
    }
    assert_eq!(done.last(), Some(&25));
    let took = world.now().since(began);
    assert!((Duration::from_millis(2_200)..=Duration::from_millis(2_600)).contains(&took), "{took:?}");
    // Whoever comes late does not make up for it.
    ends(&world, endpoint, false).await;
    let again = asks(&world, app, Some(endpoint), those(&world, Which::Failed), 10).await;
    world.advance(MINUTE);
    assert_eq!(steps(&world).await.done_count, 2);
    assert!(matches!(world.store.step_replay(world.now()).await.unwrap(), ReplayStep::Later(_)));
    assert_ne!(again.id, job.id);
}

pub async fn a_replay_without_a_rate_does_not_wait_for_one_that_has_one(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let other = app_and_endpoint(&world).await;
    for _ in 0..5 {
        accepts_and_ends(&world, app, endpoint, false).await;
        accepts_and_ends(&world, other.0, other.1, false).await;
    }
    let slow = asks(&world, app, Some(endpoint), those(&world, Which::Failed), 1).await;
    assert_eq!(steps(&world).await.id, slow.id);
    let fast = asks(&world, other.0, Some(other.1), those(&world, Which::Failed), 0).await;
    world.store.cancel_job(world.environment, slow.id, world.now()).await.unwrap();
    assert_eq!(runs(&world, &fast).await.done_count, 5);
}

pub async fn what_lost_its_payload_is_counted_and_not_put_back(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let expunged = accepts_and_ends(&world, app, endpoint, false).await;
    let whole = accepts_and_ends(&world, app, endpoint, false).await;
    let to = World::to::<MessageKind>(expunged);
    world.store.expunge_message(world.environment, &app.into(), &to).await.unwrap();
    let filter = those(&world, Which::Failed);
    world.advance(SECOND);
    let filter = ReplayFilter { until: world.now(), ..filter };
    assert_eq!(world.store.count_replay(scope(&world, app, None, filter.clone())).await.unwrap().count, 1);
    let job = asks(&world, app, Some(endpoint), filter, 0).await;
    let over = runs(&world, &job).await;
    assert_eq!((over.done_count, over.lost_count, over.state), (1, 1, JobState::Finished));
    assert_eq!(put_back(&world, endpoint).await, [whole]);
}

pub async fn a_cancelled_replay_goes_no_further(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    for _ in 0..=JOB_STEP_ROWS {
        world.accepts(app).await;
    }
    ends(&world, endpoint, false).await;
    let job = asks(&world, app, Some(endpoint), those(&world, Which::Failed), 0).await;
    steps(&world).await;
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let foreign = world.store.cancel_job(elsewhere, job.id, world.now()).await;
    assert!(matches!(foreign, Err(ChangeError::NotFound(_))));
    for _ in 0..2 {
        let stopped = world.store.cancel_job(world.environment, job.id, world.now()).await.unwrap();
        assert_eq!((stopped.state, stopped.done_count), (JobState::Cancelled, u64::from(JOB_STEP_ROWS)));
    }
    assert_eq!(world.store.step_replay(world.now()).await.unwrap(), ReplayStep::Idle);
    assert_eq!(put_back(&world, endpoint).await.len(), JOB_STEP_ROWS as usize);
}

fn recovery(world: &World, app: AppId, endpoint: EndpointId) -> NewRecover {
    let (environment, endpoint, until) = (world.environment, World::to(endpoint), world.now());
    NewRecover { id: world.id(), environment, app: app.into(), endpoint, since: Timestamp::EPOCH, until }
}

pub async fn a_cancelled_recovery_goes_no_further(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    accepts_and_ends(&world, app, endpoint, false).await;
    world.advance(SECOND);
    let job = world.store.recover(recovery(&world, app, endpoint), world.now()).await.unwrap();
    let stopped = world.store.cancel_job(world.environment, job.id, world.now()).await.unwrap();
    assert_eq!((stopped.state, stopped.task), (JobState::Cancelled, JobTask::Recover));
    assert_eq!(world.store.step_job(world.now()).await.unwrap(), None);
    assert!(put_back(&world, endpoint).await.is_empty());
}

pub async fn a_replay_ends_when_its_endpoint_or_its_app_is_gone_or_disabled(world: World) {
    for expected in [JobReason::EndpointDisabled, JobReason::EndpointDeleted, JobReason::AppDeleted] {
        let (app, endpoint) = app_and_endpoint(&world).await;
        accepts_and_ends(&world, app, endpoint, false).await;
        let job = asks(&world, app, Some(endpoint), those(&world, Which::Failed), 0).await;
        match expected {
            JobReason::EndpointDisabled => world.disables(app, endpoint, true).await,
            JobReason::EndpointDeleted => world.deletes(app, endpoint).await,
            JobReason::AppDeleted => {
                world.store.delete_app(world.environment, &app.into(), world.now()).await.unwrap();
            }
        }
        let over = runs(&world, &job).await;
        assert_eq!((over.state, over.reason, over.done_count), (JobState::Failed, Some(expected), 0));
    }
}

pub async fn a_replay_of_an_app_passes_disabled_endpoints_by_and_says_so(world: World) {
    let app = world.app().await;
    let (first, second) = (world.endpoint(app).await, world.endpoint(app).await);
    accepts_and_ends(&world, app, first, false).await;
    ends(&world, second, false).await;
    world.disables(app, first, true).await;
    let job = asks(&world, app, None, those(&world, Which::Failed), 0).await;
    let over = runs(&world, &job).await;
    let passed_by = Some(JobReason::EndpointDisabled);
    assert_eq!((over.state, over.reason, over.done_count), (JobState::Finished, passed_by, 1));
    assert_eq!(put_back(&world, second).await.len(), 1);
}

pub async fn a_replay_of_what_is_another_tenants_is_refused(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let (other, _) = app_and_endpoint(&world).await;
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let all = || those(&world, Which::Ended);
    let foreign = ReplayScope { environment: elsewhere, ..scope(&world, app, None, all()) };
    for scope in
        [foreign, scope(&world, other, Some(endpoint), all()), scope(&world, AppId::MIN, None, all())]
    {
        let counted = world.store.count_replay(scope.clone()).await;
        assert!(matches!(counted, Err(ChangeError::NotFound(_))));
        let asked = world.store.replay(new(&world, scope, 0), world.now()).await;
        assert!(matches!(asked, Err(ChangeError::NotFound(_))));
    }
}

pub async fn so_many_replays_may_be_under_way_and_no_more(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let ask = async || {
        let scope = scope(&world, app, Some(endpoint), those(&world, Which::Failed));
        world.store.replay(new(&world, scope, 0), world.now()).await
    };
    for _ in 0..REPLAYS_RUNNING_MAX {
        ask().await.unwrap();
    }
    assert!(matches!(ask().await, Err(ChangeError::TooMany("replays"))));
    world.advance(SECOND);
    assert!(steps(&world).await.is_over());
    ask().await.unwrap();
}

pub async fn jobs_are_listed_by_what_they_do_and_how_they_stand(world: World) {
    let (app, endpoint) = app_and_endpoint(&world).await;
    let replay = asks(&world, app, Some(endpoint), those(&world, Which::Failed), 0).await;
    let over = runs(&world, &replay).await;
    let missing = asks(&world, app, None, those(&world, Which::Missing), 0).await;
    let stopped = world.store.cancel_job(world.environment, missing.id, world.now()).await.unwrap();
    let recovery = world.store.recover(recovery(&world, app, endpoint), world.now()).await.unwrap();
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let list = async |filter, page| world.store.jobs(world.environment, filter, page).await.unwrap();
    let all = JobFilter::default();
    let page = list(all, PageRequest::first(Order::Ascending)).await;
    assert_eq!((page.rows, page.done), (vec![over.clone(), stopped.clone(), recovery.clone()], true));
    let first = PageRequest { limit: 2, ..PageRequest::first(Order::Descending) };
    let page = list(all, first.clone()).await;
    assert_eq!((page.rows, page.done), (vec![recovery.clone(), stopped.clone()], false));
    let page = list(all, PageRequest { cursor: crate::page::Cursor::After(stopped.id), ..first }).await;
    assert_eq!((page.rows, page.done), (vec![over.clone()], true));
    for (task, state, expected) in [
        (Some(JobTask::Replay), None, &over),
        (Some(JobTask::ReplayMissing), None, &stopped),
        (None, Some(JobState::Running), &recovery),
        (None, Some(JobState::Finished), &over),
        (None, Some(JobState::Failed), &stopped),
    ] {
        let page = list(JobFilter { task, state }, PageRequest::first(Order::Ascending)).await;
        assert_eq!(page.rows, std::slice::from_ref(expected));
    }
    let foreign = world.store.jobs(elsewhere, all, PageRequest::first(Order::Ascending)).await.unwrap();
    assert!(foreign.rows.is_empty());
}
