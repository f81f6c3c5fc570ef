//! Verbs whose time must not depend on how much content they are about: copies and moves of a small,
//! a large and a huge sparse object, and the completion of an upload of very many parts.

use crate::Result;
use crate::arguments::Arguments;
use crate::machine::{median, scratch};
use std::time::Instant;
use trestle_tests::tree::noise;
use trestle_tests::{Client, Launch, Response};

const MIB: u64 = 1 << 20;
/// One write of a large object.
const PIECE: u64 = 64 * MIB;

pub(crate) fn expect(response: Response, status: &[u16], what: &str) -> Result<Response> {
    if status.contains(&response.status) {
        return Ok(response);
    }
    Err(format!("{what}: {} {}", response.status, response.text()).into())
}

/// A request, and how many milliseconds it took.
fn timed(client: &mut Client, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<f64> {
    let began = Instant::now();
    let response = client.send(method, target, headers, b"")?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    expect(response, &[201, 204], method)?;
    Ok(took)
}

/// Writes an object of so many bytes; a sparse one has bytes at its end alone.
fn put(client: &mut Client, target: &str, length: u64, sparse: bool) -> Result<()> {
    let first = if sparse { 1 } else { length.min(PIECE) };
    let body = noise(length, usize::try_from(first)?);
    expect(client.send("PUT", target, &[], &body)?, &[201, 204], "PUT")?;
    match sparse {
        true => make(client, target, (length, true), PIECE),
        false => fill(client, target, (first, length), PIECE),
    }
}

/// Writes into what is there: all of its bytes, or its last one.
pub(crate) fn make(
    client: &mut Client,
    target: &str,
    (length, sparse): (u64, bool),
    piece: u64,
) -> Result<()> {
    let first = if sparse { length - 1 } else { 0 };
    fill(client, target, (first, length), piece)
}

fn fill(client: &mut Client, target: &str, (mut at, length): (u64, u64), piece: u64) -> Result<()> {
    while at < length {
        let end = length.min(at + piece);
        let range = format!("bytes {at}-{}/*", end - 1);
        let body = noise(at, usize::try_from(end - at)?);
        let headers = [("content-range", range.as_str())];
        expect(
            client.send("PATCH", target, &headers, &body)?,
            &[204],
            "PATCH",
        )?;
        at = end;
    }
    Ok(())
}

/// Copies and moves.
pub(crate) fn copies(arguments: &Arguments) -> Result<()> {
    let times = arguments.number("times", 100)?;
    // For a quick look: of the two large ones so much less.
    let shift = arguments.number("smaller", 0)?;
    let folder = scratch("copies")?;
    let server = Launch::new(folder.join("data")).start();
    let mut client = server.client();
    client.send("PUT", "/rest/b/", &[], b"")?;
    println!("| object | copy, p50 ms | p99 ms | move, p50 ms | p99 ms |");
    println!("|---|---|---|---|---|");
    for (name, length, sparse) in [
        ("1 KiB", 1 << 10, false),
        ("1 GiB", (1024 * MIB) >> shift, false),
        ("100 GiB, sparse", (100 * 1024 * MIB) >> shift, true),
    ] {
        let source = format!("/rest/b/{length}");
        put(&mut client, &source, length, sparse)?;
        let place = |number: u64| format!("{source}/copy/{number}");
        let mut copies = Vec::new();
        let mut moves = Vec::new();
        for number in 0..times {
            let to = place(number);
            copies.push(timed(
                &mut client,
                "COPY",
                &source,
                &[("destination", &to)],
            )?);
        }
        for number in 0..times {
            let (from, to) = (place(number), format!("{source}/moved/{number}"));
            moves.push(timed(&mut client, "MOVE", &from, &[("destination", &to)])?);
        }
        let worst = |times: &[f64]| {
            let mut sorted = times.to_vec();
            sorted.sort_by(f64::total_cmp);
            let place = sorted.len().saturating_sub(1) * 99 / 100;
            sorted.get(place).copied().unwrap_or(f64::NAN)
        };
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.2} |",
            median(&copies),
            worst(&copies),
            median(&moves),
            worst(&moves)
        );
    }
    println!();
    server.stop()?;
    Ok(std::fs::remove_dir_all(folder)?)
}

/// An upload of `--parts` parts.
pub(crate) fn parts(arguments: &Arguments) -> Result<()> {
    const BYTES: u64 = 1024;
    let parts = arguments.number("parts", 10_000)?;
    let folder = scratch("parts")?;
    let server = Launch::new(folder.join("data")).start();
    let mut client = server.client();
    client.send("PUT", "/rest/b/", &[], b"")?;
    let version = ("tus-resumable", "1.0.0");
    let length = (parts * BYTES).to_string();
    let begin = [version, ("upload-length", length.as_str())];
    let begun = expect(
        client.send("POST", "/rest/b/o", &begin, b"")?,
        &[201],
        "POST",
    )?;
    let upload = begun.header("location").ok_or("an upload without a URL")?;
    let body = noise(1, usize::try_from(BYTES)?);
    let mut times = Vec::new();
    for part in 0..parts {
        let offset = (part * BYTES).to_string();
        let headers = [
            version,
            ("content-type", "application/offset+octet-stream"),
            ("upload-offset", offset.as_str()),
        ];
        let began = Instant::now();
        let answer = client.send("PATCH", &upload, &headers, &body)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        expect(answer, &[204], "PATCH")?;
    }
    let last = times.pop().unwrap_or(f64::NAN);
    let before = times.len().saturating_sub(100);
    let near = median(times.get(before..).unwrap_or_default());
    println!(
        "An upload of {parts} parts: the request that brings the last one and completes it took \
         {last:.1} ms, each of the hundred before it {near:.1} ms (median): {:.1} ms to complete.\n",
        last - near
    );
    let read = expect(client.send("GET", "/rest/b/o", &[], b"")?, &[200], "GET")?;
    if read.body.len() as u64 != parts * BYTES {
        return Err("the object is not as long as its parts".into());
    }
    server.stop()?;
    Ok(std::fs::remove_dir_all(folder)?)
}
