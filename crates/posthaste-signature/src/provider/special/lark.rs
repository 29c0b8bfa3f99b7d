//! Lark and Feishu: a plain hash around the body, which is encrypted as soon as there is a key to sign with
//! (<https://open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/encrypt-key-encryption-configuration-case>).

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _};

use crate::encoding::from_base64;
use crate::provider::Request;
use crate::provider::checks::{Check, MacCheck};
use crate::provider::digest::Hash;
use crate::provider::json::Path;
use crate::provider::keys::Keys;
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::Refusal;
use crate::provider::row::SchemeRow;

/// The hash, and then the event inside for whoever asks for its type.
struct LarkCheck {
    hash: MacCheck,
    settings: Settings,
}

pub(super) fn lark_check(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let hash = MacCheck::digest(Hash::Sha256, row, settings)?;
    Ok(Box::new(LarkCheck { hash, settings: settings.clone() }))
}

impl Check for LarkCheck {
    fn check(&self, request: &Request<'_>, now: i64, keys: &Keys) -> Result<Verified, Refusal> {
        let verified = self.hash.check(request, now, keys)?;
        Ok(Verified { claims: decrypted(&self.settings, request.body), ..verified })
    }
}

/// The JSON inside `{"encrypt": …}`: AES-256-CBC under the hash of the encrypt key, its start being the IV.
pub(in crate::provider) fn decrypted(settings: &Settings, body: &[u8]) -> Option<Vec<u8>> {
    let text = Path::parse("encrypt").text(body)?;
    let bytes = from_base64(&text)?;
    let (iv, encrypted) = bytes.split_at_checked(16)?;
    settings.secrets.iter().find_map(|secret| {
        let key = Hash::Sha256.digest(&[secret]);
        let cipher = cbc::Decryptor::<aes::Aes256>::new_from_slices(key.as_bytes(), iv).ok()?;
        let plain = cipher.decrypt_padded_vec::<Pkcs7>(encrypted).ok()?;
        serde_json::from_slice::<serde::de::IgnoredAny>(&plain).is_ok().then_some(plain)
    })
}
