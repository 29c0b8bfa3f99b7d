//! `docs/providers.md` is what the table says.

#[path = "../../examples/providers/page.rs"]
mod written;

#[test]
fn the_page_of_providers_is_the_one_that_the_table_makes() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/providers.md")).unwrap();
    let ours = written::render();
    let differs = page.lines().zip(ours.lines()).find(|(theirs, ours)| theirs != ours);
    assert!(
        page == ours,
        "run `cargo run -p posthaste-signature --example providers > docs/providers.md`: {differs:?}"
    );
}

#[test]
fn what_nobody_has_read_about_is_marked_on_the_page() {
    let page = written::render();
    for provider in posthaste_signature::provider::all() {
        let row = page.lines().find(|line| line.contains(&format!("| `{}`", provider.slug))).unwrap();
        let unverified = provider.evidence == posthaste_signature::provider::Evidence::Unverified;
        assert_eq!(row.contains("**unverified**"), unverified, "{row}");
    }
}
