//! What the verbs mean, over plain maps.

use super::ask::fingerprint;
use super::blocks;
use super::choose::BODY_MAX;
use super::contents::{self, Upload};
use super::joined::{self, Joined, MAYBE};
use super::listing::{list, list_versions};
use super::operation::{Condition, Operation, Property, Which};
use super::snapshots;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use trestle_core::{ErrorKind, Metadata, Noun, ResolvedRange};
use trestle_store::{History, Versioning};

/// An answer, comparable: text for what is listed or read, or the meaning of the error.
pub(super) type Answer = std::result::Result<String, ErrorKind>;

/// Stands for the text of the key's newest version, whose id is the store's to choose.
pub(super) const NEWEST: &str = "@newest";

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    /// Empty until the store has told it.
    pub(super) revision: String,
    pub(super) bytes: Bytes,
    pub(super) kind: String,
    pub(super) metadata: Metadata,
    pub(super) tag: Option<String>,
    pub(super) hold: bool,
    /// Strictly, until when.
    pub(super) retention: Option<(bool, u64)>,
    pub(super) expires: Option<u64>,
    pub(super) null: bool,
    pub(super) marker: bool,
    pub(super) directory: bool,
    /// Whether it is what its key shows: of all versions of a key, one at most.
    pub(super) current: bool,
    pub(super) volume: bool,
    /// A snapshot, which never changes.
    pub(super) frozen: bool,
    /// What it joins, when it is a manifest: then its bytes are what they were when it was made.
    pub(super) joined: Option<Joined>,
}

impl Stored {
    pub(super) fn text(&self) -> String {
        let metadata = serde_json::to_string(&self.metadata).unwrap_or_default();
        let kind = match (self.marker, self.directory) {
            (true, _) => "marker",
            (_, true) => "directory",
            _ => &self.kind,
        };
        format!(
            "{} {} {kind} {metadata} {:?} {} {:?} {:?} {} {} {}",
            self.revision,
            self.bytes.len(),
            self.tag,
            self.hold,
            self.retention,
            self.expires,
            self.null,
            self.volume,
            self.frozen
        )
    }

    pub(super) fn marker(null: bool) -> Self {
        Stored {
            revision: String::new(),
            bytes: Bytes::new(),
            kind: String::new(),
            metadata: Metadata::new(),
            tag: None,
            hold: false,
            retention: None,
            expires: None,
            null,
            marker: true,
            directory: false,
            current: false,
            volume: false,
            frozen: false,
            joined: None,
        }
    }

    /// How many bytes it has itself.
    pub(super) fn own(&self) -> u64 {
        match &self.joined {
            Some(joined) => joined.own.unwrap_or_default(),
            None => self.bytes.len() as u64,
        }
    }

    pub(super) fn has_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    pub(super) fn check(&self, now: u64, bypass: bool) -> Result<(), ErrorKind> {
        let retained = self
            .retention
            .is_some_and(|(strict, until)| until > now && (strict || !bypass));
        match self.hold || retained {
            true => Err(ErrorKind::Locked),
            false => Ok(()),
        }
    }

    /// What is new with each change of its bytes.
    pub(super) fn bytes_id(&self) -> &str {
        match self.volume {
            true => &self.revision,
            false => self.id(),
        }
    }

    /// The revision after a change that makes no version.
    pub(super) fn changed(&mut self) {
        let (id, change) = self.revision.split_once('-').unwrap_or_default();
        let change: u64 = change.parse().unwrap_or_default();
        self.revision = format!("{id}-{}", change + 1);
    }

    /// The id of the version.
    pub(super) fn id(&self) -> &str {
        self.revision.split('-').next().unwrap_or_default()
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bucket {
    pub(super) versioning: Versioning,
    pub(super) quota: (Option<u64>, Option<u64>),
    /// Versions from the newest on; never none.
    pub(super) keys: BTreeMap<String, Vec<Stored>>,
    pub(super) uploads: Vec<Upload>,
    /// By name, each as a bucket.
    pub(super) snapshots: BTreeMap<String, Bucket>,
    /// Of a snapshot or a clone: objects and bytes that had ended, and were counted still.
    pub(super) ended: (u64, u64),
    /// Of a snapshot: the keys of what never changed before either.
    pub(super) solid: BTreeSet<String>,
    /// How many times it is a clone of a clone.
    pub(super) depth: usize,
    /// Whether it is a clone or was cloned, so that its counters do not tell what is stored.
    pub(super) tied: bool,
}

/// Objects, bytes, versions in history, and their bytes.
pub(super) type Totals = (u64, u64, u64, u64);

impl Bucket {
    pub(super) fn totals(&self) -> Totals {
        let mut totals = (self.ended.0, self.ended.1, 0, 0);
        for versions in self.keys.values() {
            for version in versions {
                let length = version.own();
                if version.current {
                    totals = (totals.0 + 1, totals.1 + length, totals.2, totals.3);
                } else {
                    totals = (totals.0, totals.1, totals.2 + 1, totals.3 + length);
                }
            }
        }
        totals
    }

    pub(super) fn check_quota(&self, former: Totals) -> Result<(), ErrorKind> {
        let new = self.totals();
        let passed = |limit: Option<u64>, former: u64, new: u64| {
            new > former && limit.is_some_and(|limit| new > limit)
        };
        let bytes = passed(self.quota.0, former.1 + former.3, new.1 + new.3);
        match bytes || passed(self.quota.1, former.0, new.0) {
            true => Err(ErrorKind::QuotaExceeded),
            false => Ok(()),
        }
    }

    /// Whether it has a limit.
    pub(super) fn has_quota(&self) -> bool {
        self.quota != (None, None)
    }

    /// What the key holds, whether or not it has ended.
    pub(super) fn current(&self, key: &str) -> Option<&Stored> {
        self.keys.get(key)?.iter().find(|version| version.current)
    }

    pub(super) fn live(&self, key: &str, now: u64) -> Option<&Stored> {
        self.current(key)
            .filter(|current| !current.has_expired(now))
    }

    pub(super) fn position(&self, key: &str, which: Which) -> Option<usize> {
        let versions = self.keys.get(key)?;
        match which {
            Which::Current => versions.iter().position(|version| version.current),
            Which::Null => versions.iter().position(|version| version.null),
            Which::Nth(n) => (n < versions.len()).then_some(n),
        }
    }

    pub(super) fn target(&self, key: &str, which: Which, now: u64) -> Option<&Stored> {
        match which {
            Which::Current => self.live(key, now),
            _ => {
                let at = self.position(key, which)?;
                self.keys.get(key)?.get(at)
            }
        }
    }

    /// A version that can be read.
    pub(super) fn readable(&self, key: &str, which: Which, now: u64) -> Result<&Stored, ErrorKind> {
        let missing = match which {
            Which::Current => ErrorKind::NotFound(Noun::Object),
            _ => ErrorKind::NotFound(Noun::Version),
        };
        let at = self.position(key, which).ok_or(missing)?;
        let version = self.keys.get(key).and_then(|versions| versions.get(at));
        let version = version.ok_or(missing)?;
        let goes = match self.versioning {
            Versioning::Off => true,
            Versioning::Enabled => false,
            Versioning::Suspended => version.null,
        };
        let ended = version.current && version.has_expired(now);
        match version.marker || ended && (goes || which == Which::Current) {
            true => Err(ErrorKind::NotFound(Noun::Object)),
            false => Ok(version),
        }
    }

    /// Makes something the newest version of a key.
    pub(super) fn install(
        &mut self,
        key: &str,
        mut new: Stored,
        now: u64,
    ) -> Result<(), ErrorKind> {
        self.check_place(key, new.volume)?;
        new.null = self.versioning != Versioning::Enabled;
        new.current = true;
        let versions = self.keys.entry(key.to_owned()).or_default();
        let replaced = match self.versioning {
            Versioning::Off => versions.first().map(|_| 0),
            Versioning::Enabled => None,
            Versioning::Suspended => versions.iter().position(|version| version.null),
        };
        if let Some(at) = replaced {
            let checked = versions.get(at).map_or(Ok(()), |v| v.check(now, false));
            checked?;
            versions.remove(at);
        }
        versions.iter_mut().for_each(|other| other.current = false);
        versions.insert(0, new);
        Ok(())
    }

    /// Refuses to put anything in place of a snapshot, or anything else in place of a volume.
    fn check_place(&self, key: &str, volume: bool) -> Result<(), ErrorKind> {
        match self.current(key) {
            Some(there) if there.frozen || there.volume && !volume => Err(ErrorKind::InvalidState),
            _ => Ok(()),
        }
    }

    /// Removes a version; `forward`: what comes after what the key showed is shown then.
    fn remove(
        &mut self,
        key: &str,
        (at, forward): (usize, bool),
        now: u64,
        bypass: bool,
    ) -> Result<(), ErrorKind> {
        if let Some(versions) = self.keys.get_mut(key)
            && let Some(version) = versions.get(at)
        {
            version.check(now, bypass)?;
            let nothing = !versions.iter().any(|other| other.current);
            let shown = version.current || nothing && at == 0 && version.marker;
            versions.remove(at);
            if let Some(newest) = versions.first_mut()
                && forward
                && shown
            {
                newest.current = !newest.marker;
            }
            if versions.is_empty() {
                self.keys.remove(key);
            }
        }
        Ok(())
    }

    /// As a delete without a version does.
    fn delete(&mut self, key: &str, now: u64, bypass: bool) -> Result<(), ErrorKind> {
        if self.versioning == Versioning::Off {
            return self.remove(key, (0, true), now, bypass);
        }
        if self.versioning == Versioning::Suspended
            && let Some(at) = self.position(key, Which::Null)
        {
            let versions = self.keys.get_mut(key);
            if let Some(versions) = versions
                && let Some(null) = versions.get(at)
            {
                null.check(now, bypass)?;
                versions.remove(at);
            }
        }
        let null = self.versioning == Versioning::Suspended;
        let versions = self.keys.entry(key.to_owned()).or_default();
        versions.iter_mut().for_each(|other| other.current = false);
        versions.insert(0, Stored::marker(null));
        Ok(())
    }

    /// What the key shows goes into history.
    fn withdraw(&mut self, key: &str) {
        let versions = self.keys.get_mut(key).into_iter().flatten();
        versions.for_each(|version| version.current = false);
    }

    fn check_all(&self, key: &str, now: u64, bypass: bool) -> Result<(), ErrorKind> {
        let versions = self.keys.get(key).into_iter().flatten();
        versions.into_iter().try_for_each(|v| v.check(now, bypass))
    }

    fn below(&self, prefix: &str) -> Vec<String> {
        let keys = self.keys.keys().filter(|key| key.starts_with(prefix));
        keys.cloned().collect()
    }
}

/// Buckets by name.
pub(super) type Model = BTreeMap<String, Bucket>;

pub(super) fn holds(condition: Condition, current: Option<&Stored>) -> Result<(), ErrorKind> {
    let holds = match condition {
        Condition::None => true,
        Condition::Absent => current.is_none(),
        Condition::Current => current.is_some(),
        Condition::Other => false,
    };
    match holds {
        true => Ok(()),
        false => Err(ErrorKind::PreconditionFailed),
    }
}

/// What the model answers; `model` becomes the state after it, if the answer is no error.
pub(super) fn expect(
    model: &mut Model,
    now: u64,
    (name, key): (&str, &str),
    operation: &Operation,
) -> Answer {
    match operation {
        Operation::ListBuckets { prefix, limit } => {
            let names: Vec<&String> = model.keys().filter(|n| n.starts_with(prefix)).collect();
            let next = (names.len() > *limit && *limit > 0).then(|| names.get(*limit - 1));
            let shown: Vec<&&String> = names.iter().take(*limit).collect();
            return Ok(format!("{shown:?} {:?}", next.flatten()));
        }
        Operation::CreateBucket => {
            if model.contains_key(name) {
                return Err(ErrorKind::AlreadyExists(Noun::Bucket));
            }
            model.insert(name.to_owned(), Bucket::default());
            return Ok(String::new());
        }
        Operation::Expire => return expire(model, now),
        Operation::Contents(made) => return contents::expect(model, now, (name, key), made),
        Operation::Blocks(blocks) => return blocks::expect(model, now, (name, key), blocks),
        Operation::Snapshots(made) => return snapshots::expect(model, now, (name, key), made),
        Operation::Rename { bucket, key: to } => {
            return rename(model, now, (name, key), (bucket, to));
        }
        Operation::RenameTree { bucket, prefix } => {
            return rename_tree(model, now, (name, key), (bucket, prefix));
        }
        _ => {}
    }
    let missing = ErrorKind::NotFound(Noun::Bucket);
    let bucket = model.get_mut(name).ok_or(missing)?;
    match operation {
        Operation::DeleteBucket
            if !bucket.keys.is_empty()
                || !bucket.uploads.is_empty()
                || !bucket.snapshots.is_empty() =>
        {
            Err(ErrorKind::NotEmpty)
        }
        Operation::DeleteBucket => {
            model.remove(name);
            Ok(String::new())
        }
        Operation::Bucket => {
            let (totals, quota) = (bucket.totals(), bucket.quota);
            Ok(format!("{:?} {totals:?} {quota:?}", bucket.versioning))
        }
        Operation::Versioning(Versioning::Off) if bucket.versioning != Versioning::Off => {
            Err(ErrorKind::InvalidState)
        }
        Operation::Versioning(versioning) => {
            bucket.versioning = *versioning;
            Ok(String::new())
        }
        Operation::Quota(bytes, objects) => {
            bucket.quota = (*bytes, *objects);
            Ok(String::new())
        }
        Operation::List(listed) => Ok(list(bucket, listed, now)),
        Operation::ListVersions(listed) => Ok(list_versions(bucket, listed)),
        Operation::Head(which) => bucket.readable(key, *which, now).map(Stored::text),
        Operation::Read { which, range } => {
            let stored = bucket.readable(key, *which, now)?.clone();
            let bytes = &stored.bytes;
            let length = bytes.len() as u64;
            let range = match range {
                Some(range) => range.resolve(length).map_err(|error| error.kind())?,
                None => ResolvedRange {
                    start: 0,
                    end: length,
                },
            };
            let (start, end) = (range.start as usize, range.end as usize);
            let certain = joined::resolve(model, now, &stored, (start, end))?;
            let said = fingerprint(&bytes.slice(start..end));
            Ok(match certain {
                true => said,
                false => format!("{MAYBE}{said}"),
            })
        }
        Operation::DeleteTree { erase } => delete_tree(bucket, now, key, *erase),
        Operation::Put { .. } | Operation::CreateDirectory { .. } => {
            put(bucket, now, key, operation)
        }
        Operation::Update {
            which,
            property,
            bypass,
        } => update(bucket, now, key, (*which, property, *bypass)),
        Operation::Delete { .. } => delete(bucket, now, key, operation),
        Operation::Reinstate(which) => reinstate(bucket, key, *which),
        _ => Err(ErrorKind::Internal),
    }
}

/// What is refused before a body is read.
fn check_room(bucket: &Bucket, now: u64, key: &str, declared: u64) -> Result<(), ErrorKind> {
    let mut after = bucket.clone();
    let new = Stored {
        bytes: vec![0; declared as usize].into(),
        marker: false,
        ..Stored::marker(false)
    };
    after.install(key, new, now)?;
    match declared > BODY_MAX as u64 {
        true => after.check_quota(bucket.totals()),
        false => Ok(()),
    }
}

fn put(bucket: &mut Bucket, now: u64, key: &str, operation: &Operation) -> Answer {
    let mut new = Stored {
        marker: false,
        ..Stored::marker(false)
    };
    match operation {
        Operation::Put {
            bytes,
            kind,
            metadata,
            condition,
            declared,
            expires,
        } => {
            holds(*condition, bucket.live(key, now))?;
            let length = (bytes.len() as u64).checked_add_signed(*declared);
            check_room(bucket, now, key, length.unwrap_or(0))?;
            // An empty body cannot be declared shorter than it is.
            if *declared != 0 && (bytes.len() as u64).checked_add_signed(*declared).is_some() {
                return Err(ErrorKind::IncompleteBody);
            }
            new.bytes = bytes.clone();
            new.kind = kind.clone();
            new.metadata = metadata.clone();
            new.expires = expires.map(|after| now + after);
        }
        Operation::CreateDirectory { condition } => {
            holds(*condition, bucket.live(key, now))?;
            new.directory = true;
        }
        _ => return Err(ErrorKind::Internal),
    }
    let former = bucket.totals();
    bucket.install(key, new, now)?;
    bucket.check_quota(former)?;
    Ok(NEWEST.to_owned())
}

fn update(
    bucket: &mut Bucket,
    now: u64,
    key: &str,
    (which, property, bypass): (Which, &Property, bool),
) -> Answer {
    let mut new = bucket.readable(key, which, now)?.clone();
    let former = new.clone();
    match property {
        Property::Metadata(metadata) => new.metadata = metadata.clone(),
        Property::Tag(tag) => new.tag = Some(tag.clone()),
        Property::Untag => new.tag = None,
        Property::Hold(hold) => new.hold = *hold,
        Property::Retain(strict, after) => new.retention = Some((*strict, now + after)),
        Property::Release => new.retention = None,
        Property::Expires(after) => new.expires = after.map(|after| now + after),
    }
    let described =
        new.metadata != former.metadata || new.tag != former.tag || new.expires != former.expires;
    if former.frozen && described {
        return Err(ErrorKind::InvalidState);
    }
    if let Some((strict, until)) = former.retention
        && until > now
        && (strict || !bypass)
        && new.retention.is_none_or(|(s, u)| s != strict || u < until)
    {
        return Err(ErrorKind::Locked);
    }
    if new != former {
        new.changed();
    }
    let text = new.text();
    if let Some(at) = bucket.position(key, which)
        && let Some(place) = bucket.keys.get_mut(key).and_then(|v| v.get_mut(at))
    {
        *place = new;
    }
    Ok(text)
}

fn delete(bucket: &mut Bucket, now: u64, key: &str, operation: &Operation) -> Answer {
    let Operation::Delete {
        which,
        condition,
        history,
        mark_missing,
        bypass,
    } = operation
    else {
        return Err(ErrorKind::Internal);
    };
    let target = bucket.target(key, *which, now);
    holds(*condition, target)?;
    let removed = target.map(Stored::text);
    let answer = |removed: Option<String>, marked: bool| format!("{removed:?} {marked}");
    if *which != Which::Current {
        let missing = ErrorKind::NotFound(Noun::Version);
        let at = bucket.position(key, *which).ok_or(missing)?;
        let forward = *history != History::Leave;
        bucket.remove(key, (at, forward), now, *bypass)?;
        return Ok(answer(removed, false));
    }
    let missing = ErrorKind::NotFound(Noun::Object);
    if *history == History::Erase {
        bucket.check_all(key, now, *bypass)?;
        let removed = bucket.current(key).map(Stored::text);
        return match bucket.keys.remove(key) {
            Some(_) => Ok(answer(removed, false)),
            None => Err(missing),
        };
    }
    let versioned = bucket.versioning != Versioning::Off;
    if removed.is_none() && !(versioned && *mark_missing) {
        return Err(missing);
    }
    if *history == History::Leave && versioned {
        bucket.current(key).ok_or(missing)?;
        bucket.withdraw(key);
        return Ok(answer(removed, false));
    }
    bucket.delete(key, now, *bypass)?;
    Ok(answer(removed, versioned))
}

fn reinstate(bucket: &mut Bucket, key: &str, which: Which) -> Answer {
    let former = bucket.totals();
    let missing = ErrorKind::NotFound(Noun::Version);
    let at = bucket.position(key, which).ok_or(missing)?;
    let versions = bucket.keys.get(key).ok_or(missing)?;
    let version = versions.get(at).filter(|version| !version.marker);
    let volume = version.ok_or(ErrorKind::NotFound(Noun::Object))?.volume;
    bucket.check_place(key, volume)?;
    let versions = bucket.keys.get_mut(key).ok_or(missing)?;
    let mut text = String::new();
    for (other, version) in versions.iter_mut().enumerate() {
        version.current = other == at;
        if other == at {
            text = version.text();
        }
    }
    bucket.check_quota(former)?;
    Ok(text)
}

fn delete_tree(bucket: &mut Bucket, now: u64, prefix: &str, erase: bool) -> Answer {
    let mut keys = bucket.below(prefix);
    if !erase {
        keys.retain(|key| bucket.current(key).is_some());
    }
    if keys.is_empty() {
        return Err(ErrorKind::NotFound(Noun::Object));
    }
    for key in &keys {
        if erase {
            bucket.check_all(key, now, false)?;
            bucket.keys.remove(key);
        } else {
            bucket.delete(key, now, false)?;
        }
    }
    Ok(keys.len().to_string())
}

/// Takes all versions of a key away, to be put elsewhere.
fn take(
    bucket: &mut Bucket,
    now: u64,
    key: &str,
    to: Versioning,
) -> Result<Vec<Stored>, ErrorKind> {
    let history = bucket.keys.get(key).map_or(0, |versions| {
        versions.len() - usize::from(bucket.current(key).is_some())
    });
    if history > 0 && to == Versioning::Off {
        return Err(ErrorKind::InvalidState);
    }
    bucket.check_all(key, now, false)?;
    Ok(bucket.keys.remove(key).unwrap_or_default())
}

fn rename(model: &mut Model, now: u64, from: (&str, &str), to: (&str, &str)) -> Answer {
    let missing = ErrorKind::NotFound(Noun::Bucket);
    let target = model.get(to.0).ok_or(missing)?;
    if from == to {
        return Err(ErrorKind::InvalidInput);
    }
    let source = model.get(from.0).ok_or(missing)?;
    let live = source.live(from.1, now);
    let live = live.ok_or(ErrorKind::NotFound(Noun::Object))?;
    if live.frozen {
        return Err(ErrorKind::InvalidState);
    }
    let text = live.text();
    let created = target.live(to.1, now).is_none();
    let (versioning, former) = (target.versioning, target.totals());
    let target = model.get_mut(to.0).ok_or(missing)?;
    if target.keys.contains_key(to.1) {
        target.check_place(to.1, false)?;
        if versioning != Versioning::Off {
            return Err(ErrorKind::InvalidState);
        }
        target.remove(to.1, (0, true), now, false)?;
    }
    let source = model.get_mut(from.0).ok_or(missing)?;
    let versions = take(source, now, from.1, versioning)?;
    let target = model.get_mut(to.0).ok_or(missing)?;
    target.keys.insert(to.1.to_owned(), versions);
    target.check_quota(former)?;
    Ok(format!("{text} {created}"))
}

fn rename_tree(model: &mut Model, now: u64, from: (&str, &str), to: (&str, &str)) -> Answer {
    let missing = ErrorKind::NotFound(Noun::Bucket);
    let source = model.get(from.0).ok_or(missing)?;
    let target = model.get(to.0).ok_or(missing)?;
    if from.0 == to.0 && to.1.starts_with(from.1) {
        return Err(ErrorKind::InvalidInput);
    }
    if !target.below(to.1).is_empty() {
        return Err(ErrorKind::AlreadyExists(Noun::Object));
    }
    let (versioning, former) = (target.versioning, target.totals());
    let keys = source.below(from.1);
    if keys.is_empty() {
        return Err(ErrorKind::NotFound(Noun::Object));
    }
    let count = keys.len();
    let mut moved = Vec::new();
    for key in keys {
        let new = format!("{}{}", to.1, key.get(from.1.len()..).unwrap_or_default());
        if new.len() > trestle_core::KEY_BYTES_MAX {
            return Err(ErrorKind::InvalidInput);
        }
        let source = model.get_mut(from.0).ok_or(missing)?;
        moved.push((new, take(source, now, &key, versioning)?));
    }
    let target = model.get_mut(to.0).ok_or(missing)?;
    target.keys.extend(moved);
    target.check_quota(former)?;
    Ok(count.to_string())
}

fn expire(model: &mut Model, now: u64) -> Answer {
    let mut count = 0;
    for bucket in model.values_mut() {
        let keys: Vec<String> = bucket.keys.keys().cloned().collect();
        for key in keys {
            let due = bucket.current(&key).is_some_and(|c| c.has_expired(now));
            let before = bucket.keys.get(&key).cloned();
            if due && bucket.delete(&key, now, false).is_ok() {
                count += 1;
            } else if let Some(before) = before {
                bucket.keys.insert(key, before);
            }
        }
    }
    Ok(format!("{count}"))
}
