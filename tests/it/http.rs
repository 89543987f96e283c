//! HTTP as an API server, a proxy or a stranger may speak it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::https::Client;
use crate::webhook::{JSON, Webhook, review};

const HEAD: &str =
    "POST /mutate?timeout=10s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

fn uid_of(body: &[u8]) -> String {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap();
    answer["response"]["uid"].as_str().unwrap().to_owned()
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let webhook = Webhook::start(&[]);
    let body = review("web", "");
    let length = body.len();
    let mut client = webhook.connect();
    let ask = format!("{HEAD}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n");
    client.send(ask.as_bytes()).unwrap();
    assert_eq!(client.reply().unwrap().status, 100);
    client.send(&body).unwrap();
    assert_eq!(client.reply().unwrap().status, 200);
    // A no comes at once, not after waiting for a body that will not be sent.
    let ask = ask.replace("application/json", "text/plain");
    let start = Instant::now();
    client.send(ask.as_bytes()).unwrap();
    assert_eq!(client.reply().unwrap().status, 415);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn bodies_may_come_in_pieces() {
    let webhook = Webhook::start(&[]);
    let body = review("web", "");
    let mut client = webhook.connect();
    client.send(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).unwrap();
    for piece in body.chunks(100) {
        let mut chunk = format!("{:x};a=b\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        client.send(&[&chunk[..], b"\r\n"].concat()).unwrap();
    }
    client.send(b"0\r\nTrailer: x\r\n\r\n").unwrap();
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, uid_of(&reply.body).as_str()), (200, "u-1"));
    // Nonsense instead of a length ends the request, not the webhook.
    client.send(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\n").as_bytes()).unwrap();
    assert_eq!(client.reply().unwrap().status, 400);
    assert_eq!(webhook.ask("POST /mutate", JSON, &body).status, 200);
}

#[test]
fn the_older_version_is_answered_and_closed_unless_asked_otherwise() {
    let webhook = Webhook::start(&[]);
    let body = review("web", "");
    let head = HEAD.replace("HTTP/1.1", "HTTP/1.0").replace("Host: x\r\n", "");
    for (field, stays) in [("", false), ("Connection: keep-alive\r\n", true)] {
        let mut client = webhook.connect();
        let request = format!("{head}{field}Content-Length: {}\r\n\r\n", body.len());
        client.send(&[request.as_bytes(), &body].concat()).unwrap();
        let reply = client.reply().unwrap();
        assert_eq!((reply.status, uid_of(&reply.body).as_str()), (200, "u-1"), "{field}");
        if stays {
            assert_eq!(client.ask("GET /health/live", &[], b"").unwrap().status, 204);
        } else {
            assert_eq!(client.read_to_end().unwrap(), b"");
        }
    }
}

#[test]
fn requests_sent_ahead_are_answered_in_their_order() {
    let webhook = Webhook::start(&[]);
    let mut client = webhook.connect();
    let text = String::from_utf8(review("web", "")).unwrap();
    let mut all = Vec::new();
    for i in 0..30 {
        let body = text.replace("u-1", &format!("u-{i:02}"));
        all.extend_from_slice(
            format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
        );
    }
    client.send(&all).unwrap();
    for i in 0..30 {
        assert_eq!(uid_of(&client.reply().unwrap().body), format!("u-{i:02}"));
    }
}

#[test]
fn a_head_has_no_body() {
    let webhook = Webhook::start(&[]);
    for (path, status) in [
        ("/health/ready", 204),
        ("/health/live", 204),
        ("/metrics", 200),
        ("/mutate", 405),
        ("/", 404),
    ] {
        let mut client = webhook.connect();
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        client.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let text = String::from_utf8(client.read_to_end().unwrap()).unwrap();
        let (first, second) = text.split_once("\r\n\r\n").unwrap();
        assert!(first.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {first}");
        assert!(second.starts_with("HTTP/1.1 204 "), "{path} has a body: {second}");
    }
}

#[test]
fn a_connection_outlives_its_errors() {
    let webhook = Webhook::start(&[]);
    let good = review("web", "");
    let long = vec![b' '; 3 * 1024 * 1024 + 1];
    let mut client = webhook.connect();
    let plain = &["Content-Type: text/plain"][..];
    for (line, headers, body, status) in [
        ("POST /nowhere", JSON, &good[..], 404),
        ("DELETE /mutate", JSON, &good[..], 405),
        ("POST /mutate", plain, &good[..], 415),
        ("POST /mutate", JSON, b"{}", 400),
        ("POST /mutate", JSON, &long, 413),
        ("POST https://x/mutate?timeout=1s", JSON, &good[..], 200),
    ] {
        let reply = client.ask(line, headers, body).unwrap();
        assert_eq!((reply.status, reply.header("connection")), (status, None), "{line}");
    }
}

#[test]
fn headers_are_bounded() {
    let webhook = Webhook::start(&[]);
    let fields = |count: usize, bytes: usize| -> String {
        (0..count).map(|i| format!("A-{i}: {}\r\n", "x".repeat(bytes))).collect()
    };
    for (fields, status) in
        [(fields(20, 100), 204), (fields(1000, 1), 431), (fields(1, 100_000), 431)]
    {
        let mut client = webhook.connect();
        let head = format!("GET /health/live HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        // The webhook may have hung up before all of it is sent.
        let _sent = client.send(head.as_bytes());
        // Its answer is lost when that meets what was still on the way.
        let answer = client.reply().map_or(431, |reply| reply.status);
        assert_eq!(answer, status, "{} bytes", fields.len());
    }
    let mut client = webhook.connect();
    let _sent =
        client.send(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)).as_bytes());
    assert!([414, 431].contains(&client.reply().map_or(431, |reply| reply.status)));
}

#[test]
fn two_lengths_are_one_too_many() {
    let webhook = Webhook::start(&[]);
    for fields in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 2, 3\r\n",
    ] {
        let mut client = webhook.connect();
        client.send(format!("{HEAD}{fields}\r\n{{}}}}").as_bytes()).unwrap();
        assert_eq!(client.reply().unwrap().status, 400, "{fields}");
    }
}

#[test]
fn the_newer_version_is_not_offered() {
    let webhook = Webhook::start(&[]);
    let mut config = (*webhook.ca.client()).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut client = Client::connect(webhook.address, Arc::new(config), "localhost").unwrap();
    // Go takes that for HTTP/1.1.
    assert_ne!(client.protocol(), Some(&b"h2"[..]));
    assert_eq!(client.ask("POST /mutate", JSON, &review("web", "")).unwrap().status, 200);
    // Who speaks it all the same is refused.
    let mut client = webhook.connect();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let text = client.read_to_end().unwrap_or_default();
    assert!(text.is_empty() || text.starts_with(b"HTTP/1.1 4"), "{}", text.escape_ascii());
    assert_eq!(webhook.ask("GET /health/live", &[], b"").status, 204);
}
