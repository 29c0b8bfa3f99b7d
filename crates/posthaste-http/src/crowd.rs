//! How many connections come from where: one stranger must not take all that there are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The part of an IPv6 address that is given to one customer of a provider; the rest they choose.
const NETWORK_OF_ONE: u128 = !0 << 64;

/// What counts as one client: an IPv4 address, or the network of an IPv6 address.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK_OF_ONE)),
        address @ IpAddr::V4(_) => address,
    }
}

/// The connections that are open, by client.
#[derive(Debug, Default)]
pub(crate) struct Crowd(Mutex<HashMap<IpAddr, usize>>);

/// One of them; it is counted until this is dropped.
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    client: IpAddr,
}

impl Crowd {
    /// Counts one more, unless there are `max` of this client.
    pub(crate) fn enter(crowd: &Arc<Self>, address: IpAddr, max: usize) -> Option<Place> {
        let client = network_of(address);
        let mut counts = crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Place { crowd: Arc::clone(crowd), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_places_and_gets_them_back() {
        let crowd = Arc::new(Crowd::default());
        let enter = |address: &str| Crowd::enter(&crowd, address.parse().unwrap(), 2);
        let (first, second) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some() && enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some(), "another client");
        drop(first);
        assert!(enter("192.0.2.1").is_some(), "a place was given back");
        let (one, two) = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(one.is_some() && two.is_some() && enter("2001:db8::3").is_none(), "one network");
        assert!(enter("2001:db8:0:1::1").is_some(), "another network");
        drop((one, two, second));
        assert!(crowd.0.lock().unwrap().is_empty(), "nobody is remembered");
    }
}
