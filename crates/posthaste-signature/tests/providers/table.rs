//! The rows of `providers.toml`.

use std::collections::BTreeSet;

use posthaste_signature::provider::{Evidence, Provider, Receiver, Settings, SetupError, find};

use crate::plausible;
use crate::vector;

fn rows() -> Vec<&'static Provider> {
    posthaste_signature::provider::all().collect()
}

#[test]
fn every_row_builds_a_receiver_and_so_does_every_variant() {
    let vectors = vector::all();
    assert!(rows().len() >= 300);
    for provider in rows() {
        let variants = provider.variants().map(Some);
        for variant in variants.chain([None]) {
            let receiver = plausible::receiver(provider, variant, &vectors);
            assert_eq!(receiver.provider().slug, provider.slug);
        }
    }
}

#[test]
fn no_two_rows_share_a_slug_a_name_or_a_type_of_svix() {
    let mut names = BTreeSet::new();
    let mut types = BTreeSet::new();
    for provider in rows() {
        assert!(names.insert(&provider.name), "two rows are called {}", provider.name);
        assert!(types.insert(provider.svix_type()), "two rows are {} for Svix", provider.svix_type());
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(provider.slug.bytes().all(plain), "{}", provider.slug);
        assert_eq!(find(&provider.slug).map(|found| &found.slug), Some(&provider.slug));
        assert_eq!(find(provider.svix_type()).map(|found| &found.slug), Some(&provider.slug));
    }
}

#[test]
fn every_row_says_how_well_it_is_known_and_where_to_read_more() {
    let mut unverified = 0;
    for provider in rows() {
        unverified += usize::from(provider.evidence == Evidence::Unverified);
        let documented = provider.docs.starts_with("https://") || provider.slug.starts_with("generic-");
        assert!(documented, "{} has no page", provider.slug);
    }
    assert!((1..=60).contains(&unverified), "{unverified}");
}

/// Those who publish their keys, so that none has to be configured.
const PUBLISHED: [&str; 8] = [
    "aws-sns",
    "contentstack",
    "fal",
    "github-secret-scanning",
    "kick",
    "shipengine",
    "travis-ci",
    "truelayer",
];

#[test]
fn without_a_secret_there_is_no_receiver_unless_keys_are_published_or_nothing_is_signed() {
    let mut published = vec![];
    for provider in rows() {
        match Receiver::new(&provider.slug, Settings::default()) {
            Ok(_) if matches!(provider.scheme(), "none" | "unknown") => {}
            Ok(_) => published.push(provider.slug.as_str()),
            Err(error) => assert!(!matches!(error, SetupError::Table), "{}", provider.slug),
        }
    }
    assert_eq!(published, PUBLISHED);
}
