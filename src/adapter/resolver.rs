//! Names to addresses, remembered for a short while.
//!
//! The HTTP library resolves on every request, even on an open connection, and starts a thread for it
//! as soon as a timeout is set. This one asks the system in the calling thread, once per name and term.
//! The system's own bound is about 20 s. Failures are not remembered.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::clock::Clock;
use crate::base::address::parse_port;
use crate::base::time::Mono;

/// How long an address is good: a cluster's DNS answers carry 5 to 30 s.
const TERM: Duration = Duration::from_secs(30);

/// Names kept: Vault, a proxy and the nodes of one cluster.
const NAMES_MAX: usize = 16;

/// Addresses of one name that are tried; what the library has room for.
const ADDRESSES_MAX: usize = 16;

/// Copies share what they know.
#[derive(Clone, Debug)]
pub(crate) struct CachingResolver {
    clock: Clock,
    known: Arc<Mutex<BTreeMap<String, Known>>>,
}

#[derive(Debug)]
struct Known {
    until: Mono,
    addresses: Vec<IpAddr>,
}

impl CachingResolver {
    /// Knows nothing yet.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, known: Arc::default() }
    }

    /// Forgets everything, so that the next request finds a service that has moved.
    pub(crate) fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn addresses(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        let now = self.clock.now();
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(entry) = known.get(host).filter(|entry| now < entry.until) {
                return Ok(entry.addresses.clone());
            }
        }
        // Asked without the lock: a slow name does not hold up the others.
        let found = (host, 0).to_socket_addrs()?;
        let addresses: Vec<IpAddr> = found.map(|a| a.ip()).take(ADDRESSES_MAX).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        let entry = Known { until: now + TERM, addresses: addresses.clone() };
        known.insert(host.to_owned(), entry);
        Ok(addresses)
    }
}

impl Resolver for CachingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = match port_text(uri) {
            None => default_port,
            Some(text) => parse_port(text)
                .ok_or_else(|| ureq::Error::BadUri("the port is none".to_owned()))?,
        };
        let addresses = match host.parse::<IpAddr>() {
            Ok(literal) => vec![literal],
            Err(_is_a_name) => self.addresses(host)?,
        };
        let mut resolved = self.empty();
        for address in addresses {
            resolved.push(SocketAddr::new(address, port));
        }
        if resolved.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(resolved) }
    }
}

/// What stands where a port would. The library says nothing of what is none.
fn port_text(uri: &Uri) -> Option<&str> {
    let host = uri.authority()?.as_str().rsplit('@').next()?;
    host.rsplit(']').next()?.split_once(':').map(|(_, port)| port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::config::Config;

    fn resolve(resolver: &CachingResolver, uri: &str) -> Vec<String> {
        let uri: Uri = uri.parse().unwrap();
        let found = resolver.resolve(&uri, &Config::default(), NextTimeout::default());
        found.unwrap().iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn takes_literal_addresses_without_asking() {
        let resolver = CachingResolver::new(Clock::start());
        assert_eq!(resolve(&resolver, "http://192.0.2.1/"), ["192.0.2.1:80"]);
        assert_eq!(resolve(&resolver, "https://[2001:db8::1]:8200/"), ["[2001:db8::1]:8200"]);
        assert!(resolver.known.lock().unwrap().is_empty());
    }

    #[test]
    fn a_port_that_is_none_is_not_replaced() {
        let resolver = CachingResolver::new(Clock::start());
        for uri in ["http://127.0.0.1:82000/", "https://127.0.0.1:", "http://[::1]:+1/x"] {
            let Ok(uri) = uri.parse::<Uri>() else { continue };
            let found = resolver.resolve(&uri, &Config::default(), NextTimeout::default());
            assert!(found.is_err(), "{uri}");
        }
        assert_eq!(resolve(&resolver, "http://u:80@127.0.0.1/"), ["127.0.0.1:80"]);
        assert_eq!(resolve(&resolver, "http://[::1]/"), ["[::1]:80"]);
    }

    #[test]
    fn remembers_names_and_forgets_on_demand() {
        let resolver = CachingResolver::new(Clock::start());
        let first = resolve(&resolver, "https://localhost");
        assert!(first.iter().any(|a| a.ends_with(":443")), "{first:?}");
        assert_eq!(resolve(&resolver, "http://localhost:1").len(), first.len());
        assert_eq!(resolver.known.lock().unwrap().len(), 1);
        resolver.forget();
        assert!(resolver.known.lock().unwrap().is_empty());
    }
}
