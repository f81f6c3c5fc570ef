//! What becomes of the versions of an object that is brought back with those that were serialised
//! (clause 25.9): those that it has and that are among them stay as they are, since versions do not
//! change; what is missing is put between them, and the others go last.

use crate::call::Call;
use crate::fault::{Answered, Fault};
use crate::node::document;
use crate::serial::Serialized;
use crate::versions::{fingerprint, number_of};
use futures::FutureExt;
use std::collections::BTreeSet;
use trestle_core::{BucketName, Key, ObjectId, Precondition, Result};
use trestle_store::{Object, ObjectProperties};

/// Numbers between versions that come back, so that others fit in between later.
pub(crate) const ROOM: u64 = 1 << 20;

/// A version that is not there.
struct Missing {
    key: Key,
    id: Option<ObjectId>,
    version: Serialized,
}

/// What is to become of the versions of an object.
pub(crate) struct History {
    hidden: BucketName,
    missing: Vec<Missing>,
    /// Those that there are and that were not serialised.
    surplus: Vec<Object>,
    /// The one that is of what the object is to be.
    current: Option<Key>,
}

/// Numbers for versions in order, of which some have theirs, so that they stay in order; none when
/// those are in another order, or leave no room. The numbers that are taken are not used again.
fn place(own: &[Option<u64>], taken: &BTreeSet<u64>) -> Option<Vec<u64>> {
    let mut numbers = Vec::with_capacity(own.len());
    let mut low = 0u64;
    let mut rest = own;
    while let Some((first, after)) = rest.split_first() {
        if let Some(number) = *first {
            numbers.push(number);
            if number <= low {
                return None;
            }
            (low, rest) = (number, after);
            continue;
        }
        let missing = rest.iter().take_while(|number| number.is_none()).count();
        let count = missing as u64;
        let next = rest.get(missing).copied().flatten();
        let high = match next {
            Some(next) => next,
            None => {
                // Behind all that there are.
                low = low.max(taken.last().copied().unwrap_or_default());
                low.checked_add(ROOM.checked_mul(count + 1)?)?
            }
        };
        let step = high.checked_sub(low)? / (count + 1);
        for at in 1..=count {
            let from = low + step * at;
            let free = (from..(from + step).min(high)).find(|number| !taken.contains(number));
            numbers.push(free?);
        }
        (low, rest) = (*numbers.last()?, rest.get(missing..)?);
    }
    Some(numbers)
}

impl Call<'_> {
    /// What is to become of an object's versions when it is brought back.
    pub(crate) async fn history_of(
        &self,
        (bucket, id): (&BucketName, ObjectId),
        serialized: &Serialized,
    ) -> Answered<History> {
        let hidden = self.versions_bucket(bucket).await?;
        let there = self.versions(bucket, id).await?;
        let (mut wanted, mut own, mut of_object) = (Vec::new(), Vec::new(), true);
        for (position, version) in serialized.versions.iter().enumerate().rev() {
            let version = Serialized::parse(version.clone())?;
            // What begins the array without being a version is the object itself.
            if position == 0 && version.id.is_some() && version.id == serialized.id {
                of_object = false;
                continue;
            }
            let parsed = version.id.as_deref().map(|text| self.cdmi.ids.parse(text));
            let parsed = parsed.and_then(|id| id.ok().flatten());
            let found = there.iter().find(|one| Some(one.id.0) == parsed);
            own.push(found.map(number_of));
            wanted.push((found.map(|one| one.id), version));
        }
        let taken: BTreeSet<u64> = there.iter().map(number_of).collect();
        let numbers = place(&own, &taken).ok_or_else(|| {
            Fault::conflict("there is no room between the versions that there are")
        })?;
        let key = |number: &u64| Key::parse(format!("{}/{number:020}", id.0));
        let current = numbers.last().filter(|_| of_object);
        let current = current.map(key).transpose()?;
        let stays = |version: &Object| wanted.iter().any(|(id, _)| *id == Some(version.id));
        let surplus = there.iter().filter(|version| !stays(version)).cloned();
        let surplus = surplus.collect();
        let mut missing = Vec::new();
        for ((found, version), number) in wanted.into_iter().zip(&numbers) {
            if found.is_none() {
                let (key, id) = (key(number)?, self.free_id(&version).await?.map(ObjectId));
                missing.push(Missing { key, id, version });
            }
        }
        Ok(History {
            hidden,
            missing,
            surplus,
            current,
        })
    }

    /// Puts the versions that are missing where they belong; none of them when one fails.
    pub(crate) async fn put_missing(&self, history: &History) -> Answered<()> {
        if !history.missing.is_empty() {
            self.make_hidden(&history.hidden).await?;
        }
        for (at, missing) in history.missing.iter().enumerate() {
            let place = (&history.hidden, missing.key.clone());
            let print = "{}".to_owned();
            let put = self.put_version(place, (missing.id, print), &missing.version);
            if let Err(fault) = put.boxed().await {
                self.take_away(history, at).await;
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Takes the versions away again that were put.
    pub(crate) async fn take_back(&self, history: &History) {
        self.take_away(history, history.missing.len()).await;
    }

    async fn take_away(&self, history: &History, count: usize) {
        let own = self.cdmi.own_call();
        for missing in history.missing.iter().take(count) {
            let erased = own.erase(&history.hidden, &missing.key, Precondition::none());
            if let Err(fault) = erased.boxed().await {
                tracing::warn!(?fault, "a version that came back for nothing stays");
            }
        }
    }

    /// Notes of which version the object is now, and removes those that were not serialised.
    pub(crate) async fn settle_history(
        &self,
        (bucket, object): (&BucketName, &Object),
        history: &History,
    ) -> Answered<()> {
        if let Some(current) = &history.current {
            let print = fingerprint(object).to_string();
            let change = |properties: &mut ObjectProperties| -> Result<()> {
                let name = document::VERSION.to_owned();
                properties.documents.insert(name, print.clone());
                Ok(())
            };
            let own = self.cdmi.own_call();
            own.update(&history.hidden, current, &change).await?;
        }
        for version in &history.surplus {
            self.erase_version(bucket, version).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(own: &[Option<u64>], taken: &[u64]) -> Option<Vec<u64>> {
        place(own, &taken.iter().copied().collect())
    }

    #[test]
    fn missing_versions_find_their_place_between_those_that_there_are() {
        assert_eq!(placed(&[], &[1]), Some(vec![]));
        assert_eq!(placed(&[Some(1), Some(2)], &[1, 2, 3]), Some(vec![1, 2]));
        assert_eq!(
            placed(&[Some(1), None, Some(3)], &[1, 3]),
            Some(vec![1, 2, 3])
        );
        assert_eq!(placed(&[None, None, Some(3)], &[3, 4]), Some(vec![1, 2, 3]));
        let behind = placed(&[Some(1), None, None], &[1, 2, 7]).unwrap();
        assert_eq!(behind, [1, 7 + ROOM, 7 + 2 * ROOM]);
        let between = placed(&[Some(ROOM), None, Some(2 * ROOM)], &[ROOM, 2 * ROOM]);
        assert_eq!(between, Some(vec![ROOM, ROOM + ROOM / 2, 2 * ROOM]));
        // One that goes is in the way, as long as it is there.
        let half = ROOM + ROOM / 2;
        let beside = placed(&[Some(ROOM), None, Some(2 * ROOM)], &[ROOM, half, 2 * ROOM]);
        assert_eq!(beside, Some(vec![ROOM, half + 1, 2 * ROOM]));
    }

    #[test]
    fn what_is_in_another_order_or_has_no_room_is_refused() {
        assert_eq!(placed(&[Some(2), Some(1)], &[1, 2]), None);
        assert_eq!(placed(&[Some(1), Some(1)], &[1]), None);
        assert_eq!(placed(&[Some(1), None, Some(2)], &[1, 2]), None);
        assert_eq!(placed(&[None, Some(1)], &[1]), None);
        assert_eq!(placed(&[Some(u64::MAX), None], &[u64::MAX]), None);
    }
}
