//! Opens the store: the pools, migrations, PostgreSQL's settings, the check of the main secret.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::clock::DatabaseClock;
use super::gate::Gate;
use super::import;
use super::migrate::migrate;
use super::nodes::{self, Heart};
use super::partitions::make_next_days;
use super::pool::Pool;
use super::shared::Shared;
use super::statement::{execute, query, query_opt};
use super::tally;
use super::work::{TRIES_MAX, Work, is_lost, may_come};
use super::writer::{WRITERS, Writer};
use super::{Beside, PostgresOptions, PostgresStore, listen, standbys, tell, url};
use crate::error::StoreError;
use crate::seal::Vault;

/// Connections for what reads and for changes that are rare; the writers have their own.
const CONNECTIONS_MAX: usize = 16;
/// How long a node that starts waits for a database that is starting too, or whose standby takes its place just then.
const COMES_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks whether it is there.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What the key check row holds, sealed.
const KEY_CHECK: &[u8] = b"posthaste";

impl PostgresStore {
    /// Opens the store, and makes it if it is not there.
    pub async fn open(options: PostgresOptions) -> Result<Arc<Self>, StoreError> {
        let (config, secure) = url::read(&options.url)?;
        let listens_by = options.listen_url.as_deref().map(|listen| url::read(listen)).transpose()?;
        let overload = Arc::default();
        let pool = Pool::new(&config, &secure, CONNECTIONS_MAX, &overload)?;
        let (vault, clock) = (Vault::new(&options.main_secret), DatabaseClock::new(options.clock));
        let shared = Shared::new(vault, options.dice, clock, pool.clone(), Arc::clone(&overload));
        let shared = Arc::new(shared);
        let heart =
            Arc::new(Heart { pool: pool.clone(), shared: Arc::clone(&shared), left: Mutex::default() });
        make_ready(&heart, config.get_hosts().len(), options.serving).await?;
        let writers = Pool::new(&config, &secure, WRITERS, &overload)?;
        let writer = Writer::start(&writers, &shared);
        let gate = Gate::start(&pool);
        let mut beside = vec![tokio::spawn(tell::tell_on(pool.clone(), Arc::clone(&shared))).abort_handle()];
        if options.serving {
            shared.clock.complain();
            tokio::spawn(nodes::beat_on(Arc::downgrade(&heart)));
            let (config, secure) = listens_by.unwrap_or((config, secure));
            let listening = tokio::spawn(listen::listen_on(config, secure, Arc::clone(&shared)));
            beside.push(listening.abort_handle());
        }
        Ok(Arc::new(Self { pool, writer, gate, shared, heart, _beside: Beside(beside) }))
    }
}

/// Prepares the store, and joins the nodes if this is to be one. That one waits for its database: whoever starts both at
/// once should not have to start the node again. Whoever looks at a store from a terminal hears at once that it is not
/// there.
async fn make_ready(heart: &Heart, hosts_count: usize, serving: bool) -> Result<(), StoreError> {
    let (mut tries, mut began) = (0, None::<Instant>);
    loop {
        let result = async {
            prepare(&heart.pool, &heart.shared, hosts_count).await?;
            if serving { heart.join().await } else { Ok(()) }
        };
        let Err(error) = result.await else { return Ok(()) };
        tries += 1;
        // A pooler may hand out connections to a server that has died and is back.
        if tries < TRIES_MAX && is_lost(&error) {
            continue;
        }
        let waited = began.map_or(Duration::ZERO, |began| began.elapsed());
        if !serving || !may_come(&error) || waited >= COMES_WITHIN {
            return Err(error);
        }
        if began.is_none() {
            let error: &(dyn Error + 'static) = &error;
            tracing::warn!(error, within = ?COMES_WITHIN, "waiting for PostgreSQL");
            began = Some(Instant::now());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Makes the store what this version needs, and looks whether it is one for this node: again and again, it is the same.
async fn prepare(pool: &Pool, shared: &Arc<Shared>, hosts_count: usize) -> Result<(), StoreError> {
    let work = Work::begin(pool, shared).await?;
    look_at_settings(&work).await?;
    standbys::look(&work, hosts_count).await?;
    work.roll_back().await;
    migrate(pool, shared).await?;
    // Not together with a migration, which may have locked whole tables: counting takes its time.
    let work = Work::begin(pool, shared).await?;
    work.be_patient().await?;
    check_key(&work).await?;
    import::refuse_unfinished(work.client()).await?;
    tally::count(work.client(), &work.shared).await?;
    work.commit().await?;
    make_next_days(shared).await.map(drop)
}

pub(super) fn unusable(why: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("the database URL cannot be used: {why}").into())
}

/// What a message's durability rests on is PostgreSQL's own settings.
pub(super) async fn look_at_settings(work: &Work) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('server_encoding'), current_setting('synchronous_commit'), \
               current_setting('fsync')";
    for row in query(work.client(), sql, &[]).await? {
        let text = |index| row.try_get::<_, &str>(index);
        let (encoding, synchronous, fsync) = (text(0)?, text(1)?, text(2)?);
        if encoding != "UTF8" {
            return Err(unusable(format!(
                "its encoding is {encoding}: make a database with ENCODING 'UTF8'"
            )));
        }
        if synchronous == "off" || fsync == "off" {
            tracing::warn!(
                synchronous_commit = synchronous,
                fsync,
                "PostgreSQL answers before its disk does: what was accepted can be lost in a crash"
            );
        }
    }
    Ok(())
}

pub(super) async fn check_key(work: &Work) -> Result<(), StoreError> {
    let Shared { vault, dice, .. } = &*work.shared;
    let sealed = vault.seal(KEY_CHECK, b"key_check", &**dice).map_err(|_| StoreError::WrongMainSecret)?;
    let insert = "INSERT INTO setting (name, value) VALUES ('key_check', $1) ON CONFLICT (name) DO NOTHING";
    execute(work.client(), insert, &[&sealed.as_slice()]).await?;
    let stored = query_opt(work.client(), "SELECT value FROM setting WHERE name = 'key_check'", &[]).await?;
    let opens = |sealed: &[u8]| vault.open(sealed, b"key_check").is_ok_and(|plain| *plain == KEY_CHECK);
    match stored {
        Some(row) if opens(row.try_get(0)?) => Ok(()),
        _ => Err(StoreError::WrongMainSecret),
    }
}
