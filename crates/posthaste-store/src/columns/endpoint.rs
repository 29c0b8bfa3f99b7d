//! What an endpoint has that nobody else may read, in one sealed column.

use posthaste_core::Secret;
use posthaste_core::dice::Dice;
use posthaste_core::endpoint::{Header, LiveSecret, Secrets};
use posthaste_core::id::EndpointId;
use posthaste_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::corrupt;
use crate::error::StoreError;
use crate::seal::Vault;

#[derive(Serialize, Deserialize)]
struct Sealed {
    secrets: Vec<SealedSecret>,
    headers: Vec<Header>,
}

#[derive(Serialize, Deserialize)]
struct SealedSecret {
    secret: String,
    retires_at: Option<i64>,
}

/// The secrets and headers of an endpoint as they are kept in its row.
pub(crate) fn seal(
    vault: &Vault,
    dice: &dyn Dice,
    endpoint: EndpointId,
    secrets: &Secrets,
    headers: &[Header],
) -> Result<Vec<u8>, StoreError> {
    let secrets = secrets.all().iter().map(|live| SealedSecret {
        secret: live.secret.expose(),
        retires_at: live.retires_at.map(Timestamp::as_micros),
    });
    let sealed = Sealed { secrets: secrets.collect(), headers: headers.to_vec() };
    let plain = serde_json::to_vec(&sealed).map_err(|e| corrupt("endpoint", e))?;
    vault.seal(&plain, endpoint.as_bytes(), dice).map_err(|e| corrupt("endpoint", e))
}

/// Opens what was sealed for the same endpoint.
pub(crate) fn open(
    vault: &Vault,
    endpoint: EndpointId,
    sealed: &[u8],
) -> Result<(Secrets, Vec<Header>), StoreError> {
    let plain = vault
        .open(sealed, endpoint.as_bytes())
        .map_err(|e| corrupt("endpoint", format!("{endpoint}: {e}")))?;
    let sealed: Sealed = serde_json::from_slice(&plain).map_err(|e| corrupt("endpoint", e))?;
    let live = sealed.secrets.into_iter().map(|s| {
        let secret = Secret::parse(&s.secret).map_err(|e| corrupt("endpoint", e))?;
        Ok::<_, StoreError>(LiveSecret { secret, retires_at: s.retires_at.map(Timestamp::from_micros) })
    });
    let secrets = Secrets::stored(live.collect::<Result<_, _>>()?);
    let secrets = secrets.ok_or_else(|| corrupt("endpoint", format!("{endpoint} has no secret")))?;
    Ok((secrets, sealed.headers))
}
