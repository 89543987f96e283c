//! The one place that makes HTTP requests.
//!
//! Every limit is set: connections and whole requests have a time, answers and lines a size. Redirects are not
//! followed here and statuses are not errors: the caller knows what they mean. Nothing is read from the
//! environment. Requests of several threads share the open connections.

mod forwarding;

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use forwarding::{ForwardConnector, ToProxy};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use ureq::http::{self, HeaderName, HeaderValue, Uri, header};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};
use ureq::{Agent, Proxy, ProxyProtocol};
use zeroize::Zeroizing;

use super::clock::Clock;
use super::resolver::CachingResolver;
use super::tls_client::TlsConnector;
use crate::base::address::{Address, parse_port};
use crate::base::secret::Secret;

/// How to make requests.
pub(crate) struct HttpSettings {
    /// `None` for plain HTTP only.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Checked and sent instead of the address' host.
    pub(crate) server_name: Option<ServerName<'static>>,
    /// `http://[user:password@]host:port`
    pub(crate) proxy: Option<Secret>,
    /// Hosts that are reached without the proxy, as in `NO_PROXY`.
    pub(crate) no_proxy: String,
    /// Limit of one request, its connection included.
    pub(crate) timeout: Duration,
    /// Limit of the body of an answer, or of one line of it.
    pub(crate) reply_bytes_max: usize,
    /// Which settings to look at when TLS fails.
    pub(crate) tls_hints: &'static TlsHints,
}

/// What a person can do about a failed handshake: clauses behind the reason.
pub(crate) struct TlsHints {
    /// The server's authority is not known.
    pub(crate) untrusted: &'static str,
    /// The certificate has other names.
    pub(crate) misnamed: &'static str,
    /// The server wants a certificate of ours.
    pub(crate) identity: &'static str,
}

/// A request. Header values may be secret.
pub(crate) struct HttpRequest<'a> {
    pub(crate) method: &'a str,
    /// Absolute.
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a str>,
}

/// An answer.
pub(crate) struct HttpReply {
    pub(crate) status: u16,
    /// `Location`
    pub(crate) location: Option<String>,
    /// `Retry-After`, when it is a number of seconds.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// An answer whose body is still to be read.
pub(crate) struct HttpStream {
    pub(crate) status: u16,
    location: Option<String>,
    retry_after: Option<Duration>,
    body: ureq::Body,
    bytes_max: usize,
    blame: Blame,
}

/// The lines of a body, as they come.
pub(crate) struct HttpLines {
    reader: BufReader<ureq::BodyReader<'static>>,
    bytes_max: usize,
    blame: Blame,
}

/// What is known about a connection that breaks.
struct Blame {
    resolver: CachingResolver,
    timeout: Duration,
    tls_hints: &'static TlsHints,
    /// Host and port of the proxy.
    via: Option<String>,
}

/// Why no answer came. Holds nothing of the request or the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HttpError {
    /// The request cannot be written down; which part of it.
    Malformed(&'static str),
    /// No connection, or it broke; why.
    NoAnswer(String),
    /// The body is larger than this many bytes.
    TooLarge(usize),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(part) => write!(f, "unusable {part}"),
            Self::NoAnswer(reason) => f.write_str(reason),
            Self::TooLarge(bytes_max) => write!(f, "answer larger than {bytes_max} bytes"),
        }
    }
}

impl std::error::Error for HttpError {}

/// Makes requests over shared connections.
pub(crate) struct HttpClient {
    settings: HttpSettings,
    proxy: Option<Proxy>,
    resolver: CachingResolver,
    agents: RwLock<Agents>,
}

struct Agents {
    /// Whom to believe, for connections that are still to be made.
    tls: Option<Arc<ClientConfig>>,
    direct: Agent,
    /// Through a tunnel.
    proxied: Option<Agent>,
    /// Plain HTTP, passed on by a proxy that is reached in plain HTTP as well.
    forwarded: Option<Agent>,
}

/// How a request reaches its server.
struct Route {
    agent: Agent,
    /// Host and port of the proxy.
    via: Option<String>,
    /// What the proxy wants to see before it passes a request on.
    credentials: Option<Zeroizing<String>>,
}

/// A handshake with Vault takes milliseconds; Vault's own client waits 30 s for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of each of the two buffers of a connection; the library's default is 128 KiB.
const BUFFER_BYTES: usize = 16 * 1024;

/// Bytes that one line before the body of a request may have: it is written as a whole.
pub(crate) const LINE_BYTES_MAX: usize = BUFFER_BYTES - 64;
/// A connection is worth keeping between the requests of one round.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Connections kept: one per thread that asks.
const IDLE_CONNECTIONS_MAX: usize = 4;
const USER_AGENT: &str = concat!("vault-injector/", env!("CARGO_PKG_VERSION"));

impl HttpClient {
    /// Prepares; nothing is connected yet. The error says what is wrong with the proxy.
    pub(crate) fn new(settings: HttpSettings, clock: Clock) -> Result<Self, String> {
        let proxy = settings.proxy.as_ref().map(|proxy| parse_proxy(proxy.expose())).transpose()?;
        let resolver = CachingResolver::new(clock);
        let tls = settings.tls.clone();
        let agents = RwLock::new(Agents::new(&settings, tls, proxy.as_ref(), &resolver));
        Ok(Self { settings, proxy, resolver, agents })
    }

    /// Makes one request.
    pub(crate) fn exchange(&self, request: &HttpRequest<'_>) -> Result<HttpReply, HttpError> {
        self.open(request)?.read()
    }

    /// Makes one request and returns as soon as the head of the answer is there.
    pub(crate) fn open(&self, request: &HttpRequest<'_>) -> Result<HttpStream, HttpError> {
        let uri: Uri = request.url.parse().map_err(|_invalid| HttpError::Malformed("address"))?;
        let Route { agent, via, credentials } = self.route(&uri);
        let blame = Blame {
            resolver: self.resolver.clone(),
            timeout: self.settings.timeout,
            tls_hints: self.settings.tls_hints,
            via,
        };
        let mut builder = http::Request::builder().method(request.method).uri(uri);
        let credentials = credentials.as_ref().map(|c| ("Proxy-Authorization", c.as_str()));
        for (name, value) in request.headers.iter().copied().chain(credentials) {
            let name: HeaderName =
                name.parse().map_err(|_e| HttpError::Malformed("header name"))?;
            let mut value: HeaderValue =
                value.parse().map_err(|_e| HttpError::Malformed("header value"))?;
            value.set_sensitive(true);
            builder = builder.header(name, value);
        }
        let malformed = |_e| HttpError::Malformed("request");
        let answer = match request.body {
            Some(body) => agent.run(builder.body(body).map_err(malformed)?),
            None => agent.run(builder.body(()).map_err(malformed)?),
        };
        let answer = answer.map_err(|e| blame.no_answer(&e))?;
        let of_header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let location = of_header(header::LOCATION).map(str::to_owned);
        let retry_after = of_header(header::RETRY_AFTER).and_then(|text| text.trim().parse().ok());
        Ok(HttpStream {
            status: answer.status().as_u16(),
            location,
            retry_after: retry_after.map(Duration::from_secs),
            body: answer.into_body(),
            bytes_max: self.settings.reply_bytes_max,
            blame,
        })
    }

    /// What the proxy is told of us.
    pub(crate) fn proxy_credentials(&self) -> Vec<Secret> {
        let Some(proxy) = &self.proxy else { return Vec::new() };
        let password = proxy.password().unwrap_or_default();
        let both = format!("{}:{password}", proxy.username().unwrap_or_default());
        if password.is_empty() {
            Vec::new()
        } else {
            vec![Secret::new(password), Secret::new(both)]
        }
    }

    /// Closes the connections that nobody uses, with their buffers.
    pub(crate) fn close_idle(&self) {
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        let tls = agents.tls.clone();
        *agents = Agents::new(&self.settings, tls, self.proxy.as_ref(), &self.resolver);
    }

    /// From now on believes others, on new connections; those that are open and unused are closed.
    pub(crate) fn believe(&self, tls: Option<Arc<ClientConfig>>) {
        let fresh = Agents::new(&self.settings, tls, self.proxy.as_ref(), &self.resolver);
        *self.agents.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    fn route(&self, uri: &Uri) -> Route {
        let agents = self.agents.read().unwrap_or_else(PoisonError::into_inner);
        let proxy = self.proxy.as_ref().filter(|_| !bypasses_proxy(uri, &self.settings.no_proxy));
        let Some((proxy, proxied)) = proxy.zip(agents.proxied.as_ref()) else {
            return Route { agent: agents.direct.clone(), via: None, credentials: None };
        };
        let via = Some(format!("{}:{}", proxy.host(), proxy.port()));
        match &agents.forwarded {
            Some(forwarded) if uri.scheme_str() == Some("http") => {
                Route { agent: forwarded.clone(), via, credentials: credentials(proxy) }
            }
            _ => Route { agent: proxied.clone(), via, credentials: None },
        }
    }
}

impl HttpStream {
    /// Reads the body to its end.
    pub(crate) fn read(mut self) -> Result<HttpReply, HttpError> {
        let bytes_max = self.bytes_max;
        let too_large = HttpError::TooLarge(bytes_max);
        let announced = match self.body.content_length() {
            None => BUFFER_BYTES.min(bytes_max),
            Some(announced) => usize::try_from(announced).unwrap_or(usize::MAX),
        };
        if announced > bytes_max {
            return Err(too_large);
        }
        // Room for the whole at once: a growing vector leaves copies behind that nobody wipes.
        let mut body = Zeroizing::new(Vec::with_capacity(announced.saturating_add(1)));
        let mut reader = self.body.as_reader().take(bound(bytes_max));
        let read = read_all(&mut reader, &mut body, bytes_max.saturating_add(1));
        read.map_err(|e| self.blame.no_answer(&ureq::Error::from(e)))?;
        if body.len() > bytes_max {
            return Err(too_large);
        }
        let Self { status, location, retry_after, .. } = self;
        Ok(HttpReply { status, location, retry_after, body })
    }

    /// Reads the body line by line.
    pub(crate) fn lines(self) -> HttpLines {
        let Self { body, bytes_max, blame, .. } = self;
        HttpLines { reader: BufReader::new(body.into_reader()), bytes_max, blame }
    }
}

/// Reads to the end, or until there are `bytes_max`. What has to grow grows by half, so that old and new together stay
/// below twice the bound, and the old one is wiped.
fn read_all(
    reader: &mut impl io::Read,
    body: &mut Zeroizing<Vec<u8>>,
    bytes_max: usize,
) -> io::Result<()> {
    let mut piece = Zeroizing::new([0; PIECE_BYTES]);
    loop {
        let count = match reader.read(piece.as_mut()) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let read = piece.get(..count).filter(|read| !read.is_empty());
        let Some(read) = read else { return Ok(()) };
        let needed = body.len() + read.len();
        if needed > body.capacity() {
            let room = (body.capacity() + body.capacity() / 2).clamp(needed, bytes_max.max(needed));
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(body);
            *body = larger;
        }
        body.extend_from_slice(read);
    }
}

/// What is read at once.
const PIECE_BYTES: usize = 8 * 1024;

impl HttpLines {
    /// Waits for the next line and returns it with its end, `None` at the end of the body.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        let mut line = Vec::new();
        let mut reader = self.reader.by_ref().take(bound(self.bytes_max));
        let read = reader.read_until(b'\n', &mut line);
        read.map_err(|e: io::Error| self.blame.no_answer(&ureq::Error::from(e)))?;
        match line.len() {
            0 => Ok(None),
            length if length > self.bytes_max => Err(HttpError::TooLarge(self.bytes_max)),
            _ => Ok(Some(line)),
        }
    }
}

/// One byte more than is allowed, to see that there are more.
fn bound(bytes_max: usize) -> u64 {
    u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1)
}

impl Blame {
    fn no_answer(&self, error: &ureq::Error) -> HttpError {
        // The address may be what is wrong.
        self.resolver.forget();
        let reason = self.reason(error);
        HttpError::NoAnswer(match &self.via {
            Some(proxy) => format!("{reason} (through the proxy {proxy})"),
            None => reason,
        })
    }

    /// Why there is no answer, and the way out where it is known.
    fn reason(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::HostNotFound => "the name has no address".to_owned(),
            ureq::Error::Io(io) => match io.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(tls) => self.tls_reason(tls),
                None => match io.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
                    Some(inner) => self.reason(inner),
                    None => io.to_string(),
                },
            },
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                format!(
                    "no connection within {} s",
                    CONNECT_TIMEOUT.min(self.timeout).as_secs_f64()
                )
            }
            ureq::Error::Timeout(_) => format!("no answer within {} s", self.timeout.as_secs_f64()),
            other => other.to_string(),
        }
    }

    fn tls_reason(&self, error: &rustls::Error) -> String {
        use rustls::{AlertDescription, CertificateError, Error};

        let way_out = match error {
            Error::InvalidCertificate(
                CertificateError::UnknownIssuer
                | CertificateError::BadSignature
                | CertificateError::Other(_),
            ) => self.tls_hints.untrusted,
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => self.tls_hints.misnamed,
            Error::InvalidMessage(_) => {
                "; does the server speak TLS, or should the address be http://?"
            }
            Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA,
            ) => self.tls_hints.identity,
            _ => "",
        };
        match error {
            // The library shows these as they stand in the program.
            Error::InvalidCertificate(CertificateError::Other(reason)) => {
                format!("TLS: invalid peer certificate: {}{way_out}", reason.0)
            }
            _ => format!("TLS: {error}{way_out}"),
        }
    }
}

impl Agents {
    fn new(
        settings: &HttpSettings,
        tls: Option<Arc<ClientConfig>>,
        proxy: Option<&Proxy>,
        resolver: &CachingResolver,
    ) -> Self {
        let config = |proxy: Option<&Proxy>| {
            Agent::config_builder()
                .http_status_as_error(false)
                .input_buffer_size(BUFFER_BYTES)
                .max_idle_age(IDLE_MAX)
                .max_idle_connections(IDLE_CONNECTIONS_MAX)
                .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .output_buffer_size(BUFFER_BYTES)
                .proxy(proxy.cloned())
                .timeout_connect(Some(CONNECT_TIMEOUT.min(settings.timeout)))
                .timeout_global(Some(settings.timeout))
                .user_agent(USER_AGENT)
                .build()
        };
        let agent = |proxy: Option<&Proxy>| {
            let tls = TlsConnector {
                config: tls.clone(),
                server_name: settings.server_name.clone(),
                proxy: proxy.map(|proxy| proxy.uri().clone()),
            };
            let connector =
                ().chain(ConnectProxyConnector::default())
                    .chain(TcpConnector::default())
                    .chain(tls);
            Agent::with_parts(config(proxy), connector, resolver.clone())
        };
        let plain = proxy.filter(|proxy| proxy.protocol() == ProxyProtocol::Http);
        let forwarded = plain.map(|proxy| {
            let connector = ().chain(TcpConnector::default()).chain(ForwardConnector);
            let resolver = ToProxy { proxy: proxy.uri().clone(), resolver: resolver.clone() };
            Agent::with_parts(config(None), connector, resolver)
        });
        let (direct, proxied) = (agent(None), proxy.map(|proxy| agent(Some(proxy))));
        Self { direct, proxied, forwarded, tls }
    }
}

/// User and password for a proxy, as a header wants them.
fn credentials(proxy: &Proxy) -> Option<Zeroizing<String>> {
    let (user, password) = (proxy.username()?, proxy.password().unwrap_or_default());
    let pair = Zeroizing::new(format!("{user}:{password}"));
    let pair = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
    Some(Zeroizing::new(format!("Basic {}", pair.as_str())))
}

/// The value is not shown: it may hold a password. What the library reads must be what we read: it sends the
/// password there.
fn parse_proxy(text: &str) -> Result<Proxy, String> {
    let address = Address::parse_proxy(text).map_err(|error| error.to_string())?;
    let proxy = Proxy::new(text).ok().filter(|proxy| {
        let host = proxy.host().trim_start_matches('[').trim_end_matches(']');
        let is_https = proxy.protocol() == ProxyProtocol::Https;
        let is_host = host.eq_ignore_ascii_case(&address.host())
            || host.parse().is_ok_and(|ip: IpAddr| address.host() == ip.to_string());
        is_host && proxy.port() == address.port() && is_https == address.is_https()
    });
    proxy.ok_or_else(|| "not a proxy address, want http://[user:password@]host:port".to_owned())
}

/// Go's rule for `NO_PROXY`: a list of `*`, names (also of their subdomains), `.suffixes`, addresses and
/// networks, each perhaps with a port. Loopback is never reached through a proxy.
fn bypasses_proxy(uri: &Uri, no_proxy: &str) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|a| a.is_loopback()) {
        return true;
    }
    let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(default_port);
    no_proxy.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some((network, bits)), Some(address)) = (entry.split_once('/'), address) {
            return network.parse().is_ok_and(|network| shares_prefix(network, address, bits));
        }
        let (name, wanted_port) = match entry.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') || name.ends_with(']') => {
                (name, parse_port(digits))
            }
            _ => (entry, None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let is_host = match (address, name.parse::<IpAddr>()) {
            (Some(address), Ok(same)) => address == same,
            (Some(_), Err(_)) => false,
            (None, _) => {
                let suffix = name.strip_prefix('*').unwrap_or(&name);
                match suffix.strip_prefix('.') {
                    Some(_) => host.ends_with(suffix),
                    None => {
                        host == suffix
                            || host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
                    }
                }
            }
        };
        is_host && wanted_port.is_none_or(|wanted| wanted == port)
    })
}

/// Whether both addresses are of one family and begin with the same `bits` bits.
fn shares_prefix(a: IpAddr, b: IpAddr, bits: &str) -> bool {
    let (a, b, width) = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (u128::from(a.to_bits()), u128::from(b.to_bits()), 32_u32)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let Some(tail) = bits.parse().ok().and_then(|bits| width.checked_sub(bits)) else {
        return false;
    };
    (a ^ b).checked_shr(tail).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests;
