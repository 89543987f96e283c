//! A siege of the webhook from one address, and what API servers and kubelets at others notice of it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::support::https::Client;

/// Bytes of the largest body that is read (`REVIEW_BYTES_MAX`).
const LARGEST: usize = 3 * 1024 * 1024;

/// Who besieges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Besiegers {
    pub(crate) idle: usize,
    pub(crate) half_handshakes: usize,
    pub(crate) trickling: usize,
    pub(crate) large: usize,
}

/// What others saw meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Milliseconds of each review that was answered, from 12 KB on a kept and on a new connection.
    pub(crate) reviews: Vec<f64>,
    /// Of each probe.
    pub(crate) probes: Vec<f64>,
    /// Reviews and probes without the right answer.
    pub(crate) lost: usize,
}

/// The webhook and who trusts it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) trust: Arc<ClientConfig>,
}

/// Lets this process have so many connections.
fn raise_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    assert!(hard > 8000, "the siege needs 8,000 file descriptors, {hard} are allowed");
}

/// Besieges the webhook for so long.
pub(crate) fn lay(target: &Target, besiegers: Besiegers, lasts: Duration) -> Seen {
    raise_descriptors();
    let over = Arc::new(AtomicBool::new(false));
    let mut attackers = Vec::new();
    let mut attack = |work: fn(&Target, &AtomicBool, usize), count: usize| {
        let (target, over) = (target.clone(), Arc::clone(&over));
        attackers.push(thread::spawn(move || work(&target, &over, count)));
    };
    attack(hold_idle, besiegers.idle);
    attack(hold_halves, besiegers.half_handshakes);
    (0..besiegers.trickling).for_each(|_| attack(trickle, 1));
    (0..besiegers.large).for_each(|_| attack(send_large, 1));
    // All of them are there.
    thread::sleep(Duration::from_secs(2));
    let end = Instant::now() + lasts;
    let mut honest = Vec::new();
    for (last, what) in [(2, Asks::Kept), (2, Asks::New), (3, Asks::Probe)] {
        let target = target.clone();
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        honest.push((what, thread::spawn(move || ask_until(&target, from, what, end))));
    }
    let mut seen = Seen::default();
    for (what, thread) in honest {
        let (times, lost) = thread.join().unwrap();
        seen.lost += lost;
        let all = if what == Asks::Probe { &mut seen.probes } else { &mut seen.reviews };
        all.extend(times);
    }
    over.store(true, Ordering::Relaxed);
    attackers.into_iter().for_each(|attacker| attacker.join().unwrap());
    seen
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Kept,
    New,
    Probe,
}

/// A connection from this address of the loopback.
fn connect_from(target: &Target, from: IpAddr) -> std::io::Result<Client> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let socket = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        socket.connect(target.address).await?.into_std()
    })?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    Client::over(socket, Arc::clone(&target.trust), "localhost")
}

fn ask_until(target: &Target, from: IpAddr, what: Asks, end: Instant) -> (Vec<f64>, usize) {
    let body = review(12_288);
    let (mut times, mut lost) = (Vec::new(), 0);
    let mut kept: Option<Client> = None;
    while Instant::now() < end {
        let began = Instant::now();
        let mut ask = || {
            let mut client = match kept.take() {
                Some(client) => client,
                None => connect_from(target, from)?,
            };
            let reply = match what {
                Asks::Probe => client.ask("GET /health/live", &[], b"")?,
                _ => client.ask(
                    "POST /mutate?timeout=10s",
                    &["Content-Type: application/json"],
                    &body,
                )?,
            };
            if what == Asks::Kept && reply.header("connection").is_none() {
                kept = Some(client);
            }
            Ok::<u16, std::io::Error>(reply.status)
        };
        match ask() {
            Ok(200 | 204) => times.push(began.elapsed().as_secs_f64() * 1000.0),
            _ => lost += 1,
        }
        thread::sleep(Duration::from_millis(20));
    }
    (times, lost)
}

/// A review of so many bytes of a pod that asks for a file.
fn review(bytes: usize) -> Vec<u8> {
    let text = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","namespace":"shop","operation":"CREATE","object":{"kind":"Pod","metadata":{"generateName":"web-","annotations":{"vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/role":"app","vault.hashicorp.com/agent-inject-secret-db":"database/creds/app"}},"spec":{"containers":[{"name":"app"}],"padding":"@"}}}}"#;
    text.replace('@', &"x".repeat(bytes - text.len() + 1)).into_bytes()
}

fn head(length: usize) -> String {
    format!(
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Opens connections that say `word` and nothing more, each anew when it is closed.
fn hold(target: &Target, over: &AtomicBool, count: usize, word: &[u8]) {
    let mut held: Vec<Option<TcpStream>> = (0..count).map(|_| None).collect();
    while !over.load(Ordering::Relaxed) {
        for place in &mut held {
            let is_open = place.as_mut().is_some_and(|stream| {
                matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
            });
            if is_open {
                continue;
            }
            *place = TcpStream::connect_timeout(&target.address, Duration::from_secs(1)).ok();
            if let Some(stream) = place {
                stream.set_nonblocking(true).unwrap();
                let _sent = stream.write(word);
            }
            if over.load(Ordering::Relaxed) {
                return;
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn hold_idle(target: &Target, over: &AtomicBool, count: usize) {
    hold(target, over, count, b"");
}

fn hold_halves(target: &Target, over: &AtomicBool, count: usize) {
    hold(target, over, count, b"\x16\x03\x01\x02\x00\x01");
}

/// Runs `attack` again and again, on a connection of its own each time.
fn repeat(target: &Target, over: &AtomicBool, attack: impl Fn(&mut Client) -> std::io::Result<()>) {
    while !over.load(Ordering::Relaxed) {
        let client = Client::connect(target.address, Arc::clone(&target.trust), "localhost");
        if client.and_then(|mut client| attack(&mut client)).is_err() {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn trickle(target: &Target, over: &AtomicBool, _one: usize) {
    repeat(target, over, |client| {
        client.send(head(LARGEST).as_bytes())?;
        while !over.load(Ordering::Relaxed) {
            client.send(&[b' '; 100])?;
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    });
}

fn send_large(target: &Target, over: &AtomicBool, _one: usize) {
    let body = review(LARGEST);
    repeat(target, over, |client| {
        while !over.load(Ordering::Relaxed) {
            client.send(head(body.len()).as_bytes())?;
            client.send(&body)?;
            let _any = client.reply()?;
        }
        Ok(())
    });
}
