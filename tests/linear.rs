//! Whether what clients saw of a few keys can have happened one request after the other, each at some
//! moment between its call and its answer (Herlihy and Wing's linearizability).
//!
//! The search is that of Wing and Gong with Lowe's memory of what was tried: which requests have
//! happened, and what the keys hold then. A request without an answer may have happened or not. Keys
//! that no request joins are looked at apart, which is as good and much less work.

use std::collections::HashSet;
use std::fmt;

/// Keys of one history.
pub const KEYS: usize = 4;

/// What a key holds: a value, and the request that put it there. A move keeps both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// What its bytes say.
    pub value: u64,
    /// What its entity tag says.
    pub stamp: u64,
}

/// What all keys hold.
pub type State = [Option<Held>; KEYS];

/// What a client asked for. Values are written once each, and are their requests' stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// What is there?
    Read,
    /// What is where?
    List,
    /// Put this there, whatever is there.
    Put(u64),
    /// Put this there if nothing is.
    Create(u64),
    /// Put `to` there if what the request `from` put is.
    Replace {
        /// What is expected.
        from: u64,
        /// What takes its place.
        to: u64,
    },
    /// Take away what is there.
    Delete,
    /// Put what is there to another key as well.
    Copy {
        /// Where to.
        target: usize,
        /// Of the copy.
        stamp: u64,
        /// Only if nothing is there.
        create: bool,
    },
    /// Put what is there to another key instead.
    Move {
        /// Where to.
        target: usize,
        /// Only if nothing is there.
        create: bool,
    },
    /// Make a volume, of zeros, if nothing is there.
    Make(u64),
    /// Put this over what is there.
    Write(u64),
    /// Make zeros of what is there.
    Zero(u64),
    /// All of these at once, or none.
    Transact([Part; KEYS]),
}

/// What a transaction does to one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    #[default]
    None,
    /// As [`Action::Put`].
    Put(u64),
    /// As [`Action::Create`].
    Create(u64),
    /// As [`Action::Replace`].
    Replace {
        /// What is expected.
        from: u64,
        /// What takes its place.
        to: u64,
    },
    /// As [`Action::Delete`].
    Delete,
    /// Nothing may be there.
    Absent,
    /// What this request put has to be there.
    Is(u64),
}

impl Part {
    /// What a key holds afterwards; none when the part does not hold.
    fn done(self, here: Option<Held>) -> Option<Option<Held>> {
        match self {
            Part::None => Some(here),
            Part::Put(value) => Some(Some(Held::new(value))),
            Part::Create(value) => here.is_none().then(|| Some(Held::new(value))),
            Part::Replace { from, to } => here
                .filter(|here| here.stamp == from)
                .map(|_| Some(Held::new(to))),
            Part::Delete => here.map(|_| None),
            Part::Absent => here.is_none().then_some(None),
            Part::Is(stamp) => here.filter(|here| here.stamp == stamp).map(Some),
        }
    }
}

impl Held {
    /// A value where its own request put it.
    fn new(value: u64) -> Self {
        let stamp = value;
        Held { value, stamp }
    }
}

impl Action {
    /// Whether it fails where nothing is.
    pub fn needs_something(&self) -> bool {
        matches!(
            self,
            Action::Delete
                | Action::Copy { .. }
                | Action::Move { .. }
                | Action::Write(_)
                | Action::Zero(_)
                | Action::Transact(_)
        )
    }

    /// Whether it fails where something, or something else, is.
    pub fn has_condition(&self) -> bool {
        match self {
            Action::Create(_) | Action::Replace { .. } | Action::Make(_) | Action::Transact(_) => {
                true
            }
            Action::Copy { create, .. } | Action::Move { create, .. } => *create,
            Action::Read | Action::List | Action::Put(_) | Action::Delete => false,
            Action::Write(_) | Action::Zero(_) => false,
        }
    }

    /// The keys that it has to do with, as bits.
    fn keys(&self, key: usize) -> u32 {
        match self {
            Action::List => (1 << KEYS) - 1,
            Action::Transact(parts) => {
                let keys = parts.iter().zip(0..KEYS);
                let keys = keys.filter(|(part, _)| **part != Part::None);
                keys.fold(0, |all, (_, key)| all | 1 << key)
            }
            Action::Copy { target, .. } | Action::Move { target, .. } => 1 << target | 1 << key,
            _ => 1 << key,
        }
    }
}

/// What the client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing, or nothing that says what happened.
    Unknown,
    /// It was done.
    Done,
    /// It was not: the condition did not hold, or there was nothing to take away.
    Refused,
    /// Nothing is there.
    Missing,
    /// This value is there, of this request when that is known.
    Found(u64, Option<u64>),
    /// Something is at these keys, of these requests when they are known.
    Listed([Option<Option<u64>>; KEYS]),
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked.
    pub client: u64,
    /// Of which key.
    pub key: usize,
    /// When the request went out, in nanoseconds of one clock.
    pub call: u64,
    /// After this it did not happen any more: the answer came, or the server was gone.
    pub end: u64,
    /// What was asked.
    pub action: Action,
    /// What was answered.
    pub outcome: Outcome,
}

/// Why a history is not linearizable, or not known to be.
#[derive(Clone, Debug)]
pub struct Stuck {
    /// As many requests as can have happened in some order, before none can be the next.
    pub longest: usize,
    /// The state then, and the requests one of which had to be the next.
    pub state: Box<State>,
    /// Those requests.
    pub next: Vec<Operation>,
    /// The search was given up.
    pub undecided: bool,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.undecided {
            return write!(f, "no order was found before the search was given up");
        }
        writeln!(
            f,
            "after {} requests the keys hold {:?}, and none of these can have been next:",
            self.longest, self.state
        )?;
        for operation in &self.next {
            writeln!(f, "  {operation:?}")?;
        }
        Ok(())
    }
}

/// States that are tried before the search is given up.
const STATES_MAX: usize = 4_000_000;

/// What the keys hold after an operation that is done; none when it cannot be.
fn done(state: &State, operation: &Operation) -> Option<State> {
    let key = operation.key;
    let mut to = *state;
    let here = state.get(key).copied().flatten();
    let new = |value| Some(Held::new(value));
    match operation.action {
        Action::Read | Action::List => {}
        Action::Put(value) => to[key] = new(value),
        Action::Create(value) => {
            to[key] = here.is_none().then_some(new(value))?;
        }
        Action::Replace { from, to: value } => {
            here.filter(|here| here.stamp == from)?;
            to[key] = new(value);
        }
        Action::Delete => {
            here?;
            to[key] = None;
        }
        Action::Write(value) => {
            here?;
            to[key] = new(value);
        }
        Action::Zero(stamp) => {
            here?;
            to[key] = Some(Held { value: 0, stamp });
        }
        Action::Make(stamp) => {
            to[key] = here.is_none().then_some(Some(Held { value: 0, stamp }))?;
        }
        Action::Transact(parts) => {
            for (key, part) in parts.into_iter().enumerate() {
                to[key] = part.done(to[key])?;
            }
        }
        Action::Copy {
            target,
            stamp,
            create,
        } => {
            let value = here.filter(|_| !create || state[target].is_none())?.value;
            to[target] = Some(Held { value, stamp });
        }
        Action::Move { target, create } => {
            here.filter(|_| !create || state[target].is_none())?;
            to[key] = None;
            to[target] = here;
        }
    }
    Some(to)
}

/// What the keys may hold after an operation that is the next one.
fn after(state: &State, operation: &Operation) -> Vec<State> {
    let done = done(state, operation);
    let here = state[operation.key];
    let same = |holds: bool| if holds { vec![*state] } else { Vec::new() };
    match operation.outcome {
        Outcome::Done => done.into_iter().collect(),
        Outcome::Refused => same(done.is_none()),
        Outcome::Missing => same(here.is_none()),
        Outcome::Found(value, stamp) => same(here.is_some_and(|here| {
            here.value == value && stamp.is_none_or(|stamp| stamp == here.stamp)
        })),
        Outcome::Listed(listed) => same(state.iter().zip(listed).all(|pair| match pair {
            (None, None) => true,
            (Some(held), Some(stamp)) => stamp.is_none_or(|stamp| stamp == held.stamp),
            _ => false,
        })),
        Outcome::Unknown => {
            let changed = done.filter(|to| to != state);
            changed.into_iter().chain([*state]).collect()
        }
    }
}

/// Which operations have happened.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Happened(Vec<u64>);

impl Happened {
    fn has(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    fn with(&self, index: usize) -> Self {
        let mut words = self.0.clone();
        words[index / 64] |= 1 << (index % 64);
        Happened(words)
    }
}

struct Node {
    happened: Happened,
    count: usize,
    state: State,
    /// What to try next: an operation, and the state after it.
    choices: Vec<(usize, State)>,
}

/// Finds an order of all operations, of keys that held nothing before.
///
/// # Errors
/// When there is none.
pub fn check(operations: &[Operation]) -> Result<(), Stuck> {
    // Which keys belong together: those that have the same number.
    let mut parts: [usize; KEYS] = std::array::from_fn(|key| key);
    for operation in operations {
        let keys = operation.action.keys(operation.key);
        // One of its own keys: a transaction may be of others than the one it was asked for.
        let part = parts[(keys.trailing_zeros() as usize).min(KEYS - 1)];
        for key in (0..KEYS).filter(|key| keys >> key & 1 == 1) {
            let other = parts[key];
            let joined = parts.iter_mut().filter(|part| **part == other);
            joined.for_each(|other| *other = part);
        }
    }
    for part in 0..KEYS {
        let first = |o: &Operation| o.action.keys(o.key).trailing_zeros() as usize;
        let of_part = operations
            .iter()
            .filter(|o| parts[first(o).min(KEYS - 1)] == part);
        check_part(of_part.copied().collect())?;
    }
    Ok(())
}

fn check_part(mut sorted: Vec<Operation>) -> Result<(), Stuck> {
    let initial: State = [None; KEYS];
    sorted.sort_by_key(|operation| operation.call);
    let mut seen = HashSet::new();
    let none = Happened(vec![0; sorted.len().div_ceil(64).max(1)]);
    let mut stack = vec![node(&sorted, none, 0, initial)];
    let mut stuck: Option<Stuck> = None;
    while let Some(top) = stack.last_mut() {
        if top.count == sorted.len() {
            return Ok(());
        }
        let Some((index, state)) = top.choices.pop() else {
            if stuck.as_ref().is_none_or(|stuck| stuck.longest < top.count) {
                stuck = Some(Stuck {
                    longest: top.count,
                    state: Box::new(top.state),
                    next: candidates(&sorted, &top.happened)
                        .map(|(_, operation)| *operation)
                        .collect(),
                    undecided: false,
                });
            }
            stack.pop();
            continue;
        };
        let happened = top.happened.with(index);
        let count = top.count + 1;
        if seen.len() >= STATES_MAX {
            return Err(Stuck {
                longest: count,
                state: Box::new(state),
                next: Vec::new(),
                undecided: true,
            });
        }
        if seen.insert((happened.clone(), state)) {
            stack.push(node(&sorted, happened, count, state));
        }
    }
    Err(stuck.unwrap_or(Stuck {
        longest: 0,
        state: Box::new(initial),
        next: Vec::new(),
        undecided: false,
    }))
}

fn node(sorted: &[Operation], happened: Happened, count: usize, state: State) -> Node {
    let mut choices = Vec::new();
    let candidates: Vec<_> = candidates(sorted, &happened).collect();
    for (index, operation) in joined(&candidates) {
        let states = after(&state, operation);
        // What was answered and changes nothing may as well happen at once.
        if operation.outcome != Outcome::Unknown && states == [state] {
            choices = vec![(index, state)];
            break;
        }
        choices.extend(states.into_iter().map(|state| (index, state)));
    }
    // The last one is tried first: the earliest to end.
    choices.sort_by_key(|(index, _)| std::cmp::Reverse(sorted[*index].end));
    Node {
        happened,
        count,
        state,
        choices,
    }
}

/// Of the operations that may be the next, those of the keys that the first to end has to do with, or
/// that others join with them. Before that one only these can happen, and the others change nothing for
/// any of them: so one of these may as well be the next.
fn joined<'a>(candidates: &[(usize, &'a Operation)]) -> Vec<(usize, &'a Operation)> {
    let keys = |operation: &Operation| operation.action.keys(operation.key);
    let first = candidates.iter().min_by_key(|(_, operation)| operation.end);
    let mut reached = first.map_or(0, |(_, operation)| keys(operation));
    loop {
        let near = candidates.iter().map(|(_, operation)| keys(operation));
        let wider = near.filter(|near| near & reached != 0);
        let wider = wider.fold(reached, |all, near| all | near);
        if wider == reached {
            break;
        }
        reached = wider;
    }
    let near = candidates.iter().filter(|(_, o)| keys(o) & reached != 0);
    near.copied().collect()
}

/// The operations that may be the next: those that no other one ended before.
fn candidates<'a>(
    sorted: &'a [Operation],
    happened: &Happened,
) -> impl Iterator<Item = (usize, &'a Operation)> {
    let mut first_end = u64::MAX;
    let mut found = Vec::new();
    for (index, operation) in sorted.iter().enumerate() {
        if happened.has(index) {
            continue;
        }
        if operation.call > first_end {
            break;
        }
        first_end = first_end.min(operation.end);
        found.push((index, operation));
    }
    found
        .into_iter()
        .filter(move |(_, operation)| operation.call <= first_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    fn operation(call: u64, end: u64, action: Action, outcome: Outcome) -> Operation {
        Operation {
            client: 0,
            key: 0,
            call,
            end,
            action,
            outcome,
        }
    }

    #[test]
    fn what_can_have_happened_is_told_from_what_cannot() {
        use Action::{Create, Delete, Put, Read, Replace};
        use Outcome::{Done, Missing, Refused, Unknown};
        let found = |value| Outcome::Found(value, Some(value));
        let sound: &[&[Operation]] = &[
            &[],
            // Two at once, in the order that the read tells.
            &[
                operation(0, 10, Put(1), Done),
                operation(0, 10, Put(2), Done),
                operation(11, 12, Read, found(1)),
            ],
            // One that was cut off is seen, or is not.
            &[
                operation(0, 5, Put(1), Unknown),
                operation(6, 7, Read, found(1)),
            ],
            &[
                operation(0, 5, Put(1), Unknown),
                operation(6, 7, Read, Missing),
            ],
            // A read beside a write may see either side of it, in order.
            &[
                operation(0, 100, Put(1), Done),
                operation(10, 20, Read, Missing),
                operation(30, 40, Read, found(1)),
            ],
            &[
                operation(0, 10, Create(1), Done),
                operation(0, 10, Create(2), Refused),
                operation(20, 21, Replace { from: 1, to: 3 }, Done),
                operation(22, 23, Replace { from: 1, to: 4 }, Refused),
                operation(24, 25, Delete, Done),
                operation(26, 27, Delete, Refused),
            ],
        ];
        for history in sound {
            assert!(check(history).is_ok(), "{history:?}");
        }
        let broken: &[&[Operation]] = &[
            // A lost write.
            &[
                operation(0, 10, Put(1), Done),
                operation(11, 12, Read, Missing),
            ],
            // A stale read.
            &[
                operation(0, 10, Put(1), Done),
                operation(11, 20, Put(2), Done),
                operation(21, 22, Read, found(1)),
            ],
            // New, then old again.
            &[
                operation(0, 100, Put(1), Done),
                operation(10, 20, Read, found(1)),
                operation(30, 40, Read, Missing),
            ],
            // Two creators.
            &[
                operation(0, 10, Create(1), Done),
                operation(0, 10, Create(2), Done),
            ],
            // Out of thin air.
            &[operation(0, 1, Read, found(9))],
            // One that was cut off happened after the server was gone.
            &[
                operation(0, 5, Put(1), Unknown),
                operation(6, 7, Read, Missing),
                operation(8, 9, Read, found(1)),
            ],
            &[
                operation(0, 5, Put(1), Done),
                operation(6, 7, Replace { from: 2, to: 3 }, Done),
            ],
            &[operation(0, 5, Delete, Done)],
        ];
        for history in broken {
            let stuck = check(history).unwrap_err();
            assert!(!stuck.undecided && !stuck.next.is_empty(), "{history:?}");
        }
    }

    /// A history of clients that each ask one thing after the other, of a key that does what it is
    /// asked at a moment between call and end.
    fn simulated(random: &mut Random, length: u64) -> Vec<Operation> {
        let mut moments: Vec<(u64, u64, u64)> = Vec::new();
        for client in 0..8 {
            let mut now = 0;
            for _ in 0..length {
                let call = now + 1 + random.below(20);
                let at = call + random.below(30);
                now = at + random.below(30);
                moments.push((at, call, now));
            }
            let _ = client;
        }
        moments.sort_unstable();
        let mut state = [None; KEYS];
        let mut value = 0;
        let step = |(_, call, end): (u64, u64, u64)| {
            value += 1;
            let action = match random.below(10) {
                0..=3 => Action::Read,
                4..=5 => Action::Put(value),
                6..=7 => Action::Create(value),
                8 => Action::Replace {
                    from: random.below(value),
                    to: value,
                },
                _ => Action::Delete,
            };
            let unknown = random.once_in(20);
            let silent = operation(call, end, action, Outcome::Unknown);
            let before = state;
            let outcome = match (action, done(&before, &silent)) {
                (Action::Read, _) => before[0].map_or(Outcome::Missing, |held| {
                    Outcome::Found(held.value, Some(held.stamp))
                }),
                (_, Some(changed)) => {
                    state = changed;
                    Outcome::Done
                }
                (_, None) => Outcome::Refused,
            };
            let outcome = if unknown { Outcome::Unknown } else { outcome };
            operation(call, end, action, outcome)
        };
        moments.into_iter().map(step).collect()
    }

    #[test]
    fn a_key_that_does_what_it_is_asked_passes_and_a_changed_answer_does_not() {
        let mut caught = 0;
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let history = simulated(&mut random, 40);
            if let Err(stuck) = check(&history) {
                panic!("seed {seed}: {stuck}");
            }
            // A read is told of a value that was never there.
            let mut changed = history.clone();
            let reads = changed
                .iter_mut()
                .filter(|o| matches!(o.outcome, Outcome::Found(..) | Outcome::Missing));
            let mut reads: Vec<_> = reads.collect();
            let place = random.below(reads.len() as u64) as usize;
            reads[place].outcome = Outcome::Found(u64::MAX, None);
            assert!(check(&changed).is_err(), "seed {seed}");
            // A write is said to have failed and the other way round: nearly always seen.
            let mut changed = history;
            for operation in &mut changed {
                if let (Action::Create(_), Outcome::Refused) = (operation.action, operation.outcome)
                {
                    operation.outcome = Outcome::Done;
                    break;
                }
            }
            caught += u64::from(check(&changed).is_err());
        }
        assert!(caught > 10, "{caught} of 40");
    }

    #[test]
    fn a_listing_is_of_one_moment() {
        use Action::{List, Put};
        let at = |key, call| Operation {
            key,
            ..operation(call, call + 1, Put(call), Outcome::Done)
        };
        let listed = |listed| operation(0, 100, List, Outcome::Listed(listed));
        let (first, second) = (at(0, 10), at(1, 20));
        let none = [None; KEYS];
        let one = [Some(Some(10)), None, None, None];
        let two = [Some(None), Some(Some(20)), None, None];
        for seen in [none, one, two] {
            assert!(check(&[first, second, listed(seen)]).is_ok(), "{seen:?}");
        }
        let (other, late) = (
            [Some(Some(20)), None, None, None],
            [None, Some(None), None, None],
        );
        for seen in [other, late] {
            assert!(check(&[first, second, listed(seen)]).is_err(), "{seen:?}");
        }
        let after = operation(30, 31, List, Outcome::Listed(one));
        assert!(check(&[first, second, after]).is_err());
    }

    #[test]
    fn a_transaction_is_done_whole_or_not_at_all() {
        use Action::{Put, Read, Transact};
        use Outcome::{Done, Missing, Refused, Unknown};
        let at = |key, operation: Operation| Operation { key, ..operation };
        let found = |value| Outcome::Found(value, Some(value));
        let two = Transact([Part::Put(1), Part::Put(2), Part::None, Part::None]);
        let sees = |first, second| {
            [
                operation(20, 21, Read, first),
                at(1, operation(22, 23, Read, second)),
            ]
        };
        let with = |outcome, seen: [Operation; 2]| {
            let mut history = vec![operation(0, 10, two, outcome)];
            history.extend(seen);
            check(&history)
        };
        assert!(with(Done, sees(found(1), found(2))).is_ok());
        assert!(with(Unknown, sees(found(1), found(2))).is_ok());
        assert!(with(Unknown, sees(Missing, Missing)).is_ok());
        // Half of it.
        for outcome in [Done, Unknown] {
            assert!(with(outcome, sees(found(1), Missing)).is_err());
            assert!(with(outcome, sees(Missing, found(2))).is_err());
        }
        // Each of two looks that the other's key is free, and takes its own: one has to be refused.
        let (first, second) = (
            Transact([Part::Put(1), Part::Absent, Part::None, Part::None]),
            Transact([Part::Absent, Part::Put(2), Part::None, Part::None]),
        );
        let skewed = |outcome| {
            check(&[
                operation(0, 10, first, Done),
                operation(0, 10, second, outcome),
            ])
        };
        assert!(skewed(Refused).is_ok());
        assert!(skewed(Done).is_err());
        // One that is refused changes nothing.
        let is = Transact([Part::Is(7), Part::None, Part::Delete, Part::Put(9)]);
        let before = at(2, operation(0, 1, Put(5), Done));
        let refused = operation(2, 3, is, Refused);
        let kept = at(2, operation(4, 5, Read, found(5)));
        assert!(check(&[before, refused, kept]).is_ok());
        let gone = at(2, operation(4, 5, Read, Missing));
        assert!(check(&[before, refused, gone]).is_err());
    }

    #[test]
    fn copies_and_moves_join_keys() {
        use Action::{Copy, Move, Put, Read};
        use Outcome::{Done, Missing, Refused};
        let at = |key, operation: Operation| Operation { key, ..operation };
        let copy = |stamp| Copy {
            target: 1,
            stamp,
            create: false,
        };
        let moved = Move {
            target: 1,
            create: true,
        };
        let begin = [
            operation(0, 1, Put(1), Done),
            operation(2, 3, copy(2), Done),
        ];
        let sound: &[&[Operation]] = &[
            &[at(1, operation(4, 5, Read, Outcome::Found(1, Some(2))))],
            &[at(1, operation(4, 5, Read, Outcome::Found(1, None)))],
            &[
                operation(4, 5, moved, Refused),
                operation(6, 7, Read, Outcome::Found(1, Some(1))),
            ],
            &[
                at(1, operation(4, 5, Action::Delete, Done)),
                operation(6, 7, moved, Done),
                operation(8, 9, Read, Missing),
                at(1, operation(8, 9, Read, Outcome::Found(1, Some(1)))),
            ],
            // The copy is another version than what it is of.
            &[at(
                1,
                operation(4, 5, Action::Replace { from: 2, to: 9 }, Done),
            )],
        ];
        for more in sound {
            let history = [&begin, *more].concat();
            assert!(check(&history).is_ok(), "{more:?}");
        }
        let broken: &[&[Operation]] = &[
            &[at(1, operation(4, 5, Read, Missing))],
            &[at(1, operation(4, 5, Read, Outcome::Found(1, Some(1))))],
            &[operation(4, 5, moved, Done)],
            // In both places at once, or in none.
            &[
                at(1, operation(4, 5, Action::Delete, Done)),
                operation(6, 20, moved, Done),
                at(1, operation(7, 8, Read, Outcome::Found(1, Some(1)))),
                operation(9, 10, Read, Outcome::Found(1, Some(1))),
            ],
            &[
                at(1, operation(4, 5, Action::Delete, Done)),
                operation(6, 20, moved, Done),
                operation(7, 8, Read, Missing),
                at(1, operation(9, 10, Read, Missing)),
            ],
        ];
        for more in broken {
            let history = [&begin, *more].concat();
            assert!(check(&history).is_err(), "{more:?}");
        }
    }
}
