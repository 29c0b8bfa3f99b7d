//! A certificate and its key in two files, which somebody else renews: they are read again while we serve.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use posthaste_core::time::{Clock, Timestamp};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::pair::{Pair, PairError, read_chain};
use crate::served::Served;

/// How often the files are looked at. A change is taken up at the second look that sees it.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Bytes of a file: a long chain has some ten thousand.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where they lie.
#[derive(Debug, Clone)]
pub struct Files {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
}

/// A file that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {reason}", path.display())]
pub struct FileError {
    /// Which one.
    pub path: PathBuf,
    /// The rest of the sentence.
    pub reason: String,
}

/// What the two files held.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Files {
    fn read(&self) -> Result<Content, FileError> {
        let certificate = read(&self.certificate)?;
        Ok(Content { certificate, key: Zeroizing::new(read(&self.key)?) })
    }

    fn parse(&self, content: &Content) -> Result<Pair, FileError> {
        Pair::parse(&content.certificate, &content.key).map_err(|error| {
            let (path, reason) = match &error {
                PairError::Chain(_) => (&self.certificate, error.to_string()),
                PairError::Key(_) => (&self.key, error.to_string()),
                PairError::Mismatch => (&self.certificate, format!("{error} ({})", self.key.display())),
            };
            FileError { path: path.clone(), reason }
        })
    }
}

/// The certificates in a file of roots.
pub fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    read_chain(&read(path)?).map_err(|error| FileError { path: path.to_owned(), reason: error.to_string() })
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |reason: String| FileError { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let mut content = Vec::new();
    let mut some = file.take(FILE_BYTES_MAX + 1);
    some.read_to_end(&mut content).map_err(|error| failed(format!("cannot be read: {error}")))?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(format!(
            "is larger than {FILE_BYTES_MAX} bytes: it is no certificate and no key"
        )));
    }
    Ok(content)
}

/// What a look at the files found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// What is served.
    Same,
    /// Something else; whether it stays so, the next look tells.
    Changing,
    /// A new pair, served from now on.
    Taken,
    /// Something that cannot be served: what was served before still is.
    Refused(FileError),
    /// That, again.
    StillRefused,
}

/// Files that are looked at again and again.
pub struct Watched {
    files: Files,
    served: Arc<Served>,
    clock: Arc<dyn Clock>,
    taken: Content,
    /// What the last look saw, if it is not what is served, and whether it was judged.
    other: Option<(Result<Content, FileError>, bool)>,
}

impl Watched {
    /// Reads the files for the first time and serves what they hold.
    pub fn open(files: Files, served: Arc<Served>, clock: Arc<dyn Clock>) -> Result<Self, FileError> {
        let taken = files.read()?;
        let pair = files.parse(&taken)?;
        let watched = Self { files, served, clock, taken, other: None };
        watched.show(&pair);
        Ok(watched)
    }

    /// Looks once. Two looks must agree before anything is done: files are written one after the other, and not at
    /// once.
    pub fn look(&mut self) -> Look {
        let found = self.files.read();
        if found.as_ref().is_ok_and(|content| *content == self.taken) {
            self.other = None;
            return Look::Same;
        }
        match &mut self.other {
            Some((before, judged)) if *before == found => {
                if std::mem::replace(judged, true) {
                    return Look::StillRefused;
                }
            }
            other => {
                *other = Some((found, false));
                return Look::Changing;
            }
        }
        match found.and_then(|content| Ok((self.files.parse(&content)?, content))) {
            Ok((pair, content)) => {
                self.taken = content;
                self.other = None;
                self.show(&pair);
                Look::Taken
            }
            Err(error) => {
                tracing::warn!("{error}; the certificate from before is still served");
                Look::Refused(error)
            }
        }
    }

    /// Looks for as long as it is polled.
    pub async fn watch(mut self) {
        let mut clock = tokio::time::interval(LOOK_EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            // Files may lie on a slow disk, or on none.
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            self = match looked.await {
                Ok(watched) => watched,
                Err(error) => {
                    tracing::error!(%error, "the certificate's files are no longer looked at");
                    return;
                }
            };
        }
    }

    fn show(&self, pair: &Pair) {
        self.served.install(pair);
        let path = self.files.certificate.display();
        let ends = day(pair.validity.not_after);
        if pair.validity.not_after <= self.clock.now() {
            tracing::warn!("the certificate in {path} ended on {ends}: clients will refuse it");
        } else {
            tracing::info!("serving the certificate in {path}, which ends on {ends}");
        }
    }
}

/// `2027-01-31`
pub(crate) fn day(at: Timestamp) -> String {
    at.to_string().get(..10).unwrap_or_default().to_owned()
}
