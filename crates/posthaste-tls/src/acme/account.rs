//! Our account with the authority: made once, kept with its key, and told when the contact changes.

use instant_acme::{Account, AccountCredentials, Error, NewAccount};
use serde_json::{Value, json};

use crate::acme::cache::Cache;
use crate::acme::wire::Wire;
use crate::acme::{AcmeError, AcmeSettings};

/// Opens the account that was kept, or makes one.
pub(super) async fn open(settings: &AcmeSettings, cache: &Cache, wire: &Wire) -> Result<Account, AcmeError> {
    let contact: Vec<&str> = settings.contact.as_deref().into_iter().collect();
    let builder = Account::builder_with_http(Box::new(wire.clone()));
    let Some((kept, credentials)) = kept(cache)? else {
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder.create(&new, settings.directory_url.clone(), None).await?;
        keep(cache, &contact, &json!(credentials))?;
        return Ok(account);
    };
    let account = builder.from_credentials(credentials).await?;
    if kept["contact"] != json!(contact) {
        account.update_contacts(&contact).await?;
        keep(cache, &contact, &kept["credentials"])?;
    }
    Ok(account)
}

/// Whether the authority does not know our account any more.
pub(super) fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if problem.r#type.as_deref().is_some_and(|kind| kind.ends_with(":accountDoesNotExist")))
}

fn kept(cache: &Cache) -> Result<Option<(Value, AccountCredentials)>, AcmeError> {
    let Some(text) = cache.account()? else { return Ok(None) };
    let kept: Option<Value> = serde_json::from_str(&text).ok();
    let credentials = kept.as_ref().and_then(|kept| serde_json::from_value(kept["credentials"].clone()).ok());
    if credentials.is_none() {
        tracing::warn!("the account that was kept cannot be read: another one is made");
    }
    Ok(kept.zip(credentials))
}

fn keep(cache: &Cache, contact: &[&str], credentials: &Value) -> Result<(), AcmeError> {
    let text = json!({ "contact": contact, "credentials": credentials }).to_string();
    Ok(cache.keep_account(&text)?)
}
