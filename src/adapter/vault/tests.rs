//! The client against a small server that does what a real one will not do on demand.

mod rotation;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::adapter::entropy;
use crate::base::secret::Secret;
use crate::domain::vault::{Mount, SecretPath, Verdict};

const LIMITS: ClientLimits =
    ClientLimits { reply_bytes_max: 10_000, reply_memory_max: 100_000, file_bytes_max: 100_000 };

/// A server on loopback; what it is asked comes out of `asked`, head and body in one text.
struct Server {
    port: u16,
    asked: Receiver<String>,
}

impl Server {
    /// Answers each request with what `answer` makes of it; with an empty text it stays silent and keeps
    /// the connection open.
    fn start(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, asked) = channel();
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().take(32) {
                let (stream, tls) = (stream.unwrap(), tls.clone());
                let (answer, tell) = (Arc::clone(&answer), tell.clone());
                thread::spawn(move || match tls {
                    None => serve(stream, &*answer, &tell),
                    Some(config) => {
                        let conn = ServerConnection::new(config).unwrap();
                        serve(StreamOwned::new(conn, stream), &*answer, &tell);
                    }
                });
            }
        });
        Self { port, asked }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    fn request(&self) -> String {
        self.asked.recv_timeout(Duration::from_secs(5)).unwrap()
    }
}

fn serve(
    mut stream: impl Read + Write,
    answer: &dyn Fn(&str) -> String,
    tell: &std::sync::mpsc::Sender<String>,
) {
    let mut bytes = Vec::new();
    for _ in 0..10_000 {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.starts_with('\u{16}') {
            // As Go answers a TLS greeting on a plain port.
            let _gone = stream.write_all(http("400 Bad Request", "", "").as_bytes());
            return;
        }
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1).and_then(|t| t.lines().next());
            let length: usize = length.map_or(0, |digits| digits.trim().parse().unwrap());
            if body.len() >= length {
                let _nobody_waits = tell.send(text.clone());
                let reply = answer(&text);
                if stream.write_all(reply.as_bytes()).and_then(|()| stream.flush()).is_err() {
                    return;
                }
                bytes.clear();
                continue;
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

fn connection(address: String) -> Connection {
    Connection { address, timeout: Some(Duration::from_secs(5)), ..Connection::default() }
}

fn client(connection: &Connection) -> VaultClient {
    VaultClient::connect(connection, LIMITS, Clock::start()).unwrap()
}

fn read() -> Request {
    let mount = Mount { path: "kv/".to_owned(), is_kv2: true };
    Request::read(&SecretPath::parse("kv/app?version=2").unwrap(), &mount)
        .with_token(Secret::new("s.token"))
        .in_namespace(Some("team/"))
}

fn unreachable(error: VaultError) -> String {
    match error {
        VaultError::Unreachable { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sends_what_vault_expects_and_reads_the_answer() {
    let server =
        Server::start(None, |_| http("200 OK", "Retry-After: 3\r\n", r#"{"data":{"k":1.0}}"#));
    let client = client(&connection(server.url("http") + "/"));
    let request = read();
    let reply = client.send(&request).unwrap();
    assert_eq!(reply.reading(&request).unwrap().data.to_text(), r#"{"k":1.0}"#);
    assert_eq!(reply.retry_after, Some(Duration::from_secs(3)));
    let asked = server.request();
    assert!(asked.starts_with("GET /v1/kv/data/app?version=2 HTTP/1.1\r\n"), "{asked}");
    let asked = asked.to_ascii_lowercase();
    let agent = concat!("user-agent: vault-injector/", env!("CARGO_PKG_VERSION"), "\r\n");
    let expected = [
        "x-vault-token: s.token\r\n",
        "x-vault-request: true\r\n",
        "x-vault-namespace: team/\r\n",
        agent,
    ];
    for header in expected {
        assert!(asked.contains(header), "{header} is not in {asked}");
    }
    let login = Request::log_in_with_jwt("auth/kubernetes", "app", &Secret::new("j"))
        .wrapped_for(Duration::from_secs(60));
    client.send(&login).unwrap();
    let asked = server.request().to_ascii_lowercase();
    assert!(asked.starts_with("put /v1/auth/kubernetes/login "), "{asked}");
    assert!(
        asked.contains("x-vault-wrap-ttl: 60s\r\n") && !asked.contains("x-vault-token"),
        "{asked}"
    );
    assert!(asked.ends_with(r#"{"jwt":"j","role":"app"}"#), "{asked}");
}

#[test]
fn follows_a_standby_to_the_active_node_once() {
    let active = Server::start(None, |_| http("200 OK", "", r#"{"data":{}}"#));
    let location = format!("Location: {}/v1/moved\r\n", active.url("http"));
    let standby = Server::start(None, move |_| http("307 Temporary Redirect", &location, ""));
    let client_of_standby = client(&connection(standby.url("http")));
    let request = Request::renew_lease("db/1").with_token(Secret::new("s.token"));
    assert_eq!(client_of_standby.send(&request).unwrap().status, 200);
    let asked = active.request();
    assert!(asked.starts_with("PUT /v1/moved ") && asked.contains("s.token"), "{asked}");
    assert!(asked.ends_with(r#"{"increment":0,"lease_id":"db/1"}"#), "{asked}");

    let circle = Server::start(None, |_| http("307 Temporary Redirect", "Location: /v1/x\r\n", ""));
    let error = client(&connection(circle.url("http"))).send(&request).unwrap_err();
    assert!(error.to_string().contains("redirected a second time"), "{error}");
    assert_eq!(circle.asked.try_iter().count(), 2);
}

#[test]
fn a_redirect_never_takes_the_token_off_tls() {
    let from = "https://vault:8200/v1/x";
    assert_eq!(redirect_target(from, "/v1/y").unwrap(), "https://vault:8200/v1/y");
    assert_eq!(redirect_target(from, "https://other/v1/y").unwrap(), "https://other/v1/y");
    assert!(redirect_target(from, "http://vault:8200/v1/y").unwrap_err().contains("https to http"));
    for location in
        ["", "//other/x", "ftp://x/", "https://u:p@x/", "v1/y", "https://x:82000/", "https://x:/"]
    {
        assert!(redirect_target(from, location).is_err(), "{location}");
        assert!(redirect_target("http://vault:8200/v1/x", location).is_err(), "{location}");
    }
    assert_eq!(
        redirect_target(from, "https://x/v1//y?a=b://c").unwrap(),
        "https://x/v1//y?a=b://c"
    );
}

#[test]
fn what_is_too_long_to_be_sent_is_named_and_not_called_a_failure_of_the_network() {
    let client = client(&connection("http://127.0.0.1:1".to_owned()));
    let token = Secret::new("s".repeat(20_000));
    let error = client.send(&Request::look_up_self().with_token(token)).unwrap_err().to_string();
    assert!(error.starts_with("the X-Vault-Token of the request"), "{error}");
    assert!(error.len() < 200 && !error.contains("sss"), "{error}");
    let path = SecretPath::parse(&format!("kv/{}", "x".repeat(20_000))).unwrap();
    let request = Request::read(&path, &Mount::verbatim(&path));
    let error = client.send(&request).unwrap_err();
    assert!(error.to_string().starts_with("the path of the request"), "{error}");
    assert_eq!(error.verdict(), Verdict::Refused);
    let token = Secret::new("s".repeat(14_000));
    let error = client.send(&Request::look_up_self().with_token(token)).unwrap_err();
    assert!(error.to_string().contains("cannot reach"), "{error}");
}

#[test]
fn refuses_a_token_that_cannot_be_sent() {
    let client = client(&connection("http://127.0.0.1:1".to_owned()));
    let error =
        client.send(&Request::look_up_self().with_token(Secret::new("s.token\n"))).unwrap_err();
    assert_eq!(error, VaultError::TokenUnprintable);
    assert!(!error.to_string().contains("s.token"));
}

#[test]
fn answers_have_a_bound_and_a_time() {
    let large = Server::start(None, |_| http("200 OK", "", &"x".repeat(10_001)));
    let error = client(&connection(large.url("http"))).send(&read()).unwrap_err().to_string();
    assert!(error.contains("larger than 10000 bytes"), "{error}");
    let endless = Server::start(None, |_| {
        let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(3))
    });
    let error = client(&connection(endless.url("http"))).send(&read()).unwrap_err().to_string();
    assert!(error.contains("larger than 10000 bytes"), "{error}");
    let silent = Server::start(None, |_| String::new());
    let hasty =
        Connection { timeout: Some(Duration::from_millis(200)), ..connection(silent.url("http")) };
    let reason = unreachable(client(&hasty).send(&read()).unwrap_err());
    assert_eq!(reason, "no answer within 0.2 s");
}

#[test]
fn nobody_there_is_an_error_with_the_address() {
    let error = client(&connection("http://127.0.0.1:1".to_owned())).send(&read()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot reach Vault at http://127.0.0.1:1: "), "{text}");
    assert!(text.to_lowercase().contains("refused"), "{text}");
    let error = client(&connection("http://no-such-host.invalid".to_owned())).send(&read());
    assert!(matches!(error, Err(VaultError::Unreachable { .. })));
}

#[test]
fn connections_are_kept_and_shared_by_threads() {
    let server = Server::start(None, |_| http("200 OK", "", "{}"));
    let client = client(&connection(server.url("http")));
    // Only the first 32 connections are served, so these must share.
    for _ in 0..50 {
        client.send(&read()).unwrap();
    }
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..10).for_each(|_| assert_eq!(client.send(&read()).unwrap().status, 200))
            });
        }
    });
}

#[test]
fn goes_through_a_proxy_unless_told_not_to() {
    let proxy = Server::start(None, |asked| {
        if asked.starts_with("CONNECT") {
            "HTTP/1.1 200 Connection established\r\n\r\n".to_owned()
        } else {
            http("200 OK", "", "{}")
        }
    });
    let through = Connection {
        proxy: Some(Secret::new(format!("http://user:p%40ss@127.0.0.1:{}", proxy.port))),
        ..connection("http://vault.invalid:8200".to_owned())
    };
    let client_of_proxy = client(&through);
    let write = Request::renew_lease("db/1").with_token(Secret::new("s.token"));
    for (request, line, end) in [
        (read(), "GET http://vault.invalid:8200/v1/kv/data/app?version=2 HTTP/1.1\r\n", "\r\n\r\n"),
        (
            write.clone(),
            "PUT http://vault.invalid:8200/v1/sys/leases/renew HTTP/1.1\r\n",
            "\"db/1\"}",
        ),
        (read(), "GET http://vault.invalid:8200/v1/kv/data/app?version=2 HTTP/1.1\r\n", "\r\n\r\n"),
    ] {
        assert_eq!(client_of_proxy.send(&request).unwrap().status, 200);
        let asked = proxy.request();
        assert!(asked.starts_with(line) && asked.ends_with(end), "{asked}");
        let asked = asked.to_ascii_lowercase();
        assert!(asked.contains("host: vault.invalid:8200\r\n"), "{asked}");
        assert!(asked.contains("proxy-authorization: basic dxnlcjpwqhnz\r\n"), "{asked}");
    }
    // TLS goes through a tunnel: the proxy sees no token.
    let tunnelled =
        Connection { address: "https://vault.invalid:8200".to_owned(), ..through.clone() };
    let tunnelled = Connection { tls_skip_verify: true, ..tunnelled };
    assert!(client(&tunnelled).send(&read()).is_err());
    let asked = proxy.request();
    assert!(asked.starts_with("CONNECT vault.invalid:8200 HTTP/1.1"), "{asked}");
    assert!(asked.contains("Basic dXNlcjpwQHNz") && !asked.contains("s.token"), "{asked}");
    let proxy_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dead = Connection {
        proxy: Some(Secret::new(format!("http://user:p%40ss@127.0.0.1:{proxy_port}"))),
        ..through.clone()
    };
    let error = client(&dead).send(&read()).unwrap_err().to_string();
    assert!(error.ends_with(&format!("(through the proxy 127.0.0.1:{proxy_port})")), "{error}");
    assert!(!error.contains("p%40ss") && !error.contains("user"), "{error}");
    let around = Connection { no_proxy: Some(".invalid".to_owned()), ..through };
    assert!(matches!(client(&around).send(&read()), Err(VaultError::Unreachable { .. })));
    assert_eq!(proxy.asked.try_iter().count(), 0);
}

/// Certificates of a test, in a folder of its own.
struct Pki {
    folder: PathBuf,
    ca: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let folder =
            std::env::temp_dir().join(format!("vault-injector-tls-{}", entropy::hex().unwrap()));
        std::fs::create_dir(&folder).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
        Self { folder, ca }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        files::replace(&path, text.as_bytes(), Some(0o600), false).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn ca_file(&self) -> String {
        self.file("ca.pem", &self.ca.pem())
    }

    /// Certificate and key for a name, signed by the CA.
    fn signed(&self, name: &str) -> (rcgen::Certificate, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.ca).unwrap(), key)
    }

    fn server(&self, name: &str, asks_client: bool) -> Server {
        let (cert, key) = self.signed(name);
        Server::start(Some(self.tls(&cert, &key, asks_client)), |_| http("200 OK", "", "{}"))
    }

    fn tls(
        &self,
        cert: &rcgen::Certificate,
        key: &rcgen::KeyPair,
        asks_client: bool,
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let builder = if asks_client {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(builder.with_single_cert(vec![cert.der().clone()], key).unwrap())
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[test]
fn tls_is_checked_against_each_kind_of_ca() {
    let pki = Pki::new();
    let server = pki.server("127.0.0.1", false);
    let base = connection(server.url("https"));
    let by_file = Connection { ca_cert: Some(pki.ca_file()), ..base.clone() };
    let by_text = Connection { ca_cert_bytes: Some(pki.ca.pem()), ..base.clone() };
    // Other files of the folder, such as keys, are passed over.
    pki.file("tls.key", "no certificate");
    let by_folder = Connection { ca_path: pki.folder.to_str().map(str::to_owned), ..base.clone() };
    let by_system = Connection { system_ca_file: Some(pki.ca_file()), ..base.clone() };
    let unchecked = Connection { tls_skip_verify: true, ..base };
    for connection in [by_file, by_text, by_folder, by_system, unchecked] {
        assert_eq!(client(&connection).send(&read()).unwrap().status, 200, "{connection:?}");
    }
}

#[test]
fn authorities_come_from_the_first_place_that_is_named() {
    let pki = Pki::new();
    let bundle = pki.ca_file();
    let mut connection = Connection {
        ca_cert: Some(pki.file("ca_cert", &pki.ca.pem())),
        ca_cert_bytes: Some(pki.ca.pem()),
        ca_path: pki.folder.to_str().map(str::to_owned),
        system_ca_file: Some(bundle.clone()),
        ..Connection::default()
    };
    let place = |connection: &Connection, bundles: &[&str]| {
        let mut source = Source { left_out: Vec::new(), is_public: false };
        let (place, found) = authorities(connection, 100_000, bundles, &mut source).unwrap();
        (place, found.unwrap().len(), source.is_public)
    };
    let bundles = ["/no/such/bundle", bundle.as_str()];
    type Change = fn(&mut Connection);
    let steps: [(&str, bool, Change); 4] = [
        ("ca_cert ", false, |c| c.ca_cert = Some(String::new())),
        ("VAULT_CACERT_BYTES", false, |c| c.ca_cert_bytes = None),
        ("ca_path ", false, |c| c.ca_path = Some(String::new())),
        ("SSL_CERT_FILE ", true, |c| c.system_ca_file = None),
    ];
    for (start, public, change) in steps {
        let (place, count, is_public) = place(&connection, &bundles);
        assert!(place.starts_with(start) && count >= 1, "{start} {place}");
        assert_eq!(is_public, public, "{start}");
        change(&mut connection);
    }
    assert_eq!(place(&connection, &bundles).0, format!("the system's certificates {bundle}"));
    let (name, count, is_public) = place(&connection, &bundles[..1]);
    assert_eq!((name.as_str(), is_public), ("the public authorities", true));
    assert!(count > 100, "{count}");
}

#[test]
fn where_no_authority_is_named_the_public_ones_count_and_the_error_says_so() {
    let pki = Pki::new();
    let server = pki.server("127.0.0.1", false);
    let limits = ClientLimits { file_bytes_max: 4_000_000, ..LIMITS };
    let client = VaultClient::connect(&connection(server.url("https")), limits, Clock::start());
    let reason = unreachable(client.unwrap().send(&read()).unwrap_err());
    for word in ["UnknownIssuer", "tls-secret", "AGENT_INJECT_VAULT_CACERT_BYTES", "vault.caCert"] {
        assert!(reason.contains(word), "{word} is not in {reason}");
    }
}

#[test]
fn an_expired_authority_is_left_out_with_its_name() {
    let (pki, other) = (Pki::new(), Pki::new());
    let both = |a: &str| format!("{a}{}", other.ca.pem());
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_after = time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(1);
    params.not_before = time::OffsetDateTime::UNIX_EPOCH;
    let expired = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let with = |pem: String| Connection {
        ca_cert_bytes: Some(pem),
        ..connection("https://vault:8200".to_owned())
    };
    let client = client(&with(both(&expired)));
    assert_eq!(client.left_out().len(), 1);
    let told = client.left_out()[0].to_string();
    assert!(told.contains("expired at 1970-01-02T00:00:00Z"), "{told}");
    let error = VaultClient::connect(&with(expired), LIMITS, Clock::start()).err().unwrap();
    let error = error.to_string();
    assert!(error.starts_with("VAULT_CACERT_BYTES: ") && error.contains("expired"), "{error}");
    assert!(VaultClient::connect(&with(pki.ca.pem()), LIMITS, Clock::start()).is_ok());
}

#[test]
fn a_distrusted_server_is_refused_with_the_way_out() {
    let (pki, other) = (Pki::new(), Pki::new());
    let server = pki.server("vault.example", false);
    let base = connection(server.url("https"));
    let wrong_ca = Connection { ca_cert: Some(other.ca_file()), ..base.clone() };
    let reason = unreachable(client(&wrong_ca).send(&read()).unwrap_err());
    assert!(reason.contains("ca_cert"), "{reason}");
    let wrong_name = Connection { ca_cert: Some(pki.ca_file()), ..base };
    let reason = unreachable(client(&wrong_name).send(&read()).unwrap_err());
    assert!(reason.contains("tls_server_name") && reason.contains("vault.example"), "{reason}");
    let named = Connection { tls_server_name: Some("vault.example".to_owned()), ..wrong_name };
    assert_eq!(client(&named).send(&read()).unwrap().status, 200);
    let plain = Server::start(None, |_| http("400 Bad Request", "", ""));
    let plain = Connection { tls_skip_verify: true, ..connection(plain.url("https")) };
    let reason = unreachable(client(&plain).send(&read()).unwrap_err());
    assert!(reason.contains("http://"), "{reason}");
}

#[test]
fn a_self_signed_server_may_be_trusted_by_its_own_certificate() {
    let pki = Pki::new();
    let key = rcgen::KeyPair::generate().unwrap();
    for is_ca in [rcgen::IsCa::NoCa, rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)] {
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let cert = params.self_signed(&key).unwrap();
        let server = Server::start(Some(pki.tls(&cert, &key, false)), |_| http("200 OK", "", "{}"));
        let trusting =
            Connection { ca_cert_bytes: Some(cert.pem()), ..connection(server.url("https")) };
        assert_eq!(client(&trusting).send(&read()).unwrap().status, 200);
        let misnamed = Connection { tls_server_name: Some("other".to_owned()), ..trusting };
        assert!(client(&misnamed).send(&read()).is_err(), "the name still counts");
    }
}

#[test]
fn a_client_certificate_is_shown_and_checked_before_use() {
    let pki = Pki::new();
    let server = pki.server("127.0.0.1", true);
    let (cert, key) = pki.signed("client");
    let with_pair = |cert: Option<String>, key: Option<String>| Connection {
        ca_cert: Some(pki.ca_file()),
        client_cert: cert,
        client_key: key,
        ..connection(server.url("https"))
    };
    let cert = pki.file("client.pem", &cert.pem());
    let key = pki.file("client.key", &key.serialize_pem());
    let good = with_pair(Some(cert.clone()), Some(key.clone()));
    assert_eq!(client(&good).send(&read()).unwrap().status, 200);
    let reason = unreachable(client(&with_pair(None, None)).send(&read()).unwrap_err());
    assert!(reason.contains("client_cert"), "{reason}");
    let foreign = pki.file("foreign.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    for (bad, want) in [
        (with_pair(Some(cert.clone()), None), "both are needed"),
        (with_pair(Some(cert.clone()), Some(foreign)), "client_cert and client_key"),
        (with_pair(Some(cert.clone()), Some(cert)), "private key"),
        (with_pair(Some("/no/such".to_owned()), Some(key.clone())), "client_cert"),
        (with_pair(Some(key.clone()), Some(key)), "holds no PEM certificate"),
    ] {
        let error = VaultClient::connect(&bad, LIMITS, Clock::start()).err().unwrap().to_string();
        assert!(error.contains(want), "{want} is not in {error}");
    }
}

#[test]
fn mistakes_of_the_connection_name_setting_and_reason() {
    let wrong = |change: fn(&mut Connection)| {
        let mut connection = connection("https://vault:8200".to_owned());
        change(&mut connection);
        let error = VaultClient::connect(&connection, LIMITS, Clock::start()).err().unwrap();
        crate::base::report::OneLine(&error).to_string()
    };
    for (error, want) in [
        (wrong(|c| c.address = "unix:///run/vault".into()), "Unix socket"),
        (wrong(|c| c.address = "vault:8200".into()), "want https://"),
        (wrong(|c| c.address = "".into()), "want https://"),
        (wrong(|c| c.address = "http://vault:82000".into()), "the port \"82000\" is none"),
        (wrong(|c| c.address = "https://u:hunter2@vault".into()), "user name"),
        (wrong(|c| c.ca_cert = Some("/no/such.pem".into())), "ca_cert: /no/such.pem: No such file"),
        (wrong(|c| c.ca_path = Some("/no/such".into())), "ca_path: /no/such: No such file"),
        (
            wrong(|c| c.ca_cert_bytes = Some("x".into())),
            "VAULT_CACERT_BYTES: holds no PEM certificate",
        ),
        (
            wrong(|c| {
                c.tls_skip_verify = true;
                c.tls_server_name = Some("a b".into());
            }),
            "tls_server_name \"a b\"",
        ),
        (
            wrong(|c| {
                c.tls_skip_verify = true;
                c.proxy = Some(Secret::new("socks5://u:hunter2@p:1"));
            }),
            "proxy: ",
        ),
    ] {
        assert!(error.contains(want) && !error.contains("hunter2"), "{want} is not in {error}");
    }
}

#[test]
fn a_slow_handshake_ends_in_time() {
    // Takes the connection and never says a word of TLS.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hasty = Connection {
        tls_skip_verify: true,
        timeout: Some(Duration::from_millis(200)),
        ..connection(format!("https://{}", listener.local_addr().unwrap()))
    };
    let held = Mutex::new(listener);
    let reason = unreachable(client(&hasty).send(&read()).unwrap_err());
    assert!(reason.contains("within 0.2 s"), "{reason}");
    drop(held);
}
