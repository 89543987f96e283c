//! Tests of whole replicas: a simulated cluster with versions, several replicas whose requests interleave, and what
//! can happen to them.

use super::super::bundle::Listed;
use super::super::ca::{LEAF_SECONDS, MEMORY_SECONDS, SHARED_SECONDS};
use super::super::election::{Heard, Lock, Owned, Owner, Record, Timing};
use super::*;
use crate::domain::schedule::pace::Dice;

const EPOCH: u64 = 1_800_000_000;
const DAY: u64 = 24 * 3600;

/// What RBAC allows.
#[derive(Clone, Copy)]
struct Rbac {
    leases: bool,
    config_maps: bool,
    secrets: bool,
    bundle: bool,
}

const ALL: Rbac = Rbac { leases: true, config_maps: true, secrets: true, bundle: true };

/// The cluster: each thing with the version of its last change.
struct World {
    millis: u64,
    dice: Dice,
    rbac: Rbac,
    is_up: bool,
    are_secrets_up: bool,
    is_ca_locked: bool,
    count: u64,
    ca: Option<(u64, Shelf)>,
    lock: (u64, Lock),
    bundle: (u64, Vec<Listed>),
    shared: Option<Leaf>,
    is_old_alive: bool,
    is_bundle_changed: bool,
    patches: u64,
    /// What becomes of patches.
    refused: Option<Trouble>,
    requests: u64,
}

/// A process.
struct Actor {
    replica: Replica,
    is_cut_off: bool,
    /// Since when there was nothing to excuse a certificate that is not trusted.
    calm: u64,
    was_trusted: bool,
    pending: Option<(Action, Mono, u64)>,
    wake: u64,
    ca_version: Option<u64>,
    lock_version: Option<u64>,
    bundle_version: u64,
}

impl World {
    fn new(seed: u64, rbac: Rbac) -> Self {
        Self {
            millis: 0,
            dice: Dice::new(seed),
            rbac,
            is_up: true,
            are_secrets_up: true,
            is_ca_locked: false,
            count: 0,
            ca: None,
            lock: (0, Lock::Absent),
            bundle: (0, Vec::new()),
            shared: None,
            is_old_alive: false,
            is_bundle_changed: false,
            patches: 0,
            refused: None,
            requests: 0,
        }
    }

    fn now(&self) -> Now {
        Now { mono: Mono::at(Duration::from_millis(self.millis)), wall: EPOCH + self.millis / 1000 }
    }

    fn id(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn below(&mut self, end: u64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let number = (self.dice.roll().fraction() * end as f64) as u64;
        number
    }

    fn authority(&mut self, seconds: u64) -> Authority {
        let not_before = self.now().wall;
        let fingerprint = format!("ca{}", self.id());
        Authority { fingerprint, not_before, not_after: not_before + seconds }
    }

    fn leaf(&mut self, ca: &Authority) -> Leaf {
        let not_before = self.now().wall;
        let not_after = (not_before + LEAF_SECONDS).min(ca.not_after);
        let fingerprint = format!("leaf{}", self.id());
        Leaf { fingerprint, ca: ca.fingerprint.clone(), not_before, not_after }
    }

    fn start(&mut self, elects: Option<&str>) -> Actor {
        let own = self.authority(MEMORY_SECONDS);
        let leaf = self.leaf(&own);
        let own = Shelf { current: Some(own), ..Shelf::default() };
        let elector = elects.map(|name| Box::new(Elector::new(name.to_owned(), Timing::USUAL)));
        let now = self.now().mono;
        Actor {
            replica: Replica::new(Duty::Everything { own, leaf, elector }, now),
            is_cut_off: false,
            calm: self.millis,
            was_trusted: false,
            pending: None,
            wake: self.millis,
            ca_version: None,
            lock_version: None,
            bundle_version: 0,
        }
    }

    fn trusts(&self, ca: &str) -> bool {
        self.bundle.1.iter().any(|listed| listed.authority.fingerprint == ca)
    }

    /// What the API server, or the process itself, makes of it.
    fn perform(&mut self, actor: &mut Actor, action: &Action) -> Outcome {
        let is_local =
            matches!(action, Action::Sign(_) | Action::ServeShared | Action::ChangeOwn(_));
        let failed = Trouble::Failed { retry_after: None };
        self.requests += u64::from(!is_local);
        let allow = |is_allowed: bool| match (self.is_up && !actor.is_cut_off, is_allowed) {
            (false, _) => Err(failed),
            (true, false) => Err(Trouble::Forbidden),
            (true, true) => Ok(()),
        };
        match action {
            Action::Wait(_) => panic!("nothing to do"),
            Action::Sign(name) => {
                let shelf = match &actor.replica.store {
                    Store::Present(shelf) if shelf.all().any(|ca| ca.fingerprint == *name) => shelf,
                    _ => &actor.replica.own,
                };
                let ca = shelf.current.clone().unwrap();
                assert_eq!(&ca.fingerprint, name);
                Outcome::Leaf(Some(self.leaf(&ca)))
            }
            Action::ServeShared => Outcome::Leaf(actor.replica.shared.clone()),
            Action::ChangeOwn(change) => {
                let fresh = self.authority(MEMORY_SECONDS);
                let own = actor.replica.own.clone();
                Outcome::Own(Some(own.changed(*change, Some(fresh), self.now())))
            }
            Action::ReadCa if !self.are_secrets_up => Outcome::Ca(Err(failed)),
            Action::ReadCa => Outcome::Ca(allow(self.rbac.secrets).and_then(|()| {
                let (version, shelf) = self.ca.clone().ok_or(Trouble::NotFound)?;
                actor.ca_version = Some(version);
                Ok(shelf)
            })),
            Action::WriteCa(change) => {
                Outcome::Ca(allow(self.rbac.secrets).and_then(|()| self.write_ca(actor, *change)))
            }
            Action::ReadShared => {
                Outcome::Shared(allow(self.rbac.secrets).map(|()| self.shared.clone()))
            }
            Action::WriteShared => Outcome::SharedWritten(allow(self.rbac.secrets).map(|()| {
                self.shared = actor.replica.served.clone();
            })),
            Action::ReadBundle => Outcome::Bundle(allow(self.rbac.bundle).map(|()| {
                actor.bundle_version = self.bundle.0;
                vec![Entry { place: 0, bundle: self.bundle.1.clone() }]
            })),
            Action::Patch(fixes) => {
                Outcome::Bundle(allow(self.rbac.bundle).and_then(|()| self.patch(actor, fixes)))
            }
            Action::Lock(ask) => Outcome::Lock(self.lock(actor, ask)),
        }
    }

    fn write_ca(&mut self, actor: &mut Actor, change: Change) -> Result<Shelf, Trouble> {
        if self.is_ca_locked {
            return Err(Trouble::Forbidden);
        }
        let before = match (&self.ca, &actor.replica.store) {
            (None, Store::Absent) => Shelf::default(),
            (Some(_), Store::Absent) => return Err(Trouble::Conflict),
            (Some((version, _)), Store::Present(known)) if Some(*version) == actor.ca_version => {
                known.clone()
            }
            (None, _) => return Err(Trouble::NotFound),
            _ => return Err(Trouble::Conflict),
        };
        let fresh = self.authority(SHARED_SECONDS);
        let shelf = before.changed(change, Some(fresh), self.now());
        let version = self.id();
        actor.ca_version = Some(version);
        self.ca = Some((version, shelf.clone()));
        Ok(shelf)
    }

    fn patch(
        &mut self,
        actor: &mut Actor,
        fixes: &[(usize, Vec<String>)],
    ) -> Result<Vec<Entry>, Trouble> {
        if let Some(trouble) = self.refused {
            return Err(trouble);
        }
        if actor.bundle_version != self.bundle.0 {
            return Err(Trouble::Conflict);
        }
        let known: Vec<Listed> = self.bundle.1.clone();
        let wanted: Vec<Authority> = actor.replica.wanted(self.now()).cloned().collect();
        let find = |name: &String| {
            let listed = known.iter().find(|listed| listed.authority.fingerprint == *name);
            listed.cloned().unwrap_or_else(|| Listed {
                authority: wanted.iter().find(|ca| ca.fingerprint == *name).unwrap().clone(),
                is_ours: true,
            })
        };
        let [(0, names)] = fixes else { panic!("{fixes:?}") };
        let bundle = names.iter().map(find).collect();
        self.set_bundle(bundle);
        self.patches += 1;
        actor.bundle_version = self.bundle.0;
        Ok(vec![Entry { place: 0, bundle: self.bundle.1.clone() }])
    }

    fn set_bundle(&mut self, bundle: Vec<Listed>) {
        self.bundle = (self.id(), bundle);
        self.is_bundle_changed = true;
    }

    fn lock(&mut self, actor: &mut Actor, ask: &Ask) -> Heard {
        let kind = match ask {
            Ask::Read(kind) | Ask::Write(kind, _) => *kind,
            Ask::Oneself | Ask::Owner(_) => Kind::ConfigMap,
        };
        let is_allowed = if kind == Kind::Lease { self.rbac.leases } else { self.rbac.config_maps };
        let failed = Trouble::Failed { retry_after: None };
        let refused = match self.is_up && !actor.is_cut_off {
            false => Some(failed),
            true if !is_allowed => Some(Trouble::Forbidden),
            true => None,
        };
        match (ask, refused) {
            (Ask::Oneself, refused) => Heard::Oneself(refused.map_or(Ok(()), Err)),
            (Ask::Owner(_), Some(trouble)) => Heard::Owner(Err(trouble)),
            (Ask::Owner(_), None) if self.is_old_alive => Heard::Owner(Ok(Owned::Alive)),
            (Ask::Owner(_), None) => Heard::Owner(Ok(Owned::Gone)),
            (Ask::Read(_), Some(trouble)) => Heard::Read(Err(trouble)),
            (Ask::Read(_), None) => {
                actor.lock_version = Some(self.lock.0);
                Heard::Read(Ok(self.lock.1.clone()))
            }
            (Ask::Write(..), Some(trouble)) => Heard::Written(Err(trouble)),
            (Ask::Write(_, record), None) => {
                if actor.lock_version != Some(self.lock.0) {
                    return Heard::Written(Err(Trouble::Conflict));
                }
                self.lock = (self.id(), Lock::Held(record.clone()));
                actor.lock_version = Some(self.lock.0);
                Heard::Written(Ok(()))
            }
        }
    }

    /// One step of the actor whose turn comes first; the time goes on to it.
    fn step(&mut self, actors: &mut [Actor]) {
        let due = |actor: &Actor| actor.pending.as_ref().map_or(actor.wake, |(.., done)| *done);
        let actor = actors.iter_mut().min_by_key(|actor| due(actor)).unwrap();
        self.millis = self.millis.max(due(actor));
        let now = self.now();
        match actor.pending.take() {
            None => match actor.replica.next(now) {
                Action::Wait(until) => {
                    let until = u64::try_from(until.since_start().as_nanos().div_ceil(1_000_000));
                    actor.wake = until.unwrap().max(self.millis + 1);
                }
                action => {
                    let done = self.millis + 1 + self.below(40);
                    actor.pending = Some((action, now.mono, done));
                }
            },
            Some((action, began, _)) => {
                let outcome = self.perform(actor, &action);
                let (now, spread) = (self.now(), self.dice.roll());
                actor.replica.hear(&action, outcome, began, now, spread);
                actor.wake = self.millis;
            }
        }
        if std::mem::take(&mut self.is_bundle_changed) {
            for actor in actors.iter_mut().filter(|actor| !actor.is_cut_off) {
                actor.replica.wake(self.now().mono);
                actor.wake = self.millis;
            }
        }
    }

    fn run(&mut self, actors: &mut [Actor], seconds: u64) {
        let end = self.millis + seconds * 1000;
        while self.millis < end {
            self.step(actors);
        }
    }

    /// Runs and checks after each step that whoever was trusted once still is. `patience`: milliseconds after
    /// something happened.
    fn run_checked(&mut self, actors: &mut [Actor], seconds: u64, patience: u64) {
        let end = self.millis + seconds * 1000;
        while self.millis < end {
            self.step(actors);
            for actor in actors.iter_mut() {
                let leaf = actor.replica.served.as_ref().unwrap();
                let is_trusted = self.trusts(&leaf.ca);
                assert!(leaf.not_after > self.now().wall, "expired");
                actor.was_trusted |= is_trusted;
                let is_calm = self.millis >= actor.calm + patience;
                assert!(
                    is_trusted || !is_calm || !actor.was_trusted,
                    "{} ms: {leaf:?} not in {:?}, role {:?}, store {:?}",
                    self.millis,
                    self.bundle.1,
                    actor.replica.role(self.now().mono),
                    actor.replica.store,
                );
            }
        }
    }
}

/// Makes a young current CA older.
fn age(shelf: &mut Shelf, days: u64) {
    for ca in shelf.current.iter_mut().filter(|ca| ca.not_before > EPOCH - 2 * DAY) {
        ca.not_before -= days * DAY;
        ca.not_after -= days * DAY;
    }
}

fn leaders(world: &World, actors: &[Actor]) -> usize {
    let now = world.now().mono;
    actors.iter().filter(|actor| actor.replica.role(now) == Role::Leader).count()
}

#[test]
fn a_first_start_is_trusted_within_a_second() {
    for elects in [None, Some("a")] {
        let mut world = World::new(1, ALL);
        let mut actors = [world.start(elects)];
        assert_eq!(actors[0].replica.readiness(world.now()), Readiness::Untrusted);
        world.run(&mut actors, 1);
        let shelf = &world.ca.as_ref().unwrap().1;
        let leaf = actors[0].replica.served.clone().unwrap();
        assert_eq!(shelf.current.as_ref().unwrap().fingerprint, leaf.ca);
        assert!(world.trusts(&leaf.ca));
        assert_eq!(actors[0].replica.readiness(world.now()), Readiness::Ready);
        assert_eq!((world.patches, world.bundle.1.len()), (1, 1));
        // At rest it asks for next to nothing.
        let before = world.requests;
        world.run(&mut actors, 3600);
        let requests = world.requests - before;
        let most = if elects.is_some() { 800 } else { 70 };
        assert!(requests < most, "{requests}");
    }
}

#[test]
fn where_secrets_are_forbidden_the_ca_of_the_process_is_replaced_in_time() {
    let mut world = World::new(2, Rbac { secrets: false, ..ALL });
    let mut actors = [world.start(None)];
    world.run(&mut actors, 1);
    assert!(actors[0].replica.is_alone(world.now()));
    assert_eq!(actors[0].replica.readiness(world.now()), Readiness::Ready);
    world.run_checked(&mut actors, 100 * DAY, 0);
    assert!(world.count > 100, "{}", world.count);
    assert!((10..40).contains(&world.patches), "{}", world.patches);
    assert!(world.bundle.1.len() <= 4, "{:?}", world.bundle.1);
}

#[test]
fn a_year_of_rotations_is_trusted_throughout() {
    let mut world = World::new(3, ALL);
    let mut actors = [world.start(None)];
    world.run(&mut actors, 1);
    let first = world.ca.clone().unwrap().1.current.unwrap();
    world.run_checked(&mut actors, 400 * DAY, 0);
    let shelf = &world.ca.as_ref().unwrap().1;
    assert_ne!(shelf.current.as_ref(), Some(&first));
    assert_eq!(shelf.past, [first]);
    assert_eq!(world.patches, 2);
    // 400 days of leaves, each for 16 hours.
    assert!((590..640).contains(&world.count), "{}", world.count);
}

#[test]
fn three_replicas_share_one_rotation() {
    let mut world = World::new(4, ALL);
    let old = Authority {
        fingerprint: "old".to_owned(),
        not_before: EPOCH - 243 * DAY,
        not_after: EPOCH - 243 * DAY + SHARED_SECONDS,
    };
    world.ca = Some((1, Shelf { current: Some(old.clone()), ..Shelf::default() }));
    world.count = 1;
    let mut actors: Vec<Actor> = ["a", "b", "c"].map(|name| world.start(Some(name))).into();
    world.run_checked(&mut actors, 2 * DAY, 0);
    let shelf = world.ca.clone().unwrap().1;
    let new = shelf.current.unwrap();
    assert_eq!(shelf.past, [old]);
    assert!(actors.iter().all(|a| a.replica.served.as_ref().unwrap().ca == new.fingerprint));
    assert_eq!((world.patches, leaders(&world, &actors)), (2, 1));
}

/// Crashes, partitions and outages of all lengths, in any order.
#[test]
fn replicas_stay_trusted_whatever_happens_to_them() {
    for seed in 0..9 {
        let mut world = World::new(seed, ALL);
        let elects = seed % 3 != 0;
        let name = |world: &mut World, place: usize| {
            elects.then(|| {
                // A restarted container keeps its name, a new pod has another.
                format!("pod{place}-{}", world.below(2))
            })
        };
        let mut actors: Vec<Actor> = (0..3)
            .map(|place| {
                let name = name(&mut world, place);
                world.start(name.as_deref())
            })
            .collect();
        let (mut starts, mut resets) = (3, 0);
        for _round in 0..120 {
            let place = usize::try_from(world.below(3)).unwrap();
            match world.below(7) {
                0 => {
                    let name = name(&mut world, place);
                    actors[place] = world.start(name.as_deref());
                    starts += 1;
                }
                1 => actors[place].is_cut_off ^= true,
                2 => world.is_up ^= true,
                3 if world.is_up => {
                    // Somebody empties the bundle; whoever is cut off cannot know.
                    world.set_bundle(Vec::new());
                    resets += 1;
                }
                4 => {
                    // The CA grows old; not so often that the bundle is full.
                    let few = |(_, shelf): &&mut (u64, Shelf)| shelf.past.len() < 4;
                    if let Some((version, shelf)) = world.ca.as_mut().filter(few) {
                        *version += 1_000_000;
                        age(shelf, 250);
                    }
                }
                _ => {}
            }
            let is_reset = world.bundle.1.is_empty();
            for actor in &mut actors {
                if is_reset || actor.is_cut_off || !world.is_up {
                    actor.calm = world.millis;
                }
            }
            let longest = if world.below(4) == 0 { 40_000 } else { 400 };
            let seconds = 1 + world.below(longest);
            let is_whole = world.is_up && actors.iter().all(|actor| !actor.is_cut_off);
            world.run_checked(&mut actors, seconds, if is_whole { 70_000 } else { u64::MAX / 2 });
            if is_whole && elects && seconds > 90 {
                assert_eq!(leaders(&world, &actors), 1);
            }
        }
        // Each start and each reset may cost every replica one, and each CA one.
        let most = 4 * starts + 6 * resets + 40;
        assert!(
            world.patches < most,
            "{} patches, {starts} starts, {resets} resets",
            world.patches
        );
    }
}

#[test]
fn a_partition_ends_no_trust_while_others_rotate() {
    let mut world = World::new(7, ALL);
    let mut actors: Vec<Actor> = ["a", "b", "c"].map(|name| world.start(Some(name))).into();
    world.run(&mut actors, 30);
    let now = world.now().mono;
    let leader = actors.iter().position(|a| a.replica.role(now) == Role::Leader).unwrap();
    // The leader is cut off for two days; another rotates; nobody notices.
    actors[leader].is_cut_off = true;
    let (version, shelf) = world.ca.as_mut().unwrap();
    *version += 1_000_000;
    age(shelf, 300);
    world.run_checked(&mut actors, 2 * DAY, 0);
    assert_eq!(leaders(&world, &actors), 1);
    assert_eq!(world.ca.as_ref().unwrap().1.past.len(), 1);
    actors[leader].is_cut_off = false;
    world.run_checked(&mut actors, DAY, 0);
    assert_eq!(leaders(&world, &actors), 1);
    assert!(world.patches < 8, "{}", world.patches);
}

#[test]
fn a_bundle_that_is_emptied_again_and_again_is_mended_ever_more_slowly() {
    let mut world = World::new(8, ALL);
    let mut actors = [world.start(None)];
    world.run(&mut actors, 20);
    let (mut first, mut count) = (None, 0_u32);
    let start = world.millis;
    while world.millis < start + 600_000 {
        if !world.bundle.1.is_empty() {
            if let Some(emptied) = first.replace(world.millis) {
                assert!(count > 0 || world.millis - emptied < 1000);
                count += 1;
            }
            world.set_bundle(Vec::new());
            actors[0].replica.wake(world.now().mono);
            actors[0].wake = world.millis;
        }
        world.step(&mut actors);
    }
    assert!((10..40).contains(&count), "{count}");
    assert!(actors[0].replica.is_fought());
    // And at once again when it was quiet.
    world.run(&mut actors, 1200);
    world.set_bundle(Vec::new());
    actors[0].replica.wake(world.now().mono);
    actors[0].wake = world.millis;
    world.run(&mut actors, 1);
    assert!(!world.bundle.1.is_empty() && !actors[0].replica.is_fought());
}

/// A replica of vault-k8s without election undoes every change within a fifth of a second, until the rolling update that
/// brought us ends it.
#[test]
fn beside_vault_k8s_without_election_we_are_ready_and_trusted_when_it_is_gone() {
    let mut world = World::new(15, Rbac { secrets: false, ..ALL });
    let old = Listed { authority: world.authority(3650 * DAY), is_ours: true };
    world.set_bundle(vec![old.clone()]);
    let mut actors = [world.start(None)];
    let mut undone = None;
    while world.millis < 40_000 {
        if world.bundle.1.len() > 1 {
            let at = *undone.get_or_insert(world.millis + 200);
            if world.millis >= at {
                undone = None;
                world.set_bundle(vec![old.clone()]);
                actors[0].replica.wake(world.now().mono);
                actors[0].wake = world.millis;
            }
        }
        world.step(&mut actors);
        actors[0].replica.readiness(world.now());
    }
    assert_eq!(actors[0].replica.readiness(world.now()), Readiness::Ready);
    assert!((4..14).contains(&world.patches), "{}", world.patches);
    assert!(world.requests < 200, "{}", world.requests);
    // It is gone.
    world.run(&mut actors, 45);
    assert!(world.trusts(&actors[0].replica.served.as_ref().unwrap().ca));
    assert!(world.trusts(&old.authority.fingerprint));
}

#[test]
fn patches_that_are_refused_are_not_repeated_in_haste() {
    for trouble in [Trouble::Failed { retry_after: None }, Trouble::Conflict, Trouble::Forbidden] {
        let mut world = World::new(14, ALL);
        world.refused = Some(trouble);
        let mut actors = [world.start(None)];
        world.run(&mut actors, 3600);
        assert!((60..600).contains(&world.requests), "{} {trouble:?}", world.requests);
        world.refused = None;
        world.run(&mut actors, 660);
        assert_eq!(actors[0].replica.bundle_state(world.now()), BundleState::Present);
    }
}

#[test]
fn a_deleted_or_broken_secret_makes_a_new_ca_that_is_trusted_before_it_signs() {
    for seed in 0..2 {
        let mut world = World::new(seed, ALL);
        let mut actors: Vec<Actor> = ["a", "b"].map(|name| world.start(Some(name))).into();
        world.run(&mut actors, 30);
        let before = world.ca.take().unwrap().1.current.unwrap();
        if seed == 1 {
            world.ca = Some((world.id(), Shelf::default()));
        }
        world.run_checked(&mut actors, 200, 0);
        let after = world.ca.clone().unwrap().1.current.unwrap();
        let ca_of = |actor: &Actor| actor.replica.served.clone().unwrap().ca;
        assert_ne!(before, after);
        assert!(actors.iter().all(|actor| ca_of(actor) == before.fingerprint));
        world.run_checked(&mut actors, 400, 0);
        assert!(actors.iter().all(|actor| ca_of(actor) == after.fingerprint));
    }
}

#[test]
fn without_an_answer_it_serves_and_counts_as_ready_after_the_grace() {
    let mut world = World::new(9, ALL);
    world.is_up = false;
    let mut actors = [world.start(None)];
    world.run(&mut actors, 20);
    assert_eq!(actors[0].replica.readiness(world.now()), Readiness::Untrusted);
    world.run(&mut actors, 12);
    assert_eq!(actors[0].replica.readiness(world.now()), Readiness::ReadyUnproven);
    assert_eq!(actors[0].replica.readiness(world.now()), Readiness::Ready);
    let before = world.requests;
    world.run(&mut actors, 10 * DAY);
    assert!(world.requests - before < 10 * DAY / 10, "{}", world.requests - before);
    world.is_up = true;
    world.run_checked(&mut actors, 300, 61_000);
    assert!(actors[0].was_trusted);
    // Not allowed to look: somebody else keeps the bundle.
    let mut world = World::new(9, Rbac { bundle: false, ..ALL });
    let mut actors = [world.start(None)];
    world.run(&mut actors, 2);
    assert_eq!(actors[0].replica.readiness(world.now()), Readiness::Ready);
    assert_eq!(actors[0].replica.bundle_state(world.now()), BundleState::Unknown);
}

#[test]
fn only_secrets_being_away_is_no_reason_to_stay_untrusted() {
    let mut world = World::new(10, ALL);
    let mut actors = [world.start(None)];
    // Where they are forbidden that is said at once; this is an error that lasts.
    world.are_secrets_up = false;
    world.run(&mut actors, 40);
    assert!(actors[0].replica.is_alone(world.now()));
    assert!(world.trusts(&actors[0].replica.served.as_ref().unwrap().ca));
    // Later the shared one takes over, trusted first.
    world.are_secrets_up = true;
    actors[0].was_trusted = true;
    world.run_checked(&mut actors, 600, 0);
    assert!(!actors[0].replica.is_alone(world.now()));
}

/// A Secret that holds nothing of use and that nobody may write: immutable, or RBAC has it so.
#[test]
fn a_useless_secret_that_cannot_be_replaced_is_no_reason_to_stay_untrusted() {
    let mut world = World::new(14, ALL);
    let locked = (1, Shelf::default());
    world.ca = Some(locked.clone());
    world.is_ca_locked = true;
    let mut actors: Vec<Actor> = ["a", "b"].map(|name| world.start(Some(name))).into();
    world.run(&mut actors, 60);
    assert!(!actors.iter().any(|actor| actor.replica.is_alone(world.now())));
    world.run(&mut actors, 40);
    for actor in &actors {
        assert!(world.trusts(&actor.replica.served.as_ref().unwrap().ca));
    }
    assert_eq!(world.patches, 2);
    // Later it can be written, and all share what is in it, trusted first.
    world.is_ca_locked = false;
    world.run_checked(&mut actors, 1000, 0);
    let ca = world.ca.clone().unwrap().1.current.unwrap().fingerprint;
    assert!(actors.iter().all(|actor| actor.replica.served.as_ref().unwrap().ca == ca));
    // Emptied behind our back: the leader fills it before anybody helps himself.
    world.ca = Some((world.id(), Shelf::default()));
    let patches = world.patches;
    world.run_checked(&mut actors, 200, 0);
    assert_eq!(world.patches, patches + 1);
}

/// Requests that take two seconds each, of a server that is overloaded.
#[test]
fn a_slow_api_server_does_not_cost_the_leadership() {
    let mut elector = Elector::new("a".to_owned(), Timing::USUAL);
    let mut now = Now { mono: Mono::at(Duration::from_secs(100)), wall: EPOCH };
    let write = Ask::Write(Kind::Lease, Record::default());
    for _renewal in 0..10 {
        let began = now.mono;
        now.mono = now.mono + Duration::from_secs(4);
        elector.hear(&write, Heard::Written(Ok(())), began, now.mono, Spread::MIDDLE);
        now.mono = now.mono.max(elector.due());
        let answered = now.mono + Duration::from_secs(3);
        assert_eq!(elector.role(answered), Role::Leader);
        assert!(elector.due() >= began + Duration::from_secs(6), "others want to ask, too");
    }
}

#[test]
fn beside_vault_k8s_its_leader_is_followed_and_then_succeeded() {
    let rbac = Rbac { leases: false, ..ALL };
    let mut world = World::new(11, rbac);
    let old = world.authority(3650 * DAY);
    let owner = Owner { pod: "old".to_owned(), uid: "u".to_owned() };
    world.lock = (world.id(), Lock::Old(owner));
    world.is_old_alive = true;
    world.set_bundle(vec![Listed { authority: old.clone(), is_ours: true }]);
    let mut actors: Vec<Actor> = ["a", "b"].map(|name| world.start(Some(name))).into();
    world.run(&mut actors, 10);
    // Its leaf is not there yet: neither ready nor patching.
    assert_eq!(actors[0].replica.readiness(world.now()), Readiness::Unshared);
    world.run(&mut actors, 50);
    assert_eq!(actors[0].replica.readiness(world.now()), Readiness::Unshared);
    let leaf = world.leaf(&old);
    world.shared = Some(leaf.clone());
    world.run(&mut actors, 10);
    for actor in &mut actors {
        assert_eq!(actor.replica.served.as_ref(), Some(&leaf));
        assert_eq!(actor.replica.readiness(world.now()), Readiness::Ready);
    }
    let renewed = world.leaf(&old);
    world.shared = Some(renewed.clone());
    world.run_checked(&mut actors, 10, 0);
    assert_eq!(actors[0].replica.served.as_ref(), Some(&renewed));
    assert_eq!((world.patches, leaders(&world, &actors), &world.ca), (0, 0, &None));
    // Its pod goes away.
    world.is_old_alive = false;
    world.run_checked(&mut actors, 10, 0);
    assert_eq!((leaders(&world, &actors), world.patches), (1, 1));
    assert_eq!(actors[0].replica.served.as_ref(), Some(&renewed));
    // Who still is vault-k8s gets a leaf of ours once API servers trust it.
    world.run_checked(&mut actors, 400, 0);
    let ca = world.ca.clone().unwrap().1.current.unwrap().fingerprint;
    assert!(actors.iter().all(|actor| actor.replica.served.as_ref().unwrap().ca == ca));
    assert_eq!(world.shared.as_ref().unwrap().ca, ca);
    assert!(world.trusts(&old.fingerprint));
    let before = world.shared.clone();
    world.run_checked(&mut actors, 2 * DAY, 0);
    assert_ne!(world.shared, before);
}

#[test]
fn the_certificates_of_a_file_are_kept_in_the_bundle_and_nothing_else_is_asked() {
    let mut world = World::new(12, Rbac { secrets: false, leases: false, ..ALL });
    let first = world.authority(DAY);
    let now = world.now().mono;
    let mut actors = [world.start(None)];
    actors[0].replica = Replica::new(Duty::Bundle(vec![first.clone()]), now);
    world.run(&mut actors, 2);
    assert!(world.trusts(&first.fingerprint));
    let second = world.authority(9 * DAY);
    actors[0].replica.replace_file(vec![second.clone()]);
    actors[0].wake = world.millis;
    world.run(&mut actors, 2);
    assert!(world.trusts(&first.fingerprint) && world.trusts(&second.fingerprint));
    assert_eq!(actors[0].replica.bundle_state(world.now()), BundleState::Present);
    assert!(world.requests < 10, "{}", world.requests);
}

#[test]
fn a_record_of_another_form_is_no_reason_to_stop() {
    let mut world = World::new(13, ALL);
    world.lock = (5, Lock::Free);
    let mut actors = [world.start(Some("a"))];
    world.run(&mut actors, 1);
    assert_eq!(leaders(&world, &actors), 1);
    world.lock = (world.id(), Lock::Held(Record::default()));
    world.run(&mut actors, 30);
    assert_eq!(leaders(&world, &actors), 1);
}
