use super::*;

const PATIENCE: Duration = Duration::from_millis(500);
const ATTACKER: Peer = Peer(1);
const SERVER: Peer = Peer(2);
const KUBELET: Peer = Peer(3);

fn look(standing: Standing, milliseconds: u64, is_proven: bool) -> Look {
    Look { standing, age: Duration::from_millis(milliseconds), is_proven }
}

/// A full room of these.
fn room(proven_places: usize, all: &[(Peer, Look)]) -> Crowd {
    let mut crowd = Crowd::new(all.len(), proven_places, PATIENCE);
    for (id, (peer, _)) in (0..).zip(all) {
        crowd.enter(id, *peer);
    }
    crowd
}

fn who_goes(proven_places: usize, newcomer: Peer, all: &[(Peer, Look)]) -> Entry {
    room(proven_places, all).entry(newcomer, |id| all[usize::try_from(id).unwrap()].1)
}

use Standing::{Busy, Owing, Resting};

#[test]
fn nobody_goes_while_there_is_room() {
    let mut crowd = Crowd::new(2, 1, PATIENCE);
    let silent = |_| look(Owing, 10_000, false);
    assert_eq!(crowd.entry(SERVER, silent), Entry::Free);
    crowd.enter(7, ATTACKER);
    assert_eq!(crowd.entry(SERVER, silent), Entry::Free);
    crowd.enter(8, ATTACKER);
    assert_eq!(crowd.entry(SERVER, silent), Entry::Instead(7));
    crowd.leave(7);
    crowd.leave(7);
    assert_eq!(crowd.entry(SERVER, silent), Entry::Free);
    assert!(!crowd.is_full());
}

#[test]
fn the_address_with_the_most_gives_one_up() {
    // Whatever the attacker's connections do, and however little others do.
    for attacker in [
        look(Owing, 1, false),
        look(Owing, 600, false),
        look(Resting, 1, false),
        look(Resting, 1, true),
        look(Owing, 1, true),
    ] {
        let others = [(SERVER, look(Owing, 9000, false)), (KUBELET, look(Resting, 9000, true))];
        let all = [&others[..], &[(ATTACKER, attacker); 6]].concat();
        for newcomer in [ATTACKER, SERVER, KUBELET] {
            let goes = who_goes(if attacker.is_proven { 1 } else { 8 }, newcomer, &all);
            assert!(matches!(goes, Entry::Instead(id) if id >= 2), "{attacker:?} {goes:?}");
        }
    }
}

#[test]
fn who_makes_an_address_the_largest_gives_of_its_own() {
    let all = [(ATTACKER, look(Owing, 10, false)), (SERVER, look(Owing, 9000, false))];
    assert_eq!(who_goes(1, ATTACKER, &all), Entry::Instead(0));
    assert_eq!(who_goes(1, SERVER, &all), Entry::Instead(1));
    assert_eq!(who_goes(1, KUBELET, &all), Entry::Instead(1));
}

#[test]
fn of_one_address_debtors_go_first_then_who_rests_then_who_has_just_begun() {
    let mut all = vec![
        (ATTACKER, look(Owing, 499, false)),
        (ATTACKER, look(Owing, 20, false)),
        (ATTACKER, look(Resting, 5, false)),
        (ATTACKER, look(Resting, 90_000, false)),
        (ATTACKER, look(Owing, 501, false)),
        (ATTACKER, look(Owing, 9000, false)),
        (ATTACKER, look(Busy, 0, false)),
        (ATTACKER, look(Resting, 90_000, true)),
        (ATTACKER, look(Busy, 0, true)),
    ];
    for want in [5, 4, 3, 2, 0, 1] {
        assert_eq!(who_goes(2, ATTACKER, &all), Entry::Instead(want));
        all[usize::try_from(want).unwrap()].1 = look(Busy, 0, false);
    }
    // The others have brought a review, or wait for us.
    assert_eq!(who_goes(2, ATTACKER, &all), Entry::Later);
}

#[test]
fn who_brought_a_review_stays_until_there_are_too_many_of_them() {
    let proven = [(ATTACKER, look(Resting, 90_000, true)); 3];
    let all = [&proven[..], &[(ATTACKER, look(Owing, 1, false))]].concat();
    assert_eq!(who_goes(3, ATTACKER, &all), Entry::Instead(3));
    let mut all = [&proven[..], &[(ATTACKER, look(Owing, 1, true))]].concat();
    assert_eq!(who_goes(3, SERVER, &all), Entry::Instead(0));
    // One that makes us wait is worth no more for what it brought before.
    all[3].1 = look(Owing, 600, true);
    assert_eq!(who_goes(3, SERVER, &all), Entry::Instead(3));
}

#[test]
fn nobody_else_pays_for_an_address_whose_connections_are_all_busy() {
    let all = [
        (ATTACKER, look(Busy, 0, false)),
        (ATTACKER, look(Busy, 0, false)),
        (SERVER, look(Resting, 9000, false)),
    ];
    assert_eq!(who_goes(1, KUBELET, &all), Entry::Later);
}

#[test]
fn of_strangers_the_oldest_of_the_largest_address_goes() {
    let mut crowd = Crowd::new(4, 0, PATIENCE);
    assert_eq!(crowd.oldest_of_largest(), None);
    for (id, peer) in [(1, SERVER), (2, ATTACKER), (3, ATTACKER), (4, KUBELET)] {
        crowd.enter(id, peer);
    }
    assert_eq!(crowd.oldest_of_largest(), Some(2));
    crowd.leave(2);
    crowd.leave(3);
    assert!(crowd.oldest_of_largest().is_some_and(|id| id == 1 || id == 4));
}

#[test]
fn memory_is_given_back_by_who_owes_and_holds_most() {
    let holder = |id, peer, bytes, look| Holder { id, peer, bytes, look };
    let mut all = vec![
        holder(1, SERVER, 5000, look(Owing, 600, false)),
        holder(2, ATTACKER, 4000, look(Owing, 600, false)),
        holder(3, ATTACKER, 4000, look(Owing, 9000, true)),
        holder(4, ATTACKER, 9000, look(Owing, 499, false)),
        holder(5, ATTACKER, 9000, look(Busy, 9000, false)),
        holder(6, ATTACKER, 0, look(Owing, 9000, false)),
    ];
    let mut order = Vec::new();
    while let Some(id) = debtor(&all, PATIENCE) {
        order.push(id);
        all.retain(|holder| holder.id != id);
    }
    assert_eq!(order, [3, 2, 1]);
}
