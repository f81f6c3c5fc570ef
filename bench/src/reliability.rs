//! `cargo xtask reliability kill`: the lane of `trestle_tests` for as long as one likes.

use crate::Result;
use crate::arguments::Arguments;
use crate::machine::{describe, scratch};
use std::time::{Duration, Instant};
use trestle_tests::kill::{self, Plan, Tally};

/// Clients that write at once.
const WRITERS: u64 = 8;
/// Lives of the server on one data folder.
const LIVES: u64 = 40;

/// Kills the server until the time is over.
pub(crate) fn kill(arguments: &Arguments) -> Result<()> {
    let minutes = arguments.number("minutes", 1)?;
    let began = Instant::now();
    let plan = Plan {
        seed: arguments.number("seed", 1)?,
        until: began + Duration::from_secs(60 * minutes),
        writers: arguments.number("writers", WRITERS)?,
        lives: LIVES,
        folder: scratch("kill")?,
        variables: variables(arguments),
    };
    println!("{}, seed {}", describe(), plan.seed);
    let tally = kill::run(&plan, &mut |tally| println!("{}", shown(tally, began)))?;
    println!("no promise was broken: {}", shown(&tally, began));
    Ok(())
}

/// A planted bug, when one is asked for.
fn variables(arguments: &Arguments) -> Vec<(String, String)> {
    let canary = arguments.given("canary");
    let variable = |name: &str| ("TRESTLE_CANARY".to_owned(), name.to_owned());
    canary.map(variable).into_iter().collect()
}

fn shown(tally: &Tally, began: Instant) -> String {
    let seconds = began.elapsed().as_secs_f64();
    format!(
        "{:.0} s, {} folders, {} kills ({} while serving, {} while starting, {} while stopping), \
         {} writes acknowledged, {} objects and {} absent keys compared, of the requests cut off \
         {} happened and {} did not, slowest start {:.0} ms; {:.0} kills an hour",
        seconds,
        tally.folders,
        tally.all_kills(),
        tally.kills,
        tally.kills_in_start,
        tally.kills_in_stop,
        tally.writes,
        tally.objects,
        tally.absent,
        tally.happened,
        tally.vanished,
        tally.slowest_start.as_secs_f64() * 1e3,
        tally.all_kills() as f64 / seconds * 3600.0
    )
}
