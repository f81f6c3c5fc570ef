//! What listings of a bucket show.

use super::operation::{Listed, ListedVersions};
use super::state::{Bucket, Stored};

/// The common prefix that a key folds into, if it does.
fn common_prefix<'a>(prefix: &str, delimiter: Option<&String>, key: &'a str) -> Option<&'a str> {
    let delimiter = delimiter?;
    let at = key.get(prefix.len()..)?.find(delimiter.as_str())?;
    key.get(..prefix.len() + at + delimiter.len())
}

pub(super) fn list(bucket: &Bucket, listed: &Listed, now: u64) -> String {
    let folded = |text: &str| {
        let folded = common_prefix(&listed.prefix, listed.delimiter.as_ref(), text);
        folded.map(str::to_owned)
    };
    let is_prefix =
        |text: &str| text.starts_with(&listed.prefix) && folded(text).is_some_and(|f| f == text);
    let eligible = |key: &str| {
        let (low, high) = if listed.reverse {
            (&listed.until, &listed.after)
        } else {
            (&listed.after, &listed.until)
        };
        let skipped = low
            .as_ref()
            .is_some_and(|low| is_prefix(low) && key.starts_with(low.as_str()));
        key.starts_with(&listed.prefix)
            && low.as_ref().is_none_or(|low| key > low.as_str())
            && high.as_ref().is_none_or(|high| key < high.as_str())
            && !skipped
    };
    // What has ended is walked over, and not shown.
    let mut walked: Vec<(String, Option<&Stored>)> = Vec::new();
    for key in bucket.keys.keys().filter(|key| eligible(key)) {
        let Some(current) = bucket.current(key) else {
            continue;
        };
        match folded(key) {
            Some(prefix) if walked.last().is_some_and(|(last, _)| *last == prefix) => {}
            Some(prefix) => walked.push((prefix, None)),
            None => walked.push((key.clone(), Some(current))),
        }
    }
    if listed.reverse {
        walked.reverse();
    }
    let mut shown = Vec::new();
    let mut next = None;
    let mut last = None;
    for (item, stored) in walked {
        if shown.len() == listed.limit {
            next = last.filter(|_| listed.limit > 0);
            break;
        }
        match stored {
            Some(stored) if stored.has_expired(now) => {}
            Some(stored) => {
                shown.push(format!(
                    "{item:?} {} {}",
                    stored.bytes.len(),
                    stored.revision
                ));
                last = Some(item);
            }
            None => {
                shown.push(format!("{item:?}/"));
                last = Some(item);
            }
        }
    }
    format!("{shown:?} {next:?}")
}

pub(super) fn list_versions(bucket: &Bucket, listed: &ListedVersions) -> String {
    let folded = |text: &str| {
        let folded = common_prefix(&listed.prefix, listed.delimiter.as_ref(), text);
        folded.map(str::to_owned)
    };
    let after = |key: &str, at: usize| match &listed.marker {
        None => true,
        Some((marker, _))
            if folded(marker).is_some_and(|f| f == *marker)
                && marker.starts_with(&listed.prefix) =>
        {
            key > marker.as_str() && !key.starts_with(marker.as_str())
        }
        Some((marker, Some(nth))) if key == marker => at > *nth,
        Some((marker, _)) => key > marker.as_str(),
    };
    let mut items: Vec<(String, String)> = Vec::new();
    for (key, versions) in &bucket.keys {
        for (at, version) in versions.iter().enumerate() {
            if !key.starts_with(&listed.prefix) || !after(key, at) {
                continue;
            }
            match folded(key) {
                Some(prefix) if items.last().is_some_and(|(last, _)| *last == prefix) => {}
                Some(prefix) => {
                    let line = format!("{prefix:?}/");
                    items.push((prefix, line));
                }
                None => {
                    let instead = at == 0 && version.marker && bucket.current(key).is_none();
                    let latest = version.current || instead;
                    let line = format!("{key:?} {latest} {}", version.text());
                    items.push((key.clone(), line));
                }
            }
        }
    }
    let more = items.len() > listed.limit && listed.limit > 0;
    items.truncate(listed.limit);
    let next = items.last().filter(|_| more).map(|(key, _)| key);
    let shown: Vec<&String> = items.iter().map(|(_, line)| line).collect();
    format!("{shown:?} {next:?}")
}
