//! Tests of the election: two electors and a lock with versions, on a clock of their own.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn now(seconds: u64) -> Now {
    let wall = 1_800_000_000 + seconds;
    Now { mono: Mono::at(Duration::from_secs(seconds)), wall }
}

/// Does what `elector` asks of this lock.
fn turn(elector: &mut Elector, lock: &mut Lock, at: u64) -> Ask {
    let ask = elector.ask(now(at));
    let heard = match &ask {
        Ask::Oneself => Heard::Oneself(Ok(())),
        Ask::Owner(_) => Heard::Owner(Ok(Owned::Alive)),
        Ask::Read(_) => Heard::Read(Ok(lock.clone())),
        Ask::Write(_, record) => {
            *lock = Lock::Held(record.clone());
            Heard::Written(Ok(()))
        }
    };
    hear(elector, &ask, heard, at);
    ask
}

fn hear(elector: &mut Elector, ask: &Ask, heard: Heard, at: u64) {
    let at = now(at).mono;
    elector.hear(ask, heard, at, at, Spread::of_bits(0));
}

/// All that is due until then.
fn run(elector: &mut Elector, lock: &mut Lock, from: u64, to: u64) {
    for at in from..=to {
        for _ in 0..10 {
            if elector.due() > now(at).mono {
                break;
            }
            turn(elector, lock, at);
        }
    }
}

fn elector(name: &str) -> Elector {
    Elector::new(name.to_owned(), Timing::USUAL)
}

fn role(elector: &Elector, at: u64) -> Role {
    elector.role(now(at).mono)
}

fn record(lock: &Lock) -> &Record {
    let Lock::Held(record) = lock else { panic!("{lock:?}") };
    record
}

#[test]
fn the_first_one_leads_and_renews_and_the_other_takes_over_when_it_is_silent() {
    let mut lock = Lock::Absent;
    let (mut a, mut b) = (elector("a"), elector("b"));
    run(&mut a, &mut lock, 0, 0);
    run(&mut b, &mut lock, 0, 0);
    assert_eq!((role(&a, 0), role(&b, 0)), (Role::Leader, Role::Follower));
    for at in 1..100 {
        run(&mut b, &mut lock, at, at);
        run(&mut a, &mut lock, at, at);
        assert_eq!((role(&a, at), role(&b, at)), (Role::Leader, Role::Follower));
    }
    let before = record(&lock).clone();
    assert_eq!((before.holder.as_str(), before.transitions, before.seconds), ("a", 1, 15));
    assert_eq!(before.renewed - before.acquired, 95_000_000);
    // `a` is killed after its renewal at 95.
    let start = 100;
    let taken = (start..).find(|at| {
        run(&mut b, &mut lock, *at, *at);
        role(&b, *at) == Role::Leader
    });
    assert!((110..=113).contains(&taken.unwrap()), "{taken:?}");
    assert_eq!(record(&lock).transitions, 2);
    // `a` was only stopped: by then it no longer believes that it leads, and then it knows.
    assert_eq!(role(&a, 105), Role::Follower);
    let ask = a.ask(now(113));
    assert!(matches!(ask, Ask::Write(..)));
    hear(&mut a, &ask, Heard::Written(Err(Trouble::Conflict)), 113);
    run(&mut a, &mut lock, 114, 116);
    assert_eq!((role(&a, 116), record(&lock).holder.as_str()), (Role::Follower, "b"));
}

#[test]
fn the_clock_of_another_is_not_believed() {
    for renewed in [0, i64::MAX] {
        let mut b = elector("b");
        let mut lock = Lock::Held(Record {
            holder: "a".to_owned(),
            seconds: 15,
            renewed,
            ..Record::default()
        });
        run(&mut b, &mut lock, 0, 14);
        assert_eq!(role(&b, 14), Role::Follower);
        run(&mut b, &mut lock, 15, 18);
        assert_eq!(role(&b, 18), Role::Leader);
    }
}

#[test]
fn a_lock_given_back_is_taken_at_once() {
    let mut lock = Lock::Absent;
    let (mut a, mut b) = (elector("a"), elector("b"));
    run(&mut a, &mut lock, 0, 1);
    run(&mut b, &mut lock, 1, 1);
    let Some(Ask::Write(Kind::Lease, given)) = a.release(now(2)) else { panic!() };
    assert_eq!((given.holder.as_str(), given.seconds), ("", 1));
    assert_eq!((role(&a, 2), b.release(now(2))), (Role::Follower, None));
    lock = Lock::Held(given);
    run(&mut b, &mut lock, 2, 3);
    assert_eq!(role(&b, 3), Role::Leader);
}

#[test]
fn a_leader_that_cannot_renew_stops_before_another_may_start() {
    let mut lock = Lock::Absent;
    let mut a = elector("a");
    run(&mut a, &mut lock, 0, 0);
    let failed = Trouble::Failed { retry_after: None };
    let mut tries = 0;
    for at in 0..60 {
        while a.due() <= now(at).mono {
            let ask = a.ask(now(at));
            let heard = match ask {
                Ask::Write(..) => Heard::Written(Err(failed)),
                _ => Heard::Read(Err(failed)),
            };
            hear(&mut a, &ask, heard, at);
            tries += 1;
        }
        assert_eq!(role(&a, at) == Role::Leader, at < 10);
    }
    assert!((10..40).contains(&tries), "{tries}");
}

#[test]
fn without_leases_the_config_map_of_vault_k8s_is_the_lock() {
    let mut a = elector("a");
    let ask = a.ask(now(0));
    assert_eq!(ask, Ask::Read(Kind::Lease));
    hear(&mut a, &ask, Heard::Read(Err(Trouble::Forbidden)), 0);
    let mut lock = Lock::Absent;
    assert_eq!(turn(&mut a, &mut lock, 0), Ask::Oneself);
    assert_eq!(turn(&mut a, &mut lock, 0), Ask::Read(Kind::ConfigMap));
    assert!(matches!(turn(&mut a, &mut lock, 0), Ask::Write(Kind::ConfigMap, _)));
    assert_eq!((role(&a, 0), a.kind()), (Role::Leader, Kind::ConfigMap));
    // Neither is allowed: both are tried for ever, slower and slower.
    let mut b = elector("b");
    let (mut kinds, mut count) = (Vec::new(), 0);
    for at in 0..600 {
        while b.due() <= now(at).mono {
            let ask = b.ask(now(at));
            let heard = match ask {
                Ask::Oneself => Heard::Oneself(Ok(())),
                Ask::Read(kind) => {
                    kinds.push(kind);
                    Heard::Read(Err(Trouble::Forbidden))
                }
                _ => panic!("{ask:?}"),
            };
            hear(&mut b, &ask, heard, at);
            count += 1;
        }
    }
    assert!(kinds.contains(&Kind::Lease) && kinds.contains(&Kind::ConfigMap));
    assert!((10..50).contains(&count), "{count}");
}

#[test]
fn a_replica_of_vault_k8s_leads_while_its_pod_lives() {
    let owner = || Owner { pod: "old-1".to_owned(), uid: "u".to_owned() };
    let mut lock = Lock::Old(owner());
    let mut a = elector("a");
    hear(&mut a, &Ask::Read(Kind::Lease), Heard::Read(Err(Trouble::Forbidden)), 0);
    run(&mut a, &mut lock, 0, 100);
    assert_eq!((role(&a, 100), &lock), (Role::OldFollower, &Lock::Old(owner())));
    // Nothing is known of it for a while: it counts as alive.
    let ask = loop {
        let ask = a.ask(now(103));
        if matches!(ask, Ask::Owner(_)) {
            break ask;
        }
        turn(&mut a, &mut lock, 103);
    };
    hear(&mut a, &ask, Heard::Owner(Err(Trouble::Failed { retry_after: None })), 103);
    assert_eq!(role(&a, 103), Role::OldFollower);
    while !matches!(a.ask(now(105)), Ask::Owner(_)) {
        turn(&mut a, &mut lock, 105);
    }
    hear(&mut a, &Ask::Owner(owner()), Heard::Owner(Ok(Owned::Gone)), 105);
    assert_eq!(role(&a, 105), Role::Follower);
    assert!(matches!(turn(&mut a, &mut lock, 105), Ask::Write(Kind::ConfigMap, _)));
    assert_eq!((role(&a, 105), record(&lock).holder.as_str()), (Role::Leader, "a"));
    // Another one of vault-k8s was faster.
    lock = Lock::Old(owner());
    let ask = a.ask(now(106));
    hear(&mut a, &ask, Heard::Written(Err(Trouble::Conflict)), 106);
    run(&mut a, &mut lock, 107, 108);
    assert_eq!(role(&a, 108), Role::OldFollower);
}

#[test]
fn what_cannot_be_created_does_not_make_a_busy_loop() {
    let mut a = elector("a");
    let mut count = 0;
    for at in 0..60 {
        while a.due() <= now(at).mono {
            let ask = a.ask(now(at));
            let heard = match ask {
                Ask::Oneself => Heard::Oneself(Ok(())),
                Ask::Write(..) => Heard::Written(Err(Trouble::NotFound)),
                _ => Heard::Read(Ok(Lock::Absent)),
            };
            hear(&mut a, &ask, heard, at);
            count += 1;
            assert!(count < 60, "{ask:?}");
        }
    }
    assert_eq!(a.timing.retry, 2 * SECOND);
}
