//! Prints `docs/providers.md`: `cargo run -p posthaste-signature --example providers > docs/providers.md`.

use std::io::Write as _;

mod page;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(page::render().as_bytes())
}
