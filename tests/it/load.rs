//! The webhook when there is more to do than it likes: slow clients, large reviews, floods. Each test has a
//! client that must be served all the same.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::siege::{self, Besiegers, Target};
use crate::support::https::{Client, Reply};
use crate::webhook::{JSON, Webhook, review};

/// Places for connections that have said a word of TLS.
const GUESTS_MAX: usize = 512;
/// Of these, those that who brought a review may keep.
const PROVEN_MAX: usize = 384;
const LARGE: usize = 3 * 1024 * 1024;

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

/// Files that the webhook may open in tests of silent connections: more of these fit only where more are allowed.
const DESCRIPTORS: usize = 1000;
/// Silent connections that then have room.
const STRANGERS_MAX: usize = DESCRIPTORS - GUESTS_MAX - 64;

#[test]
fn silent_connections_make_room_for_others() {
    let webhook = Webhook::start_with_descriptors(DESCRIPTORS);
    let mut kept = webhook.connect();
    assert_eq!(kept.ask("POST /mutate", JSON, &review("web", "")).unwrap().status, 200);
    let silent: Vec<TcpStream> =
        (0..STRANGERS_MAX + 50).map(|_| TcpStream::connect(webhook.address).unwrap()).collect();
    assert_healthy(&webhook);
    assert!(metric(&webhook, "vault_injector_connections_cut_total") >= 50);
    // Who brought a review before is still there, and may stay.
    let reply = kept.ask("POST /mutate", JSON, &review("web", "")).unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, None));
    assert_eq!(kept.ask("POST /mutate", JSON, &review("web", "")).unwrap().status, 200);
    let line = webhook.line("clients sent away to make room");
    assert!(line.contains("[WARN]") && line.contains("client=127.0.0.1:"), "{line}");
    assert_eq!(lines_with(&webhook, "clients sent away to make room"), 0, "told once for all");
    drop(silent);
}

#[test]
fn half_a_first_word_is_no_more_than_none() {
    let webhook = Webhook::start(&[]);
    let word = b"\x16\x03\x01\x02\x00\x01";
    let half = |_| {
        let mut stream = TcpStream::connect(webhook.address).unwrap();
        stream.write_all(word).unwrap();
        stream
    };
    let _halves: Vec<TcpStream> = (0..GUESTS_MAX + 50).map(half).collect();
    assert_healthy(&webhook);
    assert_eq!(metric(&webhook, "vault_injector_connections_cut_total"), 0, "they have no place");
    // One that is too long is not waited for.
    let mut long = TcpStream::connect(webhook.address).unwrap();
    long.write_all(b"\x16\x03\x01\x40\x00").unwrap();
    let line = webhook.line("TLS handshake failed");
    assert!(line.contains("a first record of 16389 bytes, at most 8192"), "{line}");
}

#[test]
fn slow_bodies_keep_nobody_waiting() {
    let webhook = Webhook::start(&[]);
    // Room for one more connection of ours, and for the next one when that is closed.
    let slow: Vec<Client> =
        (0..GUESTS_MAX - 12).map(|_| half_way(&webhook, 12_000, 6_000)).collect();
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
fn a_review_brought_once_keeps_no_place_from_newcomers() {
    let webhook = Webhook::start(&[]);
    let once = |_| {
        let mut client = webhook.connect();
        let reply = client.ask("POST /mutate", JSON, &review("web", "")).unwrap();
        assert_eq!((reply.status, reply.header("connection")), (200, None));
        client
    };
    let mut idlers: Vec<Client> = (0..GUESTS_MAX + 30).map(once).collect();
    assert_healthy(&webhook);
    let open = idlers.iter_mut().filter_map(|client| (!client.is_closed()).then_some(())).count();
    assert!((PROVEN_MAX..=GUESTS_MAX).contains(&open), "{open} are open");
    // The oldest went.
    assert!(idlers.last_mut().is_some_and(|client| !client.is_closed()));
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

/// Large bodies that come slowly, but come: each of these clients sends a piece every 400 ms until it is sent away or
/// answered.
fn trickle(webhook: &Webhook, count: usize) -> Vec<thread::JoinHandle<Option<u16>>> {
    let (address, config) = (webhook.address, webhook.ca.client());
    let piece = vec![b' '; 256 * 1024];
    let start = move |_| {
        let (config, piece) = (Arc::clone(&config), piece.clone());
        thread::spawn(move || {
            let mut client = Client::connect(address, config, "localhost").unwrap();
            client.send(head(LARGE).as_bytes()).unwrap();
            for _ in 0..LARGE / piece.len() {
                client.send(&piece).ok()?;
                thread::sleep(Duration::from_millis(400));
            }
            client.reply().ok().map(|reply| reply.status)
        })
    };
    (0..count).map(start).collect()
}

#[test]
fn a_slow_body_holds_nothing_that_others_need() {
    let webhook = Webhook::start(&[]);
    let slow = trickle(&webhook, 8);
    let large = vec![b' '; 60_000];
    thread::sleep(Duration::from_secs(2));
    for _ in 0..10 {
        let start = Instant::now();
        let reply = webhook.ask("POST /mutate", JSON, &large);
        assert_eq!(reply.status, 400, "all of it was read: {}", reply.text());
        assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
        thread::sleep(Duration::from_millis(100));
    }
    assert_healthy(&webhook);
    // Some were sent away, and some were read.
    slow.into_iter().for_each(|slow| assert!([None, Some(400)].contains(&slow.join().unwrap())));
    assert_eq!(webhook.ask("POST /mutate", JSON, &vec![b' '; LARGE]).status, 400);
}

#[test]
fn slow_bodies_alone_may_take_their_time() {
    let webhook = Webhook::start(&[]);
    for slow in trickle(&webhook, 1) {
        assert_eq!(slow.join().unwrap(), Some(400), "all of it was read");
    }
}

#[test]
fn the_largest_bodies_without_pause_are_all_read() {
    let webhook = Webhook::start(&[]);
    let (address, config) = (webhook.address, webhook.ca.client());
    let send = |_| {
        let config = Arc::clone(&config);
        thread::spawn(move || {
            let mut client = Client::connect(address, config, "localhost").unwrap();
            let large = vec![b' '; LARGE];
            let ask = |_| client.ask("POST /mutate", JSON, &large).unwrap().status;
            (0..5).map(ask).collect::<Vec<u16>>()
        })
    };
    let senders: Vec<_> = (0..8).map(send).collect();
    assert_healthy(&webhook);
    for sender in senders {
        assert_eq!(sender.join().unwrap(), [400; 5], "nobody waits for ever for another one");
    }
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
    // Ten of each kind, and one in ten seconds.
    let most = 10 + usize::try_from(start.elapsed().as_secs()).unwrap() / 10 + 1;
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

/// What chart and manifests allow, less two fifths to spare.
const MEMORY_KIB_MAX: u64 = 128 * 1024 / 10 * 6;

#[test]
fn everything_at_once_stays_within_the_memory_of_the_deployment() {
    let webhook = Webhook::start(&[]);
    let (heavy, length) = (with_large_answer(), 31 * 1024);
    let _slow: Vec<Client> = (0..400).map(|_| half_way(&webhook, length + 1, length)).collect();
    let _huge: Vec<Client> = (0..20).map(|_| half_way(&webhook, LARGE, LARGE / 3)).collect();
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
    let peak = peak_kib(&webhook);
    eprintln!("at most {peak} KiB were resident");
    assert!((20 * 1024..MEMORY_KIB_MAX).contains(&peak), "{peak} KiB");
    assert_eq!(webhook.ask("POST /mutate", JSON, &review("web", "")).status, 200);
}

fn peak_kib(webhook: &Webhook) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", webhook.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn four_of_the_worst_bodies_at_once_stay_far_below_the_memory_of_the_deployment() {
    let webhook = Webhook::start(&[]);
    for (name, body) in crate::bounds::worst(LARGE) {
        let body = Arc::new(body);
        let send = |_| {
            let (address, config, body) = (webhook.address, webhook.ca.client(), Arc::clone(&body));
            thread::spawn(move || {
                let mut client = Client::connect(address, config, "localhost").unwrap();
                client.ask("POST /mutate", JSON, &body).unwrap().status
            })
        };
        let senders: Vec<_> = (0..4).map(send).collect();
        for sender in senders {
            let status = sender.join().unwrap();
            assert!([200, 400].contains(&status), "{name}: {status}");
        }
        let peak = peak_kib(&webhook);
        assert!(peak < MEMORY_KIB_MAX, "{name}: {peak} KiB");
    }
    eprintln!("at most {} KiB were resident", peak_kib(&webhook));
}

#[test]
fn a_siege_from_one_address_keeps_nobody_at_others_waiting() {
    let webhook = Webhook::start(&[]);
    let target = Target { address: webhook.address, trust: webhook.ca.client() };
    let besiegers = Besiegers { idle: 1500, half_handshakes: 300, trickling: 20, large: 4 };
    let seen = siege::lay(&target, besiegers, Duration::from_secs(5));
    assert_eq!(seen.lost, 0);
    assert!(seen.reviews.len() > 20 && seen.probes.len() > 10, "{seen:?}");
    // The figures are those of a debug build on a machine that runs other tests; tests/bench has those that count.
    let slowest = seen.reviews.iter().chain(&seen.probes).copied().fold(0.0, f64::max);
    eprintln!(
        "{} reviews and probes, the slowest took {slowest} ms",
        seen.reviews.len() + seen.probes.len()
    );
    assert!(slowest < 2000.0, "{slowest} ms");
    let lines: Vec<String> = webhook.lines.try_iter().collect();
    let strangers = lines.iter().filter(|line| !line.contains("review decided"));
    let bytes: usize = strangers.map(String::len).sum();
    assert!(bytes < 20_000, "{bytes} bytes of log: {lines:#?}");
}
