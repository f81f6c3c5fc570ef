//! What very many small objects take on disk, and how fast the index is made anew of the rest.

use crate::Result;
use crate::arguments::Arguments;
use crate::load::Plan;
use crate::machine::scratch;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};
use trestle_tests::Launch;
use trestle_tests::tree::allocated;

const BYTES: usize = 4096;
/// How long the store may take to give back what it does not need.
const PATIENCE: Duration = Duration::from_secs(60);

/// `--objects` objects of 4 KiB.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let count = arguments.number("objects", 1_000_000)?;
    let folder = scratch("disk")?;
    let data = folder.join("data");
    let launch = Launch::new(data.clone());
    let server = launch.start();
    server.client().send("PUT", "/rest/b/", &[], b"")?;
    let plan = Plan {
        address: server.address,
        verb: "put",
        size: BYTES,
        clients: 32,
        milliseconds: 0,
        tag: "small".to_owned(),
        count,
    };
    let found = plan.run()?;
    let after = allocated(&data);
    std::thread::sleep(PATIENCE);
    let settled = allocated(&data);
    server.stop()?;
    let part = |name: &str| allocated(&data.join(name));
    let content = count * BYTES as u64;
    println!(
        "{count} objects of 4 KiB, {:.0} a second: {} MiB of content on {} MiB of disk after the last \
         write, {} MiB after {} s, {:.3} times the content, {:.0} bytes an object beyond it. Stopped: \
         log {} MiB, index {} MiB, snapshot {} MiB.",
        found.rate,
        content >> 20,
        after >> 20,
        settled >> 20,
        PATIENCE.as_secs(),
        settled as f64 / content as f64,
        settled.saturating_sub(content) as f64 / count as f64,
        part("log") >> 20,
        (std::fs::metadata(data.join("index.redb"))?.blocks() * 512) >> 20,
        part("snapshot") >> 20,
    );
    let read = part("log") + part("snapshot");
    let folder_text = data.to_str().ok_or("the folder's name is no text")?;
    let began = Instant::now();
    let rebuilt = launch.run(&["check", "--data", folder_text, "--rebuild"]);
    let seconds = began.elapsed().as_secs_f64();
    if !rebuilt.status.success() {
        return Err(format!("the index was not made anew: {rebuilt:?}").into());
    }
    println!(
        "The index made anew, and everything checked: {seconds:.1} s, {:.0} objects a second, {:.0} \
         MiB a second of log and snapshot.\n",
        count as f64 / seconds,
        (read >> 20) as f64 / seconds
    );
    Ok(std::fs::remove_dir_all(folder)?)
}
