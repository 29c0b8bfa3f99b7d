//! Whose address counts: the connection's, or what a trusted proxy says.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use posthaste_core::source::IpNet;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The client's address: `X-Forwarded-For` is believed as far as it was written by proxies that are listed.
pub(crate) fn client(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&plain(address)));
    let mut client = plain(peer?);
    if !is_trusted(client) {
        return Some(client);
    }
    let values = headers.get_all("x-forwarded-for");
    let texts: Vec<&str> = values.iter().filter_map(|value| value.to_str().ok()).collect();
    // Each proxy adds whom it saw at the end, so the list is read from there.
    for written in texts.iter().rev().flat_map(|text| text.rsplit(',')) {
        let Some(address) = address_of(written.trim()) else { break };
        client = plain(address);
        if !is_trusted(client) {
            break;
        }
    }
    Some(client)
}

/// Some proxies write the port as well.
fn address_of(written: &str) -> Option<IpAddr> {
    let with_port = || written.parse::<SocketAddr>().ok().map(|address| address.ip());
    written.parse().ok().or_else(with_port)
}

/// An IPv4 address that is written as IPv6 is an IPv4 address.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        client(Some(peer.parse().unwrap()), &headers, &trusted).unwrap().to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_its_address() {
        assert_eq!(seen("203.0.113.9", &["10.0.0.1"], &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["10.0.0.1"], &["192.0.2.0/24"]), "203.0.113.9");
        // What stands before the last stranger was written by that stranger.
        assert_eq!(seen("192.0.2.1", &["10.0.0.1, 203.0.113.9"], &["192.0.2.0/24"]), "203.0.113.9");
        assert_eq!(
            seen("::ffff:192.0.2.1", &["10.0.0.1", "203.0.113.9, 192.0.2.7"], &["192.0.2.0/24"]),
            "203.0.113.9"
        );
        assert_eq!(seen("192.0.2.1", &["nonsense"], &["192.0.2.0/24"]), "192.0.2.1");
    }

    #[test]
    fn a_port_behind_an_address_is_no_reason_not_to_read_it() {
        for written in ["203.0.113.9:4711", "203.0.113.9:4711, 192.0.2.7:80"] {
            assert_eq!(seen("192.0.2.1", &[written], &["192.0.2.0/24"]), "203.0.113.9");
        }
        assert_eq!(seen("192.0.2.1", &["[2001:db8::9]:4711"], &["192.0.2.0/24"]), "2001:db8::9");
    }
}
