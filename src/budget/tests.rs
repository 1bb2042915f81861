//! The ledger under any order of steps and deaths, beside a model of it.

use super::ledger::{CLIENTS, Client, Ledger, Lent, length};
use proptest::prelude::*;
use std::sync::atomic::AtomicU32;

const CORES: usize = 3;
const PROCESSES: usize = 4;

fn ledger(cores: usize) -> Ledger<Vec<AtomicU32>> {
    let words = (0..length(cores)).map(|_| AtomicU32::new(0)).collect();
    Ledger::begin(words, cores, 0, [1, 2])
}

/// What happens next. A death may come after any step of a process: each is one change of one word.
#[derive(Debug, Clone, Copy)]
enum Step {
    Take(usize),
    Give(usize),
    PutAside(usize),
    TakeUp(usize),
    Claim(usize),
    Unclaim(usize),
    Die(usize),
    Lapse(usize),
    Lend,
    Return,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PROCESSES;
    prop_oneof![
        4 => who.clone().prop_map(Step::Take),
        3 => who.clone().prop_map(Step::Give),
        2 => who.clone().prop_map(Step::PutAside),
        2 => who.clone().prop_map(Step::TakeUp),
        1 => who.clone().prop_map(Step::Claim),
        1 => who.clone().prop_map(Step::Unclaim),
        1 => who.clone().prop_map(Step::Die),
        1 => who.prop_map(Step::Lapse),
        1 => Just(Step::Lend),
        1 => Just(Step::Return),
    ]
}

/// One process as the model has it.
#[derive(Default, Clone)]
struct Process {
    client: Option<Client>,
    holds: Vec<usize>,
    aside: Vec<usize>,
    claims: bool,
}

proptest! {
    #[test]
    fn no_core_is_lost_or_there_twice(steps in proptest::collection::vec(step(), 0..200)) {
        let ledger = ledger(CORES);
        let mut processes = vec![Process::default(); PROCESSES];
        let mut lent = 0;
        let mut born = 0;
        for step in steps {
            let (Step::Take(who) | Step::Give(who) | Step::PutAside(who) | Step::TakeUp(who) | Step::Claim(who)
                | Step::Unclaim(who) | Step::Die(who) | Step::Lapse(who)) = step else {
                match step {
                    Step::Lend => lent += usize::from(ledger.lend(Lent::Fifo)),
                    _ => lent -= usize::from(ledger.return_from(Lent::Fifo)),
                }
                continue;
            };
            let process = &mut processes[who];
            born += 1;
            let me = *process.client.get_or_insert_with(|| ledger.enrol(born, 7, false).unwrap());
            match step {
                Step::Take(_) => {
                    if let Some(core) = ledger.take(me) {
                        process.holds.push(core);
                    }
                }
                Step::Give(_) => {
                    if let Some(core) = process.holds.pop() {
                        ledger.give(me, core);
                    }
                }
                Step::PutAside(_) => {
                    if let Some(core) = process.holds.pop() {
                        ledger.put_aside(me, core);
                        process.aside.push(core);
                    }
                }
                Step::TakeUp(_) => {
                    if let Some(core) = process.aside.pop() {
                        prop_assert!(ledger.take_up(me, core));
                        process.holds.push(core);
                    }
                }
                Step::Claim(_) => {
                    ledger.claim(me);
                    process.claims = true;
                }
                Step::Unclaim(_) => {
                    ledger.unclaim(me);
                    process.claims = false;
                }
                Step::Lapse(_) => {
                    prop_assert_eq!(ledger.lapse(me), process.aside.len());
                    process.aside.clear();
                }
                _ => {
                    prop_assert_eq!(ledger.reap(me), process.holds.len());
                    *process = Process::default();
                }
            }
            // Each core has the one owner that the model knows, or none.
            let mut owned = lent;
            for process in &processes {
                let has = process.holds.len() + process.aside.len();
                prop_assert_eq!(process.client.map_or(0, |client| ledger.held(client)), has);
                owned += has;
            }
            prop_assert_eq!(ledger.free() + owned, CORES);
            prop_assert_eq!(ledger.is_claimed(None), processes.iter().any(|process| process.claims));
        }
    }
}

#[test]
fn shares_are_of_those_who_have_or_want_some() {
    let ledger = ledger(4);
    let [a, b, c] = [1, 2, 3].map(|pid| ledger.enrol(pid, 0, false).unwrap());
    for _ in 0..3 {
        ledger.take(a).unwrap();
    }
    assert_eq!(ledger.shares(a).fair, 4);
    ledger.claim(b);
    let shares = ledger.shares(a);
    assert_eq!((shares.held, shares.fair, shares.free), (3, 2, 1));
    assert!(ledger.is_claimed(Some(a)) && !ledger.is_claimed(Some(b)));
    assert!(ledger.lend(Lent::Root));
    // Three are left for three, the asking one among them.
    assert_eq!(ledger.shares(c).fair, 1);
}

#[test]
fn the_ledger_has_room_for_so_many_and_no_more() {
    let ledger = ledger(1);
    for pid in 1..=CLIENTS {
        assert!(
            ledger
                .enrol(u32::try_from(pid).unwrap(), 0, false)
                .is_some()
        );
    }
    assert_eq!(ledger.enrol(1, 0, false), None);
    ledger.reap(Client::at(77));
    assert_eq!(ledger.enrol(1, 0, true), Some(Client::at(77)));
    assert!(ledger.is_paid(Client::at(77)) && !ledger.is_paid(Client::at(76)));
}

#[test]
fn what_is_no_ledger_is_not_taken_for_one() {
    let words = |count: usize| (0..count).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
    assert!(Ledger::join(words(2)).is_err());
    assert!(Ledger::join(words(length(2))).is_err());
    let whole = ledger(2);
    whole.close();
    assert!(whole.is_closed());
}
