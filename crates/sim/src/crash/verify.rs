//! What a start has to show of the commits that it found, row by row and byte by byte.

use super::{
    MOVES, Verdict, body_of, moving_key, own_key, shared_body, shared_key, stream_key, stream_of,
    streams,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use trestle_core::Sequence;
use trestle_engine::data::READ_BYTES_MAX;
use trestle_engine::{Engine, Scan, ScanItem};

/// The rows that commits put and later ones took away, by one scan.
async fn moving(engine: &Engine, found: &BTreeMap<u64, Sequence>) -> Verdict {
    let text = |error: trestle_core::Error| format!("a scan failed: {error}");
    let snapshot = engine.meta.snapshot().await.map_err(text)?;
    let items = snapshot
        .scan(&Scan::prefix("moving/", 10_000))
        .await
        .map_err(text)?;
    let seen: Vec<&Bytes> = items.iter().map(ScanItem::key).collect();
    let taken = |number: u64, sequence: &Sequence| {
        found
            .get(&(number + MOVES))
            .is_some_and(|later| later > sequence)
    };
    let expected: Vec<Bytes> = found
        .iter()
        .filter(|(number, sequence)| !taken(**number, sequence))
        .map(|(number, _)| moving_key(*number))
        .collect();
    if seen.len() != expected.len() || seen.iter().zip(&expected).any(|(a, b)| *a != b) {
        return Err(format!(
            "a scan shows {} rows of {}",
            seen.len(),
            expected.len()
        ));
    }
    Ok(())
}

/// Everything that the commits in `found` put, with what later ones made of it.
pub(super) async fn rows(
    engine: &Engine,
    found: &BTreeMap<u64, Sequence>,
    won: &BTreeMap<Bytes, u8>,
) -> Verdict {
    moving(engine, found).await?;
    let text = |error: trestle_core::Error| format!("a read failed: {error}");
    let snapshot = engine.meta.snapshot().await.map_err(text)?;
    let count = snapshot
        .get(b"count")
        .await
        .map_err(text)?
        .map_or(0, |row| {
            row.value.as_ref().try_into().map_or(-1, i64::from_be_bytes)
        });
    if count != found.len() as i64 {
        return Err(format!(
            "{} commits are there, and the counter says {count}",
            found.len()
        ));
    }
    for (key, winner) in won {
        let row = snapshot.get(key).await.map_err(text)?;
        if row.is_none_or(|row| row.value != [*winner].as_slice()) {
            return Err(format!("{key:?} is not what its creator made it"));
        }
    }
    let mut shared: BTreeMap<Bytes, (Sequence, u64)> = BTreeMap::new();
    for (number, sequence) in found {
        let row = snapshot
            .get(&own_key(*number))
            .await
            .map_err(text)?
            .ok_or("a row vanished")?;
        let body = row.body.ok_or("a body vanished")?;
        let length = u64::from(body.length);
        let bytes = engine
            .data
            .read_body(&body, 0..length)
            .await
            .map_err(text)?;
        if bytes != body_of(*number) {
            return Err(format!(
                "the body of commit {number} is not what was written"
            ));
        }
        if streams(*number) {
            let key = stream_key(*number);
            let row = snapshot.get(&key).await.map_err(text)?;
            let body = row.and_then(|row| row.body).ok_or("a stream vanished")?;
            let range = 0..u64::from(body.length);
            let bytes = engine.data.read_body(&body, range).await.map_err(text)?;
            if bytes != stream_of(*number) {
                return Err(format!(
                    "the stream of commit {number} is not what was written"
                ));
            }
        }
        let newest = shared.entry(shared_key(*number)).or_default();
        *newest = (*newest).max((*sequence, *number));
    }
    for (key, (_, number)) in shared {
        let row = snapshot.get(&key).await.map_err(text)?;
        let value = row.as_ref().map(|row| row.value.clone());
        let expected = (!number.is_multiple_of(11)).then(|| number.to_be_bytes().to_vec().into());
        if value != expected {
            return Err(format!(
                "{key:?} is not what commit {number}, its newest, made it"
            ));
        }
        if let Some(row) = row
            && read_body(engine, row.body).await? != shared_body(number)
        {
            return Err(format!(
                "{key:?} has other bytes than commit {number} gave it"
            ));
        }
    }
    let slow = Scan::prefix("slow/", 10_000);
    for item in snapshot.scan(&slow).await.map_err(text)? {
        let ScanItem::Row(key, row) = item else {
            return Err("not a row".to_owned());
        };
        let number = row.value.as_ref().try_into().map_or(0, u64::from_be_bytes);
        let bytes = read_body(engine, row.body).await?;
        let piece = stream_of(number);
        if bytes.is_empty() || bytes != piece.repeat(bytes.len() / piece.len()) {
            return Err(format!("{key:?} is not what was streamed"));
        }
    }
    Ok(())
}

async fn read_body(
    engine: &Engine,
    body: Option<trestle_engine::BodyRef>,
) -> Result<Bytes, String> {
    let body = body.ok_or("a row has lost its bytes")?;
    let length = u64::from(body.length);
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < length {
        let start = bytes.len() as u64;
        let range = start..length.min(start + READ_BYTES_MAX);
        let read = engine.data.read_body(&body, range).await;
        bytes.extend_from_slice(&read.map_err(|error| format!("a read failed: {error}"))?);
    }
    Ok(bytes.into())
}
