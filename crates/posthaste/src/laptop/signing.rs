//! A signer as the command line describes it, with test secrets and test keys where none is named.

use http::HeaderMap;
use posthaste_signature::provider::sign::{Moment, PrivateKey, SignError, Signer, needed_key, rehearse};
use posthaste_signature::provider::{Settings, sign::Draft};

use super::captured::{self, Captured};
use super::complaint::Complaint;
use super::scheme;
use crate::cli::laptop::SignerArgs;

/// A signer, and what its receiver has to be told.
pub(crate) struct Ready {
    pub(crate) signer: Signer,
    /// Lines for whoever sets the receiver up: what was made up here.
    pub(crate) notes: Vec<String>,
}

/// What is missing is filled in: a secret, a key and settings that are the same each time.
pub(crate) fn ready(provider: &str, args: &SignerArgs, url: &str) -> Result<Ready, Complaint> {
    let mut settings = scheme::settings(&args.scheme)?;
    let failed = |error| scheme::complain(provider, &error);
    let filled = rehearse(provider, &mut settings, url).map_err(failed)?;
    let key = private_key(provider, args)?;
    let has_own_key = args.key.is_some();
    let notes = filled.iter().map(|name| note(name, &settings)).collect::<Vec<_>>();
    let signer = Signer::new(provider, settings, key).map_err(|error| complain(provider, &error))?;
    let mut notes = notes;
    if let Some(public) = signer.public_key().filter(|_| !has_own_key) {
        notes.push(format!(
            "test key: set your receiver to this public key, or give --key: {}",
            public.trim_end()
        ));
    }
    Ok(Ready { signer, notes })
}

fn note(name: &str, settings: &Settings) -> String {
    if name == "secret" {
        let secret = settings.secrets.first().map_or("", String::as_str);
        return format!("test secret: set your receiver to it, or give --secret: {secret}");
    }
    let value = settings.text(name).unwrap_or_default();
    format!("test setting: {name} is {value}, unless you give --config {name}=…")
}

fn private_key(provider: &str, args: &SignerArgs) -> Result<Option<PrivateKey>, Complaint> {
    let Some(file) = &args.key else {
        let needed = needed_key(provider, args.scheme.variant.as_deref());
        return Ok(needed.and_then(PrivateKey::for_tests));
    };
    let text = String::from_utf8_lossy(&captured::read(file)?).into_owned();
    let key = PrivateKey::parse(&text).map_err(|error| {
        Complaint::usage(
            format!("{} holds no private key that can be used", file.display()),
            error,
            "make one: openssl genpkey -algorithm ed25519",
        )
    })?;
    Ok(Some(key))
}

/// Something that cannot be signed.
pub(crate) fn complain(provider: &str, error: &SignError) -> Complaint {
    match error {
        SignError::Setup(error) => scheme::complain(provider, error),
        error => Complaint::usage(
            format!("nothing can be signed as \"{provider}\" does"),
            error,
            "send it unsigned: posthaste trigger … --unsigned, or posthaste send URL --sign none",
        ),
    }
}

/// Signs a draft in place.
pub(crate) fn sign(signer: &Signer, draft: &mut Draft, moment: &Moment<'_>) -> Result<(), Complaint> {
    signer.sign(draft, moment).map_err(|error| complain(&signer.provider().slug, &error))
}

/// Headers given as `K: V`.
pub(crate) fn headers(lines: &[String]) -> Result<HeaderMap, Complaint> {
    let mut given = Captured::default();
    for line in lines {
        given.add_line(line.as_bytes()).map_err(|why| {
            Complaint::usage(
                format!("--header \"{line}\" cannot be used"),
                why,
                "write --header 'Name: value'",
            )
        })?;
    }
    Ok(given.headers)
}
