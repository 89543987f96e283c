//! Addresses of the machine, as `sockaddr` sees them.

use std::fmt;
// The part of `net` that opens nothing.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network interface with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Such as `eth0`.
    pub name: String,
    /// What it is and can do.
    pub flags: Flags,
    /// Each with the length of its network's prefix in bits.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Whether packets for the rest of the world leave through it.
    pub has_default_route: bool,
}

/// Flags of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Names in the order in which they are printed; the first one is the lowest bit.
    pub const NAMES: [&str; 6] =
        ["up", "broadcast", "loopback", "pointtopoint", "multicast", "running"];

    /// The flags of these names; others are passed over.
    pub fn of_names<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        let bit = |name: N| Self::NAMES.iter().position(|known| *known == name.as_ref());
        Self(names.into_iter().filter_map(bit).fold(0, |flags, bit| flags | 1 << bit))
    }

    /// Whether all of `other` are among them.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that `other` has not.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0);
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        f.write_str(if names.is_empty() { "0" } else { "" })?;
        f.write_str(&names.join("|"))
    }
}

/// The pseudo-number of the networks that no router forwards.
pub(crate) const FORWARDING: u64 = 4_294_967_295;

/// Networks by the RFC that sets them apart, as go-sockaddr groups them.
const RFCS: &[(u64, &[&str])] = &[
    (919, &["255.255.255.255/32"]),
    (1112, &["224.0.0.0/4"]),
    (1122, &["0.0.0.0/8", "127.0.0.0/8"]),
    (1918, &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]),
    (2544, &["198.18.0.0/15"]),
    (2765, &["0:0:0:0:0:ffff:0:0/96"]),
    (2928, &["2001::/16"]),
    (3056, &["2002::/16"]),
    (3068, &["192.88.99.0/24", "2002:c058:6301::/120"]),
    (3171, &["224.0.0.0/4"]),
    (
        3330,
        &[
            "0.0.0.0/8",
            "10.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ],
    ),
    (3849, &["2001:db8::/32"]),
    (3927, &["169.254.0.0/16"]),
    (4038, &["0:0:0:0:0:ffff::/96"]),
    (4193, &["fc00::/7"]),
    (4291, &["::/128", "::1/128", "::/96", "::ffff:0:0/96", "fe80::/10", "fec0::/10", "ff00::/8"]),
    (4380, &["2001:0000::/32"]),
    (4773, &["2001:0000::/23"]),
    (4843, &["2001:10::/28"]),
    (5180, &["2001:0200::/48"]),
    (5735, &["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15"]),
    (5737, &["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]),
    (6052, &["64:ff9b::/96"]),
    (6333, &["192.0.0.0/29"]),
    (6598, &["100.64.0.0/10"]),
    (6666, &["0100::/64"]),
    (
        6890,
        &[
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.0.0/29",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "255.255.255.255/32",
            "::1/128",
            "::/128",
            "64:ff9b::/96",
            "::ffff:0:0/96",
            "100::/64",
            "2001::/16",
            "2002::/16",
            "fc00::/7",
            "fe80::/10",
        ],
    ),
    (7335, &["192.0.0.0/29"]),
    (
        FORWARDING,
        &[
            "0.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "255.255.255.255/32",
            "::1/128",
            "::/128",
            "::ffff:0:0/96",
            "2001:db8::/32",
            "2001:10::/28",
            "fe80::/10",
        ],
    ),
];

/// The networks of an RFC; `None` for one that sets none apart.
pub(crate) fn networks_of(rfc: u64) -> Option<&'static [&'static str]> {
    RFCS.iter().find(|(number, _)| *number == rfc).map(|(_, networks)| *networks)
}

/// An address in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) is_v6: bool,
    /// Of IPv4 the lower 32 bits.
    pub(crate) bits: u128,
    /// Bits of the network's prefix.
    pub(crate) prefix: u8,
}

impl Address {
    pub(crate) fn new(ip: IpAddr, prefix: u8) -> Self {
        let (is_v6, bits) = match ip {
            IpAddr::V4(ip) => (false, u32::from(ip).into()),
            IpAddr::V6(ip) => (true, ip.into()),
        };
        Self { is_v6, bits, prefix }
    }

    /// `10.0.0.0/8`, or an address alone.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, n)| (ip, Some(n)));
        let whole = Self::new(ip.parse().ok()?, 0);
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|n| *n <= whole.width())?,
            None => whole.width(),
        };
        Some(Self { prefix, ..whole })
    }

    /// An IPv4 address in the clothes of IPv6 as what it is.
    pub(crate) fn canonical(self) -> Self {
        match self.ip().to_canonical() {
            ip @ IpAddr::V4(_) if self.is_v6 && self.prefix >= 96 => {
                Self::new(ip, self.prefix - 96)
            }
            _ => self,
        }
    }

    pub(crate) fn width(&self) -> u8 {
        if self.is_v6 { 128 } else { 32 }
    }

    /// All bits of an address of this family.
    pub(crate) fn all(&self) -> u128 {
        if self.is_v6 { u128::MAX } else { u32::MAX.into() }
    }

    pub(crate) fn mask(&self) -> u128 {
        let host = u32::from(self.width().saturating_sub(self.prefix));
        let ones = self.all();
        ones & !1_u128.checked_shl(host).map_or(u128::MAX, |bit| bit.wrapping_sub(1))
    }

    /// The first address of the network.
    pub(crate) fn first(&self) -> u128 {
        self.bits & self.mask()
    }

    /// The last address of the network.
    pub(crate) fn last(&self) -> u128 {
        self.first() | (self.all() & !self.mask())
    }

    /// Whether the whole network of `other` lies in this one.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        self.is_v6 == other.is_v6 && self.first() <= other.first() && self.last() >= other.last()
    }

    /// Whether it lies in one of the networks of an RFC.
    pub(crate) fn is_of(&self, networks: &[&str]) -> bool {
        networks.iter().filter_map(|text| Self::parse(text)).any(|network| network.contains(self))
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.with_bits(self.bits)
    }

    fn with_bits(&self, bits: u128) -> IpAddr {
        match u32::try_from(bits) {
            Ok(bits) if !self.is_v6 => Ipv4Addr::from_bits(bits).into(),
            _ => Ipv6Addr::from_bits(bits).into(),
        }
    }

    /// An address of this family as text.
    pub(crate) fn shown(&self, bits: u128) -> String {
        // An IPv4 address in the clothes of IPv6 prints as what it is.
        self.with_bits(bits).to_canonical().to_string()
    }

    /// What `attr` knows of an address; `None` for what it does not know.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        // A network of two or fewer addresses has no address of its own, none for all.
        let edge = u128::from(!self.is_v6 && self.prefix < 31);
        let octets = || match self.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        Some(match name {
            "address" | "host" => self.shown(self.bits),
            "binary" if self.is_v6 => format!("{:0128b}", self.bits),
            "binary" => format!("{:032b}", self.bits),
            "broadcast" if !self.is_v6 => self.shown(self.last()),
            "first_usable" => self.shown(self.first() + edge),
            "hex" if self.is_v6 => format!("{:032x}", self.bits),
            "hex" => format!("{:08x}", self.bits),
            "last_usable" => self.shown(self.last() - edge),
            "mask_bits" => self.prefix.to_string(),
            "netmask" => self.shown(self.mask()),
            "network" => self.shown(self.first()),
            "octets" => octets().iter().map(u8::to_string).collect::<Vec<_>>().join(" "),
            "port" => "0".to_owned(),
            "size" => match 1_u128.checked_shl(u32::from(self.width() - self.prefix)) {
                Some(size) => size.to_string(),
                None => "340282366920938463463374607431768211456".to_owned(),
            },
            "string" => self.to_string(),
            "type" => if self.is_v6 { "IPv6" } else { "IPv4" }.to_owned(),
            "uint32" if !self.is_v6 => self.bits.to_string(),
            "uint128" if self.is_v6 => self.bits.to_string(),
            _ => return None,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(self.bits))?;
        if self.prefix < self.width() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}
