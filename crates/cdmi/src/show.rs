//! What a read shows: the metadata that the server makes, and the fields of each kind.

use crate::books::unknown_fields;
use crate::call::Call;
use crate::content::hash_of;
use crate::fault::{Answered, Fault};
use crate::listing::Extended;
use crate::media::{Kind, split_outside_quotes};
use crate::metadata::{is_inherited, select};
use crate::node::{Container, Leaf, Place, document};
use crate::path::Names;
use crate::profile;
use crate::query_queue::query_of;
use crate::render::Rendering;
use crate::rights;
use crate::root::AtRoot;
use crate::snapshots;
use crate::time;
use crate::value::{Encoding, range_text};
use crate::versions::{is_data, is_versioned};
use crate::watch::status_of as status_of_watch;
use bytes::Bytes;
use futures::FutureExt;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use trestle_access::{Action, Resource};
use trestle_core::{Key, Metadata, Owner};
use trestle_store::{Object, ObjectProperties, Redundancy};

/// The media type of bytes that nobody said one for.
pub(crate) const MIMETYPE_DEFAULT: &str = "application/octet-stream";
/// The field of dialect-independent representation that is the mimetype.
pub(crate) const CONTENT_TYPE: &str = "content-type";

/// What contents are encrypted with, as `cdmi_encryption` writes it.
pub(crate) const ENCRYPTION: &str = "AES_GCM_256";

/// The fields of a container that are not its children's.
const OF_CONTAINER: [&str; 10] = [
    "objectType",
    "objectID",
    "objectName",
    "parentURI",
    "parentID",
    "domainURI",
    "capabilitiesURI",
    "completionStatus",
    "metadata",
    "exports",
];

/// The transfer encoding of an object's value; of what another dialect wrote, too.
pub(crate) fn encoding_of(object: &Object) -> Encoding {
    let set = object.documents.get(document::ENCODING);
    if let Some(encoding) = set.and_then(|text| Encoding::parse(text).ok()) {
        return encoding;
    }
    let media_type = crate::media::MediaType::parse(&mimetype_of(object));
    match media_type.is_ok_and(|media_type| media_type.is_utf8()) {
        true => Encoding::Utf8,
        false => Encoding::Base64,
    }
}

/// The mimetype of an object.
pub(crate) fn mimetype_of(object: &Object) -> String {
    let set = object.representation.get(CONTENT_TYPE);
    set.map_or_else(|| MIMETYPE_DEFAULT.to_owned(), |set| set.to_lowercase())
}

/// The mimetype as a document shows it. The charset of a header, which the transfer encoding tells
/// (6.2.3), is not part of it; what a document said is shown as it was said.
pub(crate) fn mimetype_shown(
    representation: &BTreeMap<String, String>,
    documents: &BTreeMap<String, String>,
) -> String {
    let set = representation.get(CONTENT_TYPE);
    let set = set.map_or_else(|| MIMETYPE_DEFAULT.to_owned(), |set| set.to_lowercase());
    if documents.contains_key(document::MIMETYPE_SAID) {
        return set;
    }
    let is_told = |parameter: &&str| {
        let bare = parameter.replace([' ', '"'], "");
        bare == "charset=utf-8"
    };
    let parts = split_outside_quotes(&set, ';').into_iter();
    let parts: Vec<&str> = parts.filter(|part| !is_told(part)).collect();
    parts.join(";").trim_end().to_owned()
}

/// Sets the mimetype that a document says, unless it is the one that is shown already.
pub(crate) fn set_mimetype(properties: &mut ObjectProperties, mimetype: String) {
    let there = mimetype_shown(&properties.representation, &properties.documents);
    if there == mimetype && properties.representation.contains_key(CONTENT_TYPE) {
        return;
    }
    let said = document::MIMETYPE_SAID.to_owned();
    match mimetype.contains("charset") {
        true => drop(properties.documents.insert(said, "true".to_owned())),
        false => drop(properties.documents.remove(&said)),
    }
    properties
        .representation
        .insert(CONTENT_TYPE.to_owned(), mimetype);
}

/// Whether a series of writes of an object goes on.
pub(crate) fn is_processing(object: &Object) -> bool {
    object.documents.contains_key(document::STATUS)
}

fn status_of(processing: bool) -> &'static str {
    match processing {
        true => "Processing",
        false => "Complete",
    }
}

/// The group that a list means, if one was said.
fn group_shown(acl: Option<&str>) -> Option<(&'static str, Value)> {
    let group = rights::group_of(acl)?;
    Some((rights::GROUP, Value::from(group)))
}

/// How often an object is there, of what its metadata asks for.
fn redundancy_provided(items: &Metadata, redundancy: Redundancy) -> Vec<(&'static str, Value)> {
    let number = |name: &str| {
        let asked = items.get(name)?.as_str()?.parse::<u64>().ok()?;
        (asked > 0).then_some(asked)
    };
    let mut made = Vec::new();
    let copies = number("cdmi_data_redundancy");
    if copies.is_some() {
        let there = Value::from(redundancy.copies.to_string());
        made.push(("cdmi_data_redundancy_provided", there));
    }
    if number("cdmi_infrastructure_redundancy").is_some() {
        let there = Value::from(redundancy.infrastructures.to_string());
        made.push(("cdmi_infrastructure_redundancy_provided", there));
    }
    let at_once = items
        .get("cdmi_immediate_redundancy")
        .and_then(Value::as_str);
    if at_once == Some("true") {
        // What is answered is durable, in all the copies that there are; one is asked for where no
        // number is.
        let all = copies.unwrap_or(1) <= u64::from(redundancy.copies);
        let all = Value::from(all.to_string());
        made.push(("cdmi_immediate_redundancy_provided", all));
    }
    made
}

/// The bytes of objects with those of their former versions, as `cdmi_size`.
pub(crate) fn consumed(bytes: u64, version_bytes: u64) -> String {
    bytes.saturating_add(version_bytes).to_string()
}

impl Call<'_> {
    /// The URI of an owner's domain.
    pub(crate) fn domain_uri(&self, owner: &Owner) -> String {
        self.domain_path(&owner.account)
    }

    /// The fields that say what and where an object is.
    pub(crate) fn identity(
        &self,
        rendering: &mut Rendering,
        kind: Kind,
        id: String,
        names: Option<&Names>,
    ) {
        let fields = &self.fields;
        rendering.choose(fields, "objectType", kind.media_type());
        rendering.choose(fields, "objectID", id);
        let Some(names) = names else { return };
        let slash = if names.slash { "/" } else { "" };
        let name = format!("{}{slash}", names.last().unwrap_or_default());
        rendering.choose(fields, "objectName", name);
        let parent = names.parent().map(|parent| parent.path());
        rendering.choose(fields, "parentURI", parent.unwrap_or_default());
    }

    /// Data system metadata that a path's containers pass on.
    pub(crate) async fn inherited(&self, names: &Names) -> Answered<Metadata> {
        let mut items = Metadata::new();
        let mut take = |metadata: Metadata| {
            items.extend(metadata.into_iter().filter(|(name, _)| is_inherited(name)));
        };
        take(self.root_state().await?.0);
        let Some((last, above)) = names.names.split_last() else {
            return Ok(items);
        };
        let Some((top, directories)) = above.split_first() else {
            return Ok(items);
        };
        let Some(bucket) = self.find_bucket(top).await? else {
            return Ok(items);
        };
        let name = bucket.name.clone();
        take(bucket.properties.metadata);
        let mut path = String::new();
        for directory in directories {
            path = format!("{path}{directory}/");
            if let Some(object) = self.look(&name, &Key::parse(path.as_str())?).await? {
                take(object.metadata);
            }
        }
        let _ = last;
        Ok(items)
    }

    /// All metadata of a container.
    async fn metadata(
        &self,
        names: &Names,
        own: &Metadata,
        mut made: Vec<(&'static str, Value)>,
    ) -> Answered<Map<String, Value>> {
        let mut items = self.inherited(names).await?;
        items.extend(own.clone());
        let redundancy = self.cdmi.store.redundancy();
        made.extend(redundancy_provided(&items, redundancy));
        Ok(self.selected(items, made))
    }

    /// Items with those that the server makes, as far as the request selects them.
    fn selected(&self, mut items: Metadata, made: Vec<(&str, Value)>) -> Map<String, Value> {
        let made = made.into_iter();
        items.extend(made.map(|(name, value)| (name.to_owned(), value)));
        select(items.into_iter().collect(), &self.fields)
    }

    /// Whether who asks may see an access control list.
    pub(crate) async fn may_see_list(&self, resource: &Resource) -> Answered<bool> {
        let action = match resource {
            Resource::Object(..) => Action::ReadObjectAcl,
            _ => Action::ReadBucketAcl,
        };
        match self.grant(action, resource.clone()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == trestle_core::ErrorKind::Forbidden => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The metadata of a data object or queue.
    pub(crate) async fn leaf_metadata(&self, leaf: &Leaf) -> Answered<Map<String, Value>> {
        let object = &leaf.object;
        let main = leaf.version_of.as_deref().unwrap_or(leaf);
        let mut made = vec![
            ("cdmi_ctime", Value::from(time::text(object.created))),
            ("cdmi_mtime", Value::from(time::text(object.modified))),
            ("cdmi_mcount", Value::from(object.modifications.to_string())),
            // Of a queue, that of its values with what is kept of each.
            ("cdmi_size", Value::from(object.length().to_string())),
            ("cdmi_owner", Value::from(main.object.owner.user.as_str())),
        ];
        if leaf.is_queue() && matches!(query_of(&object.metadata), Ok(Some(_))) {
            // Queries run to their end before the queue is there.
            made.push(("cdmi_query_status", Value::from("Current")));
        }
        if leaf.is_queue()
            && let Some((name, status)) = status_of_watch(&object.metadata)
        {
            made.push((name, Value::from(self.watch_status(object.id.0, status))));
        }
        made.extend(crate::protect::provided(object));
        if self.may_see_list(&leaf.resource()).await? {
            made.extend(group_shown(main.object.acl.as_deref()));
            let acl = rights::shown(main.object.acl.as_deref(), false, false);
            made.push((rights::ITEM, acl));
        }
        let mut items = match &leaf.names {
            Some(names) => self.inherited(names).await?,
            None => Metadata::new(),
        };
        items.extend(object.metadata.clone());
        if let Some(algorithm) = hash_of(&items)
            && let Some(digest) = object.digests.get(algorithm)
        {
            made.push(("cdmi_hash", Value::from(digest.hex())));
            let name = items.get("cdmi_value_hash").cloned().unwrap_or_default();
            made.push(("cdmi_value_hash_provided", name));
        }
        made.extend(redundancy_provided(&items, self.cdmi.store.redundancy()));
        if leaf.version_of.is_some() || is_versioned(object, &items) {
            made.extend(self.version_links(leaf).await?);
        }
        if leaf.version_of.is_some() {
            items.remove(crate::versions::ITEM);
        } else if is_data(&object.documents) {
            made.extend(crate::versions::provided(&items));
        }
        if object.encryption.is_some() {
            made.push(("cdmi_encryption_provided", Value::from(ENCRYPTION)));
        }
        Ok(self.selected(items, made))
    }

    /// The fields that a data object has before its value.
    pub(crate) async fn data_head(&self, leaf: &Leaf, kind: Kind) -> Answered<Rendering> {
        let object = &leaf.object;
        let fields = &self.fields;
        let mut rendering = Rendering::default();
        self.identity(&mut rendering, kind, self.id_of(leaf), leaf.names.as_ref());
        if let Some(parent) = leaf.parent {
            rendering.choose(fields, "parentID", self.id_text(parent));
        }
        // A version belongs to whom its object does.
        let main = leaf.version_of.as_deref().unwrap_or(leaf);
        let owner = &main.object.owner;
        rendering.choose(fields, "domainURI", self.domain_uri(owner));
        let profile = match kind {
            _ if leaf.names.as_ref().is_some_and(snapshots::is_within) => match kind {
                Kind::Queue => "/cdmi_capabilities/queue/snapshot/".to_owned(),
                _ => "/cdmi_capabilities/dataobject/snapshot/".to_owned(),
            },
            Kind::Queue => "/cdmi_capabilities/queue/".to_owned(),
            Kind::Container => "/cdmi_capabilities/container/".to_owned(),
            _ if leaf.version_of.is_some() => {
                "/cdmi_capabilities/dataobject/dataobject_version/".to_owned()
            }
            _ => profile::uri(("dataobject/", "dataobject/"), &object.metadata),
        };
        rendering.choose(fields, "capabilitiesURI", profile);
        let status = status_of(is_processing(object));
        rendering.choose(fields, "completionStatus", status);
        if kind == Kind::Object {
            let shown = mimetype_shown(&object.representation, &object.documents);
            rendering.choose(fields, "mimetype", shown);
        }
        if fields.has("metadata") {
            rendering.add("metadata", self.leaf_metadata(leaf).await?);
        }
        for (name, value) in unknown_fields(&object.documents) {
            rendering.choose(fields, &name, value);
        }
        Ok(rendering)
    }

    /// The fields that a data object or queue has before its value, for who may read them.
    pub(crate) async fn readable_head(&self, leaf: &Leaf) -> Answered<Rendering> {
        let kind = match leaf.is_queue() {
            true => Kind::Queue,
            false => Kind::Object,
        };
        // Who may change each list sees the metadata of everything.
        if !self.mends_lists() {
            let of = leaf.resource();
            self.grant(Action::ReadObjectMetadata, of).await?;
        }
        self.seen_head(leaf, kind).await
    }

    /// The document of a container, with its children.
    pub(crate) async fn container_document(&self, container: &Container) -> Answered<Rendering> {
        let fields = &self.fields;
        let lists = fields.has("children") || fields.has("childrenrange");
        let mut readable = true;
        let mut rendering = match self.container_head(container).await {
            // Who may only list it sees what is in it, and nothing that it says of itself.
            Err(fault) if fault.is_forbidden() && lists => {
                readable = false;
                Rendering::default()
            }
            head => head?,
        };
        let asked = Extended::of(fields)?;
        let spans = match asked {
            Some(_) => Vec::new(),
            None => fields.spans("children")?,
        };
        if spans.len() > 1 {
            return Err(Fault::bad("children has more than one range"));
        }
        let mut uris = Vec::new();
        if lists || fields.has("snapshots") {
            uris = self.snapshot_uris(container).await?;
        }
        let last = (!uris.is_empty()).then_some(snapshots::NAME);
        if readable && !uris.is_empty() {
            rendering.choose(fields, "snapshots", uris);
        }
        if !lists {
            return Ok(rendering);
        }
        let children = match asked {
            Some(asked) => self.extended(container, &asked).await,
            None => {
                let span = spans.first().copied();
                let children = self.children_and(container, span, last).await;
                children.map(|children| {
                    let names = children.names.into_iter().map(Value::from);
                    (children.range, names.collect())
                })
            }
        };
        match children {
            Ok((range, children)) => {
                rendering.choose(fields, "childrenrange", range);
                rendering.choose(fields, "children", children);
            }
            // What may not be seen is left out, unless nothing else is.
            Err(fault) if fault.is_forbidden() && !rendering.is_empty() => {}
            Err(fault) => return Err(fault),
        }
        Ok(rendering)
    }

    /// The fields that a container has before its children.
    pub(crate) async fn container_head(&self, container: &Container) -> Answered<Rendering> {
        let (at, of) = match &container.place {
            _ if !OF_CONTAINER.iter().any(|name| self.fields.has(name)) => {
                return self.made_container_head(container).await;
            }
            Place::Root => {
                return match self.may_read(container).await {
                    // Its children may be seen all the same.
                    Err(fault) if fault.is_forbidden() && self.fields.has("children") => {
                        Ok(Rendering::default())
                    }
                    read => {
                        read?;
                        self.made_container_head(container).await
                    }
                };
            }
            Place::Bucket(bucket) => {
                let of = (Action::ReadBucket, Resource::Bucket(bucket.clone()));
                (bucket, of)
            }
            Place::Directory(bucket, key, _) => {
                let resource = Resource::Object(bucket.clone(), key.clone());
                (bucket, (Action::ReadObjectMetadata, resource))
            }
        };
        let at = (at, container.acl.as_deref());
        let visible = self.visible(at, of).boxed().await?;
        let mut rendering = self.made_container_head(container).await?;
        visible.limit(&mut rendering)?;
        Ok(rendering)
    }

    /// The same, for who has just made it: they know what it is.
    pub(crate) async fn made_container_head(&self, container: &Container) -> Answered<Rendering> {
        let fields = &self.fields;
        let mut rendering = Rendering::default();
        let kind = Kind::Container;
        let id = self.id_text(container.id);
        self.identity(&mut rendering, kind, id, Some(&container.names));
        if let Some(parent) = container.parent {
            rendering.choose(fields, "parentID", self.id_text(parent));
        }
        rendering.choose(fields, "domainURI", self.domain_uri(&container.owner));
        let profile = match container.place {
            Place::Root => "/cdmi_capabilities/container/root/".to_owned(),
            _ if snapshots::is_within(&container.names) => {
                "/cdmi_capabilities/container/snapshot/".to_owned()
            }
            Place::Bucket(_) => profile::uri(("container/", "container/top/"), &container.metadata),
            Place::Directory(..) => profile::uri(("container/", "container/"), &container.metadata),
        };
        rendering.choose(fields, "capabilitiesURI", profile);
        rendering.choose(fields, "completionStatus", status_of(false));
        if fields.has("metadata") {
            let mut made = vec![
                ("cdmi_ctime", Value::from(time::text(container.created))),
                ("cdmi_mtime", Value::from(time::text(container.modified))),
                (
                    "cdmi_mcount",
                    Value::from(container.modifications.to_string()),
                ),
                ("cdmi_owner", Value::from(container.owner.user.as_str())),
            ];
            made.extend(
                container
                    .protection
                    .provided((container.created, container.modified), &container.metadata),
            );
            if let Some(size) = self.size_of_container(container).await? {
                made.push(("cdmi_size", Value::from(size)));
            }
            let root = container.place == Place::Root;
            let visible = match &container.place {
                Place::Root => {
                    container.acl.is_none()
                        || self.may_at_root(container, AtRoot::Does(Action::ReadBucketAcl))?
                }
                Place::Bucket(bucket) => {
                    self.may_see_list(&Resource::Bucket(bucket.clone())).await?
                }
                Place::Directory(bucket, key, _) => {
                    let resource = Resource::Object(bucket.clone(), key.clone());
                    self.may_see_list(&resource).await?
                }
            };
            if visible {
                made.extend(group_shown(container.acl.as_deref()));
                let acl = rights::shown(container.acl.as_deref(), true, root);
                made.push((rights::ITEM, acl));
            }
            let metadata = self.metadata(&container.names, &container.metadata, made);
            rendering.add("metadata", metadata.await?);
        }
        if let Some(exports) = crate::exports::shown(container) {
            rendering.choose(fields, "exports", exports);
        }
        for (name, value) in unknown_fields(&container.documents) {
            rendering.choose(fields, &name, value);
        }
        Ok(rendering)
    }

    /// What a container consumes with all that is in it: counted of buckets alone.
    async fn size_of_container(&self, container: &Container) -> Answered<Option<String>> {
        match &container.place {
            Place::Bucket(bucket) if !snapshots::is_within(&container.names) => {
                let resource = Resource::Bucket(bucket.clone());
                let grant = self.cdmi.own_grant(Action::ReadBucket, resource).await?;
                let usage = self.cdmi.store.bucket(&grant, bucket).await?.1;
                Ok(Some(consumed(usage.bytes, usage.version_bytes)))
            }
            _ => Ok(None),
        }
    }

    /// Asks for the right to read what a container says of itself.
    pub(crate) async fn may_read(&self, container: &Container) -> Answered<()> {
        let (action, resource) = match &container.place {
            // Whoever is known may see that it is there.
            Place::Root => {
                self.account()?;
                let read = match self.fields.is_list_alone() {
                    true => Action::ReadBucketAcl,
                    false => Action::ReadBucket,
                };
                return match container.acl {
                    Some(_) => self.check_root(container, AtRoot::Does(read)),
                    None => Ok(()),
                };
            }
            Place::Bucket(bucket) => (Action::ReadBucket, Resource::Bucket(bucket.clone())),
            Place::Directory(bucket, key, _) => (
                Action::ReadObjectMetadata,
                Resource::Object(bucket.clone(), key.clone()),
            ),
        };
        self.may_read_metadata(action, resource).await
    }

    /// Asks for the right to the metadata; who asks for the list alone needs the right to that.
    pub(crate) async fn may_read_metadata(
        &self,
        action: Action,
        resource: Resource,
    ) -> Answered<()> {
        match self.grant(action, resource.clone()).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == trestle_core::ErrorKind::Forbidden => {
                match self.fields.is_list_alone() && self.may_see_list(&resource).await? {
                    true => Ok(()),
                    false => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Adds the value of a data object, or a range of it, as the last fields.
    pub(crate) fn add_value(
        &self,
        rendering: &mut Rendering,
        object: &Object,
        (first, bytes): (u64, &Bytes),
        ranged: bool,
    ) {
        let fields = &self.fields;
        let encoding = match ranged {
            // Part of a text need not be one.
            true => Encoding::Base64,
            false => encoding_of(object),
        };
        let (encoding, value) = encoding.encode(bytes, self.version.is_first());
        rendering.choose(fields, "valuetransferencoding", encoding.as_str());
        let range = range_text(first, bytes.len() as u64);
        rendering.choose(fields, "valuerange", range);
        rendering.choose(fields, "value", value);
    }
}
