# Chores. `./test` is the whole of it; these are its parts.

check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

test:
    ./test

# The binary with points at which a test may end it.
binary-with-faults:
    cargo build --bin posthaste --features faults --target-dir target/faults

# Kills the server at random instants under load: `just crash-test --seconds 3600 --seed 7`; two nodes and their database:
# `--store postgres`, with `--pooler` or `--failover`.
crash-test *args: binary-with-faults
    cargo run -p posthaste-trials -- crash --binary target/faults/debug/posthaste {{args}}

# Lets the server die at every named point: just abort-matrix --only record.
abort-matrix *args: binary-with-faults
    cargo run -p posthaste-trials -- matrix --binary target/faults/debug/posthaste {{args}}

# Whether the mistakes that can be planted over PostgreSQL are found.
planted-bugs *args: binary-with-faults
    cargo run -p posthaste-trials -- planted --binary target/faults/debug/posthaste {{args}}

# Cuts the power at so many instants of a run, and lets so many faults of the disk come and go: `just disk-test 5000 500 7`.
disk-test cuts="2000" faults="200" seed="1": binary-with-faults
    cargo build --bin posthaste
    POSTHASTE_BIN="$PWD/target/debug/posthaste" POSTHASTE_FAULTS_BIN="$PWD/target/faults/debug/posthaste" \
        POWER_CUTS={{cuts}} POWER_SEED={{seed}} DISK_ROUNDS={{faults}} DISK_SEED={{seed}} \
        target/test-env/python-1/bin/python -m pytest -q -rP -p no:cacheprovider \
        e2e/python/test_power_loss.py e2e/python/test_disk.py

# The binary that the image holds, on a root like the image's: as root, without Docker.
image-test:
    #!/usr/bin/env bash
    set -euo pipefail
    target=$(rustc -vV | sed -n 's/^host: //p')
    RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --bin posthaste --target "$target"
    POSTHASTE_BIN="$PWD/target/$target/debug/posthaste" \
        target/test-env/python-1/bin/python -m pytest -q -rs -p no:cacheprovider e2e/python/test_image.py

bench *args:
    cargo run --release -- bench {{args}}

# Every page from sample data, in both themes and two widths: pictures in target/screens.
screens *args:
    cargo build --bin posthaste
    NODE_ENV_DIR="$PWD/target/test-env/node-pages" node e2e/node/screens.mjs target/screens {{args}}

# Whole lives of the product from seeds: `just simulate --seeds 0..3000`.
simulate *args:
    cargo run -p posthaste-sim --features faults --target-dir target/faults -- {{args}}

micro:
    cargo bench -p posthaste-signature -p posthaste-core -p posthaste-store

# The API against its own OpenAPI document, for longer than ./test does; another seed asks other things.
schema seconds="600" seed="1":
    cargo build --bin posthaste
    POSTHASTE_BIN="$PWD/target/debug/posthaste" SCHEMA_SECONDS={{seconds}} SCHEMA_SEED={{seed}} \
        target/test-env/python-schema/bin/python -m pytest -q -rA -p no:cacheprovider e2e/python/test_schema.py

# Each fuzz target under libFuzzer for so long, with the nightly compiler. What breaks one belongs in its corpus.
fuzz seconds="60":
    #!/usr/bin/env bash
    set -euo pipefail
    export PATH="$PWD/target/test-env/python-tools/bin:$PATH"
    cd fuzz
    for target in $(cargo +nightly fuzz list --fuzz-dir .); do
      mkdir -p "corpus/$target"
      cargo +nightly fuzz run --fuzz-dir . --sanitizer none "$target" "corpus/$target" "../crates/posthaste-fuzz/corpus/$target" \
        -- -max_total_time={{seconds}} -timeout=10 -rss_limit_mb=4096 -print_final_stats=1
    done

# Known vulnerabilities, unsound and unmaintained crates; needs the network.
advisories:
    PATH="$PWD/target/test-env/python-tools/bin:$PATH" cargo deny check advisories

# One, two and four nodes on a PostgreSQL of its own: just bench-nodes --messages 60000
bench-nodes *args:
    cargo build --release --bin posthaste
    target/test-env/python-1/bin/python e2e/python/bench_nodes.py {{args}}
