//! What a fuzzer begins with and what it found, run again on the stable toolchain: each target over
//! its committed inputs, and over so many that a seed makes of them.
//!
//! A target panics when something is wrong; the input that it was given is then printed.

use std::path::Path;
use trestle_host::SeededRandom;

/// A name, and what gives arbitrary bytes to one parser and holds what it says against what must
/// be true of it.
pub type Target = (&'static str, fn(&[u8]));

/// Longest input that is made.
const INPUT_BYTES_MAX: usize = 16 << 10;
/// Bytes that mean something to some parser.
const BYTES: &[u8] = b"\0\t\n\r \"%&'()*+,-./0189:;<=>?@AZ[\\]_az{|}~\x7f\x80\xc0\xed\xff";

/// Prints an input unless it is survived.
struct Given<'a>(&'a str, &'a [u8]);

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("target {}: {:?}", self.0, String::from_utf8_lossy(self.1));
            eprintln!("bytes: {:?}", self.1);
        }
    }
}

/// Runs each target over every file of `fuzz/corpus/NAME`, and over `count` changes of them.
///
/// # Panics
/// When a target has no inputs, or panics.
pub fn replay(targets: &[Target], count: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in targets {
        let inputs = inputs(&root.join(name));
        assert!(!inputs.is_empty(), "target {name} has no corpus");
        let run = |input: &[u8]| {
            let given = Given(name, input);
            target(input);
            drop(given);
        };
        for input in &inputs {
            run(input);
        }
        let random = SeededRandom::new(name.len() as u64 ^ 0x5eed);
        for _ in 0..count {
            run(&changed(&inputs, &random));
        }
    }
}

fn inputs(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    let read = |path| std::fs::read(path).ok();
    paths.iter().filter_map(read).collect()
}

/// One of the inputs after one to eight changes.
fn changed(inputs: &[Vec<u8>], random: &SeededRandom) -> Vec<u8> {
    let below = |end: usize| (random.next_u64() % (end.max(1) as u64)) as usize;
    let any = || inputs.get(below(inputs.len())).cloned().unwrap_or_default();
    let byte = || BYTES.get(below(BYTES.len())).copied().unwrap_or_default();
    let mut input = any();
    for _ in 0..=below(8) {
        let at = below(input.len() + 1);
        let end = (at + below(24)).min(input.len());
        match below(8) {
            0 => {
                if let Some(found) = input.get_mut(at) {
                    *found ^= 1 << below(8);
                }
            }
            1 => {
                if let Some(found) = input.get_mut(at) {
                    *found = byte();
                }
            }
            2 => input.insert(at, byte()),
            3 => drop(input.drain(at..end)),
            4 => input.truncate(at),
            5 => {
                let piece = input.get(at..end).unwrap_or_default().to_vec();
                let times = 1 + below(12);
                input.splice(at..at, piece.repeat(times));
            }
            6 => {
                let other = any();
                let from = below(other.len() + 1);
                let piece = other.get(from..(from + below(64)).min(other.len()));
                input.splice(at..end, piece.unwrap_or_default().iter().copied());
            }
            _ => {
                let number = [
                    "0",
                    "-1",
                    "18446744073709551616",
                    "9223372036854775807",
                    "1e999",
                ];
                let number = number.get(below(number.len())).copied().unwrap_or_default();
                input.splice(at..end, number.bytes());
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}
