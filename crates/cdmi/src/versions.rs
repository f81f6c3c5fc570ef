//! Versions of data objects (clause 25): each update of an object that asks for it leaves an
//! immutable version with an id of its own.
//!
//! Versions are objects of a hidden bucket of the account, under the id of the object that they are
//! of; they refer to its bytes. The newest one is the current version: what it was made of is kept
//! with it, so an update that left no version behind, cut off between the two or done by another
//! dialect, gets one before the next. Who may do something to a version is who may do it to its
//! object.

use crate::books::tag_of;
use crate::call::Call;
use crate::fault::{Answered, Fault};
use crate::modify::unchanged;
use crate::node::{Leaf, Node, document, found};
use crate::path::{Names, Target};
use crate::protect::is_protected;
use crate::show::{encoding_of, is_processing, mimetype_of};
use crate::transfer::without_protection;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use trestle_access::{Action, Resource};
use trestle_core::{
    BucketName, Error, ErrorKind, Id, Key, Metadata, ObjectId, Precondition, Result, Timestamp,
};
use trestle_store::{
    CopyObject, ListObjects, ListingItem, Object, ObjectProperties, RenameObject, Source,
    VersionRef,
};

/// The item that asks for versions.
pub(crate) const ITEM: &str = "cdmi_versioning";
/// Most versions of an object; the oldest goes when another one comes.
pub(crate) const VERSIONS_MAX: usize = 10_000;
/// Tries of keeping one version against concurrent updates.
const ATTEMPTS_MAX: usize = 10;

/// Which updates leave a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Those of the value.
    Value,
    /// Those of the user's metadata as well.
    User,
    /// Every one.
    All,
}

/// The level that metadata asks for.
///
/// # Errors
/// `InvalidInput` for one that there is not.
pub(crate) fn level_of(metadata: &Metadata) -> Result<Option<Level>> {
    match metadata.get(ITEM).map(Value::as_str) {
        None | Some(Some("")) => Ok(None),
        Some(Some("value")) => Ok(Some(Level::Value)),
        Some(Some("user")) => Ok(Some(Level::User)),
        Some(Some("all")) => Ok(Some(Level::All)),
        Some(_) => Err(Error::invalid(
            "cdmi_versioning is \"value\", \"user\" or \"all\"",
        )),
    }
}

/// How many versions may stay beside the current one, and how old and large they may be together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Limits {
    count: Option<u64>,
    age: Option<u64>,
    size: Option<u64>,
}

impl Limits {
    fn of(metadata: &Metadata) -> Self {
        let number = |name: &str| metadata.get(name)?.as_str()?.parse().ok();
        Limits {
            count: number("cdmi_versions_count"),
            age: number("cdmi_versions_age"),
            size: number("cdmi_versions_size"),
        }
    }

    /// How many of the oldest have to go, of versions in order with the current one last.
    fn beyond(self, versions: &[(Timestamp, u64)], now: Timestamp) -> usize {
        let history = versions
            .split_last()
            .map_or(&[][..], |(_, history)| history);
        let mut kept = 0;
        let mut size = 0u64;
        for (created, length) in history.iter().rev() {
            size = size.saturating_add(*length);
            let age = now.0.saturating_sub(created.0) / 1_000_000;
            let fits = self.count.is_none_or(|most| kept < most)
                && self.age.is_none_or(|most| age <= most)
                && self.size.is_none_or(|most| size <= most);
            if !fits || kept >= VERSIONS_MAX as u64 {
                break;
            }
            kept += 1;
        }
        history.len() - kept as usize
    }
}

/// What an object was when a version of it was made, as far as a level looks at it.
pub(crate) fn fingerprint(object: &Object) -> Value {
    let hash = |metadata: &dyn Fn(&str) -> bool| {
        let mut hasher = Sha256::new();
        for (name, value) in object.metadata.iter().filter(|(name, _)| metadata(name)) {
            hasher.update(format!("{name}\0{value}\0"));
        }
        hasher
            .finalize()
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    };
    json!({
        "value": format!(
            "{} {} {}", object.version, mimetype_of(object), encoding_of(object).as_str(),
        ),
        "user": hash(&|name| !name.starts_with("cdmi_")),
        "all": format!("{} {}", object.revision(), object.key),
    })
}

/// Whether an object is as it was, as far as a level looks at it.
fn is_same(level: Level, then: &Value, now: &Value) -> bool {
    let same = |name: &str| then.get(name) == now.get(name);
    match level {
        Level::Value => same("value"),
        Level::User => same("value") && same("user"),
        Level::All => same("all"),
    }
}

fn made_of(version: &Object) -> Value {
    let text = version.documents.get(document::VERSION);
    let text = text.map(String::as_str).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// Whether a version is of an object's present value.
pub(crate) fn is_of_value(version: &Object, object: &Object) -> bool {
    is_same(Level::Value, &made_of(version), &fingerprint(object))
}

/// Whether an object has versions, or asks for them by this metadata.
pub(crate) fn is_versioned(object: &Object, effective: &Metadata) -> bool {
    object.documents.contains_key(document::VERSIONED) || effective.contains_key(ITEM)
}

/// What is really kept of an object whose metadata this is, for whoever reads that.
pub(crate) fn provided(effective: &Metadata) -> Vec<(&'static str, Value)> {
    if !matches!(level_of(effective), Ok(Some(_))) {
        return Vec::new();
    }
    let limits = Limits::of(effective);
    let most = VERSIONS_MAX as u64;
    let count = limits.count.map_or(most, |count| count.min(most));
    let level = effective.get(ITEM).cloned().unwrap_or_default();
    let mut items = vec![
        ("cdmi_versioning_provided", level),
        (
            "cdmi_versions_count_provided",
            Value::from(count.to_string()),
        ),
    ];
    for (name, limit) in [
        ("cdmi_versions_age_provided", limits.age),
        ("cdmi_versions_size_provided", limits.size),
    ] {
        items.extend(limit.map(|limit| (name, Value::from(limit.to_string()))));
    }
    items
}

/// Whether what has this state can have versions: references and queues have none.
pub(crate) fn is_data(documents: &BTreeMap<String, String>) -> bool {
    ![document::QUEUE, document::REFERENCE, document::VERSION]
        .iter()
        .any(|name| documents.contains_key(*name))
}

impl Call<'_> {
    /// Where the versions of what is in a bucket are.
    pub(crate) async fn versions_bucket(&self, bucket: &BucketName) -> Answered<BucketName> {
        let owner = self.cdmi.store.peek_bucket(bucket).await?.owner;
        Ok(BucketName::hidden(&owner.account, "versions")?)
    }

    /// The versions of an object, from the oldest to the current one.
    pub(crate) async fn versions(
        &self,
        bucket: &BucketName,
        id: ObjectId,
    ) -> Answered<Vec<Object>> {
        let hidden = self.versions_bucket(bucket).await?;
        let resource = Resource::Bucket(hidden.clone());
        let Some(grant) = found(self.cdmi.own_grant(Action::ListObjects, resource).await)? else {
            return Ok(Vec::new());
        };
        let list = ListObjects {
            bucket: hidden,
            prefix: format!("{}/", id.0),
            delimiter: None,
            after: None,
            until: None,
            reverse: false,
            limit: VERSIONS_MAX,
        };
        let Some(listing) = found(self.cdmi.store.list(&grant, &list).await)? else {
            return Ok(Vec::new());
        };
        let objects = listing.items.into_iter().filter_map(|item| match item {
            ListingItem::Object(object) => Some(*object),
            ListingItem::Prefix(_) => None,
        });
        Ok(objects.collect())
    }

    /// Keeps a version of an object as it is, unless the newest one is of just that. `always` makes
    /// one in any case.
    pub(crate) async fn keep_version(
        &self,
        (bucket, key): (&BucketName, &Key),
        effective: &Metadata,
        always: bool,
    ) -> Answered<()> {
        let Some(level) = level_of(effective)? else {
            return Ok(());
        };
        for _ in 0..ATTEMPTS_MAX {
            let Some(object) = self.look(bucket, key).await? else {
                return Ok(());
            };
            if !is_data(&object.documents) || is_processing(&object) {
                return Ok(());
            }
            // A version would hold the bytes of the segments, whoever may read those.
            if object.manifest.is_some() {
                return Ok(());
            }
            let versions = self.versions(bucket, object.id).await?;
            let print = fingerprint(&object);
            let newest = versions.last();
            if !always && newest.is_some_and(|newest| is_same(level, &made_of(newest), &print)) {
                return Ok(());
            }
            let number = newest.map_or(0, number_of).saturating_add(1);
            match self.copy_version(bucket, &object, (number, print)).await {
                Err(Fault::Error(error)) if error.kind() == ErrorKind::PreconditionFailed => {}
                Err(fault) => return Err(fault),
                Ok(()) => return self.prune(bucket, &object, effective).boxed().await,
            }
        }
        Err(Fault::conflict("concurrent updates keep winning"))
    }

    /// Keeps a version of what has just been updated. The update stays when that fails: the version
    /// is then made before the next one.
    pub(crate) async fn version_after(
        &self,
        place: (&BucketName, &Key),
        effective: &Metadata,
        always: bool,
    ) {
        if let Err(fault) = self.keep_version(place, effective, always).boxed().await {
            tracing::warn!(?fault, "an update left no version");
        }
    }

    /// The same, of what an object's metadata asks for now.
    pub(crate) async fn version_of_updated(&self, leaf: &Leaf) -> Answered<()> {
        let (bucket, key) = (&leaf.bucket, &leaf.object.key);
        let Some(object) = self.look(bucket, key).await? else {
            return Ok(());
        };
        let place = self.place_of(leaf, Precondition::none()).await?;
        let effective = place.effective(&object.metadata);
        self.version_after((bucket, key), &effective, false).await;
        Ok(())
    }

    async fn copy_version(
        &self,
        bucket: &BucketName,
        object: &Object,
        (number, print): (u64, Value),
    ) -> Answered<()> {
        let hidden = self.versions_bucket(bucket).await?;
        self.make_hidden(&hidden).await?;
        let key = Key::parse(format!("{}/{number:020}", object.id.0))?;
        let source = Resource::Object(bucket.clone(), object.key.clone());
        let read = self.cdmi.own_grant(Action::ReadObject, source).await?;
        let target = Resource::Object(hidden.clone(), key.clone());
        let write = self.cdmi.own_grant(Action::WriteObject, target).await?;
        let copy = CopyObject {
            encrypt: None,
            source: Source {
                itself: false,
                key_of_client: None,
                bucket: bucket.clone(),
                key: object.key.clone(),
                version: VersionRef::Current,
                precondition: unchanged(object),
                tag_of,
                range: None,
            },
            bucket: hidden,
            key,
            precondition: Precondition::absent(),
            tag_of,
            checksum: None,
        };
        let properties = |object: &Object| -> Result<ObjectProperties> {
            let mut documents = object.documents.clone();
            documents.remove(document::VERSIONED);
            documents.insert(document::VERSION.to_owned(), print.to_string());
            let mut metadata = without_protection(object.metadata.clone());
            metadata.remove(ITEM);
            Ok(ObjectProperties {
                representation: object.representation.clone(),
                metadata,
                documents,
                ..ObjectProperties::default()
            })
        };
        let store = &self.cdmi.store;
        store.copy(&read, &write, copy, &properties).boxed().await?;
        Ok(())
    }

    /// Removes the oldest versions that metadata leaves no room for. What protects an object protects
    /// its versions: of such a one, none is removed.
    async fn prune(
        &self,
        bucket: &BucketName,
        object: &Object,
        effective: &Metadata,
    ) -> Answered<()> {
        if is_protected(object, self.cdmi.store.now()) {
            return Ok(());
        }
        let versions = self.versions(bucket, object.id).await?;
        let sizes: Vec<_> = versions
            .iter()
            .map(|version| (version.created, version.length()))
            .collect();
        let beyond = Limits::of(effective).beyond(&sizes, self.cdmi.store.now());
        for version in versions.iter().take(beyond) {
            self.erase_version(bucket, version).await?;
        }
        Ok(())
    }

    pub(crate) async fn erase_version(
        &self,
        bucket: &BucketName,
        version: &Object,
    ) -> Answered<()> {
        let hidden = self.versions_bucket(bucket).await?;
        let own = self.cdmi.own_call();
        match own.erase(&hidden, &version.key, Precondition::none()).await {
            Err(fault) if fault.is_missing() => Ok(()),
            erased => erased,
        }
    }

    /// Removes all versions of an object that is gone.
    pub(crate) async fn forget_versions(&self, bucket: &BucketName, id: ObjectId) -> Answered<()> {
        for version in self.versions(bucket, id).await? {
            self.erase_version(bucket, &version).await?;
        }
        Ok(())
    }

    /// A version as what it is of, with its own content.
    pub(crate) fn version_leaf(&self, main: &Leaf, hidden: BucketName, version: Object) -> Leaf {
        Leaf {
            names: main.names.clone(),
            parent: main.parent,
            bucket: hidden,
            object: Box::new(version),
            version_of: Some(Box::new(main.clone())),
        }
    }

    /// The version at a key of a hidden bucket; none when its object is gone.
    pub(crate) fn find_version<'b>(
        &'b self,
        bucket: &'b BucketName,
        version: Object,
    ) -> BoxFuture<'b, Answered<Option<Node>>> {
        // Boxed by name: it is found by ids, by way of which it finds its object.
        async move {
            let id = version
                .key
                .as_str()
                .split_once('/')
                .map_or("", |(id, _)| id);
            let Ok(id) = u128::from_str_radix(id, 16) else {
                return Ok(None);
            };
            let target = Target::Id(self.id_text(Id(id.to_be_bytes())), Names::default());
            match self.find(&target).await? {
                Some(Node::Leaf(main)) if main.version_of.is_none() => {
                    // Versions of what had this id in another account are not this object's.
                    if self.versions_bucket(&main.bucket).await? != *bucket {
                        return Ok(None);
                    }
                    let leaf = self.version_leaf(&main, bucket.clone(), version);
                    Ok(Some(Node::Leaf(leaf)))
                }
                _ => Ok(None),
            }
        }
        .boxed()
    }

    /// The versions of an object as objects that can be read.
    pub(crate) async fn version_leaves(&self, main: &Leaf) -> Answered<Vec<Leaf>> {
        let hidden = self.versions_bucket(&main.bucket).await?;
        let versions = self.versions(&main.bucket, main.object.id).await?;
        let leaves = versions.into_iter();
        Ok(leaves
            .map(|version| self.version_leaf(main, hidden.clone(), version))
            .collect())
    }

    /// The items that lead from version to version.
    pub(crate) async fn version_links(&self, leaf: &Leaf) -> Answered<Vec<(&'static str, Value)>> {
        let main = leaf.version_of.as_deref().unwrap_or(leaf);
        let versions = self.versions(&main.bucket, main.object.id).await?;
        let uri = |id: ObjectId| Value::from(format!("/cdmi_objectid/{}", self.id_text(id.0)));
        let (Some(oldest), Some(current)) = (versions.first(), versions.last()) else {
            return Ok(Vec::new());
        };
        let mut links = vec![
            ("cdmi_version_object", uri(main.object.id)),
            ("cdmi_version_current", uri(current.id)),
        ];
        let own = leaf.object.id;
        if own != oldest.id || own == current.id {
            links.push(("cdmi_version_oldest", Value::from(vec![uri(oldest.id)])));
        }
        let at = versions.iter().position(|version| version.id == own);
        if let Some(at) = at.filter(|_| leaf.version_of.is_some()) {
            let parent = at.checked_sub(1).and_then(|at| versions.get(at));
            links.extend(parent.map(|parent| ("cdmi_version_parent", uri(parent.id))));
            let children = versions.get(at + 1).map(|child| uri(child.id));
            links.push(("cdmi_version_children", children.into_iter().collect()));
        }
        Ok(links)
    }

    /// Deletes one version. What is current goes back to the one before it.
    pub(crate) async fn delete_version(&self, leaf: &Leaf, main: &Leaf) -> Answered<()> {
        self.grant(Action::DeleteObject, main.resource()).await?;
        crate::protect::check(&main.object, self.cdmi.store.now())?;
        let versions = self.versions(&main.bucket, main.object.id).await?;
        if versions
            .last()
            .is_some_and(|last| last.id == leaf.object.id)
        {
            let parent = versions.len().checked_sub(2);
            let parent = parent
                .and_then(|at| versions.get(at))
                .ok_or_else(|| Fault::forbidden("the only version stays as long as its object"))?;
            self.revert(main, &leaf.bucket, parent).await?;
        }
        self.erase_version(&main.bucket, &leaf.object).await
    }

    /// Makes an object what an earlier version of it is.
    async fn revert(&self, main: &Leaf, hidden: &BucketName, parent: &Object) -> Answered<()> {
        let source = Resource::Object(hidden.clone(), parent.key.clone());
        let read = self.cdmi.own_grant(Action::ReadObject, source).await?;
        let write = self.grant(Action::WriteObject, main.resource()).await?;
        let copy = CopyObject {
            encrypt: None,
            source: Source {
                itself: false,
                key_of_client: None,
                bucket: hidden.clone(),
                key: parent.key.clone(),
                version: VersionRef::Current,
                precondition: Precondition::none(),
                tag_of,
                range: None,
            },
            bucket: main.bucket.clone(),
            key: main.object.key.clone(),
            precondition: unchanged(&main.object),
            tag_of,
            checksum: None,
        };
        let former = main.object.properties();
        let properties = |version: &Object| -> Result<ObjectProperties> {
            let mut properties = former.clone();
            properties.representation = version.representation.clone();
            let own = former.metadata.iter();
            let kept = own.filter(|(name, _)| name.starts_with("cdmi_"));
            let kept: Metadata = kept
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            properties.metadata = version.metadata.clone();
            properties.metadata.extend(kept);
            properties.documents = version.documents.clone();
            properties.documents.remove(document::VERSION);
            let yes = "true".to_owned();
            properties
                .documents
                .insert(document::VERSIONED.to_owned(), yes);
            Ok(properties)
        };
        // What the parent says besides its value comes back by the rights to change that.
        self.check_besides(main, &properties(parent)?).await?;
        let store = &self.cdmi.store;
        let copied = store.copy_over(&read, &write, copy, &properties);
        let copied = copied.boxed().await?;
        // The parent is the version of what is there now.
        let print = fingerprint(&copied.object).to_string();
        let change = |properties: &mut ObjectProperties| -> Result<()> {
            let name = document::VERSION.to_owned();
            properties.documents.insert(name, print.clone());
            Ok(())
        };
        let own = self.cdmi.own_call();
        own.update(hidden, &parent.key, &change).await
    }

    /// Takes the versions of what was moved along, when it has come to another account.
    pub(crate) async fn take_versions_along(&self, source: &Leaf, to: &BucketName) -> Answered<()> {
        let from = self.versions_bucket(&source.bucket).await?;
        let to = self.versions_bucket(to).await?;
        if from == to || !source.object.documents.contains_key(document::VERSIONED) {
            return Ok(());
        }
        self.make_hidden(&to).await?;
        for version in self.versions(&source.bucket, source.object.id).await? {
            let of = |bucket: &BucketName| Resource::Object(bucket.clone(), version.key.clone());
            let grants = [
                self.cdmi.own_grant(Action::DeleteObject, of(&from)).await?,
                self.cdmi.own_grant(Action::WriteObject, of(&to)).await?,
            ];
            let rename = RenameObject {
                bucket: from.clone(),
                key: version.key.clone(),
                to_bucket: to.clone(),
                to_key: version.key.clone(),
                precondition: Precondition::none(),
                target: Precondition::none(),
                tag_of,
            };
            self.cdmi.store.rename(&grants, &rename).boxed().await?;
        }
        Ok(())
    }

    /// Refuses to change a version.
    pub(crate) fn check_no_version(&self, leaf: &Leaf) -> Answered<()> {
        match leaf.version_of {
            Some(_) => Err(Fault::never("a version does not change")),
            None => Ok(()),
        }
    }
}

/// The place of a version in the order of all of its object.
pub(crate) fn number_of(version: &Object) -> u64 {
    let number = version.key.as_str().rsplit('/').next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_look_at_more_and_more() {
        let now = json!({"value": "1", "user": "a", "all": "x"});
        let other = |value: Value| value;
        let user = other(json!({"value": "1", "user": "b", "all": "y"}));
        let all = other(json!({"value": "1", "user": "a", "all": "y"}));
        assert!(is_same(Level::Value, &user, &now) && !is_same(Level::User, &user, &now));
        assert!(is_same(Level::User, &all, &now) && !is_same(Level::All, &all, &now));
        let of = |text: &str| level_of(&Metadata::from([(ITEM.to_owned(), json!(text))]));
        assert_eq!(of("user").unwrap(), Some(Level::User));
        assert_eq!(of("").unwrap(), None);
        assert!(of("some").is_err());
    }

    #[test]
    fn the_oldest_versions_have_to_go() {
        let now = Timestamp(100_000_000);
        let versions: Vec<_> = (0..5).map(|n| (Timestamp(n * 20_000_000), 10)).collect();
        let beyond = |limits: Limits| limits.beyond(&versions, now);
        let none = Limits::default();
        assert_eq!(beyond(none), 0);
        assert_eq!(
            beyond(Limits {
                count: Some(0),
                ..none
            }),
            4
        );
        assert_eq!(
            beyond(Limits {
                count: Some(3),
                ..none
            }),
            1
        );
        assert_eq!(
            beyond(Limits {
                age: Some(60),
                ..none
            }),
            2
        );
        assert_eq!(
            beyond(Limits {
                size: Some(25),
                ..none
            }),
            2
        );
        assert_eq!(Limits::default().beyond(&[], now), 0);
    }
}
