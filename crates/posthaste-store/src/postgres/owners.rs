//! Takes, keeps and gives up what one node owns at a time. The rules are in `posthaste_core::owner`; here they are asked
//! about rows.
//!
//! The rows are locked in the order of their ids, before any delivery is: nobody waits for somebody who waits.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use posthaste_core::owner::{Holder, OWNED_FOR, Thing, may_own};
use tokio_postgres::{Client, Row};

use super::owned::Known;
use super::shared::Shared;
use super::statement::{Value, execute, query};
use super::work::Work;
use crate::error::StoreError;

/// What is ours for less than this is taken for longer by whoever claims: half of what there is.
const RENEWED_BELOW: Duration = Duration::from_secs(5);
/// How long rows of owners are left lying that own no longer.
const LAPSED_FOR_SECS: i32 = 60;
/// How many of them are removed at once.
const LAPSED_AT_ONCE: i64 = 500;

/// What a transaction wants to own, each with its pause.
pub(super) type Wanted = BTreeMap<Thing, Duration>;

/// Who owns what, as of this transaction. What is not in it somebody else took at the same moment.
#[derive(Default)]
pub(super) struct Held(HashMap<Thing, Answer>);

/// Whose a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Ours, until this transaction ends at least.
    Ours,
    /// Another node's.
    Theirs(i32),
    /// Nobody's: the next one may have it after this time.
    Rests(Duration),
}

impl Held {
    pub(super) fn of(&self, thing: Thing) -> Option<Answer> {
        self.0.get(&thing).copied()
    }
}

/// One row, or that there is none.
#[derive(Clone, Copy)]
struct Fact {
    holder: Option<Holder>,
    left: Duration,
}

const NOBODY: Fact = Fact { holder: None, left: Duration::ZERO };

const FACTS: &str = "SELECT o.thing, o.node, EXISTS (SELECT 1 FROM node n WHERE n.number = o.node), \
     greatest((extract(epoch FROM o.until - clock_timestamp()) * 1000000)::bigint, 0) \
     FROM owner o WHERE o.thing = ANY($1)";
const LOCK: &str = "SELECT thing FROM owner WHERE thing = ANY($1) ORDER BY thing FOR UPDATE";

fn micros(row: &Row, index: usize) -> Result<Duration, StoreError> {
    Ok(Duration::from_micros(u64::try_from(row.try_get::<_, i64>(index)?).unwrap_or(0)))
}

fn column(things: &[Thing]) -> Vec<&[u8]> {
    things.iter().map(|thing| thing.as_bytes().as_slice()).collect()
}

fn read(things: &[Thing], rows: &[Row]) -> Result<HashMap<Thing, Fact>, StoreError> {
    let mut facts: HashMap<_, _> = things.iter().map(|thing| (*thing, NOBODY)).collect();
    for row in rows {
        let left = micros(row, 3)?;
        let holder = Holder { node: row.try_get(1)?, alive: row.try_get(2)?, lapsed: left.is_zero() };
        let id: &[u8] = row.try_get(0)?;
        if let Some(thing) = things.iter().find(|thing| thing.as_bytes().as_slice() == id) {
            facts.insert(*thing, Fact { holder: Some(holder), left });
        }
    }
    Ok(facts)
}

/// Takes what may be taken of what is wanted, and says whose the rest is.
pub(super) async fn hold(work: &mut Work, wanted: &Wanted) -> Result<Held, StoreError> {
    let mut held = Held::default();
    let mut open: Vec<Thing> = wanted.keys().copied().collect();
    // Others' rows are not locked: they may be in use.
    if !open.iter().all(|thing| work.shared.owned.is_ours(*thing)) {
        let rows = query(work.client(), FACTS, &[&column(&open)]).await?;
        open = judge(work, &mut held, &read(&open, &rows)?);
    }
    if open.is_empty() {
        return Ok(held);
    }
    let asked_at = Instant::now();
    let (locked, facts) = lock(work, &open).await?;
    let mut open = judge(work, &mut held, &facts);
    // Those that are there and that somebody else is about to take.
    let is_there = |thing: &Thing| facts.get(thing).is_some_and(|fact| fact.holder.is_some());
    open.retain(|thing| locked.contains(thing) || !is_there(thing));
    let me = work.shared.number();
    let fresh = |thing: &Thing| {
        let fact = facts.get(thing).unwrap_or(&NOBODY);
        fact.holder.is_some_and(|holder| holder.node == Some(me)) && fact.left >= RENEWED_BELOW
    };
    let (kept, taking): (Vec<_>, Vec<_>) = open.into_iter().partition(fresh);
    let there = taking.iter().copied().filter(is_there);
    let taken = take(work, &taking, &there.collect::<Vec<_>>()).await?;
    let kept = kept.into_iter().map(|thing| (thing, facts.get(&thing).unwrap_or(&NOBODY).left));
    for (thing, left) in kept.chain(taken) {
        let pause = wanted.get(&thing).copied().unwrap_or_default();
        held.0.insert(thing, Answer::Ours);
        work.effects.owned.push((thing, Known::Ours { until: asked_at + left, pause }));
    }
    Ok(held)
}

/// Locks what is there, and looks at it. For what was another node's nobody waits: that one may have fallen asleep over it.
async fn lock(work: &Work, open: &[Thing]) -> Result<(Vec<Thing>, HashMap<Thing, Fact>), StoreError> {
    let (ours, others): (Vec<_>, Vec<_>) =
        open.iter().copied().partition(|thing| work.shared.owned.is_ours(*thing));
    let (ours, others, all) = (column(&ours), column(&others), column(open));
    let of_ours: [&dyn Value; 1] = [&ours];
    let of_others: [&dyn Value; 1] = [&others];
    let of_all: [&dyn Value; 1] = [&all];
    let passing_by = format!("{LOCK} SKIP LOCKED");
    // The last one sees what was committed while the first one waited.
    let (mut rows, rows_of_others, facts) = tokio::try_join!(
        biased;
        query(work.client(), LOCK, &of_ours),
        query(work.client(), &passing_by, &of_others),
        query(work.client(), FACTS, &of_all),
    )?;
    rows.extend(rows_of_others);
    let ids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<&[u8]>, _>>()?;
    let locked = open.iter().copied().filter(|thing| ids.contains(&thing.as_bytes().as_slice()));
    Ok((locked.collect(), read(open, &facts)?))
}

/// Answers for what is not to be had; what is comes back, in its order.
fn judge(work: &mut Work, held: &mut Held, facts: &HashMap<Thing, Fact>) -> Vec<Thing> {
    let me = work.shared.number();
    let mut open = Vec::with_capacity(facts.len());
    for (&thing, fact) in facts {
        if may_own(fact.holder, me) {
            open.push(thing);
            continue;
        }
        let answer = match fact.holder.and_then(|holder| holder.node) {
            Some(node) => {
                work.effects.owned.push((thing, Known::Theirs { node, at: Instant::now() }));
                Answer::Theirs(node)
            }
            None => Answer::Rests(fact.left),
        };
        held.0.insert(thing, answer);
    }
    open.sort_unstable();
    open
}

/// Takes things of which these are there and locked. Who is no node gets nothing: nobody would know when it is dead.
async fn take(work: &Work, things: &[Thing], there: &[Thing]) -> Result<Vec<(Thing, Duration)>, StoreError> {
    if things.is_empty() {
        return Ok(vec![]);
    }
    let sql = "INSERT INTO owner AS o (thing, node, until) \
               SELECT t, n.number, n.beat_at + make_interval(secs => $3) FROM UNNEST($1) AS t, node n \
               WHERE n.number = $2 ORDER BY t \
               ON CONFLICT (thing) DO UPDATE SET node = excluded.node, until = excluded.until \
               WHERE o.thing = ANY($4) \
               RETURNING thing, greatest((extract(epoch FROM until - clock_timestamp()) * 1000000)::bigint, 0)";
    let values: [&dyn Value; 4] =
        [&column(things), &work.shared.number(), &OWNED_FOR.as_secs_f64(), &column(there)];
    let mut taken = Vec::with_capacity(things.len());
    for row in query(work.client(), sql, &values).await? {
        let id: &[u8] = row.try_get(0)?;
        if let Some(thing) = things.iter().find(|thing| thing.as_bytes().as_slice() == id) {
            taken.push((*thing, micros(&row, 1)?));
        }
    }
    Ok(taken)
}

/// Keeps what is in use; called once the node has said that it lives.
pub(super) async fn keep(client: &Client, shared: &Shared) -> Result<(), StoreError> {
    let things = shared.owned.in_use();
    if things.is_empty() {
        return Ok(());
    }
    let asked_at = Instant::now();
    let sql = "WITH locked AS MATERIALIZED ( \
                   SELECT thing FROM owner WHERE thing = ANY($1) AND node = $2 ORDER BY thing FOR UPDATE) \
               UPDATE owner o SET until = n.beat_at + make_interval(secs => $3) FROM locked, node n \
               WHERE o.thing = locked.thing AND n.number = $2 \
               RETURNING o.thing, greatest((extract(epoch FROM o.until - clock_timestamp()) * 1000000)::bigint, 0)";
    let values: [&dyn Value; 3] = [&column(&things), &shared.number(), &OWNED_FOR.as_secs_f64()];
    let mut renewed = HashMap::with_capacity(things.len());
    for row in query(client, sql, &values).await? {
        renewed.insert(row.try_get::<_, Vec<u8>>(0)?, asked_at + micros(&row, 1)?);
    }
    shared.owned.renew(&things, &renewed);
    Ok(())
}

/// Lets go of all: others may have it once its pause is over.
pub(super) async fn let_go(client: &Client, shared: &Shared) -> Result<(), StoreError> {
    let all = shared.owned.forget_all();
    if all.is_empty() {
        return Ok(());
    }
    let sql = "WITH locked AS MATERIALIZED ( \
                   SELECT thing FROM owner WHERE thing = ANY($1) AND node = $3 ORDER BY thing FOR UPDATE) \
               UPDATE owner o SET node = NULL, until = clock_timestamp() + make_interval(secs => u.pause) \
               FROM locked, UNNEST($1, $2) AS u (thing, pause) \
               WHERE o.thing = locked.thing AND u.thing = o.thing";
    let things: Vec<_> = all.iter().map(|(thing, _)| *thing).collect();
    let pauses: Vec<_> = all.iter().map(|(_, pause)| pause.as_secs_f64()).collect();
    let values: [&dyn Value; 3] = [&column(&things), &pauses, &shared.number()];
    execute(client, sql, &values).await?;
    Ok(())
}

/// Removes rows of those who have long owned no more.
pub(super) async fn sweep(client: &Client) -> Result<(), StoreError> {
    let sql = "DELETE FROM owner WHERE thing IN (SELECT thing FROM owner \
               WHERE until < clock_timestamp() - make_interval(secs => $1) LIMIT $2 FOR UPDATE SKIP LOCKED)";
    execute(client, sql, &[&f64::from(LAPSED_FOR_SECS), &LAPSED_AT_ONCE]).await?;
    Ok(())
}
