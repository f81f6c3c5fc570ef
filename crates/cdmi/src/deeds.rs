//! What requests do beside what they name: the objects of a bulk request, of an archive, of a
//! transaction, and of a container that goes or is copied. The store tells which keys were changed,
//! whatever dialect the request is of, and what they showed before.
//!
//! Nothing is told of what goes, or is moved, with more keys than a commit takes on. What is gone is told
//! to who could read it, as far as that is known still: to its owner, to the root user, and, when it had
//! no list and no tags of its own, to who has the right in its bucket.

use crate::call::Call;
use crate::media::Kind;
use crate::node::{Container, Leaf, Node};
use crate::notify::{Outcome, Seen, id_of};
use crate::path::{Names, Target};
use crate::query_queue::LastValue;
use crate::watch::Watcher;
use futures::FutureExt;
use http::StatusCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, Id, Key};
use trestle_store::{Deed, EventKind, Object};

/// Changes that are told before the queues are written.
const TOLD_AT_ONCE: usize = 500;
/// Looks at one change for one queue of an account that a request waits for; how many are left out is
/// told.
const LOOKS_MAX: usize = 10_000;

/// A queue that is told, and the call of who made it.
type Told<'c> = (Arc<Watcher>, Option<Call<'c>>);

/// What became of a key in a request.
#[derive(Clone, Debug, PartialEq)]
struct Change {
    bucket: BucketName,
    key: Key,
    object: Option<Id>,
    /// What it showed before, when something was put into its place or it went.
    former: Option<Object>,
    existed: bool,
    exists: bool,
}

impl Change {
    /// Of an object that is here now, and was in another bucket.
    fn of_moved(bucket: &BucketName, object: Object) -> Self {
        Change {
            bucket: bucket.clone(),
            key: object.key,
            object: Some(object.id.0),
            former: None,
            existed: false,
            exists: true,
        }
    }

    fn names(&self) -> Names {
        let key = self.key.as_str();
        let mut names = vec![self.bucket.as_str().to_owned()];
        let inner = key.strip_suffix('/').unwrap_or(key);
        names.extend(inner.split('/').map(str::to_owned));
        Names {
            names,
            slash: key.ends_with('/'),
        }
    }

    /// What happened, when it was not moved.
    fn event(&self) -> Option<&'static str> {
        match (self.existed, self.exists) {
            (false, true) => Some("cdmi_create_complete"),
            (true, true) => Some("cdmi_modify_complete"),
            (true, false) => Some("cdmi_delete"),
            (false, false) => None,
        }
    }
}

/// What became of each key, in the order in which they were first changed.
fn changes(deeds: Vec<Deed>) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut places: BTreeMap<(BucketName, Key), usize> = BTreeMap::new();
    for Deed { event, former } in deeds {
        let shows = matches!(event.kind, EventKind::Written | EventKind::Updated);
        let goes = matches!(event.kind, EventKind::Removed | EventKind::Marked);
        // What was no longer shown goes unseen.
        let seen = shows || goes && event.former.is_some();
        // Buckets of an account's own have no path here.
        let Some(key) = event
            .key
            .filter(|_| seen && event.bucket.account().is_none())
        else {
            continue;
        };
        let place = (event.bucket, key);
        if let Some(change) = places.get(&place).and_then(|at| changes.get_mut(*at)) {
            change.exists = shows;
            continue;
        }
        places.insert(place.clone(), changes.len());
        let (bucket, key) = place;
        changes.push(Change {
            bucket,
            key,
            object: event.object.map(|id| id.0),
            existed: event.kind == EventKind::Updated || former.is_some(),
            former,
            exists: shows,
        });
    }
    changes
}

/// Those that were somewhere else before.
fn moved(changes: &[Change]) -> BTreeSet<Id> {
    let gone = changes.iter().filter(|change| !change.exists);
    let gone: BTreeSet<Id> = gone.filter_map(|change| change.object).collect();
    let new = changes.iter().filter(|change| change.exists);
    new.filter_map(|change| change.object)
        .filter(|id| gone.contains(id))
        .collect()
}

/// Counts a change for queues whose makers may know how much there is in its bucket.
async fn miss(
    wanting: &[&Told<'_>],
    bucket: &BucketName,
    known: &mut BTreeMap<(Id, BucketName), bool>,
) {
    for (watcher, creator) in wanting {
        let Some(creator) = creator else { continue };
        let at = (watcher.queue, bucket.clone());
        let may = match known.get(&at) {
            Some(may) => *may,
            None => {
                let resource = Resource::Bucket(bucket.clone());
                let lists = creator.grant(Action::ListObjects, resource).await;
                let may = creator.mends_lists() || lists.is_ok();
                known.insert(at, may);
                may
            }
        };
        if may {
            watcher.mailbox.miss(1);
        }
    }
}

impl Call<'_> {
    /// Tells queues what a request did at other places than those that are looked at already.
    pub(crate) async fn tell_deeds(
        &self,
        watchers: &[Arc<Watcher>],
        (deeds, named): (Vec<Deed>, &[Names]),
        (status, copies): (StatusCode, bool),
    ) {
        if deeds.is_empty() {
            return;
        }
        let changes = changes(deeds);
        let moved = moved(&changes);
        let told = (changes.as_slice(), named);
        self.tell_changes(watchers, told, (status, copies), &moved)
            .await;
    }

    /// Tells queues what is in a top-level container that was moved, each key as one that was.
    pub(crate) async fn tell_moved_bucket(
        &self,
        watchers: &[Arc<Watcher>],
        bucket: &BucketName,
        status: StatusCode,
    ) {
        let (mut after, mut left) = (None, LOOKS_MAX);
        loop {
            let Ok((objects, next)) = self.page(bucket, (String::new(), after)).await else {
                return;
            };
            left = left.saturating_sub(objects.len());
            let changes: Vec<Change> = objects
                .into_iter()
                .map(|object| Change::of_moved(bucket, object))
                .collect();
            let moved = changes.iter().filter_map(|change| change.object).collect();
            let told: (_, &[Names]) = (changes.as_slice(), &[]);
            self.tell_changes(watchers, told, (status, false), &moved)
                .await;
            match next.filter(|_| left > 0) {
                Some(next) => after = Some(next),
                None => return,
            }
        }
    }

    async fn tell_changes(
        &self,
        watchers: &[Arc<Watcher>],
        (changes, named): (&[Change], &[Names]),
        (status, copies): (StatusCode, bool),
        moved: &BTreeSet<Id>,
    ) {
        let mut queues: Vec<Told<'_>> = Vec::new();
        for watcher in watchers {
            let creator = self.cdmi.creator(watcher).boxed().await;
            queues.push((watcher.clone(), creator));
        }
        let (mut told, mut looks) = (0_usize, BTreeMap::new());
        let mut known = BTreeMap::new();
        for change in changes {
            let names = change.names();
            let is_moved = change.object.is_some_and(|id| moved.contains(&id));
            if named.contains(&names) {
                continue;
            }
            let mut events: Vec<&'static str> = match (is_moved, change.exists) {
                (true, true) => vec!["cdmi_rename"],
                (true, false) => continue,
                (false, _) => change.event().into_iter().collect(),
            };
            if copies && events == ["cdmi_create_complete"] {
                events.push("cdmi_copy");
            }
            let outcome = Outcome {
                events,
                status,
                time: self.cdmi.store.now(),
                object: None,
                uri: names.path(),
                security: false,
                data_system: false,
                // All of them are written at once.
                known: false,
            };
            told += 1;
            let may_want = |told: &&Told<'_>| told.0.watch.may_want_at(&names);
            let wanting = queues.iter().filter(may_want);
            let (wanting, missing): (Vec<_>, Vec<_>) = wanting.partition(|(watcher, _)| {
                let looks = looks.entry(watcher.account.clone()).or_insert(0_usize);
                *looks += 1;
                *looks <= LOOKS_MAX
            });
            miss(&missing, &change.bucket, &mut known).await;
            self.tell_change(&wanting, (change, &names), outcome).await;
            if told.is_multiple_of(TOLD_AT_ONCE) {
                self.deliver_all(watchers).await;
            }
        }
        if told > 0 {
            self.deliver_all(watchers).await;
        }
    }

    async fn deliver_all(&self, watchers: &[Arc<Watcher>]) {
        for watcher in watchers {
            self.cdmi.deliver(watcher).boxed().await;
        }
    }

    async fn tell_change(
        &self,
        wanting: &[&Told<'_>],
        (change, names): (&Change, &Names),
        mut outcome: Outcome,
    ) {
        if wanting.is_empty() {
            return;
        }
        let own = self.cdmi.own_call();
        let target = Target::Path(names.clone());
        let node = match change.exists {
            true => own.find(&target).boxed().await.ok().flatten(),
            false => own.gone(change, names).await,
        };
        let Some(node) = node else { return };
        outcome.object = Some(id_of(&node));
        let mut last = LastValue::default();
        for (watcher, creator) in wanting {
            let Some(creator) = creator.as_ref().filter(|_| watcher.queue != id_of(&node)) else {
                continue;
            };
            let seen = match change.exists {
                true => creator.sees(watcher, &node, &mut last).boxed().await,
                false => creator.sees_gone(watcher, &node).boxed().await,
            };
            self.tell(watcher, &outcome, seen).boxed().await;
        }
    }

    /// What was at a place that shows nothing any more.
    async fn gone(&self, change: &Change, names: &Names) -> Option<Node> {
        let object = change.former.clone()?;
        let parent = match names.parent() {
            Some(parent) => self.find(&Target::Path(parent)).boxed().await.ok()?,
            None => None,
        };
        let parent = parent.as_ref().map(id_of);
        if names.slash {
            let at = (change.bucket.clone(), change.key.clone());
            let container = Container::of(names.clone(), at, object, parent);
            return Some(Node::Container(Box::new(container)));
        }
        Some(Node::Leaf(Leaf {
            names: Some(names.clone()),
            parent,
            bucket: change.bucket.clone(),
            object: Box::new(object),
            version_of: None,
        }))
    }

    /// What the creator of a queue, whose call this is, could see of what is gone.
    async fn sees_gone(&self, watcher: &Watcher, node: &Node) -> Seen {
        let leaf = match node {
            Node::Container(container) => {
                let head = self.container_head(container).await;
                return head.ok().map(|head| head.into_map());
            }
            Node::Leaf(leaf) => leaf,
        };
        let object = &leaf.object;
        let owner = &object.owner;
        let owns = owner.account == watcher.account && owner.user == watcher.user;
        if !owns && !self.mends_lists() {
            if object.acl.is_some() || !object.tags.is_empty() {
                return None;
            }
            let right = self.grant(Action::ReadObjectMetadata, leaf.resource());
            right.await.ok()?;
        }
        let kind = match leaf.is_queue() {
            true => Kind::Queue,
            false => Kind::Object,
        };
        let head = self.data_head(leaf, kind).await;
        head.ok().map(|head| head.into_map())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trestle_core::ObjectId;
    use trestle_store::Event;

    fn deed(kind: EventKind, key: &str, (object, former): (u8, bool)) -> Deed {
        let id = |byte: u8| Id([byte; 16]);
        Deed {
            event: Event {
                kind,
                bucket: BucketName::parse("c").unwrap(),
                key: Some(Key::parse(key).unwrap()),
                object: Some(ObjectId(id(object))),
                version: None,
                length: None,
                owner: None,
                former: former.then(|| trestle_core::VersionId(id(object))),
                ended: None,
            },
            former: None,
        }
    }

    #[test]
    fn each_key_is_told_once_by_what_it_was_and_is() {
        let deeds = vec![
            deed(EventKind::Written, "new", (1, false)),
            deed(EventKind::Updated, "new", (1, false)),
            deed(EventKind::Updated, "old", (2, false)),
            deed(EventKind::Removed, "history", (3, false)),
            deed(EventKind::Removed, "from", (4, true)),
            deed(EventKind::Written, "d/to", (4, false)),
            deed(EventKind::Written, "short", (5, false)),
            deed(EventKind::Removed, "short", (5, true)),
        ];
        let changes = changes(deeds);
        let events: Vec<_> = changes
            .iter()
            .map(|change| (change.key.as_str(), change.event()))
            .collect();
        assert_eq!(
            events,
            [
                ("new", Some("cdmi_create_complete")),
                ("old", Some("cdmi_modify_complete")),
                // Without what it was, nothing can be told of it.
                ("from", None),
                ("d/to", Some("cdmi_create_complete")),
                ("short", None),
            ]
        );
        assert_eq!(moved(&changes), BTreeSet::from([Id([4; 16])]));
        assert_eq!(changes[3].names().path(), "/c/d/to");
    }
}
