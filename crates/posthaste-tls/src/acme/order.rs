//! One certificate: ordered, each name proved to be ours, and fetched.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::acme::AcmeError;
use crate::served::Served;

/// How long the authority may check, and then sign, and how often it is asked meanwhile.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// A chain and its key, in PEM.
pub(super) struct Issued {
    pub(super) chain: String,
    pub(super) key: Zeroizing<String>,
}

/// What the listener shows to the authority; taken away when this is dropped.
struct Proofs<'a> {
    served: &'a Served,
    names: Vec<String>,
}

impl Proofs<'_> {
    fn show(&mut self, name: &str, digest: &[u8]) -> Result<(), AcmeError> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        let certificate = CertificateDer::from(params.self_signed(&key)?);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let signer = ring::sign::any_supported_type(&key)
            .map_err(|error| AcmeError::Other(format!("the proof's key cannot be used: {error}")))?;
        self.served.show_proof(name, Arc::new(CertifiedKey::new(vec![certificate], signer)));
        self.names.push(name.to_owned());
        Ok(())
    }
}

impl Drop for Proofs<'_> {
    fn drop(&mut self) {
        self.names.iter().for_each(|name| self.served.hide_proof(name));
    }
}

/// Has a certificate for these names issued.
pub(super) async fn issue(
    account: &Account,
    domains: &[String],
    served: &Served,
) -> Result<Issued, AcmeError> {
    let identifiers: Vec<_> = domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let mut proofs = Proofs { served, names: Vec::new() };
    prove(&mut order, &mut proofs).await?;
    match order.poll_ready(&PATIENCE).await {
        Ok(OrderStatus::Ready) => {}
        // The order says that it failed; which name and why, its parts say.
        Ok(_) | Err(instant_acme::Error::Api(_)) => return Err(why_not(&mut order).await),
        Err(error) => return Err(error.into()),
    }
    drop(proofs);
    let mut params = CertificateParams::new(domains)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(Issued { chain, key: Zeroizing::new(key.serialize_pem()) })
}

/// Shows a proof for every name that the authority has not checked lately, and tells it to look.
async fn prove(order: &mut Order, proofs: &mut Proofs<'_>) -> Result<(), AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
            return Err(AcmeError::Other(format!("the authority does not offer TLS-ALPN-01 for {name}")));
        };
        proofs.show(&name, challenge.key_authorization().digest().as_ref())?;
        challenge.set_ready().await?;
    }
    Ok(())
}

/// Why an order is not ready, in the authority's words.
async fn why_not(order: &mut Order) -> AcmeError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Err(error) = authorization.refresh().await {
            return error.into();
        }
        let told = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = told {
            let reason = problem.detail.clone().unwrap_or_else(|| problem.to_string());
            return AcmeError::Unproved { name: authorization.identifier().to_string(), reason };
        }
    }
    AcmeError::Other("the authority refused the order and does not say why".to_owned())
}
