//! The one call of Kubernetes that OpenBao's kubernetes login makes, served over TLS and checked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// A server of `TokenReview`; stops when dropped.
#[derive(Debug)]
pub(crate) struct TokenReview {
    address: SocketAddr,
    /// PEM.
    pub(crate) certificate: String,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    /// What the reviewer must show.
    reviewer: String,
    /// Tokens that pass, with the service account they stand for.
    known: Mutex<Vec<(String, String, String)>>,
    complaints: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl TokenReview {
    /// Starts a server that wants `reviewer` as bearer token and knows no other token yet.
    pub(crate) fn start(reviewer: &str) -> Self {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a server's certificate");
        let socket = TcpListener::bind("127.0.0.1:0").expect("bind a loopback port");
        let address = socket.local_addr().expect("its address");
        let state = Arc::new(State {
            reviewer: reviewer.to_owned(),
            known: Mutex::default(),
            complaints: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let tls = Arc::new(tls);
        let thread = std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                if shared.stop.load(Ordering::Relaxed) {
                    break;
                }
                shared.serve(stream, &tls);
            }
        });
        Self { address, certificate: cert.pem(), state, thread: Some(thread) }
    }

    /// `https://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Lets `token` pass as the service account `name` of `namespace`.
    pub(crate) fn know(&self, token: &str, namespace: &str, name: &str) {
        let entry = (token.to_owned(), namespace.to_owned(), name.to_owned());
        self.state.known.lock().expect("tokens").push(entry);
    }

    /// What was wrong with the requests so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.state.complaints.lock().expect("complaints").clone()
    }
}

impl Drop for TokenReview {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        let _wakes_accept = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl State {
    /// One connection, one request. A connection that breaks is OpenBao's affair.
    fn serve(&self, stream: TcpStream, tls: &Arc<ServerConfig>) {
        let _unset = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let Ok(connection) = ServerConnection::new(Arc::clone(tls)) else { return };
        let mut reader = BufReader::new(StreamOwned::new(connection, stream));
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(read) if read > 0 && !line.trim().is_empty() => {
                    head.push(line.trim().to_owned())
                }
                Ok(_) => break,
                Err(_) => return,
            }
        }
        let length = header(&head, "content-length").and_then(|text| text.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let answer = self.answer(&head, &body).to_string();
        let text = format!(
            "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        );
        let stream = reader.get_mut();
        let _gone = stream.write_all(text.as_bytes());
        stream.conn.send_close_notify();
        let _gone = stream.flush();
    }

    fn answer(&self, head: &[String], body: &[u8]) -> Value {
        let review: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let line = head.first().map_or("", String::as_str);
        self.check(
            line == "POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1",
            &format!("request line {line}"),
        );
        let bearer = header(head, "authorization");
        self.check(bearer == Some(&format!("Bearer {}", self.reviewer)), "a wrong bearer token");

        let token = review["spec"]["token"].as_str().unwrap_or_default();
        let known = self.known.lock().expect("tokens");
        let status = known.iter().find(|(known, ..)| known == token).map_or_else(
            || json!({"authenticated": false, "error": "unknown token"}),
            |(_, namespace, name)| {
                json!({"authenticated": true, "audiences": review["spec"]["audiences"], "user": {
                    "username": format!("system:serviceaccount:{namespace}:{name}"),
                    "uid": "5f6f4d0e-7d9a-4c0b-9d0e-0e9a4f1b2c3d",
                    "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}")],
                }})
            },
        );
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
    }

    fn check(&self, holds: bool, complaint: &str) {
        if !holds {
            self.complaints.lock().expect("complaints").push(complaint.to_owned());
        }
    }
}

/// The value of a header, whose name is in lower case here.
fn header<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    head.iter()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value.trim()))
}
