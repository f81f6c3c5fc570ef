//! The requests of a trial, one after the other, and how they end.

use crate::ledger::{Broken, Content, Ended, Ledger};
use crate::{Client, Server};
use std::collections::BTreeSet;

/// Requests of a trial.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Put(&'static str, usize),
    Create(&'static str, usize),
    Delete(&'static str),
    Get(&'static str),
}

pub(crate) const STEPS: [Step; 15] = [
    Step::Put("new", 100),
    Step::Put("large", 700_000),
    Step::Put("small", 60_000),
    Step::Get("large"),
    Step::Put("large", 10),
    Step::Delete("gone"),
    Step::Create("created", 5_000),
    Step::Create("created", 5_001),
    Step::Put("small", 300_000),
    Step::Delete("new"),
    Step::Put("empty", 0),
    Step::Put("attached", 131_072),
    Step::Put("two extents", 4_500_000),
    Step::Delete("large"),
    Step::Put("new", 131_073),
];
/// Puts that fill the rest of a segment, and what fills it before.
pub(crate) const REST: [Step; 10] = [Step::Put("rest", 131_072); 10];
const FILL: u64 = 505;
const FILL_CLIENTS: u64 = 5;

/// How the requests of a trial ended.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// Writes that were acknowledged.
    pub(crate) done: u64,
    /// Of these, those after the first failure.
    pub(crate) done_after_failure: u64,
    /// Whether a write was answered with this.
    pub(crate) failed: BTreeSet<u16>,
    /// An answer did not come.
    pub(crate) lost: bool,
}

/// Sends requests in order until one is not answered.
pub(crate) fn follow(
    ledger: &Ledger,
    client: &mut Client,
    steps: &[Step],
) -> Result<Followed, Broken> {
    let mut followed = Followed::default();
    for (number, step) in steps.iter().enumerate() {
        let content = |size| Content {
            seed: 2_000_000 + number as u64,
            size,
        };
        // Nothing is written to read, nor to delete what is not there.
        let writes = match *step {
            Step::Put(..) | Step::Create(..) => true,
            Step::Delete(key) => ledger.known(key).is_some(),
            Step::Get(_) => false,
        };
        let (key, ended) = match *step {
            Step::Put(key, size) => (key, ledger.put(client, key, content(size))?),
            Step::Create(key, size) => (key, ledger.create(client, key, content(size))?),
            Step::Delete(key) => (key, ledger.delete(client, key)?),
            Step::Get(key) => (key, ledger.read(client, key)?),
        };
        match ended {
            Ended::Lost => {
                followed.lost = true;
                break;
            }
            Ended::Refused(412) => {}
            Ended::Refused(status) => {
                followed.failed.insert(status);
                ledger.unchanged(client, key)?;
            }
            Ended::Done => {
                followed.done += u64::from(writes);
                followed.done_after_failure += u64::from(writes && !followed.failed.is_empty());
            }
        }
    }
    Ok(followed)
}

/// Fills most of a segment, by several clients.
pub(crate) fn fill(ledger: &Ledger, server: &Server) -> Result<(), Broken> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..FILL_CLIENTS)
            .map(|number| {
                let mut client = server.client();
                scope.spawn(move || -> Result<(), Broken> {
                    for seed in (0..FILL).filter(|seed| seed % FILL_CLIENTS == number) {
                        let key = format!("fill {number}/{}", seed % 7);
                        let size = 131_072;
                        match ledger.put(&mut client, &key, Content { seed, size })? {
                            Ended::Done => {}
                            ended => return Err(format!("{key}: {ended:?} without a fault")),
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        Ok(())
    })
}
