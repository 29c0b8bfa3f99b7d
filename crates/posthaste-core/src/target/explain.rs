//! Why a target is refused, for the operator, who may know it: callers hear one sentence for all reasons.

use std::net::IpAddr;

use super::{Target, TargetError, TargetPolicy, address, is_forbidden, is_own};

/// Why a target is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// By its text.
    Text(TargetError),
    /// Its host is one of our own names.
    OwnName(String),
    /// Its host is private by definition, whatever it resolves to.
    PrivateName(String),
    /// We listen there.
    OwnAddress(IpAddr),
    /// Clouds serve credentials there.
    Metadata(IpAddr),
    /// It is not public, but of this kind.
    NotPublic(IpAddr, &'static str),
}

/// The first reason for which `text` is refused if its name resolves to `answers`. `None`: it may be called.
pub fn why_refused(text: &str, answers: &[IpAddr], policy: &TargetPolicy) -> Option<Refused> {
    let target = match Target::read(text, policy) {
        Ok(target) => target,
        Err(error) => return Some(Refused::Text(error)),
    };
    let by_name = target.is_allowed_by_name(policy);
    if target.literal.is_none() {
        if target.is_own_name(policy) {
            return Some(Refused::OwnName(target.host));
        }
        if address::is_private_name(&target.host) && !by_name {
            return Some(Refused::PrivateName(target.host));
        }
    }
    let judged = target.literal.as_ref().map_or(answers, std::slice::from_ref);
    let refused = judged.iter().find(|answer| is_forbidden(**answer, target.port, by_name, policy))?;
    Some(if is_own(*refused, target.port, policy) {
        Refused::OwnAddress(*refused)
    } else if address::is_metadata(*refused) {
        Refused::Metadata(*refused)
    } else {
        Refused::NotPublic(*refused, kind(*refused))
    })
}

/// What kind of address it is, in words that follow "is".
fn kind(address: IpAddr) -> &'static str {
    if address.is_loopback() {
        return "this machine itself";
    }
    if address.is_multicast() {
        return "multicast";
    }
    match address {
        IpAddr::V4(v4) if v4.is_private() => "of a private network",
        IpAddr::V4(v4) if v4.is_link_local() => "link-local",
        IpAddr::V4(v4) if v4.octets()[0] == 100 => "behind a carrier's NAT",
        IpAddr::V6(v6) if v6.is_unique_local() => "of a private network",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "link-local",
        _ => "reserved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::judge_addresses;

    fn policy() -> TargetPolicy {
        TargetPolicy {
            https_only: false,
            allow: vec!["10.1.0.0/16".parse().unwrap(), "hooks.internal".parse().unwrap()],
            self_hosts: vec!["hooks.example.com".to_owned()],
            self_addresses: vec!["198.18.0.1:8071".parse().unwrap()],
        }
    }

    fn why(text: &str, answers: &[&str]) -> Option<Refused> {
        let answers: Vec<IpAddr> = answers.iter().map(|answer| answer.parse().unwrap()).collect();
        why_refused(text, &answers, &policy())
    }

    #[test]
    fn each_refusal_has_its_own_reason() {
        let at = |address: &str| address.parse::<IpAddr>().unwrap();
        assert_eq!(why("ftp://a.example", &[]), Some(Refused::Text(TargetError::Scheme)));
        assert_eq!(why("https://hooks.example.com", &[]), Some(Refused::OwnName("hooks.example.com".into())));
        assert_eq!(why("https://db.internal", &[]), Some(Refused::PrivateName("db.internal".into())));
        assert_eq!(why("http://198.18.0.1:8071", &[]), Some(Refused::OwnAddress(at("198.18.0.1"))));
        let metadata = at("169.254.169.254");
        assert_eq!(why("http://a.example", &["169.254.169.254"]), Some(Refused::Metadata(metadata)));
        let private = Refused::NotPublic(at("10.2.0.1"), "of a private network");
        assert_eq!(why("https://a.example", &["93.184.215.14", "10.2.0.1"]), Some(private));
        for (literal, kind) in [
            ("127.0.0.1", "this machine itself"),
            ("[::1]", "this machine itself"),
            ("[fd00::1]", "of a private network"),
            ("[fe80::1]", "link-local"),
            ("100.64.0.1", "behind a carrier's NAT"),
            ("224.0.0.1", "multicast"),
            ("192.0.2.1", "reserved"),
        ] {
            let expected = Refused::NotPublic(at(literal.trim_matches(['[', ']'])), kind);
            assert_eq!(why(&format!("https://{literal}/"), &[]), Some(expected));
        }
    }

    #[test]
    fn it_agrees_with_the_rule_itself() {
        let policy = policy();
        let addresses =
            ["93.184.215.14", "10.1.2.3", "10.2.0.1", "169.254.169.254", "198.18.0.1", "::1", "2606:4700::1"];
        for url in
            ["https://a.example", "http://a.example:8071", "https://hooks.internal", "https://db.internal"]
        {
            for answer in addresses {
                let answer: IpAddr = answer.parse().unwrap();
                let judged = Target::parse(url, &policy)
                    .and_then(|target| judge_addresses(&target, &[answer], &policy).map(drop));
                let explained = why_refused(url, &[answer], &policy);
                assert_eq!(judged.is_err(), explained.is_some(), "{url} {answer}: {explained:?}");
            }
        }
    }
}
