//! The network interfaces of the machine.

use std::net::IpAddr;
use std::path::Path;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

use super::files;
use crate::domain::template::{Flags, Interface};

/// All interfaces in the order of the machine; none where it does not tell.
pub(crate) fn all() -> Vec<Interface> {
    let routes = files::read_if_there(Path::new(ROUTES), ROUTES_BYTES_MAX).unwrap_or_default();
    let default = default_interface(&String::from_utf8_lossy(&routes));
    let mut interfaces: Vec<Interface> = Vec::new();
    // Every interface comes once by itself, and once more for each address.
    for entry in getifaddrs().into_iter().flatten() {
        let known = interfaces.iter().position(|known| known.name == entry.interface_name);
        let at = known.unwrap_or(interfaces.len());
        if known.is_none() {
            interfaces.push(Interface {
                name: entry.interface_name.clone(),
                flags: flags(entry.flags),
                addresses: Vec::new(),
                has_default_route: default.as_deref() == Some(entry.interface_name.as_str()),
            });
        }
        if let (Some(interface), Some(address)) = (interfaces.get_mut(at), address(&entry)) {
            interface.addresses.push(address);
        }
    }
    interfaces
}

fn address(entry: &InterfaceAddress) -> Option<(IpAddr, u8)> {
    let own = ip(entry.address.as_ref()?)?;
    let ones = match entry.netmask.as_ref().and_then(ip)? {
        IpAddr::V4(mask) => mask.to_bits().count_ones(),
        IpAddr::V6(mask) => mask.to_bits().count_ones(),
    };
    Some((own, u8::try_from(ones).ok()?))
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
    v4.or_else(|| Some(IpAddr::from(address.as_sockaddr_in6()?.ip())))
}

fn flags(flags: InterfaceFlags) -> Flags {
    let bits = [
        InterfaceFlags::IFF_UP,
        InterfaceFlags::IFF_BROADCAST,
        InterfaceFlags::IFF_LOOPBACK,
        InterfaceFlags::IFF_POINTOPOINT,
        InterfaceFlags::IFF_MULTICAST,
        InterfaceFlags::IFF_RUNNING,
    ];
    let names = Flags::NAMES.into_iter().zip(bits);
    Flags::of_names(names.filter(|(_, bit)| flags.contains(*bit)).map(|(name, _)| name))
}

/// The routes of IPv4: name of the interface, destination, gateway, flags, … in hexadecimal columns.
const ROUTES: &str = "/proc/net/route";

/// The default route stands near the start; nodes with many pods have long tables.
const ROUTES_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The interface of the first route to everywhere that has a gateway.
fn default_interface(routes: &str) -> Option<String> {
    /// The route has a gateway (`RTF_GATEWAY`).
    const GATEWAY: u32 = 2;
    routes.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [name, "00000000", _, flags, _, _, _, "00000000", ..] = columns.as_slice() else {
            return None;
        };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        (flags & GATEWAY != 0).then(|| (*name).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn sees_the_loopback_interface() {
        let all = all();
        let up = Flags::of_names(["up", "loopback"]);
        let lo = all.iter().find(|interface| interface.flags.has(up)).unwrap();
        assert!(lo.addresses.contains(&(Ipv4Addr::LOCALHOST.into(), 8)), "{lo:?}");
        assert!(!lo.has_default_route);
    }

    #[test]
    fn finds_the_default_route() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
            eth1\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\n\
            eth1\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\n\
            eth0\t00000000\t0101FEA9\t0003\t0\t0\t0\t00000000\t0\n";
        assert_eq!(default_interface(routes).as_deref(), Some("eth0"));
        assert_eq!(default_interface(""), None);
    }
}
