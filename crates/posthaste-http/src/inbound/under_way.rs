//! Bodies under way: how much of them one source may hold in memory, until they are on disk or refused.
//!
//! Whoever knows an address can send bodies, slowly and on thousands of connections, before anything of them is verified.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::extract::body::{Read, not_read};

/// Bytes that the bodies of one source may take: three of the longest, or thousands of usual ones.
const SOURCE_BYTES_MAX: usize = 64 << 20;
/// They are counted in so many.
const UNIT_BYTES: usize = 1024;

/// Room for the bodies of one source.
pub(crate) struct UnderWay(Arc<Semaphore>);

/// A body, with the room that it takes.
pub(crate) struct Held {
    pub(crate) body: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read.
pub(crate) enum Unread {
    /// There is no room for it now.
    NoRoom,
    Failed(ApiError),
}

impl Default for UnderWay {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SOURCE_BYTES_MAX / UNIT_BYTES)))
    }
}

impl UnderWay {
    /// Reads a body to its end, within the limit, taking room as it comes.
    pub(crate) async fn read(&self, body: Body, limit: usize) -> Result<Held, Unread> {
        let mut body = Limited::new(body, limit);
        let (mut read, mut room) = (Read::default(), None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Unread::Failed(not_read(&*error, limit)))?;
            let Ok(data) = frame.into_data() else { continue };
            self.take(&mut room, read.len() + data.len())?;
            read = read.and(data);
        }
        Ok(Held { body: read.done(), _room: room })
    }

    /// Takes what is missing to hold so many bytes.
    fn take(&self, room: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Unread> {
        let has = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let lacks = u32::try_from(bytes.div_ceil(UNIT_BYTES).saturating_sub(has)).unwrap_or(u32::MAX);
        if lacks == 0 {
            return Ok(());
        }
        let more = Arc::clone(&self.0).try_acquire_many_owned(lacks).map_err(|_| Unread::NoRoom)?;
        match room {
            Some(room) => room.merge(more),
            None => *room = Some(more),
        }
        Ok(())
    }
}
