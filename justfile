# Chores. `./test` is the whole of it; these are its parts.

check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

test:
    ./test

bench *args:
    cargo run --release -- bench {{args}}

micro:
    cargo bench -p posthaste-signature -p posthaste-core -p posthaste-store

# Known vulnerabilities, unsound and unmaintained crates; needs the network.
advisories:
    PATH="$PWD/target/test-env/python-tools/bin:$PATH" cargo deny check advisories
