//! The synchronisation of containers with other clusters: whose turn it is, and what one turn does.
//!
//! A container takes part from when it is given a key or a destination: then it is written into a
//! book, which is looked through every few seconds when something has happened. A turn first remembers
//! what was deleted here since the last one, then sends some of what is new. Containers that go to the
//! same cluster wait for each other in a row of that cluster's, [`AT_ONCE`] of them at work at a time,
//! so a cluster that stalls delays no other one's.

use crate::books::Book;
use crate::call::{Call, Place};
use crate::container::{SYNC_KEY, SYNC_TO};
use crate::facts;
use crate::fault::Outcome;
use crate::query::Query;
use crate::receive::take_away;
use crate::send::{Position, Transport, Way};
use crate::swift::Swift;
use crate::target::Target;
use crate::tempurl::Scope;
use crate::who::{Pass, Who};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use http::HeaderMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    AccountId, BucketId, BucketName, Error, ErrorKind, Id, Precondition, Result, Sequence,
    Timestamp,
};
use trestle_store::{Bucket, Event, EventKind, FeedEntry, ReadFeed, VersionRef, Versioning};

/// Containers of one cluster that have their turn at a time.
const AT_ONCE: usize = 4;
/// Batches of one container in one turn.
const BATCHES_MAX: usize = 10;
/// Entries of the feed that are looked through at once for deletions.
const NOTED_AT_ONCE: usize = 1000;
/// Commits after which a position is written though nothing happened to its container.
const POSITION_COMMITS: u64 = 1000;
/// Parts of the feed that are looked through for containers to which something happened; if there are
/// more, all are looked at.
const CHANGES_MAX: usize = 100;
/// Commits after which one in which nothing happened is looked at, so that it does not fall behind what
/// the feed keeps.
const IDLE_COMMITS: u64 = 100_000;
/// How long a container waits after its first failure in a row, twice as long after each further
/// one, and how long at most, in microseconds.
const PAUSE_MICROS: u64 = 2_000_000;
const PAUSE_MICROS_MAX: u64 = 300_000_000;

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// All is sent.
    Done,
    /// There is more to send.
    More,
    /// All is sent but what was refused.
    Refused,
}

/// A container that waits after a failure.
#[derive(Clone, Copy, Debug)]
struct Pause {
    /// Failures in a row.
    failures: u32,
    until: Timestamp,
    /// Whether all of it waits, or only what was refused.
    whole: bool,
}

/// Those that go to one cluster.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<BucketId>,
    running: usize,
}

/// Whose turn it is.
#[derive(Debug, Default)]
struct Queues {
    /// By server; those that go nowhere, but remember what is deleted, have the empty name.
    clusters: BTreeMap<String, Queue>,
    /// Containers that wait for their turn, or have it.
    busy: BTreeSet<BucketId>,
    /// Those of them to which something happened since.
    stale: BTreeSet<BucketId>,
    paused: BTreeMap<BucketId, Pause>,
    /// The newest commit when all were looked through.
    looked: Option<Sequence>,
}

impl Queues {
    /// A container that may have something to do.
    fn push(&mut self, server: &str, bucket: BucketId, now: Timestamp) {
        let pause = self.paused.get(&bucket);
        if pause.is_some_and(|pause| pause.whole && pause.until > now) {
            return;
        }
        if !self.busy.insert(bucket) {
            self.stale.insert(bucket);
        } else {
            let queue = self.clusters.entry(server.to_owned()).or_default();
            queue.waiting.push_back(bucket);
        }
    }

    /// Whose turn it is next, and of which cluster.
    fn next(&mut self) -> Option<(String, BucketId)> {
        let mut free = self.clusters.iter_mut();
        let (server, queue) =
            free.find(|(_, queue)| queue.running < AT_ONCE && !queue.waiting.is_empty())?;
        let bucket = queue.waiting.pop_front()?;
        queue.running += 1;
        Some((server.clone(), bucket))
    }

    /// A turn has ended.
    fn ended(
        &mut self,
        (server, bucket): (&str, BucketId),
        turn: &std::result::Result<Turn, String>,
        now: Timestamp,
    ) {
        self.busy.remove(&bucket);
        if let Some(queue) = self.clusters.get_mut(server) {
            queue.running = queue.running.saturating_sub(1);
            if queue.running == 0 && queue.waiting.is_empty() {
                self.clusters.remove(server);
            }
        }
        let stale = self.stale.remove(&bucket);
        let pause = self.paused.get(&bucket).copied();
        let failures = pause.map_or(0, |pause| pause.failures);
        match turn {
            Ok(Turn::Done | Turn::More) => drop(self.paused.remove(&bucket)),
            // It was not yet time to try what was refused.
            Ok(Turn::Refused) if pause.is_some_and(|pause| pause.until > now) => {}
            Ok(Turn::Refused) | Err(_) => {
                let micros = PAUSE_MICROS.saturating_mul(1 << failures.min(16));
                let pause = Pause {
                    failures: failures.saturating_add(1),
                    until: Timestamp(now.0.saturating_add(micros.min(PAUSE_MICROS_MAX))),
                    whole: turn.is_err(),
                };
                self.paused.insert(bucket, pause);
            }
        }
        if stale || matches!(turn, Ok(Turn::More)) {
            self.push(server, bucket, now);
        }
    }

    /// Whether a container has no turn, and waits for none.
    fn is_at_rest(&self, bucket: BucketId) -> bool {
        !self.busy.contains(&bucket) && !self.paused.contains_key(&bucket)
    }

    /// Whether what was refused is to be tried again.
    fn is_due(&self, bucket: BucketId, now: Timestamp) -> bool {
        self.paused
            .get(&bucket)
            .is_none_or(|pause| pause.until <= now)
    }
}

/// What has come about.
enum Ended {
    Pause,
    Turn(String, BucketId, std::result::Result<Turn, String>),
}

impl Swift {
    /// Whether there is anybody to synchronise with.
    pub fn synchronises(&self) -> bool {
        !self.settings.realms.is_empty()
    }

    /// Synchronises containers for as long as it is polled, by one caller. `pause` says when changes
    /// are looked for again.
    pub async fn synchronise(
        self: &Arc<Self>,
        transport: &dyn Transport,
        pause: &(dyn Fn() -> BoxFuture<'static, ()> + Send + Sync),
    ) {
        let mut queues = Queues::default();
        let mut running: FuturesUnordered<BoxFuture<'_, Ended>> = FuturesUnordered::new();
        let waited = || -> BoxFuture<'_, Ended> {
            let pause = pause();
            Box::pin(async move {
                pause.await;
                Ended::Pause
            })
        };
        running.push(waited());
        while let Some(ended) = running.next().await {
            match ended {
                Ended::Pause => {
                    if let Err(error) = self.look_through(&mut queues).await {
                        tracing::warn!(%error, "containers are not synchronised");
                    }
                    running.push(waited());
                }
                Ended::Turn(server, bucket, turn) => {
                    let now = self.host.clock.now();
                    queues.ended((&server, bucket), &turn, now);
                }
            }
            while let Some((server, bucket)) = queues.next() {
                let due = queues.is_due(bucket, self.host.clock.now());
                running.push(Box::pin(async move {
                    let turn = self.turn(bucket, due, transport).await;
                    Ended::Turn(server, bucket, turn)
                }));
            }
        }
    }

    /// Takes in the containers to which something has happened, and those that have waited long enough.
    async fn look_through(&self, queues: &mut Queues) -> Result<()> {
        let now = self.host.clock.now();
        let due = queues.paused.values().any(|pause| pause.until <= now);
        let asked = self.asked.lock().clone();
        let changed = match queues.looked {
            Some(after) => self.changed_since(after).await?,
            None => None,
        };
        let last = match &changed {
            Some((_, last)) => *last,
            // All are looked at.
            None => self.store.newest_sequence().await?,
        };
        if queues.looked == Some(last) && !due && asked.is_empty() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let (entries, next) = self.entries(Book::Synchronised, "", after).await?;
            for (name, entry) in entries {
                let Some(id) = Id::parse(&name).map(BucketId) else {
                    continue;
                };
                let Some(bucket) = self.synchronised(id).await? else {
                    self.forget(Book::Synchronised, &name).await?;
                    queues.paused.remove(&id);
                    self.reached.lock().remove(&id);
                    self.strangers.forget(id);
                    continue;
                };
                let Some(server) = self.server_of(&bucket) else {
                    queues.paused.remove(&id);
                    continue;
                };
                let changed = changed.as_ref();
                let happened = changed.is_none_or(|(names, _)| names.contains(&bucket.name));
                if happened || asked.contains(&id) || !queues.is_at_rest(id) {
                    queues.push(&server, id, now);
                    continue;
                }
                // All that happened to it was dealt with.
                self.reached.lock().insert(id, (last, last));
                let kept = Position::parse(&entry.text).map(|kept| kept.reached().1);
                if kept.is_none_or(|kept| last.0.abs_diff(kept.0) > IDLE_COMMITS) {
                    queues.push(&server, id, now);
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        queues.looked = Some(last);
        self.asked.lock().retain(|id| !asked.contains(id));
        Ok(())
    }

    /// In which buckets something happened after a commit, and up to which one; none when that is no
    /// longer kept, or too much.
    async fn changed_since(
        &self,
        after: Sequence,
    ) -> Result<Option<(BTreeSet<BucketName>, Sequence)>> {
        let (mut names, mut last) = (BTreeSet::new(), after);
        for _ in 0..CHANGES_MAX {
            let changed = match self.store.changed_buckets(last).await {
                Err(error) if error.kind() == ErrorKind::NoLongerKept => return Ok(None),
                changed => changed?,
            };
            names.extend(changed.names);
            last = changed.last;
            if !changed.more {
                return Ok(Some((names, last)));
            }
        }
        Ok(None)
    }

    /// A container by its id; none when it has gone.
    async fn synchronised(&self, id: BucketId) -> Result<Option<Bucket>> {
        let found = async {
            let name = self.store.find_bucket_by_id(id).await?;
            self.store.bucket_settings(&name).await
        };
        match found.await {
            Ok(bucket) => Ok(Some(bucket)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The cluster that a container goes to; the empty name when it goes nowhere, none when it takes
    /// no part.
    fn server_of(&self, bucket: &Bucket) -> Option<String> {
        let documents = &bucket.properties.documents;
        documents.get(SYNC_KEY)?;
        let to = documents.get(SYNC_TO);
        let to = to.map(|to| self.settings.realms.destination(to));
        Some(to.map_or_else(String::new, |to| {
            // What leads nowhere any more is told by its turn.
            to.map_or_else(|_| String::new(), |to| to.server)
        }))
    }

    /// Writes a container down that has been given a key or a destination.
    pub(crate) async fn take_part(&self, bucket: BucketId) -> Result<()> {
        let position = Position::new(self.store.newest_sequence().await?);
        let (name, absent) = (bucket.to_string(), Precondition::absent());
        let place = (Book::Synchronised, name.as_str());
        // Who takes part already goes on.
        let _new = self.keep(place, position.text(), absent, None).await?;
        Ok(())
    }

    /// Lets a container be looked at whose key or destination has just changed.
    pub(crate) fn look_at(&self, bucket: Option<BucketId>) {
        if self.synchronises() {
            self.asked.lock().extend(bucket);
        }
    }

    async fn turn(
        self: &Arc<Self>,
        id: BucketId,
        due: bool,
        transport: &dyn Transport,
    ) -> std::result::Result<Turn, String> {
        let Some(bucket) = self.synchronised(id).await.map_err(said)? else {
            return Ok(Turn::Done);
        };
        let turn = self.turn_of(&bucket, due, transport).await;
        if let Err(message) = &turn {
            let container = bucket.name.as_str();
            tracing::warn!(container, message, "a container is not synchronised");
        }
        turn
    }

    async fn turn_of(
        self: &Arc<Self>,
        bucket: &Bucket,
        due: bool,
        transport: &dyn Transport,
    ) -> std::result::Result<Turn, String> {
        let name = bucket.id.to_string();
        let entry = self.entry(Book::Synchronised, &name).await.map_err(said)?;
        let Some(entry) = entry else {
            return Ok(Turn::Done);
        };
        let kept = Position::parse(&entry.text);
        let mut kept = kept.ok_or("how far it is cannot be read")?;
        if let Some(reached) = self.reached.lock().get(&bucket.id) {
            kept.resume(*reached);
        }
        let call = self.own_call(&bucket.owner.account, bucket.name.local());
        let mut turn = Working {
            call: &call,
            bucket,
            position: kept.clone(),
            kept,
            name: &name,
        };
        let noted = turn.note().await.map_err(said)?;
        turn.save().await.map_err(said)?;
        let documents = &bucket.properties.documents;
        let ended = match (documents.get(SYNC_TO), documents.get(SYNC_KEY)) {
            (Some(to), Some(key)) => {
                let way = Way {
                    call: &call,
                    bucket,
                    destination: self.settings.realms.destination(to)?,
                    key,
                    transport,
                };
                turn.position.turn_to(to);
                turn.send(&way, due).await?
            }
            _ => Turn::Done,
        };
        match (ended, noted) {
            (ended, true) => Ok(ended),
            (_, false) => Ok(Turn::More),
        }
    }

    /// Somebody who may read everything of an account.
    fn own_call(self: &Arc<Self>, account: &AccountId, container: &str) -> Call {
        let name = self.prefixes.name(account);
        let mut who = Who::anonymous();
        who.pass = Some(Pass::new(Scope::Account, &name, container));
        Call {
            swift: self.clone(),
            method: "GET".to_owned(),
            target: Target {
                account: name,
                container: Some(container.to_owned()),
                object: None,
                slash: false,
            },
            account: account.clone(),
            query: Query::default(),
            headers: HeaderMap::new(),
            who,
            now: self.host.clock.now(),
            remote: None,
            secure: true,
            request_id: "container-sync".to_owned(),
            origin: String::new(),
            below: String::new(),
            temp_url: None,
            received: None,
        }
    }
}

impl Call {
    /// The name of a bucket of the call's account.
    pub(crate) fn bucket_by(&self, bucket: &Bucket) -> BucketName {
        BucketName::in_account(&self.account, bucket.name.local())
            .unwrap_or_else(|_| bucket.name.clone())
    }

    /// A grant to look through a container and its feed.
    pub(crate) async fn on_container(&self, bucket: &Bucket) -> Result<Grant> {
        let resource = Resource::Bucket(self.bucket_by(bucket));
        self.grant(Action::ListObjects, resource).await
    }
}

pub(crate) fn said(error: Error) -> String {
    error.to_string()
}

/// What a turn works on.
struct Working<'a> {
    call: &'a Call,
    bucket: &'a Bucket,
    position: Position,
    /// As it was last written.
    kept: Position,
    name: &'a str,
}

impl Working<'_> {
    /// Writes the position, if it says something new.
    async fn save(&mut self) -> Result<()> {
        let reached = self.position.reached();
        let swift = &self.call.swift;
        if !self.position.differs(&self.kept, POSITION_COMMITS) {
            // Nothing of it happened: what is written says the same.
            swift.reached.lock().insert(self.bucket.id, reached);
            return Ok(());
        }
        let place = (Book::Synchronised, self.name);
        let text = self.position.text();
        swift.keep(place, text, Precondition::none(), None).await?;
        swift.reached.lock().insert(self.bucket.id, reached);
        self.kept = self.position.clone();
        Ok(())
    }

    /// Sends what is new, and what was refused if that is `due`.
    async fn send(&mut self, way: &Way<'_>, due: bool) -> std::result::Result<Turn, String> {
        let mut outcome = Ok(true);
        if due {
            outcome = way.again(&mut self.position).await.map(|()| true);
        }
        for _ in 0..BATCHES_MAX {
            if outcome != Ok(true) {
                break;
            }
            outcome = way.batch(&mut self.position).await;
            self.save().await.map_err(said)?;
        }
        self.save().await.map_err(said)?;
        Ok(match (outcome?, self.position.has_refused()) {
            (true, _) => Turn::More,
            (false, true) => Turn::Refused,
            (false, false) => Turn::Done,
        })
    }

    /// Remembers what was deleted since the last turn. Whether that is all.
    async fn note(&mut self) -> Result<bool> {
        let store = &self.call.swift.store;
        for _ in 0..BATCHES_MAX {
            let grant = self.call.on_container(self.bucket).await?;
            let feed = ReadFeed {
                bucket: self.call.bucket_by(self.bucket),
                after: self.position.noted,
                limit: NOTED_AT_ONCE,
            };
            let page = match store.read_feed(&grant, &feed).await {
                Err(error) if error.kind() == ErrorKind::NoLongerKept => {
                    tracing::warn!("deletions were forgotten before they were remembered");
                    self.position.noted = store.newest_sequence().await?;
                    return Ok(true);
                }
                page => page?,
            };
            for entry in &page.entries {
                self.note_entry(entry).await?;
            }
            self.position.noted = page.last;
            if !page.more {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn note_entry(&mut self, entry: &FeedEntry) -> Result<()> {
        let goes = |kind| matches!(kind, EventKind::Removed | EventKind::Marked);
        let events = || entry.events.iter().filter(|event| event.key.is_some());
        let written: BTreeSet<_> = events()
            .filter(|event| !goes(event.kind))
            .map(|event| &event.key)
            .collect();
        for event in events() {
            if !goes(event.kind) || written.contains(&event.key) {
                continue;
            }
            self.deleted(event, entry.time).await?;
        }
        Ok(())
    }

    /// A key lost a version by a commit of this time.
    async fn deleted(&mut self, event: &Event, time: Timestamp) -> Result<()> {
        let (swift, id) = (&self.call.swift, self.bucket.id);
        let versions = self.bucket.properties.versioning != Versioning::Off;
        // A version that goes says nothing of what is current.
        let shown = event.former.or(event.version.filter(|_| !versions));
        let (Some(key), true) = (&event.key, shown.is_some()) else {
            return Ok(());
        };
        let key = key.as_str();
        self.position.handle();
        let time = match &event.ended {
            // Everybody else has it end, too. What is newer than it is not deleted by its end, so
            // nothing but itself, and what is older, may not come back.
            Some(ended) => facts::time_of_ended(ended, id, key),
            None => facts::precise(time),
        };
        let stone = swift.tombstone(id, key).await?;
        if stone.is_some_and(|stone| stone.took(shown)) {
            // It is remembered with the time that it has elsewhere.
            return Ok(());
        }
        let place = Place {
            account: self.call.account.clone(),
            container: self.bucket.name.local().to_owned(),
            object: key.to_owned(),
        };
        let there = match self.call.look(&place, VersionRef::Current).await {
            Ok(found) => Some(found.object),
            Err(fault) if fault.status() == 404 => None,
            Err(fault) => return Err(Error::new(ErrorKind::Unavailable, fault.body())),
        };
        let Some(there) = there else {
            return swift.bury((id, key), time, None).await;
        };
        // What was written here since, or is newer elsewhere, stays, and so does an older version that
        // the deletion brought forward.
        let older = versions && event.version.is_some_and(|gone| there.version <= gone);
        if older || facts::origin(&there, id).is_none_or(|origin| origin > time) {
            return Ok(());
        }
        swift.bury((id, key), time, Some(there.version)).await?;
        let at = self
            .call
            .again("DELETE", &place.account, &place.container, key);
        let gone: Outcome<bool> = take_away(&at, &there).await;
        gone.map(drop)
            .map_err(|fault| Error::new(ErrorKind::Unavailable, fault.body()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(number: u8) -> BucketId {
        BucketId(Id([number; 16]))
    }

    #[test]
    fn a_cluster_that_stalls_delays_no_other() {
        let mut queues = Queues::default();
        let now = Timestamp(0);
        for number in 0..10 {
            queues.push("http://stalled", bucket(number), now);
        }
        queues.push("http://well", bucket(10), now);
        let mut turns = Vec::new();
        while let Some(turn) = queues.next() {
            turns.push(turn);
        }
        assert_eq!(turns.len(), AT_ONCE + 1);
        assert_eq!(
            turns.last().unwrap(),
            &("http://well".to_owned(), bucket(10))
        );
        // Whose turn has ended stands behind the others.
        let first = turns.first().unwrap().clone();
        queues.ended((&first.0, first.1), &Ok(Turn::More), now);
        let next = queues.next().unwrap().1;
        assert_eq!(next, bucket(4));
        assert!(queues.next().is_none());
        for number in [1, 2, 3, 4] {
            queues.ended(("http://stalled", bucket(number)), &Ok(Turn::Done), now);
        }
        let rest: Vec<_> = std::iter::from_fn(|| queues.next())
            .map(|turn| turn.1)
            .collect();
        assert_eq!(rest, [5, 6, 7, 8].map(bucket));
        for number in [5, 6, 7, 8] {
            queues.ended(("http://stalled", bucket(number)), &Ok(Turn::Done), now);
        }
        let rest: Vec<_> = std::iter::from_fn(|| queues.next())
            .map(|turn| turn.1)
            .collect();
        assert_eq!(rest, [9, 0].map(bucket));
    }

    #[test]
    fn what_happens_in_a_turn_is_for_another_one() {
        let mut queues = Queues::default();
        let now = Timestamp(0);
        queues.push("s", bucket(1), now);
        assert!(!queues.is_at_rest(bucket(1)));
        let turn = queues.next().unwrap();
        queues.push("s", bucket(1), now);
        assert!(queues.next().is_none());
        queues.ended(("s", turn.1), &Ok(Turn::Done), now);
        assert_eq!(queues.next(), Some(turn));
        queues.ended(("s", bucket(1)), &Ok(Turn::Done), now);
        assert!(queues.next().is_none() && queues.is_at_rest(bucket(1)));
    }

    #[test]
    fn who_fails_waits_and_is_forgotten_when_all_is_well() {
        let mut queues = Queues::default();
        let failed = Err("no".to_owned());
        let take = |queues: &mut Queues, now| {
            queues.push("s", bucket(1), Timestamp(now));
            queues.next().is_some()
        };
        let end = |queues: &mut Queues, turn: &_, now| {
            queues.ended(("s", bucket(1)), turn, Timestamp(now));
        };
        assert!(take(&mut queues, 0));
        end(&mut queues, &failed, 0);
        assert!(!take(&mut queues, PAUSE_MICROS - 1));
        assert!(take(&mut queues, PAUSE_MICROS));
        end(&mut queues, &failed, PAUSE_MICROS);
        assert!(!take(&mut queues, 3 * PAUSE_MICROS - 1));
        assert!(take(&mut queues, 3 * PAUSE_MICROS));
        // What is new goes on while what was refused waits.
        end(&mut queues, &Ok(Turn::Refused), 3 * PAUSE_MICROS);
        assert!(!queues.is_due(bucket(1), Timestamp(4 * PAUSE_MICROS)));
        assert!(take(&mut queues, 4 * PAUSE_MICROS));
        let until = queues.paused.get(&bucket(1)).unwrap().until;
        end(&mut queues, &Ok(Turn::Refused), 4 * PAUSE_MICROS);
        assert_eq!(queues.paused.get(&bucket(1)).unwrap().until, until);
        assert!(queues.is_due(bucket(1), until));
        assert!(take(&mut queues, until.0));
        end(&mut queues, &Ok(Turn::Done), until.0);
        assert!(queues.paused.is_empty() && queues.busy.is_empty() && queues.clusters.is_empty());
    }
}
