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

# The API against its own OpenAPI document, for longer than ./test does; another seed asks other things.
schema seconds="600" seed="1":
    cargo build --bin posthaste
    POSTHASTE_BIN="$PWD/target/debug/posthaste" SCHEMA_SECONDS={{seconds}} SCHEMA_SEED={{seed}} \
        target/test-env/python-schema/bin/python -m pytest -q -rA -p no:cacheprovider e2e/python/test_schema.py

# Known vulnerabilities, unsound and unmaintained crates; needs the network.
advisories:
    PATH="$PWD/target/test-env/python-tools/bin:$PATH" cargo deny check advisories
