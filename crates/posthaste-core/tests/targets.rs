//! The address rule against a table of URLs and DNS answers, each with the answer that a strict policy gives.
//!
//! Redirects, TLS names and `Host` headers are the client's part and are tested there.
#![expect(clippy::unwrap_used, reason = "a fixture that does not read is a failed test")]

use std::net::IpAddr;

use posthaste_core::target::{Allow, Target, TargetPolicy, judge_addresses};
use serde_json::Value;

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn policy(case: &Value) -> TargetPolicy {
    let config = &case["config"];
    let allow = strings(&config["allow_cidrs"]).into_iter().chain(strings(&config["allow_hosts"]));
    TargetPolicy {
        https_only: config["https_only"] == true,
        allow: allow.map(|entry| entry.parse::<Allow>().unwrap()).collect(),
        self_hosts: strings(&config["self_hosts"]),
        self_addresses: Vec::new(),
    }
}

/// What the case's resolver answers: when the endpoint is made, and at the attempt. A name that rebinds answers
/// differently each time.
fn answers(case: &Value) -> [Vec<IpAddr>; 2] {
    let dns = &case["dns"];
    let addresses = |texts: Vec<String>| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    match dns["sequence"].as_array() {
        Some(rounds) => [addresses(strings(&rounds[0])), addresses(strings(rounds.last().unwrap()))],
        None => {
            let all = addresses([strings(&dns["A"]), strings(&dns["AAAA"])].concat());
            [all.clone(), all]
        }
    }
}

/// Whether the endpoint may be made. The lookup is advisory: no answer passes.
fn judge_at_create(case: &Value) -> Result<(), String> {
    let policy = policy(case);
    let target = Target::parse(case["url"].as_str().unwrap(), &policy).map_err(|e| e.to_string())?;
    let [first, _] = answers(case);
    judge_addresses(&target, &first, &policy).map(drop).map_err(|e| e.to_string())
}

/// What an attempt dials. No answer is no attempt.
fn judge_at_connect(case: &Value) -> Result<Vec<String>, String> {
    let policy = policy(case);
    let target = Target::parse(case["url"].as_str().unwrap(), &policy).map_err(|e| e.to_string())?;
    let [_, last] = answers(case);
    let dialled = judge_addresses(&target, &last, &policy).map_err(|e| e.to_string())?;
    if dialled.is_empty() {
        return Err("the name has no address".to_owned());
    }
    assert!(dialled.iter().all(|socket| socket.port() == target.port()));
    Ok(dialled.into_iter().map(|socket| socket.ip().to_string()).collect())
}

#[test]
fn every_target_is_dialled_or_refused_as_the_table_says() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("fixtures/targets.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let (create, connect) = (judge_at_create(case), judge_at_connect(case));
        let allow = case["expect"] == "allow";
        let stages_differ = case["enforced_at"] == "connect";
        let create_is_right =
            if case["create"] == "allow" { create.is_ok() } else { stages_differ || create.is_ok() == allow };
        if !create_is_right || connect.is_ok() != allow {
            wrong.push(format!("{case}: {create:?} at create, {connect:?} at connect"));
        }
        if let (Ok(dialled), Value::Array(_)) = (&connect, &case["dial"]) {
            assert_eq!(dialled, &strings(&case["dial"]), "{}", case["id"]);
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn allowing(entries: &[&str]) -> TargetPolicy {
    let allow = entries.iter().map(|entry| entry.parse().unwrap()).collect();
    TargetPolicy { allow, ..TargetPolicy::default() }
}

fn dials(url: &str, answers: &[&str], policy: &TargetPolicy) -> bool {
    let answers: Vec<IpAddr> = answers.iter().map(|text| text.parse().unwrap()).collect();
    Target::parse(url, policy).and_then(|target| judge_addresses(&target, &answers, policy)).is_ok()
}

#[test]
fn an_operator_can_allow_loopback_for_development() {
    let policy = TargetPolicy {
        allow: vec!["127.0.0.0/8".parse().unwrap(), "localhost".parse().unwrap()],
        ..TargetPolicy::default()
    };
    let local = Target::parse("http://127.0.0.1:1234/x", &policy).unwrap();
    assert_eq!(judge_addresses(&local, &[], &policy).unwrap()[0].to_string(), "127.0.0.1:1234");
    let named = Target::parse("http://localhost:1234/x", &policy).unwrap();
    assert!(judge_addresses(&named, &["127.0.0.1".parse().unwrap()], &policy).is_ok());
}

#[test]
fn a_metadata_address_must_be_named_one_by_one() {
    for (allow, dialled) in [
        (&["0.0.0.0/0"][..], false),
        (&["169.254.169.254/31"], false),
        (&["metadata.google.internal"], false),
        (&["169.254.169.254", "metadata.google.internal"], true),
        (&["169.254.169.254/32", "metadata.google.internal"], true),
    ] {
        let policy = allowing(allow);
        let answers = &["169.254.169.254"];
        assert_eq!(dials("http://metadata.google.internal/", answers, &policy), dialled, "{allow:?}");
    }
    assert!(dials("http://169.254.169.254/", &[], &allowing(&["169.254.169.254"])));
    assert!(!dials("http://[64:ff9b::a9fe:a9fe]/", &[], &allowing(&["::/0"])));
}

#[test]
fn our_own_listeners_are_refused_even_inside_an_allowed_network() {
    for (listener, url, dialled) in [
        ("127.0.0.1:8071", "http://127.0.0.1:8071/", false),
        ("127.0.0.1:8071", "http://127.0.0.1:8072/", true),
        ("0.0.0.0:8071", "http://127.0.0.1:8071/", false),
        ("0.0.0.0:8071", "http://127.1.2.3:8071/", false),
        ("[::]:8071", "http://127.0.0.1:8071/", false),
        ("0.0.0.0:8071", "http://127.0.0.1:8072/", true),
    ] {
        let own = vec![listener.parse().unwrap()];
        let policy = TargetPolicy { self_addresses: own, ..allowing(&["127.0.0.0/8"]) };
        assert_eq!(dials(url, &[], &policy), dialled, "{listener} {url}");
    }
}

#[test]
fn a_host_is_told_in_one_spelling() {
    let policy = TargetPolicy::default();
    for (url, host) in [
        ("https://EXAMPLE.com./hook", "example.com"),
        ("https://b\u{fc}cher.example/", "xn--bcher-kva.example"),
        ("https://[2606:4700:4700:0:0:0:0:1111]/", "2606:4700:4700::1111"),
        ("https://8.8.8.8/", "8.8.8.8"),
    ] {
        assert_eq!(Target::parse(url, &policy).unwrap().host(), host);
    }
}

#[test]
fn an_allow_entry_is_a_network_an_address_or_a_name() {
    for good in ["10.0.0.0/8", "10.1.2.3", "fd00::/8", "::1", "svc.corp.internal", "Localhost."] {
        assert!(good.parse::<Allow>().is_ok(), "{good}");
    }
    for bad in ["", "10.0.0.0/33", "10.0.0", "*.internal", "http://x/", "a b", "host:80"] {
        let error = bad.parse::<Allow>().unwrap_err().to_string();
        assert!(error.contains("must be a network"), "{bad}: {error}");
    }
}

#[test]
fn a_url_that_is_too_long_once_it_is_spelled_out_is_refused_at_once() {
    let policy = TargetPolicy::default();
    let url = |letters: usize| format!("https://example.com/{}", "ü".repeat(letters));
    // Six characters each, as it is sent: %C3%BC.
    for letters in [1, 338, 339, 1_000] {
        match Target::parse(&url(letters), &policy) {
            Ok(target) => assert_eq!(Target::parse(target.url().as_str(), &policy), Ok(target)),
            Err(error) => assert!(letters > 338, "{letters} letters: {error}"),
        }
    }
    assert!(Target::parse(&url(338), &policy).is_ok());
}
