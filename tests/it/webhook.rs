//! The webhook as a process, seen from outside: the executable, real TLS, signals, exit codes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::https::{Ca, Client, Reply};
use crate::support::program::wait_until;

pub(crate) const JSON: &[&str] = &["Content-Type: application/json"];

/// A review of a pod with these annotations.
pub(crate) fn review(namespace: &str, annotations: &str) -> Vec<u8> {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u-1",
        "kind":{{"group":"","version":"v1","kind":"Pod"}},"resource":{{"group":"","version":"v1","resource":"pods"}},
        "namespace":"{namespace}","operation":"CREATE","object":{{"apiVersion":"v1","kind":"Pod",
        "metadata":{{"generateName":"web-","annotations":{{{annotations}}}}},
        "spec":{{"containers":[{{"name":"app","image":"nginx","env":[{{"name":"P","value":"hunter2"}}]}}]}}}}}}}}"#
    )
    .into_bytes()
}

/// A running webhook, killed when dropped.
pub(crate) struct Webhook {
    pub(crate) ca: Arc<Ca>,
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) lines: Receiver<String>,
    folder: PathBuf,
}

fn command(options: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vault-injector"));
    command.args(["agent-inject", "2>&1"]).stdin(Stdio::null());
    set(&mut command, options);
    command
}

fn set(command: &mut Command, options: &[(&str, &str)]) {
    command.env_clear();
    command.env("AGENT_INJECT_LISTEN", "127.0.0.1:0");
    command.env("AGENT_INJECT_VAULT_ADDR", "https://vault.example:8200");
    command.envs(options.iter().copied());
}

/// Runs to its end, which must come by itself.
fn output(options: &[(&str, &str)]) -> Output {
    command(options).output().unwrap()
}

impl Webhook {
    pub(crate) fn start(options: &[(&str, &str)]) -> Self {
        Self::start_as(command(&[]), &Arc::new(Ca::new()), options)
    }

    /// One that may open so many files.
    pub(crate) fn start_with_descriptors(count: usize) -> Self {
        let mut command = Command::new("sh");
        let binary = env!("CARGO_BIN_EXE_vault-injector");
        command.args(["-c", &format!("ulimit -n {count}; exec {binary} webhook")]);
        command.stdin(Stdio::null());
        Self::start_as(command, &Arc::new(Ca::new()), &[])
    }

    /// One of several whose certificates are of one CA.
    pub(crate) fn start_under(ca: &Arc<Ca>, options: &[(&str, &str)]) -> Self {
        Self::start_as(command(&[]), ca, options)
    }

    fn start_as(mut command: Command, ca: &Arc<Ca>, options: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vault-injector-webhook-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let ca = Arc::clone(ca);
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        let (certificate_pem, key_pem) = ca.issue();
        std::fs::write(&certificate, certificate_pem).unwrap();
        std::fs::write(&key, key_pem).unwrap();
        set(&mut command, options);
        let mut child = command
            .env("AGENT_INJECT_TLS_CERT_FILE", &certificate)
            .env("AGENT_INJECT_TLS_KEY_FILE", &key)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || log.lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        let mut webhook = Self { ca, child, address: ([127, 0, 0, 1], 0).into(), lines, folder };
        let line = webhook.line("listening");
        let address = line.split(['=', '"']).find_map(|word| word.parse().ok());
        webhook.address = address.unwrap_or_else(|| panic!("no address in {line}"));
        webhook
    }

    /// The next log line with this text.
    pub(crate) fn line(&self, text: &str) -> String {
        let end = Instant::now() + Duration::from_secs(20);
        let mut seen = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line with {text:?} in {seen:#?}"),
            }
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address, self.ca.client(), "localhost").unwrap()
    }

    pub(crate) fn ask(&self, line: &str, headers: &[&str], body: &[u8]) -> Reply {
        self.connect().ask(line, headers, body).unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("still running");
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
        let _left_behind = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn answers_each_path_method_and_body_with_its_status() {
    let webhook = Webhook::start(&[]);
    let good = review("web", "");
    let long = vec![b' '; 3 * 1024 * 1024 + 1];
    let text = &["Content-Type: text/plain"][..];
    let cases: &[(&str, &[&str], &[u8], u16)] = &[
        ("GET /health/ready", &[], b"", 204),
        ("GET /health/live", &[], b"", 204),
        ("GET /metrics", &[], b"", 200),
        ("GET /", &[], b"", 404),
        ("POST /mutate/", JSON, &good, 404),
        ("GET /mutate", &[], b"", 405),
        ("PUT /mutate", JSON, &good, 405),
        ("POST /mutate", &[], &good, 415),
        ("POST /mutate", text, &good, 415),
        ("POST /mutate", JSON, b"", 400),
        ("POST /mutate", JSON, b"{", 400),
        ("POST /mutate", JSON, b"{}", 400),
        ("POST /mutate", JSON, b"null", 400),
        ("POST /mutate", JSON, &long, 413),
        ("POST /mutate", JSON, &good, 200),
        ("POST /mutate", &["Content-Type: application/json; charset=utf-8"], &good, 200),
    ];
    for (line, headers, body, status) in cases {
        let reply = webhook.ask(line, headers, body);
        assert_eq!(reply.status, *status, "{line} {headers:?} {}", reply.text());
        if *status >= 400 {
            assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"), "{line}");
            assert!(reply.text().ends_with('\n') && reply.text().len() > 5, "{}", reply.text());
        }
    }
    let allow = webhook.ask("GET /mutate", &[], b"");
    assert_eq!(allow.header("allow"), Some("POST"));
    let reply = webhook.ask("POST /mutate", JSON, &good);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(answer["response"]["uid"], "u-1");
    assert_eq!(answer["response"]["allowed"], true);
}

#[test]
fn a_body_without_length_is_bounded_too() {
    let webhook = Webhook::start(&[]);
    let mut client = webhook.connect();
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 0x10_0000], b"\r\n"].concat();
    for _ in 0..9 {
        client.send(&chunk).unwrap();
    }
    client.send(b"0\r\n\r\n").unwrap();
    assert_eq!(client.reply().unwrap().status, 413);
}

#[test]
fn writes_one_line_per_decision_and_never_the_body() {
    let webhook = Webhook::start(&[("AGENT_INJECT_LOG_LEVEL", "trace")]);
    let deny = review("web", r#""vault.hashicorp.com/agent-inject":"perhaps""#);
    let unwanted = r#""vault.hashicorp.com/agent-inject":"false""#;
    assert_eq!(webhook.ask("POST /mutate", JSON, &review("web", unwanted)).status, 200);
    assert_eq!(webhook.ask("POST /mutate", JSON, &deny).status, 200);
    assert_eq!(webhook.ask("POST /mutate", JSON, &review("web", "")).status, 200);
    assert_eq!(webhook.ask("POST /mutate", JSON, b"{\"hunter2").status, 400);
    webhook.signal("INT");
    let mut log = Vec::new();
    while let Ok(line) = webhook.lines.recv_timeout(Duration::from_secs(20)) {
        log.push(line);
    }
    let decisions: Vec<&String> =
        log.iter().filter(|line| line.contains("review decided")).collect();
    assert_eq!(decisions.len(), 3, "{log:#?}");
    // Nobody asked for anything: that is no news in a cluster that sends every pod here.
    assert!(decisions[2].contains("[DEBUG]") && decisions[0].contains("[INFO]"), "{log:#?}");
    assert!(
        decisions[0].contains("namespace=web name=web- uid=u-1 decision=skip reason="),
        "{}",
        decisions[0]
    );
    assert!(
        decisions[1].contains("decision=deny") && decisions[1].contains("message="),
        "{}",
        decisions[1]
    );
    assert!(!log.iter().any(|line| line.contains("hunter2")), "{log:#?}");
    assert_eq!(log.iter().filter(|line| line.contains("review refused")).count(), 1);
}

#[test]
fn writes_json_lines_when_asked_to() {
    let webhook = Webhook::start(&[("AGENT_INJECT_LOG_FORMAT", "json")]);
    let unwanted = r#""vault.hashicorp.com/agent-inject":"false""#;
    webhook.ask("POST /mutate", JSON, &review("web", unwanted));
    let line: serde_json::Value = serde_json::from_str(&webhook.line("review decided")).unwrap();
    assert_eq!(line["decision"], "skip");
    assert_eq!(line["uid"], "u-1");
    assert_eq!(line["@module"], "handler");
}

#[test]
fn counts_what_it_does() {
    let webhook = Webhook::start(&[]);
    let deny = review("web", r#""vault.hashicorp.com/agent-inject":"perhaps""#);
    webhook.ask("POST /mutate", JSON, &deny);
    webhook.ask("POST /mutate", JSON, b"");
    webhook.ask("GET /mutate", JSON, b"");
    webhook.ask("POST /mutate", &["Content-Type: text/plain"], &deny);
    let text = webhook.ask("GET /metrics", &[], b"").text();
    for line in [
        "vault_agent_injector_failed_injections_by_namespace_total{namespace=\"web\"} 1",
        "vault_agent_injector_request_queue_length 0",
        "vault_agent_injector_request_processing_duration_ms_count 1",
        "vault_injector_request_duration_seconds_count 1",
        "vault_injector_http_responses_total{code=\"400\"} 1",
        "vault_injector_connections 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(text.contains("\nvault_injector_certificate_expiration_timestamp_seconds "), "{text}");
}

#[test]
fn serves_many_requests_on_one_connection_and_many_connections() {
    let webhook = Webhook::start(&[]);
    let body = review("web", "");
    let mut client = webhook.connect();
    for _ in 0..50 {
        assert_eq!(client.ask("POST /mutate", JSON, &body).unwrap().status, 200);
    }
    let mut clients: Vec<Client> = (0..300).map(|_| webhook.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("POST /mutate", JSON, &body).unwrap().status, 200);
    }
}

/// Asks on a connection of its own, in a thread of its own.
fn ask_late(webhook: &Webhook) -> thread::JoinHandle<u16> {
    let (address, config) = (webhook.address, webhook.ca.client());
    thread::spawn(move || {
        let mut client = Client::connect(address, config, "localhost").unwrap();
        client.ask("GET /health/live", &[], b"").unwrap().status
    })
}

#[test]
fn idle_connections_make_room_at_the_cap() {
    let webhook = Webhook::start(&[]);
    let start = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..500 {
        let mut client = webhook.connect();
        let reply = client.ask("GET /health/live", &[], b"").unwrap();
        assert_eq!((reply.status, reply.header("connection")), (204, None));
        clients.push(client);
    }
    clients.extend((0..12).map(|_| webhook.connect()));
    assert_eq!(ask_late(&webhook).join().unwrap(), 204);
    let one_went = || clients.iter_mut().any(Client::is_closed);
    assert!(wait_until(Duration::from_secs(10), one_went), "nobody made room");
    assert!(start.elapsed() < Duration::from_secs(60), "only because they timed out");
}

#[test]
fn survives_running_out_of_file_descriptors() {
    let webhook = Webhook::start_with_descriptors(24);
    let clients: Vec<TcpStream> =
        (0..40).map(|_| TcpStream::connect(webhook.address).unwrap()).collect();
    webhook.line("cannot accept connections");
    // Told once, not at each try.
    thread::sleep(Duration::from_secs(1));
    assert!(!webhook.lines.try_iter().any(|line| line.contains("cannot accept")));
    drop(clients);
    assert_eq!(webhook.ask("GET /health/ready", &[], b"").status, 204);
}

#[test]
fn cuts_off_slow_headers_and_bodies_but_no_idle_connection() {
    let webhook = Webhook::start(&[]);
    let mut bodiless = webhook.connect();
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    bodiless.send(format!("{head}Content-Length: 100\r\n\r\n{{").as_bytes()).unwrap();
    let mut idle = webhook.connect();
    assert_eq!(idle.ask("GET /health/live", &[], b"").unwrap().status, 204);
    let mut slow = webhook.connect();
    let start = Instant::now();
    slow.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n").unwrap();
    while start.elapsed() < Duration::from_secs(15) && slow.send(b"A: b\r\n").is_ok() {
        thread::sleep(Duration::from_millis(250));
    }
    let took = start.elapsed();
    assert!((9..14).contains(&took.as_secs()), "{took:?}");
    assert_eq!(bodiless.reply().unwrap().status, 408);
    assert_eq!(idle.ask("GET /health/live", &[], b"").unwrap().status, 204);
}

#[test]
fn offers_the_versions_and_suites_it_is_told() {
    let shake = |options: &[(&str, &str)], versions| {
        let webhook = Webhook::start(options);
        Client::connect(webhook.address, webhook.ca.client_of(versions), "localhost")
            .map(|client| client.suite())
            .ok()
    };
    let tls12 = &[&rustls::version::TLS12][..];
    let tls13 = &[&rustls::version::TLS13][..];
    let name = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    let chosen = [("AGENT_INJECT_TLS_CIPHER_SUITES", name)];
    assert_eq!(shake(&chosen, tls12).as_deref(), Some(name));
    let only_rsa = [("AGENT_INJECT_TLS_CIPHER_SUITES", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")];
    assert_eq!(shake(&only_rsa, tls12), None);
    assert!(shake(&only_rsa, tls13).is_some());
    // A company's list names some that we do not have.
    let mixed =
        format!("{name},TLS_RSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA");
    let mixed = [("AGENT_INJECT_TLS_CIPHER_SUITES", mixed.as_str())];
    assert_eq!(shake(&mixed, tls12).as_deref(), Some(name));
    let newest = [("AGENT_INJECT_TLS_MIN_VERSION", "tls13")];
    assert_eq!(shake(&newest, tls12), None);
    assert!(shake(&newest, tls13).is_some());
}

#[test]
fn tells_a_plain_client_what_is_wrong() {
    let webhook = Webhook::start(&[]);
    let mut stream = TcpStream::connect(webhook.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.0 400 "), "{text}");
    assert!(text.contains("Client sent an HTTP request to an HTTPS server."), "{text}");
}

#[test]
fn serves_a_changed_certificate_with_and_without_sni() {
    let webhook = Webhook::start(&[]);
    let peer =
        |name: &str| Client::connect(webhook.address, webhook.ca.client(), name).unwrap().peer();
    let before = peer("localhost");
    assert_eq!(before, peer("127.0.0.1"));
    let (certificate, key) = webhook.ca.issue();
    // Half a change is none: the old pair stays.
    std::fs::write(webhook.folder.join("tls.crt"), certificate).unwrap();
    let line = webhook.line("certificate not replaced");
    assert!(line.contains("certificate and key do not fit: "), "{line}");
    assert!(line.contains("tls.key is not the key of "), "{line}");
    assert_eq!(before, peer("localhost"));
    std::fs::write(webhook.folder.join("tls.key"), key).unwrap();
    webhook.line("serving certificate");
    let after = peer("localhost");
    assert_ne!(before, after);
    assert_eq!(after, peer("127.0.0.1"));
}

#[test]
fn says_that_its_certificate_has_expired_and_is_not_ready() {
    let webhook = Webhook::start(&[]);
    let (certificate, key) = webhook.ca.issue_expired();
    std::fs::write(webhook.folder.join("tls.key"), key).unwrap();
    std::fs::write(webhook.folder.join("tls.crt"), certificate).unwrap();
    let line = webhook.line("certificate expired");
    assert!(line.contains("[ERROR]") && line.contains("not ready"), "{line}");
}

#[test]
fn says_once_that_its_certificate_is_not_trusted() {
    let webhook = Webhook::start(&[]);
    for _ in 0..3 {
        Client::connect(webhook.address, Ca::new().client(), "localhost").map(drop).unwrap_err();
    }
    let line = webhook.line("does not trust the certificate");
    assert!(line.contains("[WARN]") && line.contains("caBundle"), "{line}");
    let metrics = "vault_injector_handshake_failures_total 3";
    let start = Instant::now();
    while !webhook.ask("GET /metrics", &[], b"").text().contains(metrics) {
        assert!(start.elapsed() < Duration::from_secs(5), "{metrics}");
    }
    webhook.signal("INT");
    while let Ok(line) = webhook.lines.recv_timeout(Duration::from_secs(20)) {
        assert!(!line.contains("does not trust"), "told twice: {line}");
    }
}

#[test]
fn a_request_in_flight_survives_sigterm() {
    let mut webhook = Webhook::start(&[]);
    let body = review("web", "");
    let (first, rest) = body.split_at(body.len() / 2);
    let mut busy = webhook.connect();
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    busy.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
    busy.send(first).unwrap();
    let mut idle = webhook.connect();
    assert_eq!(idle.ask("GET /health/live", &[], b"").unwrap().status, 204);
    webhook.signal("TERM");
    webhook.line("shutting down");
    // The API server has not heard of it yet and still comes.
    let ready = webhook.ask("GET /health/ready", &[], b"");
    assert_eq!((ready.status, ready.header("connection")), (503, Some("close")));
    assert_eq!(webhook.ask("GET /health/live", &[], b"").status, 204);
    assert_eq!(webhook.ask("POST /mutate", JSON, &body).status, 200);
    // Long after new connections are refused.
    assert_eq!(idle.read_to_end().unwrap(), b"");
    assert!(TcpStream::connect(webhook.address).is_err());
    busy.send(rest).unwrap();
    assert_eq!(busy.reply().unwrap().status, 200);
    assert_eq!(webhook.exit_code(), Some(0));
}

#[test]
fn sigint_ends_it_at_once() {
    let mut webhook = Webhook::start(&[]);
    let start = Instant::now();
    webhook.signal("INT");
    assert_eq!(webhook.exit_code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn serves_a_certificate_of_its_own_without_files() {
    let child = command(&[("AGENT_INJECT_LOG_FORMAT", "json")]).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("serving certificate")).unwrap();
    let address = lines.find(|line| line.contains("listening")).unwrap();
    let address: serde_json::Value = serde_json::from_str(&address).unwrap();
    let address: SocketAddr = address["address"].as_str().unwrap().parse().unwrap();
    // Nobody trusts it who does not know its CA; that a handshake gets so far shows that it is served.
    let outcome = Client::connect(address, Ca::new().client(), "localhost").map(|_| ());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(outcome.unwrap_err().to_string().contains("UnknownIssuer"));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["ca_sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn tells_what_is_wrong_with_its_options_and_ends_with_2() {
    let wrong = [
        ("AGENT_INJECT_VAULT_ADDR", ""),
        ("AGENT_INJECT_TLS_CIPHER_SUITES", "TLS_RSA_WITH_AES_256_GCM_SHA384,x"),
        ("AGENT_INJECT_TLS_MIN_VERSION", "ssl3"),
    ];
    let output = output(&wrong);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("AGENT_INJECT_VAULT_ADDR: no Vault address"), "{text}");
    assert!(text.contains("AGENT_INJECT_TLS_MIN_VERSION=\"ssl3\": unknown TLS version"), "{text}");
    assert!(
        text.contains("none of the cipher suites TLS_RSA_WITH_AES_256_GCM_SHA384, x is known"),
        "{text}"
    );
}

#[test]
fn ends_with_1_and_clear_words_when_it_cannot_serve() {
    let webhook = Webhook::start(&[]);
    let taken = webhook.address.to_string();
    let files =
        [("AGENT_INJECT_TLS_CERT_FILE", "/absent/c"), ("AGENT_INJECT_TLS_KEY_FILE", "/absent/k")];
    for (options, want) in [
        (&[("AGENT_INJECT_LISTEN", taken.as_str())][..], format!("cannot listen on {taken}: ")),
        (&files[..], "cannot serve TLS: cannot read certificate and key: /absent/c: ".to_owned()),
    ] {
        let output = output(options);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(&want), "{text}");
    }
}
