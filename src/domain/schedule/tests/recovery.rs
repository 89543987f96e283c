//! What another process left is a saving and no trap.

use super::*;

/// A world that starts with what another process left `age` ago.
fn restored(plan: Plan, facts: &[(Want, Facts)], age: u64, seed: u64) -> World {
    let mut world = World::new(plan, facts, seed);
    let mut mounts = MountTable::default();
    for path in ["kv/", "db/"] {
        mounts.insert(Mount { path: path.into(), is_kv2: false });
    }
    let mut had = Vec::new();
    for (want, facts) in facts {
        if world.machine.takes_over(want, facts) {
            had.push((want.clone(), *facts, secs(age)));
            // What another process had is of generation 1 and no later than the start.
            world.had.insert(want.clone(), (Mono::default(), 1));
        }
    }
    let grant = Grant { ttl: secs(3600), age: secs(age), is_renewable: true };
    world.born.insert(1, Mono::default());
    world.pending = vec![(Mono::default(), Event::Restored { grant, mounts, had })];
    world
}

fn init() -> Plan {
    Plan { ends_when_rendered: true, ..plan() }
}

/// Whether anything of the past is in use; `is_meant` says of which it matters.
fn is_of_the_past(
    had: &BTreeMap<Want, (Mono, Generation)>,
    is_meant: impl Fn(&Want) -> bool,
) -> bool {
    had.iter().any(|(want, (at, _))| is_meant(want) && *at == Mono::default())
}

#[test]
fn init_reads_anew_what_has_no_lease_and_keeps_the_lease() {
    let facts = [(read("kv/app"), STATIC), (read("db/creds"), leased(600))];
    for age in [2, 500] {
        let mut world = restored(init(), &facts, age, 1);
        assert_eq!(world.run(secs(60)), Some(Ending::Done));
        assert_eq!((world.fetches("kv/app").len(), world.fetches("db/creds").len()), (1, 0));
        assert!(world.logins().is_empty());
        assert_eq!(world.times(|a| matches!(a, Action::CheckLease(..))).len(), 1);
    }
}

#[test]
fn what_fails_with_a_kept_reading_is_tried_with_a_fresh_one() {
    for plan in [plan(), init()] {
        let is_init = plan.ends_when_rendered;
        let facts = [(read("kv/app"), STATIC), (read("db/creds"), leased(600))];
        let mut world = restored(plan, &facts, 2, 1);
        world.breaks = |had| is_of_the_past(had, |want| want.path() == "kv/app");
        let ending = world.run(secs(100));
        assert_eq!(ending, is_init.then_some(Ending::Done), "{:?}", world.log);
        assert_eq!(world.fetches("kv/app").len(), 1);
        assert!(world.fetches("db/creds").is_empty(), "the lease beside it is healthy");
        assert!(world.logins().is_empty());
    }
}

#[test]
fn a_lease_is_had_anew_only_when_nothing_else_can_be_the_cause() {
    // It is all that the file is made of.
    let alone = [(read("db/creds"), leased(600))];
    for plan in [plan(), init()] {
        let is_init = plan.ends_when_rendered;
        let mut world = restored(plan, &alone, 2, 1);
        world.breaks = |had| is_of_the_past(had, |_| true);
        assert_eq!(world.run(secs(100)), is_init.then_some(Ending::Done));
        assert_eq!(world.fetches("db/creds").len(), 1);
    }
    // Or it is older than what is read again all the time.
    let both = [(read("kv/app"), STATIC), (read("db/creds"), leased(6000))];
    let mut world = restored(plan(), &both, 400, 1);
    world.breaks = |had| is_of_the_past(had, |_| true);
    assert_eq!(world.run(secs(100)), None);
    assert_eq!((world.fetches("kv/app").len(), world.fetches("db/creds").len()), (1, 1));
}

#[test]
fn what_fails_with_fresh_readings_too_ends_the_process_after_one_round() {
    for (age, leases) in [(2, 0), (400, 1)] {
        for plan in [plan(), init()] {
            let facts = [(read("kv/app"), STATIC), (read("db/creds"), leased(6000))];
            let mut world = restored(plan, &facts, age, 1);
            world.breaks = |_| true;
            assert_eq!(world.run(secs(100)), Some(Ending::Failed));
            assert_eq!(world.fetches("kv/app").len(), 1);
            assert_eq!(world.fetches("db/creds").len(), leases);
        }
    }
}

#[test]
fn a_broken_template_of_a_new_process_ends_it_at_once() {
    let facts = [(read("kv/app"), STATIC), (read("db/creds"), leased(600))];
    for plan in [plan(), init()] {
        let mut world = World::new(plan, &facts, 1);
        world.breaks = |_| true;
        assert_eq!(world.run(secs(100)), Some(Ending::Failed));
        assert_eq!((world.fetches("kv/app").len(), world.fetches("db/creds").len()), (1, 1));
    }
}

const DENIED: Verdict = Verdict::Denied { is_token_good: false };
const DENIED_BUT_GOOD: Verdict = Verdict::Denied { is_token_good: true };

#[test]
fn a_kept_token_that_is_denied_something_is_replaced_once() {
    for plan in [plan(), init()] {
        let is_init = plan.ends_when_rendered;
        for verdict in [DENIED, DENIED_BUT_GOOD] {
            let facts = [(read("kv/new"), STATIC), (read("db/creds"), leased(600))];
            let mut world = restored(plan.clone(), &facts[1..], 2, 1);
            world.facts.insert(facts[0].0.clone(), facts[0].1);
            // The role was given another policy since.
            world.is_no_stronger = false;
            world.fails = match verdict {
                DENIED => |path, _, token| (path == "kv/new" && token == 1).then_some(DENIED),
                _ => |path, _, token| (path == "kv/new" && token == 1).then_some(DENIED_BUT_GOOD),
            };
            let ending = world.run(secs(60));
            assert_eq!(ending, is_init.then_some(Ending::Done), "{:?}", world.log);
            assert_eq!((world.logins().len(), world.fetches("kv/new").len()), (1, 2));
            assert!(world.times(|a| matches!(a, Action::Retry(..))).is_empty());
        }
    }
}

#[test]
fn what_every_token_is_denied_costs_one_login_and_no_lease() {
    let facts = [(read("kv/no"), STATIC), (read("db/creds"), leased(600))];
    for plan in [plan(), init()] {
        let mut world = restored(plan, &facts[1..], 2, 1);
        world.facts.insert(facts[0].0.clone(), facts[0].1);
        world.fails = |path, _, _| (path == "kv/no").then_some(DENIED_BUT_GOOD);
        assert_eq!(world.run(secs(3600)), Some(Ending::Failed));
        // Once for the token, once for the mount, and then as often as it is configured.
        assert_eq!((world.logins().len(), world.fetches("kv/no").len()), (1, 15));
        assert!(world.fetches("db/creds").is_empty(), "the old token lives, and its lease");
        // The spare token goes.
        assert_eq!(world.times(|a| *a == Action::EndToken(2)).len(), 1);
        assert!(world.times(|a| *a == Action::EndToken(1)).is_empty());
    }
}

#[test]
fn a_process_that_stays_finds_out_about_a_repaired_role_without_a_storm() {
    let facts = [(read("kv/no"), STATIC), (read("db/creds"), leased(600))];
    let mut fetching = plan().fetching;
    fetching.gives_up = false;
    let mut world = World::new(Plan { fetching, ..plan() }, &facts, 1);
    world.fails = |path, _, _| (path == "kv/no").then_some(DENIED_BUT_GOOD);
    assert_eq!(world.run(secs(86_400)), None);
    assert!((20..=32).contains(&world.logins().len()), "{}", world.logins().len());
    assert_eq!(world.fetches("db/creds").len(), 1);
    // Now the role is repaired, and the next login brings more.
    world.is_no_stronger = false;
    world.fails = |path, _, token| (path == "kv/no" && token == 1).then_some(DENIED_BUT_GOOD);
    world.run(secs(86_400 + 3700));
    assert!(world.had.contains_key(&facts[0].0));
}

#[test]
fn a_login_that_fails_does_not_cost_the_token_that_there_is() {
    let facts = [(read("kv/no"), STATIC), (read("db/creds"), leased(600))];
    let mut fetching = plan().fetching;
    fetching.gives_up = false;
    for exits_on_failed_login in [false, true] {
        let plan = Plan { exits_on_failed_login, fetching: fetching.clone(), ..plan() };
        let mut world = restored(plan, &facts[1..], 2, 1);
        world.facts.insert(facts[0].0.clone(), facts[0].1);
        world.fails = |path, _, _| match path {
            "kv/no" => Some(DENIED),
            "login" => Some(Verdict::Refused),
            _ => None,
        };
        assert_eq!(world.run(secs(3000)), None);
        assert!(world.logins().len() < 20, "{}", world.logins().len());
        assert!(world.times(|a| matches!(a, Action::RenewLease(..))).len() > 5);
        assert!(world.fetches("db/creds").is_empty());
    }
}

#[test]
fn a_kept_token_that_is_no_more_is_replaced_though_nothing_is_to_be_read() {
    let facts = [(read("kv/app"), STATIC), (read("db/creds"), leased(6000))];
    for plan in [plan(), init()] {
        let is_init = plan.ends_when_rendered;
        let mut world = restored(plan, &facts, 2, 1);
        world.fails = |path, _, token| {
            (token == 1 && path != "login").then_some(if path.starts_with("lease of ") {
                Verdict::LogInAgain
            } else {
                DENIED
            })
        };
        assert_eq!(world.run(secs(60)), is_init.then_some(Ending::Done));
        assert_eq!((world.logins().len(), world.fetches("db/creds").len()), (1, 1));
        assert!(!is_of_the_past(&world.had, |_| is_init), "not over before all is had");
    }
}

#[test]
fn a_lease_that_was_revoked_is_had_anew() {
    let until = Facts { cadence: Cadence::Until(secs(6000)), ..leased(6000) };
    for facts in [leased(6000), until] {
        // Before this process, and while it runs: found out within the interval of what has no lease.
        let facts = [(read("db/creds"), facts)];
        for plan in [plan(), init()] {
            let is_init = plan.ends_when_rendered;
            let mut world = restored(plan, &facts, 2, 1);
            world.fails = |path, now, _| {
                let is_gone = path == "lease of db/creds" && now < Mono::at(secs(1));
                is_gone.then_some(Verdict::Refused)
            };
            assert_eq!(world.run(secs(60)), is_init.then_some(Ending::Done));
            assert_eq!((world.logins().len(), world.fetches("db/creds").len()), (0, 1));
            assert!(!is_of_the_past(&world.had, |_| true), "not over before it is had");
        }
        let mut world = World::new(plan(), &facts, 1);
        world.fails = |path, now, _| {
            let is_gone =
                path == "lease of db/creds" && (1000..1300).contains(&now.since_start().as_secs());
            is_gone.then_some(Verdict::Refused)
        };
        assert_eq!(world.run(secs(1400)), None);
        let fetches = world.fetches("db/creds");
        assert_eq!(fetches.len(), 2, "{:?}", world.log);
        assert!(fetches[1] <= Mono::at(secs(1300)), "{fetches:?}");
    }
}

#[test]
fn a_lease_that_may_not_be_looked_up_is_left_alone() {
    for verdict in [DENIED, DENIED_BUT_GOOD] {
        let mut world = restored(plan(), &[(read("db/creds"), leased(6000))], 2, 1);
        world.fails = if verdict == DENIED {
            |path, _, _| path.starts_with("lease of ").then_some(DENIED)
        } else {
            |path, _, _| path.starts_with("lease of ").then_some(DENIED_BUT_GOOD)
        };
        assert_eq!(world.run(secs(3500)), None);
        assert_eq!(world.times(|a| matches!(a, Action::CheckLease(..))).len(), 1);
        assert!(world.logins().is_empty() && world.fetches("db/creds").is_empty());
    }
}

#[test]
fn a_mount_of_the_past_is_looked_up_again_before_anything_is_given_up() {
    for verdict in [Verdict::Refused, DENIED_BUT_GOOD] {
        let mut plan = plan();
        plan.fetching.retries = 0;
        let mut world = restored(plan, &[], 2, 1);
        world.facts.insert(read("kv/app"), STATIC);
        world.fails = if verdict == Verdict::Refused {
            |path, now, _| {
                (path == "kv/app" && now < Mono::at(LATENCY * 2)).then_some(Verdict::Refused)
            }
        } else {
            |path, now, _| {
                (path == "kv/app" && now < Mono::at(LATENCY * 4)).then_some(DENIED_BUT_GOOD)
            }
        };
        assert_eq!(world.run(secs(60)), None, "{:?}", world.log);
        assert_eq!(
            world.times(|a| matches!(a, Action::LookUpMount(..))).len(),
            1,
            "{:?}",
            world.log
        );
    }
    // One that was found a moment ago is not.
    let mut world = World::new(plan(), &[(read("kv/gone"), STATIC)], 1);
    world.fails = |path, _, _| (path == "kv/gone").then_some(Verdict::Refused);
    assert_eq!(world.run(secs(3600)), Some(Ending::Failed));
    assert!(world.times(|a| matches!(a, Action::LookUpMount(..))).len() <= 2);
}

#[test]
fn what_vault_did_in_vain_is_not_asked_for_at_each_retry() {
    let want = || Want::Certificate { path: "pki/issue/a".to_owned(), fields: BTreeMap::new() };
    for plan in [plan(), init()] {
        let mut world = World::new(plan.clone(), &[(want(), STATIC)], 1);
        world.fails = |path, _, _| (path == "pki/issue/a").then_some(Verdict::Spent);
        assert_eq!(world.run(secs(3600)), Some(Ending::Failed));
        assert_eq!(world.fetches("pki/issue/a").len(), 1);
        let fetching = Fetching { gives_up: false, ..plan.fetching.clone() };
        let mut world = World::new(Plan { fetching, ..plan }, &[(want(), STATIC)], 1);
        world.fails = |path, _, _| (path == "pki/issue/a").then_some(Verdict::Spent);
        assert_eq!(world.run(secs(3600)), None);
        assert!(world.fetches("pki/issue/a").len() <= 12);
    }
}

/// A lease of a token that cannot be renewed ends with it: it is had once from each token.
#[test]
fn leases_of_batch_tokens_are_had_once_from_each_token() {
    for (ttl, seed) in [(16, 1), (16, 2), (16, 3), (60, 4), (600, 5), (3600, 6)] {
        for cadence in [Cadence::Renewable(secs(ttl)), Cadence::Until(secs(ttl))] {
            let facts = Facts { cadence, ..leased(ttl) };
            let mut world = World::new(plan(), &[(read("db/creds"), facts)], seed);
            (world.ttl, world.is_renewable) = (ttl, false);
            // As Vault cuts leases at the end of such a token, renewals grant nothing more.
            world.fails = |path, _, _| (path == "renewal of db/creds").then_some(Verdict::Refused);
            assert_eq!(world.run(secs(ttl * 20)), None);
            let (logins, fetches) = (world.logins().len(), world.fetches("db/creds").len());
            assert!(fetches <= logins, "ttl {ttl}: {fetches} fetches with {logins} tokens");
            assert!(logins <= 20 * 2, "ttl {ttl}: {logins} logins");
        }
    }
}

#[test]
fn nothing_is_retried_or_given_up_without_a_reason() {
    let mut machine = Machine::new(plan(), 1);
    let now = Mono::default();
    let grant = Grant { ttl: secs(60), age: Duration::ZERO, is_renewable: true };
    machine.step(Event::Woke, now);
    machine.step(Event::LoggedIn { grant, is_same: false, is_no_stronger: false }, now);
    let wanted = BTreeSet::from([read("kv/a")]);
    let actions = machine.step(Event::Rendered(Pass { wanted, ..Pass::default() }), now);
    let Some(Action::LookUpMount(want, ticket)) = actions.last().cloned() else { panic!() };
    // An answer that is about another mount.
    let mount = Mount { path: "other/".into(), is_kv2: true };
    let actions = machine.step(Event::MountFound { want, ticket, mount }, now);
    let Some(Action::Retry(_, 1, _, reason)) = actions.first() else { panic!("{actions:?}") };
    assert!(reason.text().contains("kv/a") && reason.text().contains("other/"), "{reason}");
    assert_eq!(machine.reason(&read("kv/a")), Some(reason));
}

#[test]
fn what_is_not_there_may_be_named_by_a_kept_reading_only() {
    let facts =
        [(read("kv/names"), STATIC), (read("kv/b"), STATIC), (read("db/creds"), leased(600))];
    let mut world = restored(plan(), &facts, 2, 1);
    world.facts.insert(read("kv/gone"), STATIC);
    world.fails = |path, _, _| (path == "kv/gone").then_some(Verdict::Refused);
    world.run(secs(100));
    assert_eq!((world.fetches("kv/names").len(), world.fetches("kv/b").len()), (1, 1));
    assert!(world.fetches("db/creds").is_empty());
}

/// A broken secret ends the sidecar; not before the credentials beside it were renewed or replaced.
#[test]
fn what_is_broken_does_not_let_die_what_is_healthy() {
    let facts = [(read("kv/app"), STATIC), (read("db/creds"), leased(300))];
    for (age, is_gone) in [(210, false), (2, true)] {
        let mut world = restored(plan(), &facts, age, 1);
        world.breaks = |_| true;
        if is_gone {
            world.fails = |path, _, _| (path == "lease of db/creds").then_some(Verdict::Refused);
        }
        assert_eq!(world.run(secs(100)), Some(Ending::Failed));
        let renewals = world.times(|a| matches!(a, Action::RenewLease(..))).len();
        assert_eq!(
            (renewals, world.fetches("db/creds").len()),
            if is_gone { (0, 1) } else { (1, 0) }
        );
        assert!(!is_gone || !is_of_the_past(&world.had, |_| true), "had and written");
        assert!(world.now < Mono::at(secs(1)));
    }
    // The same for what is given up.
    let mut hasty = plan();
    hasty.fetching.retries = 0;
    let mut world = restored(hasty, &facts[1..], 2, 1);
    world.facts.insert(facts[0].0.clone(), facts[0].1);
    world.fails = |path, _, _| match path {
        "kv/app" => Some(Verdict::Refused),
        "lease of db/creds" => Some(Verdict::Refused),
        _ => None,
    };
    assert_eq!(world.run(secs(100)), Some(Ending::Failed));
    assert!(!is_of_the_past(&world.had, |_| true), "had and written");
}

/// A world whose agent knows `kv/` as an engine of version 2.
fn of_version_2(plan: Plan) -> World {
    let facts = [(read("kv/app"), STATIC), (read("kv/sub/b"), STATIC)];
    let mut world = restored(plan, &facts, 400, 1);
    for (_, event) in &mut world.pending {
        if let Event::Restored { mounts, had, .. } = event {
            mounts.insert(Mount { path: "kv/".into(), is_kv2: true });
            had.clear();
        }
    }
    world.had.clear();
    world
}

#[test]
fn secrets_of_an_engine_whose_version_changed_get_their_new_names() {
    let at_once = |_: &str, _| Mount { path: "kv/".into(), is_kv2: false };
    let after_a_while = |path: &str, now: Mono| match now.since_start().as_secs() {
        // Nothing is mounted there, so that the path stands for its own mount.
        0..5 => Mount { path: format!("{path}/"), is_kv2: false },
        _ => Mount { path: "kv/".into(), is_kv2: false },
    };
    for (breaks, mount_of) in
        [(false, at_once as fn(&str, Mono) -> Mount), (true, at_once), (false, after_a_while)]
    {
        let mut tireless = init();
        tireless.fetching.gives_up = breaks;
        tireless.fetching.static_interval = secs(10);
        let mut world = of_version_2(tireless);
        world.fails = |path, _, _| path.starts_with("kv/data/").then_some(Verdict::Refused);
        world.mount_of = mount_of;
        if breaks {
            // A file that cannot be made does not keep the old names alive.
            world.breaks = |had| had.values().all(|(at, _)| at.since_start() < secs(1));
        }
        let ending = world.run(secs(900));
        let asked = (world.fetches("kv/app").len(), world.fetches("kv/sub/b").len());
        if breaks {
            assert!(world.fetches("kv/data/app").len() <= 2, "{:?}", world.log);
        } else {
            assert_eq!((ending, asked), (Some(Ending::Done), (1, 1)), "{:?}", world.log);
        }
    }
}

#[test]
fn look_ups_and_failures_never_take_turns_without_a_wait() {
    let finds: [fn(&str, Mono) -> Mount; 5] = [
        // Nobody told for a while, so the path stood for its own mount.
        |path, now| match now.since_start().as_secs() {
            0..1000 => Mount { path: format!("{path}/"), is_kv2: false },
            _ => Mount { path: "kv/".into(), is_kv2: true },
        },
        |_, _| Mount { path: "kv/".into(), is_kv2: false },
        |_, _| Mount { path: "elsewhere/".into(), is_kv2: true },
        |path, _| Mount { path: format!("{path}/"), is_kv2: false },
        // Its version changes whenever it is asked for.
        |_, now| Mount { path: "kv/".into(), is_kv2: now.since_start().as_millis() % 2 == 0 },
    ];
    for mount_of in finds {
        for static_interval in [Duration::from_millis(1), secs(300)] {
            for fails in [
                (|path, _, _| path.starts_with("kv/").then_some(Verdict::Refused)) as Fails,
                |path, _, _| {
                    let denied = Verdict::Denied { is_token_good: true };
                    path.starts_with("kv/").then_some(denied)
                },
            ] {
                let mut tireless = plan();
                tireless.fetching.gives_up = false;
                tireless.fetching.static_interval = static_interval;
                let mut world = of_version_2(tireless);
                world.mount_of = mount_of;
                world.fails = fails;
                assert_eq!(world.run(secs(3600)), None);
                let asked = world.times(|action| {
                    matches!(action, Action::Fetch { .. } | Action::LookUpMount(..))
                });
                // Not one in each round trip, which would be 720,000.
                assert!(asked.len() < 7200, "{} {:?}", asked.len(), world.log.last());
            }
        }
    }
}
