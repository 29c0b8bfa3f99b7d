//! What an operator allows though it is not public: a network, or one host by its exact name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// One entry of the allow list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    /// A network, or with a full prefix a single address.
    Network(IpNet),
    /// A host name, in lower case, and no name below it.
    Host(String),
}

/// An entry that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" must be a network like 10.0.0.0/8, an address, or a host name")]
pub struct AllowError(String);

impl FromStr for Allow {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        if super::address::is_dns_name(&name) && !name.ends_with(|c: char| c.is_ascii_digit()) {
            return Ok(Self::Host(name));
        }
        Err(AllowError(text.to_owned()))
    }
}

/// As it is read.
impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Host(name) => f.write_str(name),
        }
    }
}

impl Allow {
    pub(super) fn permits_host(&self, name: &str) -> bool {
        matches!(self, Self::Host(host) if host == name)
    }

    pub(super) fn permits_address(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.contains(&address))
    }

    /// A single address, named as such.
    pub(super) fn names_exactly(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.prefix_len() == network.max_prefix_len() && network.addr() == address)
    }
}
