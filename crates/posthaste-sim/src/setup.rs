//! The beginning of a world: three environments, their apps, a source, and the first endpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use posthaste_core::app::NewApp;
use posthaste_core::id::{AppId, EndpointId, SourceId};
use posthaste_core::retry::RetrySchedule;
use posthaste_core::source::{Config, Door, NewSource, Rules};
use posthaste_core::time::Timestamp;
use posthaste_engine::LaneLimits;
use posthaste_store::sqlite::SqliteStore;
use posthaste_store::{Directory as _, Sources as _};

use crate::book::SharedBook;
use crate::client::Ask;
use crate::doom::Doom;
use crate::network::Network;
use crate::node::Surroundings;
use crate::operator::Known;
use crate::plan::{Action, ENDPOINTS, Plan};
use crate::stream::Stream;
use crate::time::{Face, Time};
use crate::timing::Timing;
use crate::world::{Answers, Owner, World};

/// When every world begins.
const BEGIN: Timestamp = Timestamp::from_secs(1_790_000_000);
/// Environments, with an app each.
const ENVIRONMENTS: usize = 3;
/// Lanes so small that most of a burst waits in the store.
const SMALL_LANES: LaneLimits = LaneLimits { lane_depth_max: 4, held_bytes_max: 4 << 10, in_flight_max: 6 };

impl World {
    /// The world of a seed, its process running, its first endpoints made.
    pub(crate) fn begin(seed: u64, store_file: PathBuf) -> Self {
        let plan = Plan::of(seed);
        let dice = Stream::of(seed, "world");
        let (time, doom, book) = (Time::starting(BEGIN), Doom::watching(), SharedBook::default());
        let schedule = RetrySchedule::default();
        let timing = Arc::new(Mutex::new(Timing::of(schedule.clone(), plan.engines > 1)));
        let network = Network::new(seed, &time, &doom, &book, &timing);
        let lanes = if plan.small_lanes { SMALL_LANES } else { LaneLimits::default() };
        let around = Surroundings {
            seed,
            time,
            network,
            timing,
            book,
            schedule,
            engines: plan.engines,
            stalls: plan.stalls,
            lanes,
        };
        let mut world = Self {
            around,
            doom,
            dice,
            store_file,
            node: None,
            nodes: 0,
            owners: Vec::new(),
            endpoints: Vec::new(),
            asks: Vec::new(),
            made: BTreeMap::new(),
            tries: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_number: 0,
            heard: Answers::default(),
            events: BTreeMap::new(),
            draining: None,
            died_at: BEGIN,
            healed_at: None,
            patience: 0,
        };
        world.start();
        world.settles_in();
        for (after, event) in plan.events {
            world.plan_in(after, event);
        }
        world.asks = (0..plan.messages).map(|n| Ask::drawn(&world.dice, n, world.owners.len())).collect();
        world
    }

    fn settles_in(&mut self) {
        let node = self.node.as_ref().expect("nothing goes wrong yet");
        let now = self.around.time.now(Face::Wall);
        let made = Arc::new(Mutex::new(Vec::new()));
        let (store, dice) = (node.store.clone(), Stream::of(self.around.seed, "owners"));
        let owners = Arc::clone(&made);
        node.spawn(async move {
            let found = make_owners(&store, &dice, now).await;
            *owners.lock().unwrap_or_else(PoisonError::into_inner) = found;
        });
        node.settle();
        self.owners = std::mem::take(&mut made.lock().unwrap_or_else(PoisonError::into_inner));
        for number in 0..ENDPOINTS.1 {
            let id = EndpointId::fresh(now, &self.dice);
            let endpoint = Known::drawn(&self.dice, number, self.owners.len(), id);
            self.around.network.listen(&endpoint.url, id, endpoint.secret());
            self.endpoints.push(endpoint);
        }
        (0..ENDPOINTS.0).for_each(|number| self.act(Action::Make, number));
        self.live();
    }
}

async fn make_owners(store: &SqliteStore, dice: &Stream, now: Timestamp) -> Vec<Owner> {
    let mut owners = Vec::new();
    for number in 0..ENVIRONMENTS {
        let environment = store.environment(&format!("environment {number}"), now).await;
        let environment = environment.expect("nothing goes wrong yet").id;
        let id = AppId::fresh(now, dice);
        let name = format!("app {number}");
        let new = NewApp { id, uid: None, name, rate_per_second: None, metadata: BTreeMap::new() };
        let made = store.create_app(environment, new, false, now).await;
        drop(made.expect("nothing goes wrong yet"));
        owners.push(Owner::App { environment, id });
        if number == 0 {
            let new = NewSource {
                id: SourceId::fresh(now, dice),
                app: AppId::fresh(now, dice),
                uid: None,
                name: "source".to_owned(),
                provider: "github".to_owned(),
                config: Config::new("{}".to_owned()),
                door: Door::fresh(dice),
                rules: Rules::default(),
                paused: false,
                metadata: BTreeMap::new(),
            };
            let source = store.create_source(environment, new, now).await.expect("nothing goes wrong yet");
            owners.push(Owner::Source { environment, id: source.id, app: source.app });
        }
    }
    owners
}
