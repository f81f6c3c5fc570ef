//! What every engine checks of a commit before it looks at any row.

use crate::meta::{Body, COMMIT_BYTES_MAX, Commit, ROW_KEY_BYTES_MAX, ROW_VALUE_BYTES_MAX, Write};
use std::collections::HashSet;
use trestle_core::{Error, ErrorKind, Result};

/// Most expectations, and most tokens, of one commit: three for each key of a directory of 10,000,
/// one for each part of the largest upload, and room.
pub const EXPECTATIONS_MAX: usize = 40_000;

/// Checks the limits of a commit, and that it changes each key at most once.
///
/// # Errors
/// `TooLarge`, `InvalidInput`.
pub fn validate(commit: &Commit) -> Result<()> {
    if commit.expectations.len() > EXPECTATIONS_MAX || commit.tokens.len() > EXPECTATIONS_MAX {
        return Err(Error::new(
            ErrorKind::TooLarge,
            "a commit expects or names too much",
        ));
    }
    let mut total = 0usize;
    let mut keys = HashSet::with_capacity(commit.writes.len());
    let mut extents = HashSet::new();
    for write in &commit.writes {
        let key = write.key();
        if key.is_empty() {
            return Err(Error::invalid("a row key is empty"));
        }
        let stamp = match write {
            Write::Append { .. } => size_of::<u64>(),
            _ => 0,
        };
        if key.len() + stamp > ROW_KEY_BYTES_MAX {
            return Err(Error::new(ErrorKind::TooLarge, "a row key is too long"));
        }
        if !keys.insert(key) {
            return Err(Error::invalid("a commit changes a row twice"));
        }
        if let Write::Put {
            body: Some(Body::Streamed(extent)),
            ..
        } = write
            && !extents.insert(&extent.handle)
        {
            return Err(Error::invalid("a commit names an extent twice"));
        }
        let (value, body) = sizes(write);
        if value > ROW_VALUE_BYTES_MAX {
            return Err(Error::new(ErrorKind::TooLarge, "a row is too large"));
        }
        total = total.saturating_add(key.len() + value).saturating_add(body);
    }
    if total > COMMIT_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("a commit of more than {COMMIT_BYTES_MAX} bytes"),
        ));
    }
    Ok(())
}

/// What a write adds to the bytes of its commit.
pub fn write_bytes(write: &Write) -> usize {
    let (value, body) = sizes(write);
    write.key().len().saturating_add(value).saturating_add(body)
}

/// Bytes of a write's value, and of what is attached to it.
fn sizes(write: &Write) -> (usize, usize) {
    match write {
        Write::Put { value, body, .. } => {
            (value.len(), body.as_ref().map_or(0, Body::commit_bytes))
        }
        Write::Delete { .. } => (0, 0),
        Write::Add { .. } => (8, 0),
        Write::Append { value, .. } => (size_of::<u64>() + value.len(), 0),
    }
}

/// A counter's next value: `value` is a big-endian `i64`, or nothing for 0.
///
/// # Errors
/// `Corrupt` when the row is no counter, `InvalidInput` when the result leaves `i64`.
pub fn add(value: Option<&[u8]>, delta: i64) -> Result<i64> {
    let current = match value {
        None => 0,
        Some(bytes) => i64::from_be_bytes(
            bytes
                .try_into()
                .map_err(|_| Error::corrupt("a counter's row is not 8 bytes"))?,
        ),
    };
    current
        .checked_add(delta)
        .ok_or_else(|| Error::invalid("a counter would overflow"))
}
