//! Addresses that pass through to agents: what is none would fail in every pod, not here.

use crate::base::address::{Address, AddressError, parse_port};

/// An address of Vault. A Unix socket is left to the pod, whose agent may be one of Vault's own image.
pub(super) fn check_vault(value: &str) -> Result<(), String> {
    match Address::parse(value) {
        Ok(_) | Err(AddressError::Socket) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// The address of a proxy, or none. SOCKS is left to the pod as well.
pub(super) fn check_proxy(value: &str) -> Result<(), String> {
    match Address::parse_proxy(value) {
        Ok(_) | Err(AddressError::Empty | AddressError::Socks) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// An address to listen on, as Go writes it: `:8080`, `host:8080`, `[::1]:8080`; port 0 is any.
pub(super) fn check_listen(value: &str) -> Result<(), String> {
    let port = value.rsplit_once(':').map(|(_, port)| port);
    if port.is_some_and(|port| port == "0" || parse_port(port).is_some()) {
        Ok(())
    } else {
        Err("not a listen address, want HOST:PORT or :PORT with a port up to 65535".into())
    }
}
