//! HTTP/1.1 with keep-alive over TCP or TLS, one thread per connection.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Instant;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::{Fault, Seen, Shared, api, matches};

/// Bytes of a request head or body.
const BYTES_MAX: usize = 1024 * 1024;

/// A certificate, its CA, and a server's configuration with it.
pub(crate) struct SelfMadeTls {
    /// The CA's certificate, PEM.
    pub(crate) ca_pem: String,
    /// The server's certificate, PEM.
    pub(crate) cert_pem: String,
    /// The server's key, PEM.
    pub(crate) key_pem: String,
    /// Ready to serve.
    pub(crate) server: Arc<ServerConfig>,
}

/// Makes a CA and a server certificate for `names` (DNS names or addresses).
pub(crate) fn self_made_tls(names: &[&str]) -> SelfMadeTls {
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("no names to refuse");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "Test CA");
    ca.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let ca_cert = ca.self_signed(&ca_key).expect("a CA");
    let issuer = rcgen::Issuer::new(ca, ca_key);

    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = rcgen::CertificateParams::new(names).expect("valid names");
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "Test server");
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate().expect("a key");
    let cert = leaf.signed_by(&key, &issuer).expect("a certificate");

    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], der)
        .expect("a key that fits its certificate");
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    SelfMadeTls {
        ca_pem: ca_cert.pem(),
        cert_pem: cert.pem(),
        key_pem: key.serialize_pem(),
        server: Arc::new(server),
    }
}

/// Serves until the server stops.
pub(super) fn accept(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    tls: Option<&Arc<ServerConfig>>,
) {
    for (number, stream) in listener.incoming().enumerate() {
        let Ok(stream) = stream else { continue };
        {
            let mut inside = shared.lock();
            if inside.stopping {
                return;
            }
            if let Ok(clone) = stream.try_clone() {
                inside.streams.insert(number, clone);
            }
        }
        // Small answers must not wait for acknowledgements.
        let _slower = stream.set_nodelay(true);
        let (shared, tls) = (Arc::clone(shared), tls.cloned());
        thread::spawn(move || {
            // A connection that breaks is the client's business.
            let _broken = match tls {
                None => talk(stream, number, &shared),
                Some(config) => ServerConnection::new(config)
                    .map_err(io::Error::other)
                    .and_then(|tls| talk(StreamOwned::new(tls, stream), number, &shared)),
            };
            // Its clone would keep the socket open.
            if let Some(clone) = shared.lock().streams.remove(&number) {
                let _closed = clone.shutdown(Shutdown::Both);
            }
        });
    }
}

/// A request as it came over the wire.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) token: Option<String>,
    pub(super) body: Value,
    /// Whether the client wants the connection closed after it.
    closes: bool,
}

/// Requests of one connection, until the client or a fault ends it.
fn talk<S: Read + Write>(stream: S, connection: usize, shared: &Arc<Shared>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream)? {
        let number = record(&request, connection, shared);
        let Some(fault) = trapped(&request.path, shared) else {
            let (status, body) = answered(&request, shared);
            note_status(shared, number, status);
            send(stream.get_mut(), status, &[], &body)?;
            if request.closes {
                return Ok(());
            }
            continue;
        };
        if !mistreat(stream.get_mut(), &request, fault, number, shared)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Carries a fault out. Says whether the connection goes on.
fn mistreat<S: Write>(
    stream: &mut S,
    request: &Request,
    fault: Fault,
    number: usize,
    shared: &Shared,
) -> io::Result<bool> {
    match fault {
        Fault::Close => return Ok(false),
        Fault::CutBody => {
            note_status(shared, number, 200);
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{{\"data\": {{")?;
            stream.flush()?;
            return Ok(false);
        }
        Fault::Garbage(body) => {
            note_status(shared, number, 200);
            send(stream, 200, &[], body.as_bytes())?;
        }
        Fault::Hang => {
            let stopped = shared.changed.wait_while(shared.lock(), |inside| !inside.stopping);
            drop(stopped.unwrap_or_else(PoisonError::into_inner));
            return Ok(false);
        }
        Fault::Redirect(address) => {
            note_status(shared, number, 307);
            let mark = if request.query.is_empty() { "" } else { "?" };
            let target = format!("{address}/v1/{}{mark}{}", request.path, request.query);
            send(stream, 307, &[("Location", target)], b"")?;
        }
        Fault::Slow(wait) => {
            thread::sleep(wait);
            let (status, body) = answered(request, shared);
            note_status(shared, number, status);
            send(stream, status, &[], &body)?;
        }
        Fault::Status(status, errors, retry_after) => {
            note_status(shared, number, status);
            let wait = retry_after.map(|seconds| ("Retry-After", seconds.to_string()));
            let body = json!({ "errors": errors }).to_string();
            send(stream, status, wait.as_slice(), body.as_bytes())?;
        }
    }
    Ok(!request.closes)
}

/// What the API says to it.
fn answered(request: &Request, shared: &Shared) -> (u16, Vec<u8>) {
    let (status, body) = api::answer(&mut shared.lock().state, request);
    let text = if body.is_null() { String::new() } else { body.to_string() };
    (status, text.into_bytes())
}

/// Remembers the request and returns its place in the log.
fn record(request: &Request, connection: usize, shared: &Shared) -> usize {
    let mut inside = shared.lock();
    let accessor = request.token.as_ref().and_then(|token| inside.state.accessor(token));
    inside.seen.push(Seen {
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        accessor,
        has_token: request.token.is_some(),
        namespace: request.headers.get("x-vault-namespace").cloned(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        at: Instant::now(),
        connection,
        status: 0,
    });
    let number = inside.seen.len() - 1;
    drop(inside);
    shared.changed.notify_all();
    number
}

fn note_status(shared: &Shared, number: usize, status: u16) {
    // The log may have been cleared in between.
    if let Some(seen) = shared.lock().seen.get_mut(number) {
        seen.status = status;
    }
    shared.changed.notify_all();
}

/// The fault that is set for `path`, counted down.
fn trapped(path: &str, shared: &Shared) -> Option<Fault> {
    let mut inside = shared.lock();
    let mut live = inside.traps.iter_mut().rev().filter(|trap| trap.left > 0);
    let trap = live.find(|trap| matches(&trap.pattern, path))?;
    trap.left -= 1;
    Some(trap.fault.clone())
}

/// The next request, `None` when the client is done.
fn read_request<S: Read>(stream: &mut BufReader<S>) -> io::Result<Option<Request>> {
    let Some(start) = read_line(stream)? else { return Ok(None) };
    let mut words = start.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let mut headers = BTreeMap::new();
    while let Some(line) = read_line(stream)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
    }
    let token = headers.remove("x-vault-token").filter(|token| !token.is_empty());
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; BYTES_MAX.min(length)];
    stream.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Some(Request {
        method: method.to_owned(),
        path: path.trim_start_matches("/v1/").to_owned(),
        query: query.to_owned(),
        closes: headers.get("connection").is_some_and(|c| c.eq_ignore_ascii_case("close")),
        headers,
        token,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }))
}

/// One line without its end; `None` at the end of the stream.
fn read_line<S: Read>(stream: &mut BufReader<S>) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.by_ref().take(64 * 1024).read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn send<S: Write>(
    stream: &mut S,
    status: u16,
    headers: &[(&str, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n",
        if status < 400 { "OK" } else { "Error" }
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 204 {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes)?;
    stream.flush()
}
