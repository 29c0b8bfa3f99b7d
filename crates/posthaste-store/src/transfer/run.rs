//! The two sides together: one thread reads the source, one step ahead of what is written.

use std::path::PathBuf;

use posthaste_fault::point;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::ImportError;
use super::table::{Row, Table, digest, hex};
use super::tables::TABLES;
use crate::error::StoreError;
use crate::postgres::PostgresOptions;
use crate::postgres::import::{Import, Progress};
use crate::sqlite::export::{Chunk, Export, Place};

/// Chunks read ahead: with the one that is written and the one that is read, three are in memory.
const AHEAD: usize = 1;
/// Letters of a digest that are shown.
const DIGEST_LETTERS: usize = 16;

/// What to move, and where to.
pub struct Options {
    /// The file of an embedded store that nobody serves.
    pub from: PathBuf,
    /// Those of which one is the source's main secret.
    pub secrets: Vec<Zeroizing<String>>,
    /// Where they were looked for, in words.
    pub places: String,
    /// The target. It is not served meanwhile.
    pub to: PostgresOptions,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Rows are written.
    Moving,
    /// Rows of both sides are held against each other.
    Checking,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    /// What is being done.
    pub step: Step,
    /// The table that it is done with.
    pub table: &'static str,
    /// Rows of all tables that it is done with.
    pub done_count: u64,
    /// Rows of all tables.
    pub all_count: u64,
}

/// Hears how far it is, after each step.
pub type Tell<'t> = &'t mut (dyn FnMut(Moved) + Send);

/// What came of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub table: &'static str,
    /// Its rows.
    pub rows_count: u64,
    /// Of all its rows, opened and in the order of their keys; the same on both sides. `None`: not looked at.
    pub digest: Option<String>,
}

/// Says what would move, and refuses what would be refused. Changes nothing.
pub async fn dry_run(options: Options) -> Result<Vec<Report>, ImportError> {
    let both = Both::open(options).await?;
    both.found(false).await?;
    Ok(both.counted())
}

/// Moves everything, or what is left of it, and checks it.
pub async fn import(options: Options, tell: Tell<'_>) -> Result<Vec<Report>, ImportError> {
    let mut both = Both::open(options).await?;
    if let Some(found) = both.found(true).await? {
        both.progress = found;
    }
    point!("import.begun");
    both.go_on(tell).await?;
    let reports = both.compare(tell).await?;
    both.refuse_a_changed_source()?;
    point!("import.checked");
    both.import.finish(&both.progress).await?;
    Ok(reports)
}

/// Holds what was moved against where it came from, once more.
pub async fn check(options: Options, tell: Tell<'_>) -> Result<Vec<Report>, ImportError> {
    let mut both = Both::open(options).await?;
    match both.looked_at().await? {
        Some(found) if found.table == TABLES.len() => both.compare(tell).await,
        _ => Err(ImportError::Unfinished { file: both.file }),
    }
}

struct Both {
    file: String,
    /// Away while another thread reads from it.
    export: Option<Export>,
    import: Import,
    progress: Progress,
}

impl Both {
    async fn open(options: Options) -> Result<Self, ImportError> {
        let Options { from, secrets, places, to } = options;
        let file = from.display().to_string();
        let opened = tokio::task::spawn_blocking(move || {
            let export = Export::open(&from, &secrets, &places)?;
            let counts = export.counts()?;
            Ok::<_, ImportError>((export, counts))
        });
        let (export, counts) = opened.await.map_err(ended)??;
        let progress = Progress::new(export.id().to_owned(), counts);
        Ok(Self { file, export: Some(export), import: Import::connect(to)?, progress })
    }

    /// How far an import of this source is in the target, finished or not.
    async fn looked_at(&self) -> Result<Option<Progress>, ImportError> {
        let found = self.import.begin(&self.progress, false).await?;
        self.same(found)
    }

    /// The same, for whoever wants to go on. If `keep`, it is begun now.
    async fn found(&self, keep: bool) -> Result<Option<Progress>, ImportError> {
        let found = self.import.begin(&self.progress, keep).await?;
        match self.same(found)? {
            Some(found) if found.finished => Err(ImportError::Finished { file: self.file.clone() }),
            found => Ok(found),
        }
    }

    fn same(&self, found: Option<Progress>) -> Result<Option<Progress>, ImportError> {
        match found {
            Some(found) if found.counts != self.progress.counts => Err(self.changed()),
            found => Ok(found),
        }
    }

    /// Not all that writes to a store holds its lock.
    fn refuse_a_changed_source(&self) -> Result<(), ImportError> {
        match &self.export {
            Some(export) if !export.was_changed()? => Ok(()),
            _ => Err(self.changed()),
        }
    }

    fn changed(&self) -> ImportError {
        ImportError::Changed { file: self.file.clone() }
    }

    fn counted(&self) -> Vec<Report> {
        let counted = TABLES.iter().zip(&self.progress.counts);
        counted.map(|(table, count)| Report { table: table.name, rows_count: *count, digest: None }).collect()
    }

    fn export(&mut self) -> Result<Export, StoreError> {
        self.export.take().ok_or_else(|| ended("the source is closed"))
    }

    /// Reads on another thread, which gives the source back when it is done.
    fn chunks(&mut self, place: Place) -> Result<Reading, StoreError> {
        let export = self.export()?;
        let (to, chunks) = mpsc::channel(AHEAD);
        let reader = tokio::task::spawn_blocking(move || {
            let sent = export.send(place, &to);
            (export, sent)
        });
        Ok(Reading { chunks, reader })
    }

    async fn put_back(&mut self, reading: Reading) -> Result<(), StoreError> {
        // It may want to send still.
        drop(reading.chunks);
        let (export, sent) = reading.reader.await.map_err(ended)?;
        self.export = Some(export);
        sent
    }

    async fn go_on(&mut self, tell: Tell<'_>) -> Result<(), ImportError> {
        let place = self.import.place(&self.progress).await?;
        let all_count = self.progress.counts.iter().sum();
        let mut reading = self.chunks(place)?;
        while let Some(chunk) = reading.chunks.recv().await {
            let table = TABLES[chunk.table].name;
            self.import.take(chunk, &mut self.progress).await?;
            tell(Moved { step: Step::Moving, table, done_count: self.progress.moved(), all_count });
        }
        Ok(self.put_back(reading).await?)
    }

    async fn compare(&mut self, tell: Tell<'_>) -> Result<Vec<Report>, ImportError> {
        let all_count = self.progress.counts.iter().sum();
        let (mut done_count, mut reports) = (0, Vec::new());
        let mut reading = self.chunks(Place::default())?;
        let mut compared = Compared::default();
        while let Some(chunk) = reading.chunks.recv().await {
            let table = &TABLES[chunk.table];
            done_count += chunk.rows.len() as u64;
            if let Some(report) = compared.hold(&self.import, table, chunk).await? {
                reports.push(report);
            }
            tell(Moved { step: Step::Checking, table: table.name, done_count, all_count });
        }
        self.put_back(reading).await?;
        Ok(reports)
    }
}

struct Reading {
    chunks: mpsc::Receiver<Chunk>,
    reader: JoinHandle<(Export, Result<(), StoreError>)>,
}

/// One table, as far as it was compared.
#[derive(Default)]
struct Compared {
    hash: Sha256,
    rows_count: u64,
    last: Option<Row>,
}

impl Compared {
    /// Reads what the target has between the last row that was compared and the last of these; then begins anew if they
    /// were the table's last.
    async fn hold(
        &mut self,
        import: &Import,
        table: &'static Table,
        chunk: Chunk,
    ) -> Result<Option<Report>, ImportError> {
        let until = if chunk.ends { None } else { chunk.rows.last() };
        // One more than there should be shows if there are more.
        let limit = chunk.rows.len() + 1;
        let there = import.read(chunk.table, self.last.as_ref(), until, limit).await?;
        first_difference(table, &chunk.rows, &there)?;
        for row in &there {
            self.hash.update(digest(row));
        }
        self.rows_count += there.len() as u64;
        if chunk.ends {
            let Self { hash, rows_count, .. } = std::mem::take(self);
            let mut digest = hex(&hash.finalize());
            digest.truncate(DIGEST_LETTERS);
            return Ok(Some(Report { table: table.name, rows_count, digest: Some(digest) }));
        }
        self.last = chunk.rows.into_iter().next_back();
        Ok(None)
    }
}

/// Both in the order of their keys: the first pair that is none has the first key that differs.
fn first_difference(table: &'static Table, here: &[Row], there: &[Row]) -> Result<(), ImportError> {
    let differs = |row: &Row, what| {
        let key = table.shown_key(row);
        Err(ImportError::Differs { table: table.name, key, what })
    };
    for (ours, theirs) in here.iter().zip(there) {
        if ours == theirs {
            continue;
        }
        let same_key = ours[..table.key] == theirs[..table.key];
        return differs(
            ours,
            if same_key { "is not what it was" } else { "is not there, or one before it is new" },
        );
    }
    match (here.get(there.len()), there.get(here.len())) {
        (Some(row), _) => differs(row, "is not there"),
        (_, Some(row)) => differs(row, "is there, and was not in the source"),
        (None, None) => Ok(()),
    }
}

fn ended(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Unavailable(error.into())
}
