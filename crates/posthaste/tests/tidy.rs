//! The style rules that a machine can check.
#![expect(clippy::unwrap_used, reason = "a file that cannot be read is a failed test")]

use std::path::{Path, PathBuf};

/// Which crate may know which. A new arrow needs a reason in ARCHITECTURE.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("posthaste-signature", &[]),
    ("posthaste-fault", &[]),
    ("posthaste-core", &["posthaste-fault", "posthaste-signature"]),
    // What providers send, made up: for the command line, and for the simulator among the pages.
    ("posthaste-events", &["posthaste-core", "posthaste-signature"]),
    ("posthaste-store", &["posthaste-core", "posthaste-fault"]),
    (
        "posthaste-engine",
        &["posthaste-core", "posthaste-fault", "posthaste-signature", "posthaste-store", "posthaste-tunnel"],
    ),
    (
        "posthaste-http",
        &["posthaste-core", "posthaste-fault", "posthaste-signature", "posthaste-store", "posthaste-tunnel"],
    ),
    ("posthaste-tls", &["posthaste-core"]),
    (
        "posthaste-ui",
        &["posthaste-core", "posthaste-events", "posthaste-signature", "posthaste-store", "posthaste-tunnel"],
    ),
    // What a server and a client say to each other, and who listens: known to both.
    ("posthaste-tunnel", &["posthaste-core"]),
    // Tries the others with made-up bytes; nobody knows it.
    (
        "posthaste-fuzz",
        &["posthaste-core", "posthaste-http", "posthaste-signature", "posthaste-store", "posthaste-tunnel"],
    ),
    (
        "posthaste",
        &[
            "posthaste-core",
            "posthaste-engine",
            "posthaste-events",
            "posthaste-fault",
            "posthaste-http",
            "posthaste-signature",
            "posthaste-store",
            "posthaste-tls",
            "posthaste-ui",
            "posthaste-tunnel",
        ],
    ),
    // Tests of the built product: nothing knows it, and it ships with nothing.
    ("posthaste-trials", &["posthaste-core", "posthaste-fault", "posthaste-signature"]),
    // The engine and the store in a simulated world: it knows them, and the judge.
    (
        "posthaste-sim",
        &[
            "posthaste-core",
            "posthaste-engine",
            "posthaste-fault",
            "posthaste-signature",
            "posthaste-store",
            "posthaste-trials",
            "posthaste-tunnel",
        ],
    ),
];
/// Libraries that live in one place.
const AT_HOME: &[(&str, &[&str])] = &[
    ("rusqlite", &["posthaste-store", "posthaste-trials"]),
    ("axum", &["posthaste-http", "posthaste-ui", "posthaste", "posthaste-fuzz"]),
    ("minijinja", &["posthaste-ui"]),
    ("tokio-postgres", &["posthaste-store", "posthaste", "posthaste-trials"]),
    ("clap", &["posthaste"]),
    ("instant-acme", &["posthaste-tls"]),
];
/// Names that say nothing.
const NAMELESS: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc", "inner", "v2"];
/// Lines in a source file; tests and the conformance suite apart.
const LINES_MAX: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn manifest(package: &str) -> String {
    std::fs::read_to_string(root().join("crates").join(package).join("Cargo.toml")).unwrap()
}

/// What a crate depends on, its tests apart.
fn dependencies(package: &str) -> Vec<String> {
    let text = manifest(package);
    let section = text.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    section.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).map(str::to_owned).collect()
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for (package, _) in ARROWS {
        let dir = root().join("crates").join(package).join(folder);
        if dir.is_dir() {
            rust_files(&dir, &mut found);
        }
    }
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn arrows_between_crates_point_down_only() {
    for (package, allowed) in ARROWS {
        for dependency in dependencies(package).iter().filter(|name| name.starts_with("posthaste")) {
            assert!(allowed.contains(&dependency.as_str()), "{package} must not know {dependency}");
        }
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    for (library, homes) in AT_HOME {
        for (package, _) in ARROWS {
            let knows = dependencies(package).iter().any(|name| name == library);
            assert!(!knows || homes.contains(package), "{package} must not know {library}");
        }
    }
}

#[test]
fn source_files_are_short_begin_with_what_they_are_and_have_names_that_say_something() {
    let mut wrong = Vec::new();
    for (path, text) in files("src") {
        let shown = path.display();
        let conformance = path.components().any(|part| part.as_os_str() == "conformance");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if code.lines().count() > LINES_MAX && !conformance {
            wrong.push(format!("{shown}: {} lines, of {LINES_MAX}", code.lines().count()));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{shown}: does not begin with //! and what it is"));
        }
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if NAMELESS.contains(&stem.as_str()) || stem.starts_with("new_") || stem.ends_with("_v2") {
            wrong.push(format!("{shown}: its name says nothing"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_for_later_without_an_issue() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    for (path, text) in files("src").into_iter().chain(files("tests")) {
        for line in text.lines() {
            let marked = marks.iter().any(|mark| line.contains(mark.as_str()));
            assert!(!marked || line.contains('#'), "{}: {line}", path.display());
        }
    }
}

#[test]
fn tests_wait_for_signals_and_never_for_time() {
    let nap = ["sleep", "("].concat();
    for (path, text) in files("tests") {
        assert!(!text.contains(&nap), "{} sleeps", path.display());
    }
}

#[test]
fn every_named_fault_point_stands_in_the_code_once() {
    let code: Vec<String> = files("src").into_iter().map(|(_, text)| text).collect();
    for point in posthaste_fault::POINTS.into_iter().flatten() {
        let mark = format!("point!(\"{point}\")");
        let count: usize = code.iter().map(|text| text.matches(&mark).count()).sum();
        assert_eq!(count, 1, "{point} stands in the code {count} times");
    }
}

#[cfg(not(feature = "faults"))]
#[test]
fn a_binary_without_the_feature_has_no_fault_points() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_posthaste")).unwrap();
    let holds = |text: &str| binary.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds("POSTHASTE_FAULT"));
    assert!(!holds("accept.message_inserted"));
    assert!(holds("POSTHASTE_ALLOW_TARGETS"), "this test looks at the wrong file");
}

#[test]
fn the_changelog_has_a_place_for_what_is_not_released() {
    let text = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(text.contains("## Unreleased"));
}
