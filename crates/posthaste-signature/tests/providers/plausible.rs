//! Settings that a receiver of each scheme could have.

use posthaste_signature::provider::{Provider, Receiver, Settings};

use crate::vector::Vector;

/// Those of a vector of the same scheme, where there is one.
pub(crate) fn settings(provider: &Provider, variant: Option<&str>, vectors: &[Vector]) -> Settings {
    let same = |v: &&Vector| {
        v.provider == provider.slug && v.variant.as_deref() == variant && v.is_delivery() && v.is_valid()
    };
    match vectors.iter().find(same) {
        Some(vector) => vector.settings(),
        None => Settings {
            variant: variant.map(str::to_owned),
            secrets: vec!["a secret".to_owned()],
            ..Settings::default()
        },
    }
}

pub(crate) fn receiver(provider: &Provider, variant: Option<&str>, vectors: &[Vector]) -> Receiver {
    Receiver::new(&provider.slug, settings(provider, variant, vectors))
        .unwrap_or_else(|error| panic!("{} {variant:?}: {error}", provider.slug))
}
