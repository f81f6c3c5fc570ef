//! Whole containers: moved with every id in them, copied with new ones, deleted at once.

use crate::books::tag_of;
use crate::call::Call;
use crate::content::Destination;
use crate::document::Document;
use crate::fault::{Answered, Fault};
use crate::node::{Container, Place, document};
use crate::path::Names;
use crate::protect;
use crate::render::{bare, with_location};
use crate::rights::{self, shut_out};
use crate::transfer::{take_unknown, without_protection};
use bytes::Bytes;
use futures::FutureExt;
use http::{Response, StatusCode};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketName, ErrorKind, Id, Key, ObjectId, Precondition, Result};
use trestle_http::Body;
use trestle_store::{
    CopyObject, DeleteDirectory, DeleteObject, History, ListObjects, ListVersions, ListingItem,
    Object, ObjectProperties, RenameDirectory, Source, TreeOutcome, VersionItem, VersionRef,
};

/// All keys that start with a prefix, page by page.
fn everything(bucket: &BucketName, prefix: &str) -> ListObjects {
    ListObjects {
        bucket: bucket.clone(),
        prefix: prefix.to_owned(),
        delimiter: None,
        after: None,
        until: None,
        reverse: false,
        limit: 1000,
    }
}

/// The bucket and the prefix of what is in a container.
fn inside(container: &Container) -> Answered<(&BucketName, &str)> {
    match &container.place {
        Place::Root => Err(Fault::bad("this cannot be done with the root container")),
        Place::Bucket(bucket) => Ok((bucket, "")),
        Place::Directory(bucket, key, _) => Ok((bucket, key.as_str())),
    }
}

/// The way through the keys of a container, in their order: what is in a nested one that may not be
/// traversed is refused.
#[derive(Default)]
struct Shut(Option<Key>);

impl Shut {
    async fn pass(&mut self, call: &Call<'_>, object: &Object) -> Answered<()> {
        let key = object.key.as_str();
        if let Some(shut) = &self.0 {
            if key != shut.as_str() && key.starts_with(shut.as_str()) {
                return Err(shut_out());
            }
            self.0 = None;
        }
        if key.ends_with('/') && call.is_shut(object).boxed().await? {
            self.0 = Some(object.key.clone());
        }
        Ok(())
    }
}

/// The lists of the containers on the way to each key of a copied tree, in the order of the keys.
struct Lists(Vec<(String, Option<String>)>);

impl Lists {
    /// What is new under a key inherits this.
    fn inherited(&mut self, key: &Key) -> Result<Option<String>> {
        let key = key.as_str();
        let around = |container: &str| key != container && key.starts_with(container);
        self.0.retain(|(container, _)| around(container));
        let list = self.0.last().and_then(|(_, list)| list.as_deref());
        rights::inherited_of(list, key.ends_with('/'))
    }

    fn enter(&mut self, key: &Key, list: Option<String>) {
        self.0.push((key.as_str().to_owned(), list));
    }
}

impl Call<'_> {
    /// Moves a container to a path; it keeps its id, and so does what is in it.
    pub(crate) async fn move_container(
        &self,
        parent: &Container,
        names: &Names,
        (uri, document): (&str, &Document),
    ) -> Answered<(TreeOutcome, Id)> {
        self.note("cdmi_rename");
        let (source, _) = self.source_container(uri).await?;
        crate::snapshots::check_changeable(Some(&source.names))?;
        let path = names.path();
        if path.starts_with(&source.names.path()) {
            return Err(Fault::bad("a container is not moved into itself"));
        }
        let name = names.last().unwrap_or_default();
        let outcome = match (&source.place, &parent.place) {
            (Place::Bucket(bucket), Place::Root) => {
                self.move_bucket(bucket, &BucketName::parse(name)?).await?
            }
            (Place::Directory(..), Place::Bucket(_) | Place::Directory(..)) => {
                let target = parent.slot(self, &format!("{name}/"))?;
                self.move_directory(&source, target).await?
            }
            _ => {
                return Err(Fault::bad(
                    "top-level containers and others do not become each other",
                ));
            }
        };
        if document.metadata.is_some() && matches!(outcome, TreeOutcome::Done { .. }) {
            let moved = self.resolve(names).await?;
            if let Some(crate::node::Node::Container(moved)) = moved {
                self.change_container(&moved, document).await?;
            }
        }
        Ok((outcome, source.id))
    }

    async fn move_bucket(&self, from: &BucketName, to: &BucketName) -> Answered<TreeOutcome> {
        let of = |bucket: &BucketName| Resource::Bucket(bucket.clone());
        let delete = self.grant(Action::DeleteBucket, of(from)).await;
        let grants = [
            delete.map_err(|error| Fault::from(error).of_source())?,
            self.grant(Action::CreateBucket, of(to)).await?,
        ];
        self.cdmi.store.rename_bucket(&grants, from, to).await?;
        Ok(TreeOutcome::Done { keys: 1 })
    }

    async fn move_directory(
        &self,
        source: &Container,
        (to_bucket, to_prefix): (BucketName, Key),
    ) -> Answered<TreeOutcome> {
        let Place::Directory(bucket, prefix, made) = &source.place else {
            return Err(Fault::bad("the source is not a nested container"));
        };
        let from = Resource::Object(bucket.clone(), prefix.clone());
        let delete = self.grant(Action::DeleteObject, from).await;
        let delete = delete.map_err(|error| Fault::from(error).of_source())?;
        self.check_below(bucket, prefix.as_str()).await?;
        if made.is_none() {
            // There by its keys only: it becomes an entry first, so that its id goes along.
            let mut entry = Destination::free(bucket.clone(), prefix.clone());
            entry.id = Some(ObjectId(source.id));
            let properties = ObjectProperties::default();
            self.write_bytes(&entry, properties, Bytes::new()).await?;
        }
        let to = Resource::Object(to_bucket.clone(), to_prefix.clone());
        let grants = [delete, self.grant(Action::WriteObject, to).await?];
        let of_bucket = self.cdmi.store.peek_bucket(bucket).await?.owner.account;
        for account in [&of_bucket, &source.owner.account] {
            self.note_abroad(account, &to_bucket).boxed().await?;
        }
        let rename = RenameDirectory {
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            to_bucket,
            to_prefix,
        };
        let renamed = self.cdmi.store.rename_directory(&grants, &rename).boxed();
        Ok(renamed.await?)
    }

    /// Copies a container and all that is in it, and tells the id of the copy; nothing is left of one
    /// that fails.
    pub(crate) async fn copy_container(
        &self,
        parent: &Container,
        names: &Names,
        (uri, document): (&str, &Document),
    ) -> Answered<Id> {
        self.note("cdmi_copy");
        let (source, fields) = self.source_container(uri).await?;
        let limits = self.limits(fields)?;
        if format!("{}/", names.path()).starts_with(&source.names.path()) {
            return Err(Fault::bad("a container is not copied into itself"));
        }
        let mut metadata = match limits.has("metadata") {
            true => without_protection(source.metadata.clone()),
            false => Default::default(),
        };
        if document.metadata.is_some() {
            metadata = crate::data::new_metadata(document)?;
        }
        let mut document = document.clone();
        if limits.is_all() {
            take_unknown(&source.documents, &mut document);
        }
        let (from, prefix) = inside(&source)?;
        // Asked for before anything is made.
        let resource = Resource::Bucket(from.clone());
        let list = match limits.has("children") {
            true => Some(self.grant(Action::ListObjects, resource).await),
            false => None,
        };
        let list = list.transpose();
        let list = list.map_err(|error| Fault::from(error).of_source())?;
        let made = self.make_container(parent, names, metadata, &document);
        let id = made.await?;
        let Some(list) = list else { return Ok(id) };
        let target = match &parent.place {
            Place::Root => (
                BucketName::parse(names.last().unwrap_or_default())?,
                String::new(),
            ),
            _ => {
                let name = names.last().unwrap_or_default();
                let (bucket, key) = parent.slot(self, &format!("{name}/"))?;
                (bucket, key.as_str().to_owned())
            }
        };
        let Some(crate::node::Node::Container(made)) = self.resolve(names).await? else {
            return Err(Fault::conflict("the container was removed meanwhile"));
        };
        let lists = Lists(vec![(target.1.clone(), made.acl.clone())]);
        let copied = self
            .copy_below(&list, (from, prefix), (&target.0, &target.1), lists)
            .boxed()
            .await;
        if copied.is_err() {
            self.delete_tree(&made).boxed().await?;
        }
        copied.map(|()| id)
    }

    async fn copy_below(
        &self,
        list: &Grant,
        (from, prefix): (&BucketName, &str),
        (to, target): (&BucketName, &str),
        mut lists: Lists,
    ) -> Answered<()> {
        self.note_own_abroad(to).boxed().await?;
        let mut page = everything(from, prefix);
        let mut shut = Shut::default();
        loop {
            let listing = self.cdmi.store.list(list, &page).await?;
            for item in &listing.items {
                let ListingItem::Object(object) = item else {
                    continue;
                };
                shut.pass(self, object).await.map_err(Fault::of_source)?;
                let name = object.key.as_str().strip_prefix(prefix).unwrap_or_default();
                if name.is_empty() {
                    continue;
                }
                let key = Key::parse(format!("{target}{name}"))?;
                let mut destination = Destination::free(to.clone(), key.clone());
                destination.acl = lists.inherited(&key)?;
                let list = self.copy_key(from, object, destination).await?;
                if key.as_str().ends_with('/') {
                    lists.enter(&key, list);
                }
            }
            match listing.next {
                Some(next) => page.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Copies what is under a key; the list that the copy has.
    async fn copy_key(
        &self,
        from: &BucketName,
        object: &Object,
        destination: Destination,
    ) -> Answered<Option<String>> {
        let (bucket, key) = (&destination.bucket, destination.key.clone());
        let source = Resource::Object(from.clone(), object.key.clone());
        // The right to the value is none to what is said of it.
        let metadata = self.grant(Action::ReadObjectMetadata, source.clone()).await;
        metadata.map_err(|error| Fault::from(error).of_source())?;
        let read = self.grant(Action::ReadObject, source).await;
        let read = read.map_err(|error| Fault::from(error).of_source())?;
        let target = Resource::Object(bucket.clone(), key.clone());
        let write = self.grant(Action::WriteObject, target).await?;
        let properties = |object: &Object| -> Result<ObjectProperties> {
            let mut properties = object.properties();
            properties.metadata = without_protection(properties.metadata);
            properties.retention = None;
            properties.set_hold(None);
            for own in [document::VERSIONED, document::EXPORTS] {
                properties.documents.remove(own);
            }
            Ok(properties)
        };
        let mut new = properties(object)?;
        new.acl = rights::of_new(new.acl, destination.acl.as_deref())?;
        let list = new.acl.clone();
        if key.as_str().ends_with('/') {
            self.write_bytes(&destination, new, Bytes::new()).await?;
            return Ok(list);
        }
        self.check_new(&destination, &new).boxed().await?;
        let properties = |object: &Object| -> Result<ObjectProperties> {
            let mut properties = properties(object)?;
            // The list that was decided on.
            properties.acl.clone_from(&list);
            Ok(properties)
        };
        let copy = CopyObject {
            encrypt: None,
            source: Source {
                key_of_client: None,
                itself: false,
                bucket: from.clone(),
                key: object.key.clone(),
                version: VersionRef::Current,
                precondition: Precondition::none(),
                tag_of,
                range: None,
            },
            bucket: bucket.clone(),
            key,
            precondition: Precondition::absent(),
            tag_of,
            checksum: None,
        };
        let store = &self.cdmi.store;
        store.copy(&read, &write, copy, &properties).boxed().await?;
        Ok(list)
    }

    /// Deletes a container and all that is in it.
    pub(crate) async fn delete_container(&self, container: &Container) -> Answered {
        Ok(match self.delete_tree(container).await? {
            TreeOutcome::Done { .. } => bare(StatusCode::NO_CONTENT),
            TreeOutcome::Started(_) => bare(StatusCode::ACCEPTED),
        })
    }

    async fn delete_tree(&self, container: &Container) -> Answered<TreeOutcome> {
        let (bucket, prefix) = inside(container)?;
        container.protection.check(self.cdmi.store.now())?;
        match &container.place {
            Place::Directory(_, key, _) => {
                let resource = Resource::Object(bucket.clone(), key.clone());
                self.grant(Action::DeleteObject, resource).await?;
            }
            _ => {
                let resource = Resource::Bucket(bucket.clone());
                self.grant(Action::DeleteBucket, resource).await?;
            }
        }
        let versioned = self.check_below(bucket, prefix).await?;
        // Snapshots go last: a deletion that is refused on the way leaves them.
        let snapshots = self.snapshots_going_with(container).await?;
        // Versions go by the dialect's own right: only after what they are of was deleted by the
        // caller's.
        if let Place::Directory(bucket, key, _) = &container.place {
            let outcome = self.delete_directory(bucket, key).await?;
            self.forget_all(bucket, versioned).await?;
            self.drop_snapshots(&snapshots).await?;
            return Ok(outcome);
        }
        // Asked for before anything goes.
        let resource = Resource::Bucket(bucket.clone());
        let grant = self.grant(Action::DeleteBucket, resource).await?;
        self.empty_bucket(bucket).await?;
        self.forget_all(bucket, versioned).await?;
        if !snapshots.is_empty() && self.has_versions(bucket).await? {
            self.purge_versions(bucket).await?;
        }
        self.drop_snapshots(&snapshots).await?;
        match self.cdmi.store.delete_bucket(&grant, bucket).await {
            Err(error) if error.kind() == ErrorKind::NotEmpty => {
                self.purge_versions(bucket).await?;
                self.cdmi.store.delete_bucket(&grant, bucket).await?;
            }
            deleted => deleted?,
        }
        Ok(TreeOutcome::Done { keys: 1 })
    }

    /// Whether keys of a bucket have former versions.
    async fn has_versions(&self, bucket: &BucketName) -> Answered<bool> {
        let resource = Resource::Bucket(bucket.clone());
        let grant = self.cdmi.own_grant(Action::ReadBucket, resource).await?;
        let (_, usage) = self.cdmi.store.bucket(&grant, bucket).await?;
        Ok(usage.versions > 0)
    }

    async fn forget_all(&self, bucket: &BucketName, versioned: Vec<ObjectId>) -> Answered<()> {
        for id in versioned {
            self.forget_versions(bucket, id).await?;
        }
        Ok(())
    }

    async fn delete_directory(&self, bucket: &BucketName, key: &Key) -> Answered<TreeOutcome> {
        let resource = Resource::Object(bucket.clone(), key.clone());
        let actions = [Action::DeleteObject, Action::DeleteObjectVersion];
        let grants = self.grants(&actions, &resource).await?;
        let delete = DeleteDirectory {
            bucket: bucket.clone(),
            prefix: key.clone(),
            history: History::Erase,
        };
        let store = &self.cdmi.store;
        Ok(store.delete_directory(&grants, &delete).boxed().await?)
    }

    /// Refuses when anything below a prefix is protected, or in a container that may not be traversed:
    /// nothing goes then. What has versions is returned.
    async fn check_below(&self, bucket: &BucketName, prefix: &str) -> Answered<Vec<ObjectId>> {
        let now = self.cdmi.store.now();
        let mut versioned = Vec::new();
        let mut shut = Shut::default();
        let mut list = everything(bucket, prefix);
        // Whether each may go is decided when it does: nothing is shown of them here.
        let resource = Resource::Bucket(bucket.clone());
        let grant = self.cdmi.own_grant(Action::ListObjects, resource).await?;
        loop {
            let listing = self.cdmi.store.list(&grant, &list).await?;
            for item in &listing.items {
                if let ListingItem::Object(object) = item {
                    shut.pass(self, object).await?;
                    protect::check(object, now)?;
                    if object.documents.contains_key(document::VERSIONED) {
                        versioned.push(object.id);
                    }
                }
            }
            match listing.next {
                Some(next) => list.after = Some(next),
                None => return Ok(versioned),
            }
        }
    }

    /// Deletes every key of a bucket.
    async fn empty_bucket(&self, bucket: &BucketName) -> Answered<()> {
        loop {
            let resource = Resource::Bucket(bucket.clone());
            let grant = self.grant(Action::ListObjects, resource).await?;
            let list = everything(bucket, "");
            let listing = self.cdmi.store.list(&grant, &list).await?;
            for item in &listing.items {
                if let ListingItem::Object(object) = item {
                    let none = Precondition::none();
                    match self.erase(bucket, &object.key, none).await {
                        // What is gone already need not be removed.
                        Err(fault) if fault.is_missing() => {}
                        erased => erased?,
                    }
                }
            }
            if listing.next.is_none() {
                return Ok(());
            }
        }
    }

    /// Deletes the versions that keys without a current object have.
    async fn purge_versions(&self, bucket: &BucketName) -> Answered<()> {
        loop {
            let resource = Resource::Bucket(bucket.clone());
            let grant = self.grant(Action::ListVersions, resource).await?;
            let list = ListVersions {
                bucket: bucket.clone(),
                prefix: String::new(),
                delimiter: None,
                key_marker: None,
                version_marker: None,
                limit: 1000,
            };
            let listing = self.cdmi.store.list_versions(&grant, &list).await?;
            for item in &listing.items {
                let VersionItem::Version { object, .. } = item else {
                    continue;
                };
                let resource = Resource::Object(bucket.clone(), object.key.clone());
                let grant = self.grant(Action::DeleteObjectVersion, resource).await?;
                let (key, none) = (object.key.clone(), Precondition::none());
                let mut delete = DeleteObject::current(bucket.clone(), key, none, tag_of);
                delete.version = VersionRef::Id(object.version);
                self.cdmi.store.delete(&[grant], delete).boxed().await?;
            }
            if listing.next.is_none() {
                return Ok(());
            }
        }
    }

    /// 202 for what goes on in the background: the place to look.
    pub(crate) fn accepted(&self, names: &Names) -> Response<Body> {
        with_location(bare(StatusCode::ACCEPTED), &self.url(names))
    }
}
