//! Those who run apps: they make, change and remove endpoints, and ask for messages to be sent again.

use std::collections::BTreeMap;
use std::time::Duration;

use posthaste_core::app::Reference;
use posthaste_core::delivery::DeliveryKey;
use posthaste_core::endpoint::{EndpointChange, Filter, NewEndpoint};
use posthaste_core::id::{EndpointId, JobId, MessageId};
use posthaste_core::source::SourceChange;
use posthaste_signature::Secret;
use posthaste_store::directory::RotateSecret;
use posthaste_store::queue::NewRecover;
use posthaste_store::{ChangeError, Directory as _, Queue as _, Sources as _};
use posthaste_trials::judge::What;

use crate::book::open;
use crate::client::{EVENT_TYPES, name};
use crate::plan::Action;
use crate::stream::Stream;
use crate::time::Face;
use crate::world::{Heard, Owner, World};

/// How long an old secret signs on, at most.
const GRACE_MAX: Duration = Duration::from_hours(24);

/// What the world knows of an endpoint.
pub(crate) struct Known {
    pub(crate) id: EndpointId,
    pub(crate) owner: usize,
    pub(crate) url: String,
    event_types: Option<Vec<String>>,
    secret: Secret,
    rate: Option<u16>,
    deleted: bool,
}

impl Known {
    pub(crate) fn drawn(dice: &Stream, number: usize, owners: usize, id: EndpointId) -> Self {
        // Each owner has some.
        let owner = if number < owners { number } else { dice.below(owners) };
        Self {
            id,
            owner,
            url: format!("http://receiver-{number}/"),
            event_types: filter(dice),
            secret: secret(dice),
            rate: dice.chance(15).then_some(5),
            deleted: false,
        }
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    fn reference(&self) -> Reference {
        Reference::new(self.id.to_string())
    }
}

fn filter(dice: &Stream) -> Option<Vec<String>> {
    match dice.below(3) {
        0 => None,
        1 => dice.pick(&EVENT_TYPES).map(|one| vec![(*one).to_owned()]),
        _ => Some(EVENT_TYPES[..2].iter().map(|one| (*one).to_owned()).collect()),
    }
}

fn secret(dice: &Stream) -> Secret {
    let key: [u8; 24] = posthaste_core::dice::roll(dice);
    Secret::hmac(&key).expect("24 bytes are a key")
}

/// Something that was asked for and not answered yet.
pub(crate) struct Asked {
    action: Action,
    endpoint: usize,
    was_sure: bool,
    event_types: Option<Vec<String>>,
    grace: Duration,
}

impl World {
    /// Asks for `action` on endpoint `number`; nothing happens while there is no process.
    pub(crate) fn act(&mut self, action: Action, number: usize) {
        let about_endpoint = !matches!(action, Action::Resend | Action::Pause | Action::Resume);
        if self.node.is_none() || self.is_draining() || (about_endpoint && self.endpoints[number].deleted) {
            return;
        }
        let steady = self.around.time.now(Face::Steady);
        let id = self.endpoints[number].id.to_string();
        let was_sure = open(&self.around.book).is_sure(&id);
        let asked = Asked {
            action,
            endpoint: number,
            was_sure,
            event_types: filter(&self.dice),
            grace: self.dice.between(Duration::ZERO, GRACE_MAX),
        };
        if matches!(action, Action::Disable | Action::Enable | Action::Delete | Action::Refilter) {
            open(&self.around.book).ends(&id, steady);
        }
        match action {
            Action::Make => self.make(number),
            Action::Disable => self.change(number, |change| change.disabled = Some(true)),
            Action::Enable => self.change(number, |change| change.disabled = Some(false)),
            Action::Refilter => {
                let types = asked.event_types.as_ref().map(|all| all.iter().map(|one| name(one)).collect());
                self.change(number, |change| change.event_types = Some(types));
            }
            Action::Delete => self.delete(number),
            Action::Rotate => self.rotate(number, asked.grace),
            Action::Resend => self.resend(),
            Action::Recover => self.recover(number),
            Action::Pause => self.pause(true),
            Action::Resume => self.pause(false),
        }
        self.asked.insert(self.next_number - 1, asked);
    }

    /// Starts `work` on the store, under the next number.
    fn asks_for<F>(&mut self, work: F)
    where
        F: Future<Output = Result<(), ChangeError>> + Send + 'static,
    {
        let number = self.next_number;
        self.next_number += 1;
        let heard = self.heard.clone();
        if let Some(node) = &self.node {
            node.spawn(async move { heard.push(Heard::Done(number, work.await)) });
        }
    }

    fn store(&self) -> Option<std::sync::Arc<posthaste_store::sqlite::SqliteStore>> {
        self.node.as_ref().map(|node| node.store.clone())
    }

    fn make(&mut self, number: usize) {
        let Some(store) = self.store() else { return };
        let now = self.around.time.now(Face::Wall);
        let endpoint = &self.endpoints[number];
        let owner = &self.owners[endpoint.owner];
        let types = endpoint.event_types.as_ref().map(|all| all.iter().map(|one| name(one)).collect());
        let new = NewEndpoint {
            id: endpoint.id,
            uid: None,
            url: endpoint.url.clone(),
            description: String::new(),
            rate_per_second: endpoint.rate.and_then(std::num::NonZeroU16::new),
            disabled: false,
            filter: Filter { event_types: types, channels: None },
            headers: vec![],
            metadata: BTreeMap::new(),
            secret: endpoint.secret.clone(),
        };
        let (environment, owner) = (owner.environment(), owner.named());
        self.asks_for(async move { store.create_endpoint(environment, &owner, new, now).await.map(drop) });
    }

    fn change(&mut self, number: usize, what: impl FnOnce(&mut EndpointChange)) {
        let Some(store) = self.store() else { return };
        let now = self.around.time.now(Face::Wall);
        let mut change = EndpointChange::default();
        what(&mut change);
        let endpoint = &self.endpoints[number];
        let (environment, owner) = self.owner_of(number);
        let reference = endpoint.reference();
        self.asks_for(async move {
            store.change_endpoint(environment, &owner, &reference, change, now).await.map(drop)
        });
    }

    fn owner_of(
        &self,
        number: usize,
    ) -> (posthaste_core::tenant::EnvironmentId, posthaste_store::directory::Owner) {
        let owner: &Owner = &self.owners[self.endpoints[number].owner];
        (owner.environment(), owner.named())
    }

    fn delete(&mut self, number: usize) {
        let Some(store) = self.store() else { return };
        let now = self.around.time.now(Face::Wall);
        self.endpoints[number].deleted = true;
        let reference = self.endpoints[number].reference();
        let (environment, owner) = self.owner_of(number);
        self.asks_for(async move { store.delete_endpoint(environment, &owner, &reference, now).await });
    }

    fn rotate(&mut self, number: usize, grace: Duration) {
        let Some(store) = self.store() else { return };
        let now = self.around.time.now(Face::Wall);
        let secret = secret(&self.dice);
        let endpoint = &mut self.endpoints[number];
        self.around.network.learns(&endpoint.url, &secret);
        endpoint.secret = secret.clone();
        let reference = endpoint.reference();
        let (environment, owner) = self.owner_of(number);
        let rotate = RotateSecret { environment, owner, endpoint: reference, secret, grace };
        self.asks_for(async move { store.rotate_secret(rotate, now).await.map(drop) });
    }

    /// One that arrived is sent again, whatever came of it.
    fn resend(&mut self) {
        let (steady, wall) = (self.around.time.now(Face::Steady), self.around.time.now(Face::Wall));
        let drawn = {
            let book = open(&self.around.book);
            self.dice.pick(&book.got).map(|got| (got.message.clone(), got.endpoint.clone()))
        };
        let found = drawn.and_then(|(message, endpoint)| {
            let known = self.endpoints.iter().find(|one| one.id.to_string() == endpoint)?;
            Some((MessageId::parse(&message)?, known.id, known.owner))
        });
        let (Some(store), Some((message, endpoint, owner))) = (self.store(), found) else {
            return self.asks_for(async { Ok(()) });
        };
        open(&self.around.book).fault(What::Resend, Some(&endpoint.to_string()), steady, steady);
        let key = DeliveryKey { message, endpoint };
        self.timing().put_back(|one| *one == key);
        let (environment, app) =
            (self.owners[owner].environment(), Reference::from(self.owners[owner].app()));
        let (message, endpoint) = (Reference::new(message.to_string()), Reference::new(endpoint.to_string()));
        self.asks_for(async move { store.resend(environment, &app, &message, &endpoint, wall).await });
    }

    fn recover(&mut self, number: usize) {
        let Some(store) = self.store() else { return };
        let (steady, wall) = (self.around.time.now(Face::Steady), self.around.time.now(Face::Wall));
        let endpoint = &self.endpoints[number];
        open(&self.around.book).fault(What::Resend, Some(&endpoint.id.to_string()), steady, steady);
        self.around.timing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recovers(endpoint.id);
        let owner = &self.owners[endpoint.owner];
        let recover = NewRecover {
            id: JobId::fresh(wall, &self.dice),
            environment: owner.environment(),
            app: Reference::from(owner.app()),
            endpoint: endpoint.reference(),
            since: wall.earlier(Duration::from_hours(14 * 24)),
            until: wall,
        };
        self.asks_for(async move { store.recover(recover, wall).await.map(drop) });
    }

    /// The source is paused, or goes on.
    pub(crate) fn pause(&mut self, paused: bool) {
        let now = self.around.time.now(Face::Wall);
        let source = self.owners.iter().find_map(|owner| match owner {
            Owner::Source { environment, id, .. } => Some((*environment, Reference::new(id.to_string()))),
            Owner::App { .. } => None,
        });
        let (Some(store), Some((environment, reference))) = (self.store(), source) else {
            return self.asks_for(async { Ok(()) });
        };
        let change = SourceChange { paused: Some(paused), ..SourceChange::default() };
        self.asks_for(
            async move { store.change_source(environment, &reference, change, now).await.map(drop) },
        );
    }

    /// What was asked for was answered.
    pub(crate) fn done(&mut self, number: u64, answer: &Result<(), ChangeError>) {
        let Some(asked) = self.asked.remove(&number) else { return };
        self.doom.note(format!("{:?} {}", asked.action, answer.is_ok()).as_bytes());
        if answer.is_err() {
            return;
        }
        let (steady, wall) = (self.around.time.now(Face::Steady), self.around.time.now(Face::Wall));
        let endpoint = &mut self.endpoints[asked.endpoint];
        let sure = match asked.action {
            Action::Make | Action::Enable => true,
            Action::Refilter => {
                endpoint.event_types.clone_from(&asked.event_types);
                asked.was_sure
            }
            Action::Rotate => {
                self.around.network.retires(&endpoint.url, wall.later(asked.grace));
                false
            }
            _ => false,
        };
        if sure && !endpoint.deleted {
            let (id, app) = (endpoint.id.to_string(), self.owners[endpoint.owner].app().to_string());
            open(&self.around.book).surely(&id, &app, endpoint.event_types.as_deref(), steady);
        }
    }
}
