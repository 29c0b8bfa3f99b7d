//! Facts about addresses, names and ports. Sources: the IANA special-purpose registries for IPv4 and IPv6, and the
//! WHATWG fetch standard's list of bad ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 blocks that are not globally reachable, and the anycast sinks (AS112, AMT, 6to4) that no receiver lives in.
const V4_FORBIDDEN: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// IPv6 blocks inside 2000::/3 that are not globally reachable. All outside 2000::/3 is refused.
const V6_FORBIDDEN: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Where clouds serve credentials. Refused even inside an allowed network, unless named one by one.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Names that are private by definition: refused without a lookup, with all below them.
const PRIVATE_NAMES: &[&str] = &[
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "svc",
    "cluster.local",
    "localdomain",
    "lan",
    "intranet",
];
/// Names under which clouds serve credentials.
const METADATA_NAMES: &[&str] =
    &["metadata", "metadata.google.internal", "instance-data", "metadata.azure.com"];

const BAD_PORTS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514,
    515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723,
    2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !V4_FORBIDDEN.iter().any(|(net, prefix)| {
            let mask = u32::MAX << (32 - prefix);
            v4.to_bits() & mask == net.to_bits()
        }),
        IpAddr::V6(v6) => {
            let global = v6.to_bits() >> 125 == 0b001;
            global
                && !V6_FORBIDDEN.iter().any(|(net, prefix)| {
                    let mask = u128::MAX << (128 - prefix);
                    v6.to_bits() & mask == net.to_bits()
                })
        }
    }
}

/// Whether clouds serve credentials there, whichever way the address is spelt.
pub(super) fn is_metadata(address: IpAddr) -> bool {
    METADATA.contains(&address) || carried(address).is_some_and(|v4| METADATA.contains(&v4.into()))
}

/// The IPv4 address that an IPv6 address stands for: mapped (`::ffff:0:0/96`), compatible (`::/96`), NAT64
/// (`64:ff9b::/96`) or 6to4 (`2002::/16`).
fn carried(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    }
}

pub(super) fn is_blocked_port(port: u16) -> bool {
    BAD_PORTS.binary_search(&port).is_ok()
}

/// Labels of 1 to 63 octets, 253 in all, of letters, digits, `-` and `_`.
pub(super) fn is_dns_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// `name` in lower case, without a dot at its end. A single label is somebody's search domain, never public.
pub(super) fn is_private_name(name: &str) -> bool {
    let below = |parent: &&str| {
        name.strip_suffix(parent).is_some_and(|labels| labels.is_empty() || labels.ends_with('.'))
    };
    !name.contains('.') || PRIVATE_NAMES.iter().any(below) || METADATA_NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_bad_ports_is_sorted_so_that_it_can_be_searched() {
        assert!(BAD_PORTS.is_sorted());
    }

    #[test]
    fn a_metadata_address_is_known_in_every_spelling() {
        for spelling in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
        ] {
            assert!(is_metadata(spelling.parse().unwrap()), "{spelling}");
        }
        for other in ["169.254.169.253", "64:ff9b::808:808", "2001:4860:4860::8888"] {
            assert!(!is_metadata(other.parse().unwrap()), "{other}");
        }
    }
}
