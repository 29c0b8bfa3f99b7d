//! The list of all providers, as a page.

use std::fmt::Write as _;

use posthaste_signature::provider::{Covers, Evidence, Provider, all};

const HEAD: &str = r#"# Providers

<!-- Written by `cargo run -p posthaste-signature --example providers > docs/providers.md`; a test compares. -->

A source of one of these types verifies what arrives before it is believed, and so does the crate
`posthaste-signature` as a library. "Signs" is the scheme and the bytes it is of: `{ts}` is the signed time,
`{header:X}` a header, `{json:a.b}` a value in the body, `{config:x}` a setting of yours.

**Body** says whether the signature covers it: all of it, only some fields, or nothing. Where it does not cover all, whoever
saw one request can send it again with another body, so fetch what matters from the provider's API.

**Age** is the limit that the provider names for the time it signs. Where it names none, an old request is as good as a
new one unless you set a limit; delivery ids tell what has come before. Some providers sign no time at all.

**Handshake** says that the provider first asks whether we are there; it is answered.

**Evidence**: `spec` is the provider's documentation, `sdk` its SDK or the source it sends with, `others` receivers that
others wrote, and **unverified** means that nothing was read: check a request of theirs before you rely on it.

## Adding a provider

1. A row in `crates/posthaste-signature/providers.toml`; `src/provider/row.rs` says what each key means. Say in
   `evidence` what you have read, and put traps into `note`. A scheme that a row cannot say is a function under
   `src/provider/special/`, but look first at how the 270 rows without one do it.
2. A vector: a valid request and a changed one in `tests/fixtures/own_vectors.py`, computed there from the provider's
   description and not with our code; then `python3 own_vectors.py > own_vectors.jsonl`.
3. `cargo test -p posthaste-signature`, and this page anew with the command at its top.

"#;

/// The page.
pub(crate) fn render() -> String {
    let mut page = HEAD.to_owned();
    let count = all().count();
    let unverified = all().filter(|provider| provider.evidence == Evidence::Unverified).count();
    let _ = writeln!(page, "## The list\n\n{count} providers, of which {unverified} are unverified.\n");
    page.push_str(
        "| Provider | Type | Signs | Secret | Body | Age | Handshake | Event type | Evidence | Notes |\n",
    );
    page.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    for provider in all() {
        let cells = cells(provider);
        let _ = writeln!(page, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    page
}

fn cells(provider: &Provider) -> [String; 10] {
    let name = match provider.docs.as_str() {
        "" => provider.name.clone(),
        page => format!("[{}]({page})", provider.name),
    };
    let slug = match &provider.svix {
        Some(svix) => format!("`{}`, for Svix `{svix}`", provider.slug),
        None => format!("`{}`", provider.slug),
    };
    let variants: Vec<_> = provider.variants().map(|variant| format!("`{variant}`")).collect();
    let signs = match variants.as_slice() {
        [] => format!("`{}`", provider.describe()),
        others => format!("`{}`; also {}", provider.describe(), others.join(", ")),
    };
    let settings: Vec<_> = provider.settings().map(|setting| format!("`{setting}`")).collect();
    let secret = match settings.as_slice() {
        [] => provider.secret().into_owned(),
        settings => format!("{}; settings: {}", provider.secret(), settings.join(", ")),
    };
    let body = match provider.covers() {
        Covers::All => "all",
        Covers::Part => "some fields",
        Covers::Nothing => "**nothing**",
    };
    let age = provider.tolerance_secs().map(|secs| format!("{secs} s")).unwrap_or_default();
    let handshake = if provider.handshake { "yes" } else { "" };
    let event_type = provider.event_type.as_deref().map(|place| format!("`{place}`")).unwrap_or_default();
    let evidence = match provider.evidence {
        Evidence::Spec => "spec",
        Evidence::Sdk => "sdk",
        Evidence::Others => "others",
        _ => "**unverified**",
    };
    let retries = provider.retries.as_deref().map(|how| format!("Retries: {how}."));
    let within = provider.answer_within_secs.map(|secs| format!("Answer within {secs} s."));
    let note = provider.note.as_deref().map(|note| format!("{note}."));
    let notes: Vec<_> = [note, within, retries].into_iter().flatten().collect();
    [
        name,
        slug,
        signs,
        secret,
        body.to_owned(),
        age,
        handshake.to_owned(),
        event_type,
        evidence.to_owned(),
        notes.join(" "),
    ]
}
