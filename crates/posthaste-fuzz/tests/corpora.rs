//! Every corpus, and changes to it: what libFuzzer once found, and what chance finds on any toolchain.
#![expect(clippy::unwrap_used, reason = "a corpus that cannot be read is a failed test")]

use std::path::{Path, PathBuf};

use posthaste_fuzz::TARGETS;
use posthaste_fuzz::spoil::Dice;

/// Changes that are tried of each corpus.
const CHANGES: usize = 3_000;
/// Bytes of all corpora: they are read by people, and travel with every clone.
const BYTES_MAX: usize = 200 * 1024;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = corpora().join(target);
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Tries one target; the bytes that break it are printed, so that they can be kept in its corpus.
fn holds(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    let mut dice = Dice::seeded(0x9E37_79B9_7F4A_7C15);
    let spoiled = (0..CHANGES).map(|turn| dice.spoil(&corpus[turn % corpus.len()]));
    for bytes in corpus.iter().cloned().chain(spoiled) {
        let tried = std::panic::catch_unwind(|| (target.run)(&bytes));
        assert!(tried.is_ok(), "{name} is broken by {:?}", String::from_utf8_lossy(&bytes));
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { holds(stringify!($name)); })*

        #[test]
        fn every_target_is_tried_and_has_a_corpus_and_all_are_small() {
            let tried = [$(stringify!($name)),*];
            let all: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(tried[..], all[..]);
            let bytes: usize = all.iter().flat_map(|name| corpus(name)).map(|file| file.len()).sum();
            println!("{bytes} bytes of corpora, of {BYTES_MAX}");
            assert!(bytes <= BYTES_MAX);
        }
    };
}

targets! {
    provider_signature
    standard_webhooks
    secret
    name_and_id
    retry_after
    target_url
    cron
    api_body
    api_query
    inbound
    forwarded_for
}
