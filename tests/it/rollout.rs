//! Replicas are replaced one after the other while reviews keep coming, as a Deployment does it: none may be
//! lost. Between clients and replicas stands what a Service is: it sends new connections to replicas that
//! were ready some time ago.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::support::https::{Ca, Client};
use crate::webhook::{JSON, Webhook, review};

/// How often readiness is looked at. Kubelets take seconds; then an old replica only serves longer.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// From a change of readiness until no node sends connections to the old replica any more.
const PROPAGATION: Duration = Duration::from_millis(1500);

/// The Service: an address in front of all replicas.
struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    client: Arc<ClientConfig>,
    ended: AtomicBool,
    /// Whether a replica gets new connections.
    replicas: Mutex<BTreeMap<SocketAddr, bool>>,
    next: AtomicUsize,
}

impl Balancer {
    fn start(client: Arc<ClientConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            client,
            ended: AtomicBool::new(false),
            replicas: Mutex::default(),
            next: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::Relaxed) {
                    return;
                }
                accepting.relay(stream);
            }
        });
        Self { address, shared }
    }

    /// Follows a replica's readiness, until it is ready for the first time and from then on.
    fn follow(&self, replica: SocketAddr) {
        let shared = Arc::clone(&self.shared);
        self.shared.replicas.lock().unwrap().insert(replica, false);
        thread::spawn(move || {
            while !shared.ended.load(Ordering::Relaxed) {
                let is_ready = shared.is_ready(replica);
                let knew = shared.replicas.lock().unwrap().get(&replica).copied();
                if knew != Some(is_ready) {
                    if !is_ready {
                        thread::sleep(PROPAGATION);
                    }
                    shared.replicas.lock().unwrap().insert(replica, is_ready);
                }
                thread::sleep(PROBE_EVERY);
            }
        });
    }

    fn wait_until_used(&self, replica: SocketAddr) {
        let end = Instant::now() + Duration::from_secs(10);
        while !self.shared.replicas.lock().unwrap()[&replica] {
            assert!(Instant::now() < end, "{replica} does not get ready");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let _wakes_it = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn is_ready(&self, replica: SocketAddr) -> bool {
        let client = Client::connect(replica, Arc::clone(&self.client), "localhost");
        let reply = client.and_then(|mut client| client.ask("GET /health/ready", &[], b""));
        reply.is_ok_and(|reply| reply.status == 204)
    }

    /// A connection goes to one replica for its whole life. If that one refuses, nobody tries another.
    fn relay(&self, client: TcpStream) {
        let used: Vec<SocketAddr> = {
            let replicas = self.replicas.lock().unwrap();
            replicas.iter().filter(|(_, used)| **used).map(|(address, _)| *address).collect()
        };
        let Some(replica) = used.get(self.next.fetch_add(1, Ordering::Relaxed) % used.len().max(1))
        else {
            return;
        };
        let Ok(server) = TcpStream::connect(replica) else { return };
        let pair = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || pump(client, server));
        thread::spawn(move || pump(pair.1, pair.0));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let _slower_at_worst = to.set_nodelay(true);
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _gone_already = to.shutdown(Shutdown::Write);
}

/// One connection of an API server: kept while both sides like it.
struct Keeper {
    to: SocketAddr,
    config: Arc<ClientConfig>,
    connection: Option<Client>,
    connects: usize,
}

impl Keeper {
    /// Go's client, too, notices a connection that was closed before it uses it again, and never sends a
    /// POST twice.
    fn review(&mut self, body: &[u8]) -> io::Result<()> {
        let kept = self.connection.take().map(|mut client| (client.is_closed(), client));
        let mut client = if let Some((false, client)) = kept {
            client
        } else {
            self.connects += 1;
            Client::connect(self.to, Arc::clone(&self.config), "localhost")?
        };
        let reply = client.ask("POST /mutate?timeout=10s", JSON, body)?;
        if reply.status != 200 || !reply.text().contains(r#""allowed":true"#) {
            return Err(io::Error::other(format!("{}: {}", reply.status, reply.text())));
        }
        if reply.header("connection") != Some("close") {
            self.connection = Some(client);
        }
        Ok(())
    }
}

/// What came of all reviews.
#[derive(Default)]
struct Outcome {
    connects: usize,
    failures: Vec<String>,
    times: Vec<Duration>,
}

/// `CLIENTS` connections that send a review every `CLIENTS / RATE` seconds, and some that are new for each.
const RATE: u32 = 500;
const CLIENTS: u32 = 20;
/// Every so many reviews a client lets its connection go, so that new ones are made all the time.
const REVIEWS_PER_CONNECTION: usize = 10;

fn send_reviews(to: SocketAddr, config: &Arc<ClientConfig>, during: impl FnOnce()) -> Outcome {
    let over = AtomicBool::new(false);
    let outcome = Mutex::new(Outcome::default());
    let start = Instant::now();
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (over, outcome) = (&over, &outcome);
            let mut keeper =
                Keeper { to, config: Arc::clone(config), connection: None, connects: 0 };
            scope.spawn(move || {
                let notes =
                    r#""vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/role":"a""#;
                let body = review("web", notes);
                let mut own = Outcome::default();
                let mut due = start + Duration::from_secs(1) * number / RATE;
                while !over.load(Ordering::Relaxed) {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    due += Duration::from_secs(1) * CLIENTS / RATE;
                    let begins = Instant::now();
                    if let Err(error) = keeper.review(&body) {
                        own.failures.push(format!("at {:?}: {error}", start.elapsed()));
                    }
                    own.times.push(begins.elapsed());
                    if own.times.len() % REVIEWS_PER_CONNECTION == 0 {
                        keeper.connection = None;
                    }
                }
                let mut all = outcome.lock().unwrap();
                all.connects += keeper.connects;
                all.failures.append(&mut own.failures);
                all.times.append(&mut own.times);
            });
        }
        during();
        over.store(true, Ordering::Relaxed);
    });
    outcome.into_inner().unwrap()
}

#[test]
fn a_rolling_restart_loses_no_review() {
    let ca = Arc::new(Ca::new());
    let config = ca.client();
    let balancer = Balancer::start(Arc::clone(&config));
    let start = || {
        let webhook = Webhook::start_under(&ca, &[]);
        balancer.follow(webhook.address);
        balancer.wait_until_used(webhook.address);
        webhook
    };
    let mut old = vec![start(), start()];
    let begins = Instant::now();
    // Alive to the end.
    let mut new = Vec::new();
    let mut outcome = send_reviews(balancer.address, &config, || {
        thread::sleep(Duration::from_secs(1));
        for webhook in &mut old {
            // `maxUnavailable: 0`: the new one first.
            new.push(start());
            webhook.signal("TERM");
            assert_eq!(webhook.exit_code(), Some(0));
        }
        thread::sleep(Duration::from_secs(1));
    });
    let took = begins.elapsed().as_secs_f64();
    outcome.times.sort_unstable();
    let count = outcome.times.len();
    let p99 = outcome.times[count * 99 / 100];
    eprintln!(
        "{count} reviews in {took:.1} s over {} connections, p99 {p99:?}, {} lost",
        outcome.connects,
        outcome.failures.len()
    );
    let lost = &outcome.failures;
    assert!(lost.is_empty(), "{} of {count} lost: {:#?}", lost.len(), &lost[..lost.len().min(5)]);
    let rate = f64::from(u32::try_from(count).unwrap()) / took;
    assert!(rate > f64::from(RATE) * 0.5, "only {rate:.0} reviews per second were sent");
    assert!(p99 < Duration::from_secs(1), "p99 {p99:?}");
}

#[test]
fn connections_that_wait_to_be_accepted_at_the_end_are_served() {
    let mut webhook = Webhook::start(&[]);
    let body = review("web", "");
    // While the process stands still, the kernel takes connections on its behalf.
    webhook.signal("STOP");
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            let (address, config, body) = (webhook.address, webhook.ca.client(), body.clone());
            thread::spawn(move || {
                let mut client = Client::connect(address, config, "localhost")?;
                client.ask("POST /mutate", JSON, &body).map(|reply| reply.status)
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(500));
    webhook.signal("INT");
    webhook.signal("CONT");
    let outcomes: Vec<_> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
    let lost: Vec<_> = outcomes.iter().filter(|outcome| !matches!(outcome, Ok(200))).collect();
    assert!(lost.is_empty(), "{} of {} lost: {:?}", lost.len(), outcomes.len(), lost[0]);
    assert_eq!(webhook.exit_code(), Some(0));
}

#[test]
fn a_hangup_changes_nothing_and_a_quit_ends_it_at_once() {
    let mut webhook = Webhook::start(&[]);
    for _ in 0..3 {
        webhook.signal("HUP");
        let line = webhook.line("SIGHUP ignored");
        assert!(line.contains("[INFO]") && line.contains("every=5s"), "{line}");
        assert_eq!(webhook.ask("GET /health/ready", &[], b"").status, 204);
    }
    webhook.signal("QUIT");
    assert_eq!(webhook.exit_code(), None, "ended by the signal itself");
}
