//! Snapshots of containers (clause 14): the store's, shown below `cdmi_snapshots/` of what they are of.
//!
//! A snapshot is read as a bucket of its own, which never changes; its objects have the names, and
//! ids of their own, that lead to them here. The snapshots of a nested container and those of its
//! bucket share one space of names in the store, so the former carry a mark of their container.

use crate::call::Call;
use crate::fault::{Answered, Fault};
use crate::made::MadeContainer;
use crate::media::Kind;
use crate::node::{Container, Leaf, Node, Place, document, found};
use crate::path::{Names, escape};
use crate::render::{bare, with_location};
use crate::route::not_allowed;
use http::{Method, Response, StatusCode};
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, ErrorKind, Id, Key, ObjectId};
use trestle_http::Body;
use trestle_store::{Bucket, CreateSnapshot, Snapshot};

/// The name of a container's snapshots among its children.
pub(crate) const NAME: &str = "cdmi_snapshots";

/// The bucket and the prefix that a container's snapshots are of; none of what has none.
fn place(container: &Container) -> Option<(&BucketName, &str)> {
    // What is in a snapshot has none of its own.
    if container.names.names.iter().any(|name| name == NAME) {
        return None;
    }
    match &container.place {
        Place::Root => None,
        Place::Bucket(bucket) => Some((bucket, "")),
        Place::Directory(bucket, key, _) => Some((bucket, key.as_str())),
    }
}

/// A snapshot, by the name that it has here.
struct Named {
    name: String,
    snapshot: Snapshot,
}

impl Call<'_> {
    /// What the names of a nested container's snapshots end with in the store.
    fn mark(&self, prefix: &str) -> String {
        match prefix {
            "" => String::new(),
            prefix => {
                let mark = self.cdmi.derived(prefix).to_string();
                format!(".{}", mark.get(..8).unwrap_or_default())
            }
        }
    }

    /// The snapshots of a container.
    async fn snapshots_of(&self, container: &Container) -> Answered<Vec<Named>> {
        let Some((bucket, prefix)) = place(container) else {
            return Ok(Vec::new());
        };
        let resource = Resource::Bucket(bucket.clone());
        let grant = self.cdmi.own_grant(Action::ReadBucket, resource).await?;
        let all = match found(self.cdmi.store.list_snapshots(&grant, bucket).await) {
            Ok(Some(all)) => all,
            Ok(None) => return Ok(Vec::new()),
            // The bucket that a snapshot is read as has none itself.
            Err(error) if error.kind() == ErrorKind::InvalidState => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mark = self.mark(prefix);
        let of_it = all.into_iter().filter(|one| one.prefix == prefix);
        let named = of_it.map(|snapshot| {
            // Those that were made over another dialect have no mark.
            let name = snapshot.name.strip_suffix(mark.as_str());
            let name = name.unwrap_or(&snapshot.name).to_owned();
            Named { name, snapshot }
        });
        Ok(named.collect())
    }

    /// The URIs of a container's snapshots.
    pub(crate) async fn snapshot_uris(&self, container: &Container) -> Answered<Vec<String>> {
        let path = container.names.path();
        let all = self.snapshots_of(container).await?.into_iter();
        Ok(all
            .map(|one| format!("{path}{NAME}/{}/", one.name))
            .collect())
    }

    /// Takes a snapshot of a container; one of the same name goes. Another one is made before that, so
    /// whatever fails, one is left.
    pub(crate) async fn take_snapshot(&self, container: &Container, name: &str) -> Answered {
        self.note("cdmi_snapshot");
        if name == "." || name == ".." {
            return Err(Fault::bad("no path leads to a snapshot of this name"));
        }
        let (bucket, prefix) =
            place(container).ok_or_else(|| Fault::bad("there are no snapshots of this"))?;
        let resource = Resource::Bucket(bucket.clone());
        let grant = self.grant(Action::CreateSnapshot, resource).await?;
        let create = CreateSnapshot {
            bucket: bucket.clone(),
            prefix: prefix.to_owned(),
            name: format!("{name}{}", self.mark(prefix)),
        };
        let former = self.snapshots_of(container).await?;
        let store = &self.cdmi.store;
        match former.into_iter().find(|one| one.name == name) {
            None => drop(store.create_snapshot(&grant, &create).await?),
            Some(former) => {
                let mut between = create.clone();
                between.name = format!("replacing-{}", self.cdmi.host.id());
                let between = store.create_snapshot(&grant, &between).await?;
                if let Err(fault) = self.drop_snapshot(&former.snapshot).await {
                    self.drop_between(&between).await;
                    return Err(fault);
                }
                store.create_snapshot(&grant, &create).await?;
                self.drop_between(&between).await;
            }
        }
        let url = self.url_of(&format!("{}{NAME}/{name}/", container.names.path()));
        Ok(with_location(bare(StatusCode::CREATED), &url))
    }

    /// Deletes a snapshot that was made only for the time between two; it is only too many if it stays.
    async fn drop_between(&self, snapshot: &Snapshot) {
        let (bucket, name) = (&snapshot.bucket, &snapshot.name);
        let resource = Resource::Bucket(bucket.clone());
        let deleted = async {
            let delete = self
                .cdmi
                .own_grant(Action::DeleteSnapshot, resource)
                .await?;
            self.cdmi.store.delete_snapshot(&delete, bucket, name).await
        };
        if let Err(error) = deleted.await {
            tracing::warn!(%error, name, "a snapshot stays that was to go");
        }
    }

    async fn drop_snapshot(&self, snapshot: &Snapshot) -> Answered<()> {
        let (bucket, name) = (&snapshot.bucket, &snapshot.name);
        let resource = Resource::Bucket(bucket.clone());
        let grant = self.grant(Action::DeleteSnapshot, resource).await?;
        self.cdmi
            .store
            .delete_snapshot(&grant, bucket, name)
            .await?;
        Ok(())
    }

    /// The snapshots of a container that goes, and of what is in it.
    ///
    /// # Errors
    /// 403 when there are some that may not be deleted.
    pub(crate) async fn snapshots_going_with(
        &self,
        container: &Container,
    ) -> Answered<Vec<Snapshot>> {
        let Some((bucket, prefix)) = place(container) else {
            return Ok(Vec::new());
        };
        let resource = Resource::Bucket(bucket.clone());
        let read = self.cdmi.own_grant(Action::ReadBucket, resource.clone());
        let mut all = self.cdmi.store.list_snapshots(&read.await?, bucket).await?;
        all.retain(|snapshot| snapshot.prefix.starts_with(prefix));
        if !all.is_empty() {
            self.grant(Action::DeleteSnapshot, resource).await?;
        }
        Ok(all)
    }

    /// Deletes snapshots of what has gone.
    pub(crate) async fn drop_snapshots(&self, snapshots: &[Snapshot]) -> Answered<()> {
        for snapshot in snapshots {
            match self.drop_snapshot(snapshot).await {
                Err(fault) if fault.is_missing() => {}
                dropped => dropped?,
            }
        }
        Ok(())
    }

    /// Answers at the container of a container's snapshots; none when it is no such one.
    pub(crate) async fn snapshots(&self, names: &Names) -> Answered<Option<Response<Body>>> {
        let Some((NAME, above)) = names.names.split_last().map(|(last, a)| (last.as_str(), a))
        else {
            return Ok(None);
        };
        let of = Names {
            names: above.to_vec(),
            slash: true,
        };
        let Some(Node::Container(container)) = self.resolve(&of).await? else {
            return Ok(None);
        };
        let children: Vec<String> = self
            .snapshots_of(&container)
            .await?
            .into_iter()
            .map(|one| format!("{}/", one.name))
            .collect();
        if children.is_empty() {
            return Ok(None);
        }
        self.check_unmade()?;
        if !matches!(self.method, Method::GET | Method::HEAD) {
            return Ok(Some(not_allowed("GET, HEAD")));
        }
        self.may_read(&container).await?;
        let parent = container.names.path();
        let made = MadeContainer {
            path: format!("{parent}{NAME}/"),
            parent,
            domain: self.domain_uri(&container.owner),
            profile: "/cdmi_capabilities/container/snapshots/",
            kind: Kind::Container,
            children,
        };
        if !names.slash {
            let url = format!("{}{}{}", self.origin, crate::path::ROOT, escape(&made.path));
            return Err(Fault::Elsewhere(StatusCode::MOVED_PERMANENTLY, url));
        }
        let parent = container.id;
        self.made_within(&made, parent).await.map(Some)
    }

    /// What is at a path below the snapshots of a container; none when there is no such snapshot.
    pub(crate) async fn resolve_snapshot(
        &self,
        names: &Names,
        at: usize,
    ) -> Answered<Option<Node>> {
        let (above, below) = names.names.split_at(at);
        let Some((name, rest)) = below.get(1..).and_then(<[String]>::split_first) else {
            return Ok(None);
        };
        let of = Names {
            names: above.to_vec(),
            slash: true,
        };
        let Some(Node::Container(container)) = self.resolve(&of).await? else {
            return Ok(None);
        };
        let mut all = self.snapshots_of(&container).await?.into_iter();
        let Some(named) = all.find(|one| one.name == *name) else {
            return Ok(None);
        };
        let (snapshot, original) = (&named.snapshot, self.find_bucket(&of_bucket(above)).await?);
        let shown = found(self.cdmi.store.peek_bucket(&snapshot.reads_as).await)?;
        let (Some(shown), Some(original)) = (shown, original) else {
            return Ok(None);
        };
        let path = format!("{}{}", snapshot.prefix, rest.join("/"));
        let path = path.trim_end_matches('/');
        let node = match path {
            "" => Some(Node::Container(Box::new(Container {
                names: names.clone(),
                ..self.top(shown)
            }))),
            path => self.resolve_in(&shown, names, path).await?,
        };
        let Some(node) = node else { return Ok(None) };
        let slash = matches!(node, Node::Container(_));
        let id = self.shown_id(&original, (names, slash)).await?;
        let above = names.parent().unwrap_or_default();
        let parent = match rest.is_empty() {
            true => self.made_id(&above.path()),
            false => self.shown_id(&original, (&above, true)).await?,
        };
        let node = relabelled(node, (id, parent));
        if let Node::Container(container) = &node {
            self.check_slash(names, container).await?;
        }
        Ok(Some(node))
    }

    /// The id of what a snapshot shows at a path: that of the path.
    async fn shown_id(&self, original: &Bucket, (names, slash): (&Names, bool)) -> Answered<Id> {
        let path = names.names.get(1..).unwrap_or_default().join("/");
        let slash = if slash { "/" } else { "" };
        let key = Key::parse(format!("{path}{slash}"))?;
        self.implied_id(original.id, &key).await
    }

    /// Deletes the snapshot whose container this is.
    ///
    /// # Errors
    /// 403 for what is in a snapshot.
    pub(crate) async fn delete_snapshot(&self, shown: &Container) -> Answered {
        if !is_snapshot(&shown.names) {
            return Err(never_changes());
        }
        let names = &shown.names.names;
        let above = names.get(..names.len().saturating_sub(2));
        let of = Names {
            names: above.unwrap_or_default().to_vec(),
            slash: true,
        };
        let Some(Node::Container(container)) = self.resolve(&of).await? else {
            return Err(Fault::missing(&of.path()));
        };
        let mut all = self.snapshots_of(&container).await?.into_iter();
        let named = all.find(|one| Some(one.name.as_str()) == shown.names.last());
        let named = named.ok_or_else(|| Fault::missing(&shown.names.path()))?;
        self.drop_snapshot(&named.snapshot).await?;
        Ok(bare(StatusCode::NO_CONTENT))
    }
}

/// The name of the bucket that a path leads into.
fn of_bucket(names: &[String]) -> String {
    names.first().cloned().unwrap_or_default()
}

fn never_changes() -> Fault {
    Fault::never("a snapshot never changes")
}

/// Whether a path leads into a snapshot.
pub(crate) fn is_within(names: &Names) -> bool {
    let at = names.names.iter().position(|name| name == NAME);
    at.is_some_and(|at| at > 0 && names.names.len() > at + 1)
}

/// Whether a path is that of a snapshot itself.
pub(crate) fn is_snapshot(names: &Names) -> bool {
    let at = names.names.iter().position(|name| name == NAME);
    at.is_some_and(|at| at > 0 && names.names.len() == at + 2)
}

/// Refuses to change what is in a snapshot.
pub(crate) fn check_changeable(names: Option<&Names>) -> Answered<()> {
    match names.is_some_and(is_within) {
        true => Err(never_changes()),
        false => Ok(()),
    }
}

/// As a snapshot shows it: with ids of its own, and no versions.
fn relabelled(node: Node, (id, parent): (Id, Id)) -> Node {
    match node {
        Node::Container(container) => Node::Container(Box::new(Container {
            id,
            parent: Some(parent),
            ..*container
        })),
        Node::Leaf(leaf) => {
            let mut object = leaf.object;
            object.id = ObjectId(id);
            object.documents.remove(document::VERSIONED);
            object.metadata.remove(crate::versions::ITEM);
            Node::Leaf(Leaf {
                parent: Some(parent),
                object,
                ..leaf
            })
        }
    }
}
