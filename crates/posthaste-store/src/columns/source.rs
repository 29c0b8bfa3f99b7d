//! What a source has that nobody else may read, in one sealed column.

use posthaste_core::dice::Dice;
use posthaste_core::id::SourceId;
use posthaste_core::source::{Config, Door, Source};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::corrupt;
use crate::error::StoreError;
use crate::seal::Vault;

#[derive(Serialize, Deserialize)]
struct Sealed {
    config: Zeroizing<String>,
    door: Zeroizing<String>,
}

/// The config and door of a source as they are kept in its row.
pub(crate) fn seal(vault: &Vault, dice: &dyn Dice, source: &Source) -> Result<Vec<u8>, StoreError> {
    let (config, door) = (source.config.expose().to_owned(), source.door.expose().to_owned());
    let sealed = Sealed { config: config.into(), door: door.into() };
    let plain = Zeroizing::new(serde_json::to_vec(&sealed).map_err(|e| corrupt("source", e))?);
    vault.seal(&plain, source.id.as_bytes(), dice).map_err(|e| corrupt("source", e))
}

/// Opens what was sealed for the same source.
pub(crate) fn open(vault: &Vault, source: SourceId, sealed: &[u8]) -> Result<(Config, Door), StoreError> {
    let bad = |detail: String| corrupt("source", format!("{source}: {detail}"));
    let plain = vault.open(sealed, source.as_bytes()).map_err(|e| bad(e.to_string()))?;
    let sealed: Sealed = serde_json::from_slice(&plain).map_err(|e| bad(e.to_string()))?;
    let door = Door::parse(&sealed.door).ok_or_else(|| bad("it has no door".to_owned()))?;
    Ok((Config::new(sealed.config.to_string()), door))
}
