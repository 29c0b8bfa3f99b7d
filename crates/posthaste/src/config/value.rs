//! How the text of a setting becomes a value. Each error is the rest of a sentence: "… is \"x\": must be …".

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::num::NonZeroU32;
use std::time::Duration;

use posthaste_core::retry::RetrySchedule;
use posthaste_core::source::IpNet;
use posthaste_core::target::Allow;
use posthaste_http::state::SignatureKind;

use super::LogFormat;

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let mut addresses =
        text.to_socket_addrs().map_err(|_| "must be an address and a port, like 127.0.0.1:8071")?;
    addresses.next().ok_or_else(|| "names no address".to_owned())
}

/// `250ms`, `5s`, `5m`, `2h`, `90d`; a bare number is refused, since nobody knows its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 =
        number.parse().map_err(|_| "must be a number and a unit, like 500ms, 5s, 5m, 2h or 90d")?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("must have a unit: ms, s, m, h or d".to_owned()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(|| "is too long".to_owned())
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text)?;
    let allowed = Duration::from_millis(10)..=Duration::from_secs(300);
    if allowed.contains(&timeout) { Ok(timeout) } else { Err("must be between 10ms and 300s".to_owned()) }
}

/// Longer than any balancer needs to look away, shorter than whoever stops us waits.
const NOTICE_MAX: Duration = Duration::from_secs(300);

pub(super) fn notice(text: &str) -> Result<Duration, String> {
    let notice = duration(text)?;
    if notice <= NOTICE_MAX { Ok(notice) } else { Err("must be at most 300s".to_owned()) }
}

/// Waits separated by commas; empty means no retry.
pub(super) fn schedule(text: &str) -> Result<RetrySchedule, String> {
    if text.trim().is_empty() {
        return Ok(RetrySchedule::new(Vec::new()));
    }
    text.split(',').map(duration).collect::<Result<_, _>>().map(RetrySchedule::new)
}

/// So many a second; 0 means no limit.
pub(super) fn rate(text: &str) -> Result<Option<NonZeroU32>, String> {
    let number = text.trim().parse::<u32>();
    number
        .map(NonZeroU32::new)
        .map_err(|_| "must be a whole number of requests a second, 0 for no limit".to_owned())
}

/// Networks, or single addresses, between commas.
pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let read = |item: &str| {
        let network = item.parse::<IpNet>().ok().or_else(|| item.parse::<IpAddr>().ok().map(IpNet::from));
        network.ok_or_else(|| format!("\"{item}\" is no network like 10.0.0.0/8, and no address"))
    };
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(read).collect()
}

/// Origins as browsers know them: a scheme, a host, and a port if it is not the scheme's.
pub(super) fn origins(text: &str) -> Result<Vec<String>, String> {
    let read = |item: &str| {
        let url = url::Url::parse(item).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let origin = url.map(|url| url.origin().ascii_serialization());
        origin
            .filter(|origin| origin == item.trim_end_matches('/'))
            .ok_or_else(|| format!("\"{item}\" is no origin like https://app.example.com"))
    };
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(read).collect()
}

pub(super) fn allow_list(text: &str) -> Result<Vec<Allow>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| entry.parse::<Allow>().map_err(|error| error.to_string()))
        .collect()
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// Bytes: `1MiB`, `512KiB`, `65536`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: usize =
        number.parse().map_err(|_| "must be a number of bytes, like 1MiB, 512KiB or 65536")?;
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return Err("must have the unit KiB or MiB, or none for bytes".to_owned()),
    };
    let bytes = number.checked_mul(factor).ok_or("is too large")?;
    if (1..=64 << 20).contains(&bytes) { Ok(bytes) } else { Err("must be between 1 and 64MiB".to_owned()) }
}

pub(super) fn signature(text: &str) -> Result<SignatureKind, String> {
    match text {
        "hmac256" => Ok(SignatureKind::Hmac),
        "ed25519" => Ok(SignatureKind::Ed25519),
        _ => Err("must be hmac256 or ed25519".to_owned()),
    }
}

/// Names for a certificate, separated by commas, in lower case.
pub(super) fn domains(text: &str) -> Result<Vec<String>, String> {
    let mut domains = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let domain = domain(name)?;
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    // As many as Let's Encrypt puts into one certificate.
    if domains.len() > 100 { Err("must be 100 names at most".to_owned()) } else { Ok(domains) }
}

fn domain(name: &str) -> Result<String, String> {
    if name.starts_with('*') {
        return Err(
            "must have no wildcard: the proof that is given (TLS-ALPN-01) is for single names".to_owned()
        );
    }
    let sound = |label: &str| {
        let signs = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && signs && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_address = name.parse::<IpAddr>().is_ok();
    if is_address || name.len() > 253 || !name.split('.').all(sound) {
        return Err("must be host names separated by commas, like hooks.example.com".to_owned());
    }
    Ok(name.to_ascii_lowercase())
}

/// An address for mail, with or without `mailto:`.
pub(super) fn contact(text: &str) -> Result<Option<String>, String> {
    let address = text.trim().trim_start_matches("mailto:");
    let is_address = |address: &str| {
        address.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
            && !address.contains([' ', ',', '?'])
    };
    match address {
        "" => Ok(None),
        address if is_address(address) => Ok(Some(format!("mailto:{address}"))),
        _ => Err("must be one address for mail, like ops@example.com".to_owned()),
    }
}

pub(super) fn https_url(text: &str) -> Result<String, String> {
    match url::Url::parse(text) {
        Ok(url) if url.scheme() == "https" && url.has_host() => Ok(text.to_owned()),
        _ => Err("must be an https URL".to_owned()),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(duration("90d"), Ok(Duration::from_hours(90 * 24)));
        for bad in ["", "5", "s", "5 s", "-5s", "5w", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_notice_is_none_or_at_most_five_minutes() {
        assert_eq!(notice("0s"), Ok(Duration::ZERO));
        assert_eq!(notice("300s"), Ok(NOTICE_MAX));
        assert!(notice("301s").is_err() && notice("").is_err() && notice("5").is_err());
    }

    #[test]
    fn an_empty_schedule_means_no_retry_and_the_default_reads_as_the_rule_has_it() {
        assert_eq!(schedule(""), Ok(RetrySchedule::new(vec![])));
        assert_eq!(schedule("5s,5m,30m,2h,5h,10h,10h,14h,20h,24h"), Ok(RetrySchedule::default()));
    }

    #[test]
    fn domains_are_single_host_names() {
        let read = domains(" Hooks.example, b.example ,hooks.example,,xn--bcher-kva.example");
        let names = ["hooks.example", "b.example", "xn--bcher-kva.example"].map(str::to_owned);
        assert_eq!(read, Ok(names.to_vec()));
        assert_eq!(domains(""), Ok(vec![]));
        for bad in
            ["*.example", "127.0.0.1", "::1", "a b", "a..b", "-a.example", "bücher.example", "https://a"]
        {
            assert!(domains(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_contact_is_one_address_for_mail() {
        assert_eq!(contact("ops@example.com"), Ok(Some("mailto:ops@example.com".to_owned())));
        assert_eq!(contact("mailto:ops@example.com"), Ok(Some("mailto:ops@example.com".to_owned())));
        assert_eq!(contact(""), Ok(None));
        assert!(contact("a@b,c@d").is_err() && contact("ops").is_err());
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert_eq!(size("65536"), Ok(65_536));
        assert!(size("1MB").is_err());
        assert!(size("0").is_err());
    }
}
