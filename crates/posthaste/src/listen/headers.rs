//! Which headers the local program gets: those that came, without those of a connection, and with its own host.

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};

/// Says where a message ends or what its connection does next (RFC 9110, 7.6.1): hop by hop.
const OF_ITS_CONNECTION: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Where the host that was asked for stays.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The headers of the request to the local program. `asked`: the host that the provider sent it to, if that is known
/// otherwise; `own`: the local program's, or none to keep what was asked for.
pub(crate) fn onward(came: &[(String, Bytes)], asked: Option<&str>, own: &str, keep_host: bool) -> HeaderMap {
    let listed = listed_by_connection(came);
    let mut onward = HeaderMap::with_capacity(came.len() + 2);
    let mut host = asked.and_then(|asked| HeaderValue::from_str(asked).ok());
    for (name, value) in came {
        let name = name.to_ascii_lowercase();
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        if name == HOST.as_str() {
            host = Some(value);
            continue;
        }
        let of_its_connection = OF_ITS_CONNECTION.contains(&name.as_str())
            || name.starts_with("proxy-")
            || listed.contains(&name);
        if let (false, Ok(name)) = (of_its_connection, name.parse::<HeaderName>()) {
            // More than a map can hold is more than any server takes.
            let _ = onward.try_append(name, value);
        }
    }
    let own = HeaderValue::from_str(own).ok();
    let sent = if keep_host { host.clone().or(own) } else { own };
    if let Some(sent) = sent {
        onward.insert(HOST, sent);
    }
    if let Some(host) = host {
        onward.entry(FORWARDED_HOST).or_insert(host);
    }
    onward
}

/// Names that `Connection` says belong to the connection.
fn listed_by_connection(came: &[(String, Bytes)]) -> Vec<String> {
    let connection = came.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    let values = connection.filter_map(|(_, value)| std::str::from_utf8(value).ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(pairs: &[(&str, &[u8])]) -> Vec<(String, Bytes)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value))).collect()
    }

    #[test]
    fn what_is_of_a_connection_goes_and_the_rest_stays_byte_for_byte() {
        let came = came(&[
            ("X-Twice", b"1"),
            ("x-any", b"\xFF\xE9"),
            ("X-Twice", b"2"),
            ("Connection", b"close, X-Hop"),
            ("x-hop", b"1"),
            ("Proxy-Authorization", b"hush"),
            ("Transfer-Encoding", b"chunked"),
            ("content-encoding", b"gzip"),
            ("accept-encoding", b"br"),
        ]);
        let onward = onward(&came, None, "127.0.0.1:3000", false);
        let all: Vec<_> = onward.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let expected: [(&str, &[u8]); 6] = [
            ("x-twice", b"1"),
            ("x-twice", b"2"),
            ("x-any", b"\xFF\xE9"),
            ("content-encoding", b"gzip"),
            ("accept-encoding", b"br"),
            ("host", b"127.0.0.1:3000"),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn the_host_is_the_targets_unless_it_is_kept_and_the_other_is_not_lost() {
        let own = "127.0.0.1:3000";
        let with_host = came(&[("Host", b"hooks.example")]);
        let hosts = |headers: HeaderMap| (headers[HOST].clone(), headers.get(FORWARDED_HOST).cloned());
        let forwarded = Some(HeaderValue::from_static("hooks.example"));
        assert_eq!(
            hosts(onward(&with_host, Some("other"), own, false)),
            (own.parse().unwrap(), forwarded.clone())
        );
        assert_eq!(
            hosts(onward(&[], Some("hooks.example"), own, true)),
            ("hooks.example".parse().unwrap(), forwarded)
        );
        assert_eq!(hosts(onward(&[], None, own, true)), (own.parse().unwrap(), None));
        let by_proxy = came(&[("x-forwarded-host", b"first.example")]);
        let first = Some(HeaderValue::from_static("first.example"));
        assert_eq!(hosts(onward(&by_proxy, Some("second"), own, false)).1, first);
    }
}
