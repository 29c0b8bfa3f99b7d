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

/// The answers of the case's resolver; a sequence is a name that answers differently each time: the last round counts.
fn answers(case: &Value) -> Vec<IpAddr> {
    let dns = &case["dns"];
    let last_round = dns["sequence"].as_array().and_then(|rounds| rounds.last());
    let all = strings(&dns["A"])
        .into_iter()
        .chain(strings(&dns["AAAA"]))
        .chain(last_round.map(strings).unwrap_or_default());
    all.filter_map(|text| text.parse().ok()).collect()
}

fn judge(case: &Value) -> Result<Vec<String>, String> {
    let policy = policy(case);
    let target = Target::parse(case["url"].as_str().unwrap(), &policy).map_err(|e| e.to_string())?;
    let dialled = judge_addresses(&target, &answers(case), &policy).map_err(|e| e.to_string())?;
    if dialled.is_empty() {
        return Err("the name has no address".to_owned());
    }
    Ok(dialled.into_iter().map(|socket| socket.ip().to_string()).collect())
}

#[test]
fn every_target_is_dialled_or_refused_as_the_table_says() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("fixtures/targets.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let verdict = judge(case);
        let expected = case["expect"] == "allow";
        if verdict.is_ok() != expected {
            wrong.push(format!(
                "{} {}: expected {}, got {verdict:?}",
                case["id"], case["url"], case["expect"]
            ));
        }
        if let (Ok(dialled), Value::Array(_)) = (&verdict, &case["dial"]) {
            assert_eq!(dialled, &strings(&case["dial"]), "{}", case["id"]);
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
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
