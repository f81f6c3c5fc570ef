//! Whether what clients saw of one key can have happened one request after the other, each at some
//! moment between its call and its answer (Herlihy and Wing's linearizability).
//!
//! The search is that of Wing and Gong with Lowe's memory of what was tried: which requests have
//! happened, and what the key holds then. A request without an answer may have happened or not.

use std::collections::HashSet;
use std::fmt;

/// What a client asked for. Values are written once each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// What is there?
    Read,
    /// Put this there, whatever is there.
    Put(u64),
    /// Put this there if nothing is.
    Create(u64),
    /// Put `to` there if `from` is.
    Replace {
        /// What is expected.
        from: u64,
        /// What takes its place.
        to: u64,
    },
    /// Take away what is there.
    Delete,
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
    /// This is there.
    Found(Option<u64>),
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked.
    pub client: u64,
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
    pub state: Option<u64>,
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
            "after {} requests the key holds {:?}, and none of these can have been next:",
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

/// What the key may hold after an operation that is the next one.
fn after(state: Option<u64>, operation: &Operation) -> Vec<Option<u64>> {
    let holds = |condition: bool, then: Option<u64>| -> Vec<Option<u64>> {
        if condition { vec![then] } else { Vec::new() }
    };
    let (to, condition) = match operation.action {
        Action::Read => (state, true),
        Action::Put(value) => (Some(value), true),
        Action::Create(value) => (Some(value), state.is_none()),
        Action::Replace { from, to } => (Some(to), state == Some(from)),
        Action::Delete => (None, state.is_some()),
    };
    match operation.outcome {
        Outcome::Done => holds(condition, to),
        Outcome::Refused => holds(!condition, state),
        Outcome::Found(found) => holds(found == state, state),
        Outcome::Unknown if condition && to != state => vec![to, state],
        Outcome::Unknown => vec![state],
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
    state: Option<u64>,
    /// What to try next: an operation, and the state after it.
    choices: Vec<(usize, Option<u64>)>,
}

/// Finds an order of all operations of a key that held `initial` before.
///
/// # Errors
/// When there is none.
pub fn check(initial: Option<u64>, operations: &[Operation]) -> Result<(), Stuck> {
    let mut sorted = operations.to_vec();
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
                    state: top.state,
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
                state,
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
        state: initial,
        next: Vec::new(),
        undecided: false,
    }))
}

fn node(sorted: &[Operation], happened: Happened, count: usize, state: Option<u64>) -> Node {
    let mut choices = Vec::new();
    for (index, operation) in candidates(sorted, &happened) {
        let states = after(state, operation);
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
            call,
            end,
            action,
            outcome,
        }
    }

    #[test]
    fn what_can_have_happened_is_told_from_what_cannot() {
        use Action::{Create, Delete, Put, Read, Replace};
        use Outcome::{Done, Found, Refused, Unknown};
        let sound: &[&[Operation]] = &[
            &[],
            // Two at once, in the order that the read tells.
            &[
                operation(0, 10, Put(1), Done),
                operation(0, 10, Put(2), Done),
                operation(11, 12, Read, Found(Some(1))),
            ],
            // One that was cut off is seen, or is not.
            &[
                operation(0, 5, Put(1), Unknown),
                operation(6, 7, Read, Found(Some(1))),
            ],
            &[
                operation(0, 5, Put(1), Unknown),
                operation(6, 7, Read, Found(None)),
            ],
            // A read beside a write may see either side of it, in order.
            &[
                operation(0, 100, Put(1), Done),
                operation(10, 20, Read, Found(None)),
                operation(30, 40, Read, Found(Some(1))),
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
            assert!(check(None, history).is_ok(), "{history:?}");
        }
        let broken: &[&[Operation]] = &[
            // A lost write.
            &[
                operation(0, 10, Put(1), Done),
                operation(11, 12, Read, Found(None)),
            ],
            // A stale read.
            &[
                operation(0, 10, Put(1), Done),
                operation(11, 20, Put(2), Done),
                operation(21, 22, Read, Found(Some(1))),
            ],
            // New, then old again.
            &[
                operation(0, 100, Put(1), Done),
                operation(10, 20, Read, Found(Some(1))),
                operation(30, 40, Read, Found(None)),
            ],
            // Two creators.
            &[
                operation(0, 10, Create(1), Done),
                operation(0, 10, Create(2), Done),
            ],
            // Out of thin air.
            &[operation(0, 1, Read, Found(Some(9)))],
            // One that was cut off happened after the server was gone.
            &[
                operation(0, 5, Put(1), Unknown),
                operation(6, 7, Read, Found(None)),
                operation(8, 9, Read, Found(Some(1))),
            ],
            &[
                operation(0, 5, Put(1), Done),
                operation(6, 7, Replace { from: 2, to: 3 }, Done),
            ],
            &[operation(0, 5, Delete, Done)],
        ];
        for history in broken {
            let stuck = check(None, history).unwrap_err();
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
        let mut state = None;
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
            let outcome = match action {
                Action::Read => Outcome::Found(before),
                _ if after(before, &silent).len() > 1 || after(before, &silent) != [before] => {
                    state = after(before, &silent)[0];
                    Outcome::Done
                }
                Action::Put(_) => Outcome::Done,
                _ => Outcome::Refused,
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
            if let Err(stuck) = check(None, &history) {
                panic!("seed {seed}: {stuck}");
            }
            // A read is told of a value that was never there.
            let mut changed = history.clone();
            let reads = changed
                .iter_mut()
                .filter(|o| matches!(o.outcome, Outcome::Found(_)));
            let mut reads: Vec<_> = reads.collect();
            let place = random.below(reads.len() as u64) as usize;
            reads[place].outcome = Outcome::Found(Some(u64::MAX));
            assert!(check(None, &changed).is_err(), "seed {seed}");
            // A write is said to have failed and the other way round: nearly always seen.
            let mut changed = history;
            for operation in &mut changed {
                if let (Action::Create(_), Outcome::Refused) = (operation.action, operation.outcome)
                {
                    operation.outcome = Outcome::Done;
                    break;
                }
            }
            caught += u64::from(check(None, &changed).is_err());
        }
        assert!(caught > 10, "{caught} of 40");
    }
}
