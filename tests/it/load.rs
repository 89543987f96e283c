//! The webhook when there is more to do than it likes: slow clients, large reviews, floods. Each test has a
//! client that must be served all the same.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::https::{Client, Reply};
use crate::webhook::{JSON, Webhook, review};

const CONNECTIONS_MAX: usize = 512;
const LARGE: usize = 8 * 1024 * 1024;

/// A probe gets its answer while the kubelet waits for it, which is one second.
fn assert_healthy(webhook: &Webhook) {
    for path in ["/health/ready", "/health/live", "/metrics"] {
        let start = Instant::now();
        let status = webhook.ask(&format!("GET {path}"), &[], b"").status;
        assert!((200..300).contains(&status), "{path}: {status}");
        // Room for a busy machine beside the second.
        assert!(start.elapsed() < Duration::from_secs(2), "{path}: {:?}", start.elapsed());
    }
}

fn metric(webhook: &Webhook, name: &str) -> u64 {
    let text = webhook.ask("GET /metrics", &[], b"").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().parse().unwrap_or(0)
}

fn head(length: usize) -> String {
    format!(
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// A client that has sent a header and this much of a body of `length` bytes.
fn half_way(webhook: &Webhook, length: usize, sent: usize) -> Client {
    let mut client = webhook.connect();
    client.send(head(length).as_bytes()).unwrap();
    client.send(&vec![b' '; sent]).unwrap();
    client
}

fn lines_with(webhook: &Webhook, text: &str) -> usize {
    webhook.lines.try_iter().filter(|line| line.contains(text)).count()
}

#[test]
fn silent_connections_make_room_for_others() {
    let webhook = Webhook::start(&[]);
    let silent: Vec<TcpStream> =
        (0..CONNECTIONS_MAX).map(|_| TcpStream::connect(webhook.address).unwrap()).collect();
    assert_healthy(&webhook);
    assert_eq!(webhook.ask("POST /mutate", JSON, &review("web", "")).status, 200);
    assert!(metric(&webhook, "vault_injector_connections_cut_total") > 0);
    let line = webhook.line("slow clients cut off");
    assert!(line.contains("[WARN]") && line.contains("client=127.0.0.1:"), "{line}");
    assert_eq!(lines_with(&webhook, "slow clients cut off"), 0, "told once for all");
    drop(silent);
}

#[test]
fn slow_bodies_keep_nobody_waiting() {
    let webhook = Webhook::start(&[]);
    // Room for one more connection of ours, and for the next one when that is closed.
    let slow: Vec<Client> =
        (0..CONNECTIONS_MAX - 12).map(|_| half_way(&webhook, 12_000, 6_000)).collect();
    let start = Instant::now();
    assert_eq!(webhook.ask("POST /mutate", JSON, &review("web", "")).status, 200);
    assert_healthy(&webhook);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    // Nobody waited for what they hold, so they may take their time.
    assert_eq!(metric(&webhook, "vault_injector_connections_cut_total"), 0);
    let more: Vec<Client> = (0..12).map(|_| half_way(&webhook, 12_000, 6_000)).collect();
    assert_healthy(&webhook);
    assert!(metric(&webhook, "vault_injector_connections_cut_total") > 0);
    drop((slow, more));
}

#[test]
fn announcing_large_bodies_takes_no_memory_from_others() {
    let webhook = Webhook::start(&[]);
    let _slow: Vec<Client> = (0..50).map(|_| half_way(&webhook, LARGE, 100)).collect();
    let start = Instant::now();
    let large = vec![b' '; LARGE];
    assert_eq!(webhook.ask("POST /mutate", JSON, &large).status, 400, "all of it was read");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(metric(&webhook, "vault_injector_connections_cut_total"), 0);
}

/// Large bodies that come slowly, but come: each of these clients sends a piece every 200 ms until told to
/// stop by its answer.
fn trickle(webhook: &Webhook, count: usize) -> Vec<thread::JoinHandle<u16>> {
    let (address, config) = (webhook.address, webhook.ca.client());
    let piece = vec![b' '; 512 * 1024];
    let start = move |_| {
        let (config, piece) = (Arc::clone(&config), piece.clone());
        thread::spawn(move || {
            let mut client = Client::connect(address, config, "localhost").unwrap();
            client.send(head(LARGE).as_bytes()).unwrap();
            for _ in 0..LARGE / piece.len() {
                client.send(&piece).unwrap();
                thread::sleep(Duration::from_millis(250));
            }
            client.reply().unwrap().status
        })
    };
    (0..count).map(start).collect()
}

#[test]
fn large_reviews_wait_their_turn_and_are_told_to_come_again() {
    let webhook = Webhook::start(&[]);
    let holders = trickle(&webhook, 1);
    thread::sleep(Duration::from_millis(1000));
    let large = vec![b' '; LARGE];
    let start = Instant::now();
    let reply = webhook.ask("POST /mutate", JSON, &large);
    let waited = start.elapsed();
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(reply.header("retry-after"), Some("1"), "API servers obey whole seconds");
    assert!(reply.text().contains("too many large requests at once, try again"));
    assert!((1800..4000).contains(&waited.as_millis()), "{waited:?}");
    // The usual ones do not even notice.
    let start = Instant::now();
    assert_eq!(webhook.ask("POST /mutate", JSON, &review("web", "")).status, 200);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_healthy(&webhook);
    assert_eq!(metric(&webhook, "vault_injector_http_responses_total{code=\"429\"}"), 1);
    let line = webhook.line("status=429");
    assert!(line.contains("[WARN]") && line.contains("client=127.0.0.1:"), "{line}");
    for holder in holders {
        assert_eq!(holder.join().unwrap(), 400, "those who came first are read to their end");
    }
    assert_eq!(webhook.ask("POST /mutate", JSON, &large).status, 400);
}

/// A review with a large answer: what a pod names once comes back twice.
fn with_large_answer() -> Vec<u8> {
    let image = format!(
        r#""vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/role":"a",
        "vault.hashicorp.com/agent-image":"{}""#,
        "x".repeat(250_000)
    );
    review("web", &image)
}

#[test]
fn answers_that_nobody_takes_are_dropped_when_others_need_the_memory() {
    let webhook = Webhook::start(&[]);
    let body = with_large_answer();
    let ask = || {
        let mut client = webhook.connect();
        client.send(head(body.len()).as_bytes()).unwrap();
        client.send(&body).unwrap();
        client
    };
    let idlers: Vec<Client> = (0..60).map(|_| ask()).collect();
    thread::sleep(Duration::from_secs(1));
    let reply = webhook.ask("POST /mutate", JSON, &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.body.len() > 2 * 250_000 * 4 / 3);
    assert!(metric(&webhook, "vault_injector_connections_cut_total") > 0);
    drop(idlers);
}

#[test]
fn a_flood_of_nonsense_fills_no_log() {
    const FLOOD: usize = 10_000;
    let webhook = Webhook::start(&[]);
    let mut client = webhook.connect();
    let request = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let start = Instant::now();
    for _ in 0..FLOOD / 100 {
        client.send(request.repeat(100).as_bytes()).unwrap();
        for _ in 0..100 {
            assert_eq!(client.reply().unwrap().status, 415);
        }
    }
    for _ in 0..100 {
        let mut plain = TcpStream::connect(webhook.address).unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut garbage = TcpStream::connect(webhook.address).unwrap();
        garbage.write_all(b"\x16\x03\x01\x00\x05hello").unwrap();
    }
    let refused = "vault_injector_http_responses_total{code=\"415\"}";
    assert_eq!(metric(&webhook, refused), u64::try_from(FLOOD).unwrap());
    webhook.signal("INT");
    let mut log: Vec<String> = Vec::new();
    while let Ok(line) = webhook.lines.recv_timeout(Duration::from_secs(20)) {
        log.push(line);
    }
    // Ten of each kind in ten seconds.
    let most = 10 * (1 + usize::try_from(start.elapsed().as_secs()).unwrap() / 10 + 1);
    for kind in ["review refused", "plain HTTP refused", "TLS handshake failed"] {
        let lines: Vec<&String> = log.iter().filter(|line| line.contains(kind)).collect();
        assert!((10..=most).contains(&lines.len()), "{kind}: {} lines", lines.len());
        assert!(lines.iter().all(|line| line.contains("client=127.0.0.1:")), "{}", lines[0]);
    }
    assert!(log.len() < 4 * most, "{} lines", log.len());
}

#[test]
fn many_reviews_at_once_are_all_answered() {
    let webhook = Webhook::start(&[]);
    let body = review("web", "");
    let mut clients: Vec<Client> = (0..400).map(|_| webhook.connect()).collect();
    for client in &mut clients {
        client.send(head(body.len()).as_bytes()).unwrap();
    }
    let start = Instant::now();
    for client in &mut clients {
        client.send(&body).unwrap();
    }
    let replies: Vec<Reply> = clients.iter_mut().map(|client| client.reply().unwrap()).collect();
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn busy_connections_do_not_starve_the_others() {
    let webhook = Webhook::start(&[]);
    let body = review("web", "");
    let ahead = [head(body.len()).into_bytes(), body].concat().repeat(50);
    let over = Arc::new(AtomicBool::new(false));
    let flood = |_| {
        let (mut greedy, ahead, over) = (webhook.connect(), ahead.clone(), Arc::clone(&over));
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                greedy.send(&ahead).unwrap();
                assert!((0..50).all(|_| greedy.reply().unwrap().status == 200));
            }
        })
    };
    let floods: Vec<_> = (0..8).map(flood).collect();
    // Would take as long as the flood, which ends after it.
    (0..5).for_each(|_| assert_healthy(&webhook));
    over.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
}

/// What `deploy/deployment.yaml` allows.
const MEMORY_KIB_MAX: u64 = 128 * 1024;

#[test]
fn everything_at_once_stays_within_the_memory_of_the_deployment() {
    let webhook = Webhook::start(&[]);
    let (heavy, length) = (with_large_answer(), 31 * 1024);
    let _slow: Vec<Client> = (0..400).map(|_| half_way(&webhook, length + 1, length)).collect();
    let _huge: Vec<Client> = (0..20).map(|_| half_way(&webhook, LARGE, LARGE / 16)).collect();
    let untaken = |_| {
        let mut client = webhook.connect();
        client.send(head(heavy.len()).as_bytes()).unwrap();
        // Cut off in the middle, maybe.
        let _sent = client.send(&heavy);
        client
    };
    let _untaken: Vec<Client> = (0..60).map(untaken).collect();
    thread::sleep(Duration::from_secs(1));
    assert_healthy(&webhook);
    let status = std::fs::read_to_string(format!("/proc/{}/status", webhook.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    eprintln!("at most {peak} KiB were resident");
    assert!((20 * 1024..MEMORY_KIB_MAX).contains(&peak), "{peak} KiB");
    assert_eq!(webhook.ask("POST /mutate", JSON, &review("web", "")).status, 200);
}
