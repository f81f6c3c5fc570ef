//! What a path or an id leads to: containers and what is in them, over buckets and keys.
//!
//! A bucket is a top-level container, a key that ends in a slash a nested one; one that exists only
//! by the keys below it is a container as well. What is in the root container and no container, and
//! what has no name at all, is in hidden buckets.

use crate::call::Call;
use crate::content::Destination;
use crate::fault::{Answered, Fault};
use crate::path::{Names, RESERVED, Target};
use crate::protect::Protection;
use crate::snapshots;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use std::collections::BTreeMap;
use trestle_access::{Action, Resource};
use trestle_core::{
    AccountId, BucketId, BucketName, Error, ErrorKind, Id, Key, Metadata, ObjectId, Owner, Result,
    Timestamp,
};
use trestle_store::{Bucket, Object};

/// Names of an object's dialect state.
pub(crate) mod document {
    /// The transfer encoding of the value.
    pub(crate) const ENCODING: &str = "cdmi.encoding";
    /// `Processing` while a series of writes goes on.
    pub(crate) const STATUS: &str = "cdmi.status";
    /// Where a reference leads to.
    pub(crate) const REFERENCE: &str = "cdmi.reference";
    /// That it is a queue.
    pub(crate) const QUEUE: &str = "cdmi.queue";
    /// Fields that the standard does not know, as JSON.
    pub(crate) const FIELDS: &str = "cdmi.fields";
    /// The place that an id stands for, in the hidden bucket of ids.
    pub(crate) const PLACE: &str = "cdmi.place";
    /// For whom a queue watches, as JSON, in the hidden bucket of those that do.
    pub(crate) const WATCH: &str = "cdmi.watch";
    /// Ranges of the value that were never written, each from one offset to before another.
    pub(crate) const GAPS: &str = "cdmi.gaps";
    /// That an object has, or had, versions.
    pub(crate) const VERSIONED: &str = "cdmi.versioned";
    /// What a version was made of, as JSON.
    pub(crate) const VERSION: &str = "cdmi.version";
    /// What is there of an upload in pieces, as JSON, in the hidden bucket of those.
    pub(crate) const UPLOAD: &str = "cdmi.upload";
    /// The id of another server that a reference is known by.
    pub(crate) const KNOWN_AS: &str = "cdmi.known-as";
    /// How often what a domain says of itself was changed.
    pub(crate) const CHANGES: &str = "cdmi.changes";
    /// That a document said the mimetype, with its charset.
    pub(crate) const MIMETYPE_SAID: &str = "cdmi.mimetype-said";
    /// The exports of a container, as JSON.
    pub(crate) const EXPORTS: &str = "cdmi.exports";
}

/// Where a container is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    /// The root container.
    Root,
    /// A bucket.
    Bucket(BucketName),
    /// The keys of a bucket that start with this one, which ends in a slash. The object that it
    /// names is there when the container was made, and not only keys below it.
    Directory(BucketName, Key, Option<Box<Object>>),
}

/// A container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Container {
    pub(crate) names: Names,
    pub(crate) id: Id,
    pub(crate) parent: Option<Id>,
    pub(crate) place: Place,
    pub(crate) owner: Owner,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) modifications: u64,
    pub(crate) metadata: Metadata,
    pub(crate) acl: Option<String>,
    pub(crate) documents: BTreeMap<String, String>,
    /// What protects the container itself.
    pub(crate) protection: Protection,
}

/// A data object, a queue or a reference.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf {
    /// Its path; absent when it is known by its id only.
    pub(crate) names: Option<Names>,
    /// The id of the container that holds it.
    pub(crate) parent: Option<Id>,
    pub(crate) bucket: BucketName,
    pub(crate) object: Box<Object>,
    /// The object that it is a version of.
    pub(crate) version_of: Option<Box<Leaf>>,
}

/// What is somewhere.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Container(Box<Container>),
    Leaf(Leaf),
}

impl Container {
    /// The nested one that an object stands for, in the bucket and under the key where it is.
    pub(crate) fn of(
        names: Names,
        (bucket, key): (BucketName, Key),
        object: Object,
        parent: Option<Id>,
    ) -> Self {
        Container {
            names,
            id: object.id.0,
            parent,
            owner: object.owner.clone(),
            created: object.created,
            modified: object.modified,
            modifications: object.modifications,
            metadata: object.metadata.clone(),
            acl: object.acl.clone(),
            documents: object.documents.clone(),
            protection: Protection::of(&object),
            place: Place::Directory(bucket, key, Some(Box::new(object))),
        }
    }

    /// The bucket that it is or is in, and what changes its attributes there; none of the root container.
    pub(crate) fn attributes(&self) -> Option<(&BucketName, (Action, Resource))> {
        match &self.place {
            Place::Root => None,
            Place::Bucket(bucket) => {
                let of = Resource::Bucket(bucket.clone());
                Some((bucket, (Action::WriteBucketAttributes, of)))
            }
            Place::Directory(bucket, key, _) => {
                let of = Resource::Object(bucket.clone(), key.clone());
                Some((bucket, (Action::WriteObjectAttributes, of)))
            }
        }
    }

    /// Where the children of this name are kept, or would be.
    pub(crate) fn slot(&self, call: &Call<'_>, name: &str) -> Answered<(BucketName, Key)> {
        Ok(match &self.place {
            Place::Root => (root_bucket(call)?, Key::parse(name)?),
            Place::Bucket(bucket) => (bucket.clone(), Key::parse(name)?),
            Place::Directory(bucket, key, _) => {
                (bucket.clone(), Key::parse(format!("{key}{name}"))?)
            }
        })
    }
}

impl Node {
    /// Its path; absent when it is known by its id only.
    pub(crate) fn names(&self) -> Option<&Names> {
        match self {
            Node::Container(container) => Some(&container.names),
            Node::Leaf(leaf) => leaf.names.as_ref(),
        }
    }
}

impl Leaf {
    /// What was made at a destination.
    pub(crate) fn made(
        destination: Destination,
        (names, parent): (Option<Names>, Option<Id>),
        object: Object,
    ) -> Self {
        Leaf {
            names,
            parent,
            bucket: destination.bucket,
            object: Box::new(object),
            version_of: None,
        }
    }

    /// Where it redirects to.
    pub(crate) fn reference(&self) -> Option<&str> {
        let reference = self.object.documents.get(document::REFERENCE);
        reference.map(String::as_str)
    }

    /// Whether it is a queue.
    pub(crate) fn is_queue(&self) -> bool {
        self.object.documents.contains_key(document::QUEUE)
    }

    /// What it is in the words of rights: those to a version are those to its object.
    pub(crate) fn resource(&self) -> Resource {
        let of = self.version_of.as_deref().unwrap_or(self);
        Resource::Object(of.bucket.clone(), of.object.key.clone())
    }
}

/// The hidden bucket of what is in the root container and no container itself.
pub(crate) fn root_bucket(call: &Call<'_>) -> Result<BucketName> {
    BucketName::hidden(&call.cdmi.root_account, "root")
}

/// The hidden bucket of what an account has without a name.
pub(crate) fn nameless_bucket(account: &AccountId) -> Result<BucketName> {
    BucketName::hidden(account, "nameless")
}

/// The hidden bucket of the ids of containers that only exist by keys below them.
pub(crate) fn ids_bucket(call: &Call<'_>) -> Result<BucketName> {
    BucketName::hidden(&call.cdmi.root_account, "ids")
}

/// Refuses names that belong to the server.
pub(crate) fn check_new_name(names: &Names) -> Answered<()> {
    match names.last() {
        Some("") | None => Err(Fault::bad("a name must not be empty")),
        Some(name) if name.starts_with(RESERVED) => Err(Fault::bad(format!(
            "names that start with {RESERVED} belong to the server"
        ))),
        Some(_) => Ok(()),
    }
}

impl Call<'_> {
    /// What a target leads to; domains and capability objects are not asked for here.
    pub(crate) async fn find(&self, target: &Target) -> Answered<Option<Node>> {
        match target {
            Target::Path(names) => self.resolve(names).await,
            Target::Id(id, below) => self.resolve_id(id, below).await,
            _ => Ok(None),
        }
    }

    /// What a target leads to.
    ///
    /// # Errors
    /// 404 when nothing is there.
    pub(crate) async fn need(&self, target: &Target) -> Answered<Node> {
        match self.find(target).await? {
            Some(node) => Ok(node),
            None => Err(self.missing(target).await),
        }
    }

    /// Why nothing is at a target: who may not list a bucket is not told what is not in it.
    async fn missing(&self, target: &Target) -> Fault {
        if let Target::Path(names) = target
            && let Some(top) = names.names.first()
            && let Ok(bucket) = BucketName::parse_qualified(top.as_str())
            && let Err(error) = self
                .grant(
                    trestle_access::Action::ListObjects,
                    Resource::Bucket(bucket),
                )
                .await
            && error.kind() == ErrorKind::Forbidden
        {
            return error.into();
        }
        Fault::Status(StatusCode::NOT_FOUND, "nothing is there".to_owned())
    }

    /// What is listed by a name in a container; none of what is of a domain that is disabled.
    pub(crate) async fn resolve_child(
        &self,
        container: &Container,
        name: &str,
    ) -> Answered<Option<Node>> {
        let plain = name.trim_end_matches(['/', '?']);
        let names = container.names.child(plain, name.ends_with('/'));
        match self.resolve(&names).await {
            Err(fault) if fault.is_forbidden() => Ok(None),
            found => found,
        }
    }

    /// What is at a path. A container's path without its slash is answered with a redirect.
    pub(crate) fn resolve<'b>(&'b self, names: &'b Names) -> BoxFuture<'b, Answered<Option<Node>>> {
        // Boxed, as it is at the bottom of nearly everything: futures would grow beyond the stack.
        self.resolve_path(names).boxed()
    }

    async fn resolve_path(&self, names: &Names) -> Answered<Option<Node>> {
        let Some((top, rest)) = names.names.split_first() else {
            return Ok(Some(Node::Container(Box::new(self.root().await?))));
        };
        if let Some(at) = rest.iter().position(|name| name == snapshots::NAME)
            && let Some(node) = self.resolve_snapshot(names, at + 1).boxed().await?
        {
            return Ok(Some(node));
        }
        let bucket = self.find_bucket(top).await?;
        if let Some(bucket) = &bucket {
            self.check_enabled(&bucket.owner.account).await?;
        }
        match (bucket, rest.is_empty()) {
            (Some(bucket), true) => {
                let container = self.top(bucket);
                self.check_slash(names, &container).await?;
                Ok(Some(Node::Container(Box::new(container))))
            }
            (Some(bucket), false) => self.resolve_in(&bucket, names, &rest.join("/")).await,
            (None, true) => {
                let Ok(key) = Key::parse(top.as_str()) else {
                    return Ok(None);
                };
                let bucket = root_bucket(self)?;
                let leaf = self.look(&bucket, &key).await?.map(|object| Leaf {
                    names: Some(names.clone()),
                    parent: Some(self.cdmi.root),
                    bucket,
                    object: Box::new(object),
                    version_of: None,
                });
                let fits = |leaf: &Leaf| !names.slash || leaf.reference().is_some();
                Ok(leaf.filter(fits).map(Node::Leaf))
            }
            (None, _) => Ok(None),
        }
    }

    pub(crate) async fn resolve_in(
        &self,
        bucket: &Bucket,
        names: &Names,
        path: &str,
    ) -> Answered<Option<Node>> {
        let (Ok(key), Ok(directory)) = (Key::parse(path), Key::parse(format!("{path}/"))) else {
            return Ok(None);
        };
        self.check_traversable(bucket, path).boxed().await?;
        // A reference is one name, whatever it leads to.
        if let Some(object) = self.look(&bucket.name, &key).await?
            && (!names.slash || object.documents.contains_key(document::REFERENCE))
        {
            self.check_guest(bucket, &object).await?;
            return Ok(Some(Node::Leaf(Leaf {
                names: Some(names.clone()),
                parent: Some(self.parent_id(bucket, path).await?),
                bucket: bucket.name.clone(),
                object: Box::new(object),
                version_of: None,
            })));
        }
        let made = self.look(&bucket.name, &directory).await?;
        if made.is_none() && !self.has_below(&bucket.name, &directory).await? {
            return Ok(None);
        }
        if let Some(object) = &made {
            self.check_guest(bucket, object).await?;
        }
        let parent = self.parent_id(bucket, path).await?;
        let container = match made {
            Some(object) => {
                let at = (bucket.name.clone(), directory);
                Container::of(names.clone(), at, object, Some(parent))
            }
            None => Container {
                names: names.clone(),
                id: self.implied_id(bucket.id, &directory).await?,
                parent: Some(parent),
                owner: bucket.owner.clone(),
                created: bucket.created,
                modified: bucket.created,
                modifications: 0,
                metadata: Metadata::new(),
                acl: None,
                documents: BTreeMap::new(),
                protection: Protection::default(),
                place: Place::Directory(bucket.name.clone(), directory, None),
            },
        };
        self.check_slash(names, &container).await?;
        Ok(Some(Node::Container(Box::new(container))))
    }

    /// Refuses what is in a container of another domain than its own when its own is disabled.
    async fn check_guest(&self, bucket: &Bucket, object: &Object) -> Answered<()> {
        match object.owner.account == bucket.owner.account {
            true => Ok(()),
            false => self.check_enabled(&object.owner.account).boxed().await,
        }
    }

    /// What an id leads to, or a path below the container that it names.
    async fn resolve_id(&self, text: &str, below: &Names) -> Answered<Option<Node>> {
        let id = match self.cdmi.ids.parse(text)? {
            Some(id) => Some(id),
            None => self.referred(text).await?,
        };
        let Some(id) = id else {
            return Ok(None);
        };
        if let Some(names) = self.path_of(id).await? {
            let whole = match below.names.is_empty() {
                // The slash of a URL by id is that of a container's path.
                true => Names {
                    names: names.names,
                    slash: below.slash,
                },
                false => names.join(below),
            };
            return match self.resolve(&whole).await {
                Err(Fault::Elsewhere(StatusCode::MOVED_PERMANENTLY, _))
                    if below.names.is_empty() =>
                {
                    let url = format!("{}{}/cdmi_objectid/{text}/", self.origin, crate::path::ROOT);
                    Err(Fault::Elsewhere(StatusCode::MOVED_PERMANENTLY, url))
                }
                found => found,
            };
        }
        let found = match self.cdmi.store.find_by_id(ObjectId(id)).await {
            Ok((bucket, key)) if bucket.is_hidden() && below.names.is_empty() => (bucket, key),
            Err(error) if !is_missing(&error) => return Err(error.into()),
            _ => return Ok(None),
        };
        let Some(object) = self.look(&found.0, &found.1).await? else {
            return Ok(None);
        };
        if object.documents.contains_key(document::VERSION) {
            return self.find_version(&found.0, object).await;
        }
        Ok(Some(Node::Leaf(Leaf {
            names: None,
            parent: None,
            bucket: found.0,
            object: Box::new(object),
            version_of: None,
        })))
    }

    /// The path of what has this id; none when nothing has it, or it has no name.
    pub(crate) async fn path_of(&self, id: Id) -> Answered<Option<Names>> {
        if id == self.cdmi.root {
            return Ok(Some(Names {
                names: Vec::new(),
                slash: true,
            }));
        }
        if let Some(bucket) = found(self.cdmi.store.find_bucket_by_id(BucketId(id)).await)? {
            return Ok(Some(Names {
                names: vec![bucket.as_str().to_owned()],
                slash: true,
            }));
        }
        let place = match found(self.cdmi.store.find_by_id(ObjectId(id)).await)? {
            Some((bucket, key)) => Some((bucket.as_str().to_owned(), key.as_str().to_owned())),
            None => self.implied_place(id).await?,
        };
        let Some((bucket, key)) = place else {
            return Ok(None);
        };
        let slash = key.ends_with('/');
        let path = key.strip_suffix('/').unwrap_or(&key);
        let mut names: Vec<String> = path.split('/').map(str::to_owned).collect();
        if bucket == root_bucket(self)?.as_str() {
            return Ok(Some(Names { names, slash }));
        }
        if BucketName::parse_stored(bucket.as_str()).is_ok_and(|bucket| bucket.is_hidden()) {
            return Ok(None);
        }
        names.insert(0, bucket);
        Ok(Some(Names { names, slash }))
    }

    /// Sends whoever leaves out a container's slash to where it is, if they may know that.
    pub(crate) async fn check_slash(&self, names: &Names, container: &Container) -> Answered<()> {
        if names.slash {
            return Ok(());
        }
        self.may_read(container).await?;
        let names = Names {
            slash: true,
            ..names.clone()
        };
        let url = self.url(&names);
        Err(Fault::Elsewhere(StatusCode::MOVED_PERMANENTLY, url))
    }

    /// The bucket of a top-level name.
    pub(crate) async fn find_bucket(&self, name: &str) -> Answered<Option<Bucket>> {
        let Ok(name) = BucketName::parse_qualified(name) else {
            return Ok(None);
        };
        Ok(found(self.cdmi.store.peek_bucket(&name).await)?)
    }

    /// The object of a key, whoever may see it: what is told of it is asked for later.
    pub(crate) async fn look(&self, bucket: &BucketName, key: &Key) -> Answered<Option<Object>> {
        Ok(found(self.cdmi.store.peek_object(bucket, key).await)?)
    }

    /// Whether there are keys below a directory's.
    pub(crate) async fn has_below(&self, bucket: &BucketName, key: &Key) -> Answered<bool> {
        Ok(self.cdmi.store.peek_prefix(bucket, key.as_str()).await?)
    }

    /// The id of the container around a key.
    async fn parent_id(&self, bucket: &Bucket, path: &str) -> Answered<Id> {
        let Some((parent, _)) = path.rsplit_once('/') else {
            return Ok(bucket.id.0);
        };
        let key = Key::parse(format!("{parent}/"))?;
        match self.look(&bucket.name, &key).await? {
            Some(object) => Ok(object.id.0),
            None => self.implied_id(bucket.id, &key).await,
        }
    }

    /// The root container.
    pub(crate) async fn root(&self) -> Answered<Container> {
        let state = self.root_entry().await?;
        let changed = state.as_ref().map(|state| {
            let changes = state.modifications.saturating_add(1);
            (state.modified, changes)
        });
        let (modified, modifications) = changed.unwrap_or((made_at(self.cdmi.root), 0));
        let (metadata, documents, acl) = state.map_or_else(Default::default, |state| {
            (state.metadata, state.documents, state.acl)
        });
        Ok(Container {
            names: Names {
                names: Vec::new(),
                slash: true,
            },
            id: self.cdmi.root,
            parent: None,
            place: Place::Root,
            owner: Owner {
                account: self.cdmi.root_account.clone(),
                user: "root".to_owned(),
                domain: None,
            },
            // Ids start with the milliseconds of their making.
            created: made_at(self.cdmi.root),
            modified,
            modifications,
            metadata,
            acl,
            documents,
            protection: Protection::default(),
        })
    }

    /// A bucket as a container.
    pub(crate) fn top(&self, bucket: Bucket) -> Container {
        Container {
            names: Names {
                names: vec![bucket.name.as_str().to_owned()],
                slash: true,
            },
            id: bucket.id.0,
            parent: Some(self.cdmi.root),
            place: Place::Bucket(bucket.name),
            owner: bucket.owner,
            created: bucket.created,
            modified: bucket.modified,
            modifications: bucket.modifications,
            protection: Protection::of_bucket(&bucket.properties),
            metadata: bucket.properties.metadata,
            acl: bucket.properties.acl,
            documents: bucket.properties.documents,
        }
    }

    /// The container that a new child of this path gets.
    ///
    /// # Errors
    /// 404 when it does not exist.
    pub(crate) async fn parent_of(&self, names: &Names) -> Answered<Container> {
        let parent = names
            .parent()
            .ok_or_else(|| Fault::bad("the root container is there already"))?;
        match self.resolve(&parent).await? {
            Some(Node::Container(container)) => Ok(*container),
            Some(Node::Leaf(leaf)) => Err(self.redirect(&leaf).await),
            None => Err(Fault::missing(&parent.path())),
        }
    }

    /// The redirect of a reference, for who may read it; anything else that stands where a container
    /// should is missing.
    pub(crate) async fn redirect(&self, leaf: &Leaf) -> Fault {
        let Some(reference) = leaf.reference() else {
            return Fault::Status(StatusCode::NOT_FOUND, "it is not a container".to_owned());
        };
        let read = self.grant(Action::ReadObjectMetadata, leaf.resource());
        if let Err(error) = read.await {
            return error.into();
        }
        let url = match reference.contains("://") {
            true => reference.to_owned(),
            false => {
                let path = reference
                    .strip_prefix(crate::path::ROOT)
                    .unwrap_or(reference);
                let slash = if path.starts_with('/') { "" } else { "/" };
                format!("{}{}{slash}{path}", self.origin, crate::path::ROOT)
            }
        };
        Fault::Elsewhere(StatusCode::FOUND, crate::path::escape_uri(&url))
    }

    /// The id of a container that exists by keys below it only: made when it is first asked for,
    /// and kept in the dialect's own books.
    pub(crate) async fn implied_id(&self, bucket: BucketId, directory: &Key) -> Answered<Id> {
        let id = self.cdmi.derived(&format!("{bucket}/{directory}"));
        if self.implied_place(id).await?.is_none() {
            let place = format!("{bucket}/{directory}");
            let key = Key::parse(id.to_string())?;
            self.keep_own(&ids_bucket(self)?, key, (document::PLACE, place))
                .await?;
        }
        Ok(id)
    }

    /// The id of what the server makes at a path, which leads there from now on.
    pub(crate) async fn keep_made(&self, path: &str) -> Answered<Id> {
        let id = self.made_id(path);
        let (bucket, key) = (ids_bucket(self)?, Key::parse(id.to_string())?);
        if self.look(&bucket, &key).await?.is_none() {
            let kept = self.cdmi.domains().kept(path);
            let place = (document::PLACE, crate::path::escape(&kept));
            self.keep_own(&bucket, key, place).await?;
        }
        Ok(id)
    }

    /// What the server makes and has shown under an id, or a path below it.
    pub(crate) async fn made_target(&self, id: Id, below: &Names) -> Answered<Option<Target>> {
        let key = Key::parse(id.to_string())?;
        let Some(entry) = self.look(&ids_bucket(self)?, &key).await? else {
            return Ok(None);
        };
        let place = entry.documents.get(document::PLACE);
        let Some(path) = place.filter(|place| place.starts_with('/')) else {
            return Ok(None);
        };
        let target = Target::of_request(&format!("{}{path}", crate::path::ROOT))?;
        let within = |names: Names| match below.names.is_empty() {
            true => Names {
                slash: below.slash,
                ..names
            },
            false => names.join(below),
        };
        Ok(match target {
            Target::Domains(names) => {
                let shown = self.cdmi.domains().shown(&names.names);
                Some(Target::Domains(within(Names {
                    names: shown,
                    ..names
                })))
            }
            Target::Path(names) => Some(Target::Path(within(names))),
            _ => None,
        })
    }

    /// The bucket and key that the books have for an id.
    async fn implied_place(&self, id: Id) -> Answered<Option<(String, String)>> {
        let key = Key::parse(id.to_string())?;
        let Some(entry) = self.look(&ids_bucket(self)?, &key).await? else {
            return Ok(None);
        };
        let place = entry.documents.get(document::PLACE);
        let Some((bucket, key)) = place.and_then(|place| place.split_once('/')) else {
            return Ok(None);
        };
        let Some(bucket) = u128::from_str_radix(bucket, 16).ok() else {
            return Ok(None);
        };
        let bucket = BucketId(Id(bucket.to_be_bytes()));
        let bucket = found(self.cdmi.store.find_bucket_by_id(bucket).await)?;
        Ok(bucket.map(|bucket| (bucket.as_str().to_owned(), key.to_owned())))
    }
}

/// The time in an id that the host made.
fn made_at(id: Id) -> Timestamp {
    let milliseconds = id.as_bytes().iter().take(6);
    Timestamp(milliseconds.fold(0u64, |all, byte| all << 8 | u64::from(*byte)) * 1000)
}

/// Whether an error says that something is not there.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound(_))
}

/// What was found, if it was.
pub(crate) fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
