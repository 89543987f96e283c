//! Addresses of servers: `http://` or `https://`, a host, perhaps a port and a path.
//!
//! What is no address is refused as a whole. Nothing is dropped and nothing is guessed: credentials are sent to
//! what an address says, so one that was misread sends them to somebody else.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

/// Last parts of names that only one network knows: those of Services, and what RFC 6761, 6762, 8375 and ICANN
/// set aside.
const LOCAL_DOMAINS: &[&str] =
    &["arpa", "corp", "home", "internal", "invalid", "lan", "local", "localhost", "svc", "test"];

/// The address of a server that speaks HTTP, checked and in one form: scheme and host in lower case, the port
/// as it was given, the path without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    is_https: bool,
    host: Host,
    port: Option<u16>,
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

/// Why a text is no address. Shown, each is a clause with the way out. Never holds a user name or password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// A blank or a character that cannot be printed.
    Blank,
    /// Nothing there.
    Empty,
    /// Neither a name nor an IP address.
    Host(String),
    /// An IPv6 address without brackets, or something else with several colons.
    Colons,
    /// Longer than [`LENGTH_MAX`].
    Long,
    /// A path that is none, with `.` or `..` in it, or a path where there must be none.
    Path,
    /// No number from 1 to 65535.
    Port(String),
    /// A question mark or a number sign.
    Query,
    /// Another scheme than `http` and `https`, or none.
    Scheme,
    /// Two schemes.
    SchemeTwice,
    /// `unix://`
    Socket,
    /// `socks5://` and its kin.
    Socks,
    /// A user name or password where it has no use.
    User,
    /// A user name or password with a character that ends it too early.
    UserCharacter,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "has a blank or an unprintable character, remove it",
            Self::Empty => "empty, want https://HOST:PORT",
            Self::Host(host) => {
                return write!(
                    f,
                    "the host {host:?} is neither a DNS name nor an IP address, want https://HOST:PORT"
                );
            }
            Self::Colons => {
                "the host has several colons, want an IPv6 address in brackets: https://[::1]:8200"
            }
            Self::Long => return write!(f, "longer than {LENGTH_MAX} characters"),
            Self::Path => "the path behind the host cannot be used, want https://HOST:PORT",
            Self::Port(port) if port.is_empty() => {
                "no port behind the colon, want a number from 1 to 65535 or no colon"
            }
            Self::Port(port) => {
                return write!(f, "the port {port:?} is none, want a number from 1 to 65535");
            }
            Self::Query => "has ? or # in it, want https://HOST:PORT and nothing more than a path behind it",
            Self::Scheme => "want https:// or http:// before the host, as in https://HOST:PORT",
            Self::SchemeTwice => "the scheme is written twice, want https://HOST:PORT",
            Self::Socket => "a Unix socket is not supported, want https:// or http://",
            Self::Socks => "a SOCKS proxy is not supported, want http:// or https://",
            Self::User => "a user name or password in it is not supported, want https://HOST:PORT",
            Self::UserCharacter => {
                "the user name or password has a character that must be written as %XX, such as / or @"
            }
        })
    }
}

impl std::error::Error for AddressError {}

/// Bytes of an address; what is longer is refused by many servers and proxies.
pub const LENGTH_MAX: usize = 2000;

/// Characters of a part that an error quotes.
const QUOTED_CHARS_MAX: usize = 80;

impl Address {
    /// Reads the address of a server: `http` or `https`, a host, perhaps a port, perhaps a path that goes before
    /// the paths of requests. White space around it is a mistake: trim where it may be.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (is_https, rest) = scheme(text)?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err(AddressError::User);
        }
        if path.starts_with("//") && matches!(authority, "http:" | "https:") {
            return Err(AddressError::SchemeTwice);
        }
        Self::of_parts(is_https, authority, path)
    }

    /// Reads the address of a proxy: a missing scheme is `http`, a user name and password before the host are
    /// allowed and left out, and a path is not.
    pub fn parse_proxy(text: &str) -> Result<Self, AddressError> {
        let (is_https, rest) = match scheme(text) {
            Err(AddressError::Scheme) if !text.contains("://") => (false, text),
            other => other?,
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        // A password with a slash in it: what stands before the slash is no host.
        if path.contains('@') {
            return Err(AddressError::UserCharacter);
        }
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        if !user.split(':').all(has_path_characters) || user.contains('@') {
            return Err(AddressError::UserCharacter);
        }
        match path {
            "" | "/" => Self::of_parts(is_https, host, ""),
            _ => Err(AddressError::Path),
        }
    }

    /// An `https` address of a host and a port that are known apart; an IPv6 address has no brackets here.
    pub fn of_https(host: &str, port: &str) -> Result<Self, AddressError> {
        let host = match host.parse() {
            Ok(address) => Host::V6(address),
            Err(_) if host.contains(':') => return Err(AddressError::Colons),
            Err(_) => Host::parse(host)?,
        };
        let port = Some(parse_port(port).ok_or_else(|| AddressError::Port(quoted(port)))?);
        Ok(Self { is_https: true, host, port, path: String::new() })
    }

    fn of_parts(is_https: bool, authority: &str, path: &str) -> Result<Self, AddressError> {
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((inside, after)) => {
                let address = inside.parse().map_err(|_none| AddressError::Host(quoted(inside)))?;
                let port = match after.strip_prefix(':') {
                    None if !after.is_empty() => return Err(AddressError::Host(quoted(authority))),
                    port => port,
                };
                (Host::V6(address), port)
            }
            None => match authority.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(AddressError::Colons),
                Some((host, port)) => (Host::parse(host)?, Some(port)),
                None => (Host::parse(authority)?, None),
            },
        };
        let read = |port| parse_port(port).ok_or_else(|| AddressError::Port(quoted(port)));
        Ok(Self { is_https, host, port: port.map(read).transpose()?, path: normal_path(path)? })
    }

    /// Whether it is `https`.
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host: a name, an IPv4 address or an IPv6 address without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::V4(address) => address.to_string(),
            Host::V6(address) => address.to_string(),
        }
    }

    /// Whether it is the machine itself, or the pod, where nobody listens in.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) => name == "localhost",
            Host::V4(address) => address.is_loopback(),
            Host::V6(address) => address.is_loopback(),
        }
    }

    /// Whether a public certificate authority may have signed for its host: they do not for names that only
    /// one network knows (CA/Browser Forum, Baseline Requirements §7.1.2.7.12), such as those of Services.
    pub fn is_public(&self) -> bool {
        match &self.host {
            Host::Name(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                let last = name.rsplit_once('.').map(|(_, last)| last);
                last.is_some_and(|last| !LOCAL_DOMAINS.contains(&last))
            }
            Host::V4(ip) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local()),
            Host::V6(ip) => {
                !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local())
            }
        }
    }

    /// The port, which is the scheme's own when none was given.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.is_https { 443 } else { 80 })
    }

    /// What goes before the paths of requests: empty, or `/` and more without a slash at its end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The address without its path.
    pub fn origin(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        match &self.host {
            Host::Name(name) => format!("{scheme}://{name}{port}"),
            Host::V4(address) => format!("{scheme}://{address}{port}"),
            Host::V6(address) => format!("{scheme}://[{address}]{port}"),
        }
    }
}

/// The normal form, which [`Address::parse`] reads as the same address.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

/// A text that was meant as an address, for a message: short, and without what might be a password.
pub fn shown(text: &str) -> String {
    match text.rfind('@') {
        Some(at) => format!("…{}", quoted(text.get(at..).unwrap_or_default())),
        None => quoted(text),
    }
}

/// Whether a certificate can be for this: a DNS name or an IP address, without port and brackets.
pub fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || Host::parse(text).is_ok()
}

/// A port: digits alone, from 1 to 65535.
pub fn parse_port(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| is_number && port != 0)
}

/// Whether a text starts with `https://`, and what comes behind the scheme.
fn scheme(text: &str) -> Result<(bool, &str), AddressError> {
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    if text.len() > LENGTH_MAX {
        return Err(AddressError::Long);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(AddressError::Blank);
    }
    if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("unix:")) {
        return Err(AddressError::Socket);
    }
    let Some((scheme, rest)) = text.split_once("://") else { return Err(AddressError::Scheme) };
    let is_https = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        "socks4" | "socks4a" | "socks5" | "socks5h" => return Err(AddressError::Socks),
        _ => return Err(AddressError::Scheme),
    };
    // A user name may hold anything, and must not be taken for something else.
    let authority = rest.split('/').next().unwrap_or_default();
    if !authority.contains('@') && rest.contains(['?', '#']) {
        return Err(AddressError::Query);
    }
    if rest.contains("://") && !authority.contains('@') {
        return Err(AddressError::SchemeTwice);
    }
    Ok((is_https, rest))
}

impl Host {
    /// RFC 1123 §2.1, with underscores, which names in container networks have. A name whose last part is a
    /// number is an IPv4 address or nothing: resolvers read `127.1` and `0x7f000001` as addresses.
    fn parse(text: &str) -> Result<Self, AddressError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::V4(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let is_number = |label: &str| {
            let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
            label.bytes().all(|byte| byte.is_ascii_digit())
                || hexadecimal.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        let last = name.rsplit('.').next().unwrap_or_default();
        if name.len() > 253 || !name.split('.').all(is_label) || is_number(last) {
            return Err(AddressError::Host(quoted(text)));
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

/// A path without empty segments and without a slash at its end. Its characters are those of RFC 3986 §3.3.
fn normal_path(path: &str) -> Result<String, AddressError> {
    let mut normal = String::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
        if matches!(decoded.as_str(), "." | "..") || !has_path_characters(segment) {
            return Err(AddressError::Path);
        }
        normal.push('/');
        normal.push_str(segment);
    }
    Ok(normal)
}

fn has_path_characters(segment: &str) -> bool {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let is_fine = match byte {
            b'%' => {
                [bytes.next(), bytes.next()]
                    .iter()
                    .flatten()
                    .filter(|b| b.is_ascii_hexdigit())
                    .count()
                    == 2
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte),
        };
        if !is_fine {
            return false;
        }
    }
    true
}

fn quoted(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_in_one_form() {
        for (text, normal, port) in [
            ("http://vault", "http://vault", 80),
            ("https://vault", "https://vault", 443),
            ("HTTPS://Vault.Example.COM:8200/", "https://vault.example.com:8200", 8200),
            ("https://vault.vault.svc.:8200", "https://vault.vault.svc.:8200", 8200),
            ("http://127.0.0.1:1", "http://127.0.0.1:1", 1),
            ("http://[::1]:65535", "http://[::1]:65535", 65535),
            ("https://[2001:DB8:0::1]", "https://[2001:db8::1]", 443),
            ("https://my_vault:08200", "https://my_vault:8200", 8200),
            ("https://v//a/%2Fb//", "https://v/a/%2Fb", 443),
            ("https://v/x@y:z", "https://v/x@y:z", 443),
            ("https://0vault.4u", "https://0vault.4u", 443),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), address.port()), (normal, port), "{text}");
            assert_eq!(Address::parse(normal).as_ref(), Ok(&address), "{text}");
            assert_eq!(address.is_https(), normal.starts_with("https:"));
        }
    }

    #[test]
    fn a_port_that_is_none_is_refused_and_not_replaced() {
        for port in [
            "82000",
            "65536",
            "0",
            "82oo",
            "+8200",
            "-1",
            "",
            "8 200",
            "0x50",
            "８２００",
            "1e3",
            "8200:",
            "99999999999999999999",
        ] {
            for host in ["127.0.0.1", "vault", "[::1]"] {
                for tail in ["", "/", "/path"] {
                    let text = format!("http://{host}:{port}{tail}");
                    assert!(Address::parse(&text).is_err(), "{text}");
                    assert!(Address::parse_proxy(&text).is_err(), "{text}");
                }
            }
            assert!(Address::of_https("10.0.0.1", port).is_err(), "{port}");
        }
        let error = Address::parse("http://127.0.0.1:82000").unwrap_err().to_string();
        assert_eq!(error, "the port \"82000\" is none, want a number from 1 to 65535");
    }

    #[test]
    fn what_is_no_address_is_told_apart() {
        use AddressError::{
            Blank, Colons, Empty, Host, Long, Path, Query, Scheme, SchemeTwice, Socket, User,
        };
        let host = |text: &str| Host(text.to_owned());
        let long = format!("https://{}", "a".repeat(LENGTH_MAX));
        for (text, error) in [
            ("", Empty),
            ("vault:8200", Scheme),
            ("//vault:8200", Scheme),
            ("ftp://vault", Scheme),
            ("https:/vault", Scheme),
            ("://vault", Scheme),
            ("https://https://vault", SchemeTwice),
            ("unix:///run/vault.sock", Socket),
            ("UNIX:/run/vault.sock", Socket),
            ("https://", host("")),
            ("https://:8200", host("")),
            ("https:///v1", host("")),
            ("https://va ult", Blank),
            (" https://vault", Blank),
            ("https://vault\n", Blank),
            ("https://va\u{7f}ult", Blank),
            ("https://-vault", host("-vault")),
            ("https://vault..svc", host("vault..svc")),
            ("https://bücher.de", host("bücher.de")),
            ("https://va%75lt", host("va%75lt")),
            ("https://127.1", host("127.1")),
            ("https://256.0.0.1", host("256.0.0.1")),
            ("https://0x7f000001", host("0x7f000001")),
            ("https://2130706433:8200", host("2130706433")),
            ("https://::1", Colons),
            ("https://[::1", host("[")),
            ("https://[vault]", host("vault")),
            ("https://[fe80::1%25eth0]", host("fe80::1%25eth0")),
            ("https://[::1]8200", host("[::1]8200")),
            ("https://user:hunter2@vault", User),
            ("https://us?er:hunter#2@vault", User),
            ("https://@vault", User),
            ("https://vault?x=y", Query),
            ("https://vault/#x", Query),
            ("https://vault/../x", Path),
            ("https://vault/%2E%2e/x", Path),
            ("https://vault/%zz", Path),
            ("https://vault/%2", Path),
            ("https://vault/\\x", Path),
            (long.as_str(), Long),
        ] {
            let found = Address::parse(text).unwrap_err();
            if text == "https://[::1" {
                assert!(matches!(found, Colons | Host(_)), "{found:?}");
            } else {
                assert_eq!(found, error, "{text}");
            }
            assert!(!found.to_string().contains("hunter"), "{found}");
        }
    }

    #[test]
    fn a_proxy_may_have_a_password_that_nobody_sees() {
        for (text, origin) in [
            ("proxy:3128", "http://proxy:3128"),
            ("http://user:p%40ss@proxy:3128/", "http://proxy:3128"),
            ("https://user@[::1]", "https://[::1]"),
        ] {
            assert_eq!(Address::parse_proxy(text).unwrap().origin(), origin);
        }
        for text in [
            "http://user:hunter2@proxy:82000",
            "user:hunter2@proxy:82oo",
            "http://user:hunter2@",
            "http://user:hunter2@pro xy",
            "http://user:hun/ter2@proxy",
            "http://user:hun?ter2@proxy",
            "http://user:hun#ter2@proxy",
            "http://user:hun@ter2@proxy",
            "http://user:hun\\ter2@proxy",
            "http://user:hun[ter2@proxy",
            "socks5://user:hunter2@proxy",
            "http://user:hunter2@proxy/path",
        ] {
            let error = Address::parse_proxy(text).unwrap_err();
            assert!(!format!("{error} {error:?} {}", shown(text)).contains("hun"), "{error:?}");
        }
    }
}
