//! A world of its own: simulated Vault, simulated time.

mod recovery;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::base::json::Json;
use crate::base::time::{Mono, Wall};
use crate::domain::template::Found;
use crate::domain::vault::{Reading, Request, SecretPath};
use crate::domain::x509::Bundle;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn read(path: &str) -> Want {
    Want::Read { path: path.to_owned() }
}

fn plan() -> Plan {
    Plan {
        ends_when_rendered: false,
        login: Backoff { min: secs(1), max: secs(300) },
        exits_on_failed_login: false,
        owns_tokens: true,
        fetching: Fetching {
            backoff: Backoff { min: Duration::from_millis(250), max: secs(60) },
            retries: 12,
            excused: 2,
            gives_up: true,
            static_interval: secs(300),
            threshold: 0.9,
        },
        revoke_after: None,
    }
}

/// A certificate asked for at once, as nobody needs to know its mount, and anew when it is due.
#[test]
fn certificates_are_asked_for_when_they_are_due_and_their_mount_never() {
    let want = Want::Certificate { path: "pki/issue/app".to_owned(), fields: BTreeMap::new() };
    assert_eq!(canonical(&want, &MountTable::default()), want);
    let facts = Facts { cadence: Cadence::Exact(secs(3240)), ..STATIC };
    let mut world = World::new(plan(), &[(want, facts), (read("kv/a"), STATIC)], 7);
    assert_eq!(world.run(secs(4 * 3240 - 1)), None);
    let of_pki = |path: &str| path.starts_with("pki/");
    let asked = world.log.iter().filter(|(_, action)| match action {
        Action::Fetch { want, .. } => of_pki(want.path()),
        Action::LookUpMount(want, _) if of_pki(want.path()) => panic!("looks {want} up"),
        _ => false,
    });
    let asked: Vec<u64> = asked.map(|(at, _)| at.since_start().as_secs()).collect();
    assert_eq!(asked, [0, 3240, 6480, 9720]);
}

#[test]
fn a_certificate_that_is_overdue_when_it_comes_is_not_asked_for_at_once() {
    let mut params = rcgen::CertificateParams::default();
    params.not_before = time::OffsetDateTime::from_unix_timestamp(1000).unwrap();
    params.not_after = time::OffsetDateTime::from_unix_timestamp(2000).unwrap();
    let text = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let bundle = Bundle::of_text(text.as_bytes()).unwrap();
    let found = Found::Certificate(std::sync::Arc::new(bundle));
    let cadence = |now| Facts::of_found(&found, Wall(now)).unwrap().cadence;
    assert_eq!(cadence(1_000_000), Cadence::Exact(secs(900)));
    assert_eq!(cadence(1_899_999), Cadence::Exact(Duration::from_millis(1)));
    assert_eq!(cadence(1_900_000), Cadence::Static);
    assert_eq!(cadence(9_000_000), Cadence::Static);
}

const STATIC: Facts = Facts::UNLEASED;

const fn leased(ttl: u64) -> Facts {
    Facts { cadence: Cadence::Renewable(secs(ttl)), is_leased: true, has_lease_id: true }
}

/// Answers other than success, by path, time and token.
type Fails = fn(&str, Mono, Generation) -> Option<Verdict>;

/// What the simulated Vault does.
struct World {
    machine: Machine,
    now: Mono,
    /// Time to live of tokens, and their `max_ttl`.
    ttl: u64,
    max_ttl: u64,
    is_renewable: bool,
    born: BTreeMap<u32, Mono>,
    facts: BTreeMap<Want, Facts>,
    /// Whether logins bring tokens of the same policies.
    is_no_stronger: bool,
    fails: Fails,
    /// What a look-up of a path finds.
    mount_of: fn(&str, Mono) -> Mount,
    /// What cannot be rendered, by what it is made of.
    breaks: fn(&BTreeMap<Want, (Mono, Generation)>) -> bool,
    had: BTreeMap<Want, (Mono, Generation)>,
    /// When each kind of action happened.
    log: Vec<(Mono, Action)>,
    pending: Vec<(Mono, Event)>,
}

fn setback(verdict: Verdict) -> Setback {
    Setback { verdict, reason: Reason::new(format!("{verdict:?}")) }
}

const LATENCY: Duration = Duration::from_millis(5);

impl World {
    fn new(plan: Plan, facts: &[(Want, Facts)], seed: u64) -> Self {
        Self {
            machine: Machine::new(plan, seed),
            now: Mono::default(),
            ttl: 3600,
            max_ttl: u64::MAX,
            is_renewable: true,
            born: BTreeMap::new(),
            facts: facts.iter().cloned().collect(),
            is_no_stronger: true,
            fails: |_, _, _| None,
            mount_of: |path, _| {
                let (first, _) = path.split_once('/').unwrap();
                Mount { path: format!("{first}/"), is_kv2: first == "kv2" }
            },
            breaks: |_| false,
            had: BTreeMap::new(),
            log: Vec::new(),
            pending: vec![(Mono::default(), Event::Woke)],
        }
    }

    fn grant(&self, generation: u32) -> Grant {
        let born = self.born.get(&generation).copied().unwrap_or(self.now);
        let left = secs(self.max_ttl).saturating_sub(self.now.since(born));
        Grant {
            ttl: secs(self.ttl).min(left),
            age: Duration::ZERO,
            is_renewable: self.is_renewable,
        }
    }

    fn answer(&mut self, action: &Action) -> Option<Event> {
        let generation = self.machine.generation();
        let fails = |path: &str| (self.fails)(path, self.now, generation);
        Some(match action {
            Action::LogIn => match fails("login") {
                Some(verdict) => Event::LoginFailed(setback(verdict)),
                None => {
                    self.born.insert(generation + 1, self.now);
                    Event::LoggedIn {
                        grant: self.grant(generation + 1),
                        is_same: false,
                        is_no_stronger: self.is_no_stronger,
                    }
                }
            },
            Action::RenewToken => match fails("renew") {
                Some(verdict) => Event::TokenNotRenewed { generation, setback: setback(verdict) },
                None => Event::TokenRenewed { generation, grant: self.grant(generation) },
            },
            Action::WriteSinks => Event::SinksWritten { is_done: true },
            Action::LookUpMount(want, ticket)
            | Action::CheckFile(want, ticket)
            | Action::CheckLease(want, ticket)
            | Action::RenewLease(want, ticket)
            | Action::Fetch { want, ticket, .. } => {
                self.answer_about(action, want.clone(), *ticket, generation)
            }
            Action::Render => Event::Rendered(self.pass()),
            Action::CheckToken => {
                let is_dead = fails("token").is_some();
                Event::TokenChecked { generation, is_dead }
            }
            Action::RevokeAll => Event::Revoked,
            Action::EndToken(_)
            | Action::Exit(_)
            | Action::ForgetToken(_)
            | Action::GaveUp(..)
            | Action::Retry(..) => return None,
        })
    }

    fn answer_about(
        &self,
        action: &Action,
        want: Want,
        ticket: Ticket,
        generation: Generation,
    ) -> Event {
        let fails = |path: &str| (self.fails)(path, self.now, generation).map(setback);
        let path = want.path();
        match action {
            Action::LookUpMount(..) => match fails("mount") {
                Some(setback) => Event::MountNotFound { want, ticket, generation, setback },
                None => {
                    let mount = (self.mount_of)(path, self.now);
                    Event::MountFound { want, ticket, mount }
                }
            },
            Action::CheckFile(..) => {
                let facts = Facts::STEADY;
                Event::Fetched { want, ticket, generation, facts, is_changed: false }
            }
            Action::CheckLease(..) => {
                let state = match fails(&format!("lease of {path}")).map(|setback| setback.verdict)
                {
                    None => LeaseState::Lives,
                    Some(Verdict::Refused) => LeaseState::Lost,
                    Some(verdict) => LeaseState::Unknown(verdict),
                };
                Event::LeaseChecked { want, ticket, generation, state }
            }
            Action::RenewLease(..) => {
                match fails(&format!("renewal of {path}")).or_else(|| fails(path)) {
                    Some(setback) => Event::LeaseNotRenewed { want, ticket, generation, setback },
                    None => {
                        let cadence = self.facts[&want].cadence;
                        let Cadence::Renewable(granted) = cadence else { panic!() };
                        Event::LeaseRenewed { want, ticket, granted, is_renewable: true }
                    }
                }
            }
            _ => match fails(path) {
                Some(setback) => {
                    let is_explained = false;
                    Event::FetchFailed { want, ticket, generation, setback, is_explained }
                }
                None => {
                    let facts = self.facts.get(&want).copied().unwrap_or(STATIC);
                    Event::Fetched { want, ticket, generation, facts, is_changed: true }
                }
            },
        }
    }

    fn pass(&self) -> Pass {
        let wanted: BTreeSet<Want> = self.facts.keys().cloned().collect();
        let is_complete = wanted.iter().all(|want| self.had.contains_key(want));
        let is_broken = is_complete && (self.breaks)(&self.had);
        let failed = if is_broken { vec![wanted.clone()] } else { Vec::new() };
        Pass { wanted, is_complete: is_complete && !is_broken, failed, ..Pass::default() }
    }

    /// Runs until the machine ends or `until`.
    fn run(&mut self, until: Duration) -> Option<Ending> {
        let end = Mono::at(until);
        loop {
            self.pending.sort_by_key(|(at, _)| *at);
            let next = self.pending.first().map(|(at, _)| *at);
            let wake = self.machine.wakes_at(self.now);
            if let Some(wake) = wake {
                assert!(wake > self.now || next == Some(self.now), "would spin at {wake:?}");
            }
            let (at, event) = match (next, wake) {
                (Some(next), wake) if wake.is_none_or(|wake| next <= wake) => {
                    self.pending.remove(0)
                }
                (_, Some(wake)) => (wake, Event::Woke),
                (_, None) => return None,
            };
            if at > end {
                self.pending.push((at, event));
                self.now = end;
                return None;
            }
            self.now = at;
            let renders = matches!(event, Event::Fetched { is_changed: true, .. });
            if let Event::Fetched { want, generation, .. } = &event {
                self.had.insert(want.clone(), (at, *generation));
            }
            for action in self.machine.step(event, at) {
                self.log.push((at, action.clone()));
                if let Action::Exit(ending) = action {
                    return Some(ending);
                }
                if let Some(event) = self.answer(&action) {
                    self.pending.push((at + LATENCY, event));
                }
            }
            if renders {
                self.pending.push((at, Event::Rendered(self.pass())));
            }
        }
    }

    fn times(&self, is_meant: impl Fn(&Action) -> bool) -> Vec<Mono> {
        self.log.iter().filter(|(_, action)| is_meant(action)).map(|(at, _)| *at).collect()
    }

    fn fetches(&self, path: &str) -> Vec<Mono> {
        self.times(|action| matches!(action, Action::Fetch { want, .. } if want.path() == path))
    }

    fn logins(&self) -> Vec<Mono> {
        self.times(|action| *action == Action::LogIn)
    }
}

#[test]
fn a_start_asks_for_nothing_twice() {
    let facts: Vec<_> = (0..10).map(|i| (read(&format!("kv/app/{i}")), STATIC)).collect();
    let mut world = World::new(Plan { ends_when_rendered: true, ..plan() }, &facts, 1);
    assert_eq!(world.run(secs(60)), Some(Ending::Done));
    assert_eq!(world.logins().len(), 1);
    assert_eq!(world.times(|a| matches!(a, Action::LookUpMount(..))).len(), 1, "{:?}", world.log);
    for i in 0..10 {
        assert_eq!(world.fetches(&format!("kv/app/{i}")).len(), 1);
    }
    assert!(world.now < Mono::at(secs(1)));
}

#[test]
fn two_spellings_are_one_secret() {
    let facts = [(read("kv2/app"), STATIC), (read("kv2/data/app"), STATIC)];
    let mut world = World::new(plan(), &facts, 1);
    world.run(secs(60));
    assert_eq!((world.fetches("kv2/app").len(), world.fetches("kv2/data/app").len()), (0, 1));
}

#[test]
fn a_week_of_renewals_needs_one_login() {
    let mut world = World::new(plan(), &[(read("db/creds/app"), leased(1800))], 2);
    assert_eq!(world.run(secs(7 * 86_400)), None);
    assert_eq!((world.logins().len(), world.fetches("db/creds/app").len()), (1, 1));
    let renewals = world.times(|a| *a == Action::RenewToken);
    assert!((252..300).contains(&renewals.len()), "{}", renewals.len());
    for pair in renewals.windows(2) {
        let wait = pair[1] - pair[0];
        assert!(wait <= secs(2401) && wait >= secs(2039), "{wait:?}");
    }
}

#[test]
fn near_max_ttl_the_successor_comes_first_and_the_old_token_last() {
    let facts = [(read("db/creds/app"), leased(1800)), (read("kv/app"), STATIC)];
    let mut world = World::new(plan(), &facts, 3);
    world.max_ttl = 4 * 3600;
    assert_eq!(world.run(secs(4 * 3600 - 60)), None);
    let logins = world.logins();
    assert_eq!(logins.len(), 2);
    let expires = Mono::at(secs(4 * 3600));
    assert!(expires - logins[1] > secs(900), "{:?}", logins[1]);
    let fetches = world.fetches("db/creds/app");
    assert_eq!(fetches.len(), 2);
    let ended = world.times(|a| *a == Action::EndToken(1));
    assert_eq!(ended.len(), 1);
    assert!(logins[1] < fetches[1] && fetches[1] + secs(10) <= ended[0]);
    // What has no lease is not read for it.
    assert!(world.fetches("kv/app").iter().all(|at| *at < logins[1] || *at > ended[0]));
}

#[test]
fn a_token_that_cannot_be_renewed_is_replaced_in_time() {
    let mut world = World::new(plan(), &[], 4);
    world.is_renewable = false;
    world.run(secs(86_400));
    let logins = world.logins();
    assert!((36..=43).contains(&logins.len()), "{}", logins.len());
    assert!(world.times(|a| *a == Action::RenewToken).is_empty());
    assert!(logins.windows(2).all(|pair| pair[1] - pair[0] < secs(2420)));
}

#[test]
fn a_short_token_that_nothing_uses_is_replaced_in_time_too() {
    let mut world = World::new(plan(), &[], 4);
    (world.ttl, world.is_renewable) = (6, false);
    world.run(secs(600));
    let logins = world.logins();
    assert!(logins.windows(2).all(|pair| pair[1] - pair[0] < secs(5)), "{logins:?}");
}

#[test]
fn a_fleet_does_not_march_in_step() {
    let first = |seed| {
        let mut world = World::new(plan(), &[(read("kv/app"), STATIC)], seed);
        world.run(secs(3000));
        let renewal = world.times(|a| *a == Action::RenewToken)[0].since_start().as_secs();
        (renewal, world.fetches("kv/app")[1].since_start().as_secs())
    };
    let seen: Vec<_> = (0..200).map(first).collect();
    let renewals: BTreeSet<u64> = seen.iter().map(|(renewal, _)| renewal / 60).collect();
    let reads: BTreeSet<u64> = seen.iter().map(|(_, read)| read / 5).collect();
    assert!(renewals.len() >= 6 && reads.len() >= 6, "{renewals:?} {reads:?}");
    assert!(
        seen.iter()
            .all(|(renewal, read)| (2040..=2401).contains(renewal) && (255..=286).contains(read))
    );
}

#[test]
fn retries_are_counted_bounded_and_random() {
    let mut world = World::new(plan(), &[(read("kv/gone"), STATIC)], 5);
    world.fails = |path, _, _| (path == "kv/gone").then_some(Verdict::Refused);
    assert_eq!(world.run(secs(3600)), Some(Ending::Failed));
    let tries = world.fetches("kv/gone");
    assert_eq!(tries.len(), 13);
    for (i, pair) in tries.windows(2).enumerate() {
        let ceiling = secs(60).min(Duration::from_millis(500 << i)) + LATENCY;
        assert!(pair[1] - pair[0] <= ceiling, "{i}: {:?}", pair[1] - pair[0]);
    }
    let last = world.log.iter().find_map(|(_, action)| match action {
        Action::GaveUp(want, attempts, reason) => Some((want.clone(), *attempts, reason.text())),
        _ => None,
    });
    assert_eq!(last, Some((read("kv/gone"), 13, "Refused")));
}

/// What another moment may mend has some tries more, and they are all there are when no retry is wanted.
#[test]
fn a_vault_that_cannot_answer_is_asked_more_often_than_one_that_refuses() {
    let tries = |retries, excused, verdict| {
        let mut plan = plan();
        (plan.fetching.retries, plan.fetching.excused) = (retries, excused);
        let mut world = World::new(plan, &[(read("kv/a"), STATIC)], 5);
        world.fails = match verdict {
            Verdict::Refused => |path, _, _| (path == "kv/a").then_some(Verdict::Refused),
            _ => |path, _, _| (path == "kv/a").then_some(Verdict::TryLater(None)),
        };
        assert_eq!(world.run(secs(7200)), Some(Ending::Failed));
        world.fetches("kv/a").len()
    };
    let later = Verdict::TryLater(None);
    assert_eq!((tries(12, 2, Verdict::Refused), tries(12, 2, later)), (13, 15));
    assert_eq!((tries(0, 2, Verdict::Refused), tries(0, 2, later)), (1, 3));
    assert_eq!((tries(0, 0, later), tries(0, 7, later)), (1, 8));
}

#[test]
fn without_an_exit_it_retries_for_ever_but_slowly() {
    let mut fetching = plan().fetching;
    fetching.gives_up = false;
    let mut world = World::new(Plan { fetching, ..plan() }, &[(read("kv/gone"), STATIC)], 6);
    world.fails = |path, _, _| (path == "kv/gone").then_some(Verdict::Refused);
    assert_eq!(world.run(secs(86_400)), None);
    let tries = world.fetches("kv/gone").len();
    assert!((1440..5000).contains(&tries), "{tries}");
}

#[test]
fn retry_after_is_respected() {
    let mut world = World::new(plan(), &[(read("kv/busy"), STATIC)], 7);
    world.fails = |path, now, _| {
        let is_busy = now < Mono::at(secs(20)) && path == "kv/busy";
        is_busy.then_some(Verdict::TryLater(Some(secs(7))))
    };
    world.run(secs(60));
    let tries = world.fetches("kv/busy");
    for pair in tries.windows(2) {
        assert!((secs(7)..secs(8)).contains(&(pair[1] - pair[0])), "{:?}", pair[1] - pair[0]);
    }
    assert_eq!(tries.len(), 4);
}

#[test]
fn a_silly_retry_after_is_cut() {
    let mut dice = Dice::new(1);
    let backoff = Backoff { min: secs(1), max: secs(2) };
    assert!(backoff.wait(1, Some(secs(9_999_999)), &mut dice) <= secs(660));
}

#[test]
fn one_failing_secret_disturbs_no_other() {
    let mut facts: Vec<_> = (0..9).map(|i| (read(&format!("kv/{i}")), STATIC)).collect();
    facts.push((read("kv/bad"), STATIC));
    facts.push((read("db/creds"), leased(600)));
    let mut fetching = plan().fetching;
    fetching.gives_up = false;
    let mut world = World::new(Plan { fetching, ..plan() }, &facts, 8);
    world.fails = |path, _, _| (path == "kv/bad").then_some(Verdict::Refused);
    world.run(secs(7200));
    for i in 0..9 {
        let reads = world.fetches(&format!("kv/{i}"));
        assert!((24..=29).contains(&reads.len()), "{}", reads.len());
    }
    assert_eq!((world.logins().len(), world.fetches("db/creds").len()), (1, 1));
}

#[test]
fn init_writes_the_others_and_gives_up_only_after_its_retries() {
    let facts = [(read("kv/good"), STATIC), (read("kv/bad"), STATIC)];
    let mut world = World::new(Plan { ends_when_rendered: true, ..plan() }, &facts, 9);
    world.fails = |path, _, _| (path == "kv/bad").then_some(Verdict::Refused);
    assert_eq!(world.run(secs(3600)), Some(Ending::Failed));
    assert_eq!((world.fetches("kv/good").len(), world.fetches("kv/bad").len()), (1, 13));
}

#[test]
fn a_dead_token_is_replaced_once_and_nothing_counts_as_failed() {
    let facts = [(read("kv/app"), STATIC), (read("db/creds"), leased(600))];
    let mut world = World::new(plan(), &facts, 10);
    // Someone revokes the first token at 100 s; the static secret is read next at about 270 s.
    world.fails = |path, now, generation| {
        let is_dead = now > Mono::at(secs(100)) && generation == 1 && path != "login";
        is_dead.then_some(Verdict::LogInAgain)
    };
    world.run(secs(290));
    assert_eq!(world.logins().len(), 2);
    assert!(world.times(|a| matches!(a, Action::Retry(..))).is_empty(), "{:?}", world.log);
    // The lease of the dead token is gone too.
    assert_eq!(world.fetches("db/creds").len(), 2);
    assert_eq!(world.times(|a| matches!(a, Action::EndToken(_))).len(), 0);
}

#[test]
fn dead_tokens_from_every_login_do_not_make_a_storm() {
    let mut world = World::new(plan(), &[(read("kv/app"), STATIC)], 11);
    let mut fetching = plan().fetching;
    fetching.gives_up = false;
    world.machine = Machine::new(Plan { fetching, ..plan() }, 11);
    world.fails = |path, _, _| (path == "kv/app").then_some(Verdict::LogInAgain);
    world.run(secs(3600));
    assert!(world.logins().len() < 60, "{}", world.logins().len());
}

#[test]
fn a_lookup_without_answer_fails_all_that_wait_for_it_and_is_repeated_once() {
    let facts: Vec<_> = (0..10).map(|i| (read(&format!("kv/{i}")), STATIC)).collect();
    let mut world = World::new(plan(), &facts, 12);
    world.fails = |path, now, _| {
        (path == "mount" && now < Mono::at(secs(5))).then_some(Verdict::TryLater(None))
    };
    world.run(secs(60));
    let lookups = world.times(|a| matches!(a, Action::LookUpMount(..))).len();
    assert!((2..12).contains(&lookups), "{lookups}");
    assert!((0..10).all(|i| world.fetches(&format!("kv/{i}")).len() == 1));
}

#[test]
fn a_sealed_vault_is_waited_for_and_leases_survive() {
    let mut world = World::new(plan(), &[(read("db/creds"), leased(3600))], 13);
    world.fails = |_, now, _| {
        let is_sealed = now > Mono::at(secs(1500)) && now < Mono::at(secs(2700));
        is_sealed.then_some(Verdict::TryLater(None))
    };
    assert_eq!(world.run(secs(7200)), None);
    assert_eq!((world.logins().len(), world.fetches("db/creds").len()), (1, 1));
}

#[test]
fn never_two_renewals_within_a_second_and_never_a_storm() {
    let verdicts: [Fails; 4] = [
        |_, _, _| None,
        |path, _, _| (path == "renew").then_some(Verdict::Refused),
        |path, now, _| {
            (path != "login" && now.since_start().as_secs() % 97 < 40)
                .then_some(Verdict::TryLater(None))
        },
        |_, now, _| (now.since_start().as_secs() % 61 < 20).then_some(Verdict::LogInAgain),
    ];
    let mut dice = Dice::new(99);
    for seed in 0..120 {
        let mut pick = |below: u64| dice.roll().of(secs(below)).as_secs();
        let mut fetching = plan().fetching;
        fetching.gives_up = false;
        let lease = leased(1 + pick(20) * pick(200));
        let facts = [(read("kv/a"), STATIC), (read("kv/b"), STATIC), (read("db/c"), lease)];
        let mut world = World::new(Plan { fetching, ..plan() }, &facts, seed);
        world.ttl = 1 + pick(5) * pick(500);
        world.max_ttl = world.ttl * (1 + pick(4));
        world.is_renewable = pick(3) > 0;
        world.fails = verdicts[usize::try_from(pick(4)).unwrap()];
        world.run(secs(3600));
        let repeats = |is_meant: &dyn Fn(&Action) -> bool, what: &str| {
            for pair in world.times(is_meant).windows(2) {
                let wait = pair[1] - pair[0];
                assert!(wait >= secs(1), "seed {seed}: {what} after {wait:?}, ttl {}", world.ttl);
            }
        };
        repeats(&|a| *a == Action::RenewToken, "token renewal");
        repeats(&|a| *a == Action::LogIn, "login");
        repeats(&|a| matches!(a, Action::RenewLease(..)), "lease renewal");
        // With times to live of a second everything is due each second: at most five actions.
        let asked = world.times(|a| !matches!(a, Action::Retry(..) | Action::Render)).len();
        assert!(asked < 5 * 3600, "seed {seed}: {asked} actions in an hour");
    }
}

#[test]
fn a_signal_ends_it_at_once_or_after_the_grace() {
    let mut world = World::new(plan(), &[], 14);
    world.run(secs(5));
    assert_eq!(world.machine.step(Event::Stop, world.now), [Action::Exit(Ending::Done)]);

    let mut world = World::new(Plan { revoke_after: Some(secs(5)), ..plan() }, &[], 15);
    world.run(secs(5));
    let stopped = world.now;
    world.pending.push((stopped, Event::Stop));
    assert_eq!(world.run(secs(60)), Some(Ending::Done));
    assert_eq!(world.times(|a| *a == Action::RevokeAll), [stopped + secs(5)]);

    let mut world = World::new(Plan { revoke_after: Some(secs(5)), ..plan() }, &[], 16);
    world.run(secs(5));
    let stopped = world.now;
    world.pending.push((stopped, Event::Stop));
    world.pending.push((stopped + secs(1), Event::Stop));
    assert_eq!(world.run(secs(60)), Some(Ending::Done));
    assert_eq!(world.times(|a| *a == Action::RevokeAll), [stopped + secs(1)]);
}

#[test]
fn what_was_handed_over_is_not_asked_for_again() {
    let facts = [(read("kv/app"), STATIC), (read("db/creds"), leased(600))];
    let mut world = World::new(plan(), &facts, 17);
    let mut mounts = MountTable::default();
    mounts.insert(Mount { path: "kv/".into(), is_kv2: false });
    mounts.insert(Mount { path: "db/".into(), is_kv2: false });
    let had = facts.iter().map(|(want, facts)| (want.clone(), *facts, secs(2))).collect();
    let grant = Grant { ttl: secs(3600), age: secs(2), is_renewable: true };
    world.pending = vec![(Mono::default(), Event::Restored { grant, mounts, had })];
    world.run(secs(200));
    assert!(world.logins().is_empty());
    assert!(world.fetches("kv/app").is_empty() && world.fetches("db/creds").is_empty());
    world.run(secs(3000));
    assert!(world.fetches("kv/app").len() > 9);
    assert!(world.logins().is_empty() && world.fetches("db/creds").is_empty());
}

fn reading(lease_id: &str, lease_duration: u64, renewable: bool, data: &str) -> Reading {
    Reading {
        request_id: String::new(),
        lease_id: lease_id.to_owned(),
        lease_duration,
        renewable,
        data: Json::parse(data.as_bytes()).unwrap(),
        warnings: Vec::new(),
        auth: None,
        wrap_info: None,
    }
}

#[test]
fn responses_tell_how_long_they_are_good_for() {
    use Cadence::{Exact, Renewable, Static, Until};
    let now = Wall(1_700_000_000_000);
    for (lease_id, lease, renewable, data, want) in [
        ("", 0, false, r#"{"data":{"a":"b"}}"#, Static),
        // KV version 1: the nominal lease is none, a time to live in the secret counts.
        ("", 2_764_800, false, r#"{"a":"b"}"#, Static),
        ("", 2_764_800, false, r#"{"ttl":"for ever"}"#, Static),
        ("", 2_764_800, false, r#"{"lease":"","ttl":null}"#, Static),
        ("", 2_764_800, false, r#"{"ttl":"768h"}"#, Until(secs(2_764_800))),
        ("", 60, false, r#"{"ttl":"1m"}"#, Until(secs(60))),
        ("", 60, false, r#"{"ttl":60}"#, Until(secs(60))),
        ("", 60, false, r#"{"ttl":"60","lease":"1h"}"#, Until(secs(60))),
        ("", 86_400, false, r#"{"lease":"1d"}"#, Until(secs(86_400))),
        ("", 0, false, r#"{"ttl":"0s"}"#, Static),
        ("db/1", 3600, true, r#"{"username":"u"}"#, Renewable(secs(3600))),
        ("aws/1", 3600, false, r#"{"k":"u"}"#, Until(secs(3600))),
        ("", 0, false, r#"{"certificate":"x","expiration":1700003600}"#, Until(secs(3600))),
        ("", 0, false, r#"{"certificate":"x","expiration":"soon"}"#, Static),
        ("", 0, false, r#"{"certificate":"x","expiration":1}"#, Static),
        ("pki/1", 60, false, r#"{"certificate":"x","expiration":1700003600}"#, Until(secs(60))),
        ("", 0, false, r#"{"secret_id":"x","secret_id_ttl":59}"#, Until(secs(60))),
        ("", 0, false, r#"{"rotation_period":86400,"ttl":120}"#, Exact(secs(121))),
        ("", 0, false, r#"{"rotation_period":"x","ttl":120}"#, Static),
        ("", 0, false, r#"{"rotation_period":9,"ttl":{}}"#, Static),
    ] {
        let facts = Facts::of(&reading(lease_id, lease, renewable, data), now).unwrap();
        assert_eq!(facts.cadence, want, "{data}");
        assert_eq!(facts.is_leased, !lease_id.is_empty());
    }
    let rotating = reading("", 0, false, r#"{"rotation_period":86400,"ttl":0}"#);
    assert_eq!(Facts::of(&rotating, now), Err(Rotating));
}

/// The path that is asked for.
fn request(want: &Want, mounts: &MountTable) -> Option<(String, String)> {
    let parsed = match want {
        Want::Read { path } => SecretPath::parse(path).ok()?,
        other => SecretPath::literal(other.path()).ok()?,
    };
    let mount = mounts.of(want.path())?;
    let request = match want {
        Want::List { .. } => Request::list(&parsed, mount),
        Want::Write { fields, .. } => Request::write(&parsed, mount, fields),
        _ => Request::read(&parsed, mount),
    };
    Some((request.path, request.query))
}

#[test]
fn all_spellings_of_a_path_have_one_name() {
    let mut mounts = MountTable::default();
    mounts.insert(Mount { path: "kv/".into(), is_kv2: true });
    let fields: BTreeMap<String, String> = [("a".to_owned(), "b".to_owned())].into();
    let list = |path: &str| Want::List { path: path.to_owned() };
    let write = |path: &str| Want::Write { path: path.to_owned(), fields: fields.clone() };
    for (spelled, name) in [
        (read("/kv/x"), read("kv/data/x")),
        (list("kv/"), list("kv/metadata")),
        (list("kv/metadata"), list("kv/metadata")),
        (read("/kv/"), read("kv")),
        (read("kv?version=1"), read("kv?version=1")),
        (read("kv/data"), read("kv/data/data")),
        (write("kv/"), write("kv")),
        (read("auth/token/lookup-self/"), read("auth/token/lookup-self")),
        (read("sys//health?a=b"), read("sys/health?a=b")),
        (list("kv/metadata/a%20b/"), list("kv/metadata/a%20b")),
        (write("kv//x"), write("kv/data/x")),
        (write("pki/issue/web"), write("pki/issue/web")),
    ] {
        let canon = canonical(&spelled, &mounts);
        assert_eq!(canon, name);
        assert_eq!(canonical(&canon, &mounts), name, "the name names itself");
        assert_eq!(request(&canon, &mounts), request(&spelled, &mounts), "and asks for the same");
    }
}

#[test]
fn the_answer_for_an_older_token_is_not_awaited() {
    let mut machine = Machine::new(plan(), 1);
    let now = Mono::default();
    let want = read("database/creds/app");
    let grant = Grant { ttl: secs(60), age: Duration::ZERO, is_renewable: false };
    let mut mounts = MountTable::default();
    mounts.insert(Mount { path: "database/".into(), is_kv2: false });
    let had = vec![(want.clone(), leased(30), Duration::ZERO)];
    machine.step(Event::Restored { grant, mounts, had }, now);
    let wanted = BTreeSet::from([want.clone()]);
    machine.step(Event::Rendered(Pass { wanted, is_complete: true, ..Pass::default() }), now);
    let ticket_in = |actions: Vec<Action>| {
        let ticket = actions.into_iter().find_map(|action| match action {
            Action::RenewLease(_, ticket) | Action::Fetch { ticket, .. } => Some(ticket),
            _ => None,
        });
        ticket.expect("a request")
    };
    let later = now + secs(25);
    let old = ticket_in(machine.step(Event::Woke, later));
    assert!(machine.awaits(&want, old));
    let new = ticket_in(
        machine.step(Event::LoggedIn { grant, is_same: false, is_no_stronger: false }, later),
    );
    assert!(machine.awaits(&want, new) && !machine.awaits(&want, old));
}
