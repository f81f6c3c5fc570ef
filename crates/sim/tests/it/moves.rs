//! Bodies are moved out of segments with waste, and somebody deletes them in the middle of that.

use crate::TURN;
use crate::machine::{Machine, commit, turns};
use bytes::Bytes;
use std::sync::PoisonError;
use trestle_core::{ErrorKind, Result};
use trestle_engine::{Body, Write};
use trestle_engine_embedded::{Canary, Settings, plant};

/// What stays, in segments that are mostly waste.
fn kept(number: u64) -> Bytes {
    format!("kept {number}").into()
}

/// Deletes everything that stays while it may be being moved; what tidying says to that.
fn emptied_after(count: usize) -> Result<()> {
    let machine = Machine::new(Settings {
        memtable_bytes: 256,
        log_segment_bytes: 64 << 10,
        slack_bytes: 16 << 10,
        ..Settings::default()
    });
    for number in 0..60 {
        let key = match number % 6 {
            0 => kept(number),
            _ => Bytes::from_static(b"other"),
        };
        let put = Write::Put {
            key,
            value: Bytes::new(),
            body: Some(Body::Attached(vec![7; 10_000].into())),
        };
        assert!(machine.commit(commit(vec![put])).is_ok());
    }
    let delete = |number| Write::Delete { key: kept(number) };
    let deletes = (0..60).step_by(6).map(delete).collect();
    let meta = &machine.engine().meta;
    let both = machine.spawn.run(async {
        let deleted = async {
            turns(count).await;
            meta.commit(commit(deletes)).await
        };
        futures::future::join(meta.tidy(), deleted).await
    });
    let (tidied, deleted) = both.unwrap_or_else(|| panic!("tidying stands still"));
    assert!(deleted.is_ok(), "{count}: {deleted:?}");
    tidied
}

#[test]
fn what_is_being_moved_may_go_with_its_segment() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for count in (0..200).step_by(3) {
        let tidied = emptied_after(count);
        assert!(tidied.is_ok(), "{count}: {tidied:?}");
    }
    plant(Some(Canary::MoveFromRemoved));
    let caught = (0..200).find_map(|count| emptied_after(count).err());
    plant(None);
    let caught =
        caught.unwrap_or_else(|| panic!("a move out of a segment that is gone was not caught"));
    assert_eq!(caught.kind(), ErrorKind::Corrupt, "{caught}");
}
