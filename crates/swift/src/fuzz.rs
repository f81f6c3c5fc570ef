//! Targets of the fuzzer: arbitrary bytes for each parser of the dialect.

use crate::acl::{self, AccountList, Side};
use crate::archive::{self, Compression, Event, Unpacker};
use crate::names::Names;
use crate::query::Query;
use crate::rates::Rates;
use crate::realms::{Realms, Signed};
use crate::send::Position;
use crate::signature::Signature;
use crate::target::{self, Target};
use crate::tempurl::{Parameters, Scope, Use};
use crate::tombstone::Tombstone;
use crate::{slo, times};
use bytes::Bytes;
use trestle_core::Timestamp;

/// A name, and what takes the bytes.
type Named = (&'static str, fn(&[u8]));

/// Each target by its name.
pub const TARGETS: &[Named] = &[
    ("swift-acl", lists),
    ("swift-account-acl", account_list),
    ("swift-tempurl", tempurl),
    ("swift-slo", manifest),
    ("swift-tar", |data| archive(data, Compression::None)),
    ("swift-tar-gz", |data| archive(data, Compression::Gzip)),
    ("swift-tar-bz2", |data| archive(data, Compression::Bzip2)),
    ("swift-target", path),
    ("swift-times", dates),
    ("swift-sync", synchronisation),
];

/// A list that is clean stays as it is, and has a neutral form.
fn lists(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for side in [Side::Read, Side::Write] {
        let Ok(clean) = acl::clean(side, text) else {
            continue;
        };
        assert_eq!(
            acl::clean(side, &clean).ok().as_ref(),
            Some(&clean),
            "it is clean"
        );
        let (read, write) = match side {
            Side::Read => (Some(clean.as_str()), None),
            Side::Write => (None, Some(clean.as_str())),
        };
        let neutral = acl::of_container(None, read, write);
        if let Ok(Some(neutral)) = neutral {
            let again = acl::of_container(Some(&neutral), read, write);
            assert_eq!(
                again.ok(),
                Some(Some(neutral)),
                "set again it changes nothing"
            );
        }
    }
}

fn account_list(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(list) = AccountList::parse(text) {
        let written = list.text();
        assert!(written.is_ascii());
        if !list.is_empty() {
            assert_eq!(AccountList::parse(&written).as_ref(), Ok(&list));
        }
        let _neutral = list.neutral();
    }
}

/// Nothing but what the key signed is let in.
fn tempurl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some(parameters) = Query::parse(Some(text))
        .ok()
        .and_then(|q| Parameters::of(&q))
    else {
        return;
    };
    let used = Use {
        method: "GET",
        account: "AUTH_a",
        container: "c",
        object: "o",
        remote: Some([127, 0, 0, 1].into()),
        now: Timestamp(1),
    };
    let keys = [("a key that signed nothing".to_owned(), Scope::Account)];
    assert!(parameters.verify(&used, &keys).is_none());
    let shown = parameters.disposition("o", None, false);
    assert!(!shown.contains(['\r', '\n']), "{shown:?}");
    let carried = parameters.carried();
    assert!(!carried.contains(['<', '>', '"']), "{carried:?}");
    if let Some(text) = text.split('&').next() {
        let _understood = Signature::parse(text);
    }
}

/// A manifest that is empty is the only one without an object behind it.
fn manifest(data: &[u8]) {
    if let Ok(segments) = slo::parse(data, "/c/o") {
        let empty = serde_json::from_slice::<Vec<serde_json::Value>>(data);
        assert_eq!(segments.is_empty(), empty.is_ok_and(|list| list.is_empty()));
    }
}

/// A file's bytes are as many as its entry says, and no more than there is room for.
fn archive(data: &[u8], compression: Compression) {
    let mut unpacker = Unpacker::new(compression);
    let mut left = None;
    let mut total = 0_usize;
    for piece in data.chunks(512) {
        unpacker.push(Bytes::copy_from_slice(piece));
        loop {
            match unpacker.next() {
                Ok(Some(Event::File(entry))) => {
                    assert_eq!(left, None, "the file before is complete");
                    let _climbs = archive::climbs(&entry.name);
                    assert!(!entry.name.starts_with('/'), "{:?}", entry.name);
                    left = Some(entry.size);
                }
                Ok(Some(Event::Data(bytes))) => {
                    let Some(open) = left.as_mut() else {
                        unreachable!("bytes of no file")
                    };
                    assert!(bytes.len() as u64 <= *open, "more than the entry says");
                    *open -= bytes.len() as u64;
                    total += bytes.len();
                }
                Ok(Some(Event::End)) => assert_eq!(left.take(), Some(0), "bytes are missing"),
                Ok(None) => break,
                Err(_) => return,
            }
            if total > 16 << 20 {
                return;
            }
        }
    }
    let _whole = unpacker.is_whole();
}

/// A path that is understood is written as one that is understood alike.
fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(found) = Target::parse(text)
        && text.starts_with("/v1/")
    {
        let again = Target::parse(&found.path());
        let same = |again: Target| {
            again.account == found.account
                && again.container == found.container
                && again.object == found.object
        };
        assert!(again.is_ok_and(same), "{}", found.path());
    }
    if let Some((container, object)) = target::container_and_object(text) {
        assert!(!container.is_empty() && !container.contains('/') && !object.is_empty());
    }
}

fn dates(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(seconds) = times::parse_iso(text) {
        let _shown = times::last_modified(times::at_second(seconds));
    }
    if let Some(number) = times::integer(text) {
        let _time = times::at_second(u64::try_from(number).unwrap_or_default());
    }
}

/// A destination is at a host that was named, nothing but a shared key signs, and what is written down
/// comes back as it was.
fn synchronisation(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _configured = Realms::parse(text);
    let mut realms = Realms::default();
    let _named = realms.allow_hosts(&[text.to_owned()]);
    let mut realms = Realms::default();
    if realms.allow_hosts(&["host".to_owned()]).is_ok()
        && let Ok(to) = realms.destination(text)
    {
        let (_, host) = to.server.split_once("://").unwrap_or_default();
        assert!(host.eq_ignore_ascii_case("host"), "{}", to.server);
        assert!(
            to.path.is_ascii() && to.path.starts_with('/'),
            "{}",
            to.path
        );
    }
    if let Ok(realms) = Realms::parse("[r]\nkey = of nobody\ncluster_c = http://a/v1\n") {
        let signed = Signed {
            method: "PUT",
            path: "/v1/AUTH_a/c/o",
            timestamp: "1.00000",
            nonce: "",
        };
        assert!(!realms.verifies(text, signed, "own"));
    }
    if let Some(position) = Position::parse(text) {
        assert_eq!(Position::parse(&position.text()), Some(position));
    }
    if let Some(stone) = Tombstone::parse(text) {
        assert_eq!(Tombstone::parse(&stone.text()), Some(stone));
    }
    if let Some(time) = times::parse_x_timestamp(text) {
        assert_eq!(
            times::parse_x_timestamp(&times::x_timestamp(time)),
            Some(time)
        );
    }
    let _limited = Rates::parse(Some(text), &[text.to_owned()], &[]);
    if let Ok(names) = Names::parse("<", None) {
        assert!(names.check(text).is_err() || !text.contains('<'));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_and_changes_of_it_are_survived() {
        trestle_sim::replay::replay(super::TARGETS, 2_000);
    }
}
