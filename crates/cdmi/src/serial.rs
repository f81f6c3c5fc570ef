//! Serialised objects (clause 15): any object as one JSON text, and back again with its id.

use crate::acl::mask;
use crate::books::keep_unknown;
use crate::call::Call;
use crate::content::{Destination, VALUE_BYTES_MAX};
use crate::data::{NewValue, new_metadata, new_properties, set_acl};
use crate::document::{Document, Source};
use crate::domain_change::Heir;
use crate::fault::{Answered, Fault};
use crate::media::Kind;
use crate::node::{Container, Leaf, Node, document};
use crate::path::Names;
use crate::queue_content::{QueueContent, QueueValue};
use crate::render::Rendering;
use crate::rights;
use crate::value::{Encoding, from_base64};
use crate::version_serial::{check_count, mark_versioned};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use trestle_access::Action;
use trestle_core::{Error, ErrorKind, Id, Metadata, ObjectId, Precondition, Result};
use trestle_store::{Object, ObjectProperties};

/// Most objects of one serialised container.
const OBJECTS_MAX: usize = 10_000;
/// How deep serialised containers nest: what is deeper could not be read back as JSON, and would
/// take a stack as deep.
const DEPTH_MAX: usize = 60;

/// How deep all of it is nested: what is deeper is not read back.
const LEVELS_MAX: usize = 126;

/// How much of a serialised form there is already.
#[derive(Default)]
pub(crate) struct Taken {
    objects: usize,
    bytes: usize,
    depth: usize,
}

impl Taken {
    /// Counts one object more.
    pub(crate) fn object(&mut self) -> Answered<()> {
        self.objects += 1;
        match self.objects > OBJECTS_MAX {
            true => Err(too_much()),
            false => Ok(()),
        }
    }

    /// Counts what was rendered while it is, so that the memory of the whole has a limit.
    pub(crate) fn rendered(&mut self, rendering: &Rendering) -> Answered<()> {
        self.bytes = self.bytes.saturating_add(rendering.to_bytes()?.len());
        // Each one around it is an object with an array in it.
        let deep = 2 * self.depth + rendering.levels();
        match self.bytes as u64 > VALUE_BYTES_MAX || deep > LEVELS_MAX {
            true => Err(too_much()),
            false => Ok(()),
        }
    }

    /// What follows is within one more.
    pub(crate) fn enter(&mut self) -> Answered<()> {
        self.depth += 1;
        match self.depth > DEPTH_MAX {
            true => Err(too_much()),
            false => Ok(()),
        }
    }

    /// What follows is not within the last one any more.
    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}

/// A serialised object.
#[derive(Clone, Debug)]
pub(crate) struct Serialized {
    pub(crate) kind: Kind,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    domain: Option<String>,
    pub(crate) document: Document,
    pub(crate) children: Vec<Value>,
    /// Of an object with versions these, the current one first.
    pub(crate) versions: Vec<Value>,
    fields: Map<String, Value>,
}

impl Serialized {
    /// Reads a serialised object.
    pub(crate) fn parse(value: Value) -> Result<Self> {
        let Value::Object(mut fields) = value else {
            return Err(Error::invalid("a serialised object is not a JSON object"));
        };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let kind = match text("objectType").as_deref() {
            Some("application/cdmi-object") => Kind::Object,
            Some("application/cdmi-container") => Kind::Container,
            Some("application/cdmi-queue") => Kind::Queue,
            _ => return Err(Error::invalid("a serialised object of no known type")),
        };
        // Taken out rather than copied: below may be as much as the whole request has.
        let children = match fields.remove("children") {
            Some(Value::Array(children)) => children,
            _ => Vec::new(),
        };
        let mut versions = Vec::new();
        if kind == Kind::Object
            && fields.get("value").is_some_and(Value::is_array)
            && let Some(Value::Array(all)) = fields.remove("value")
        {
            if all.is_empty() {
                return Err(Error::invalid("a serialised object has no version"));
            }
            versions = all;
        }
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut own = fields.clone();
        for made in ["queueValues", "capabilitiesURI", "domainURI", "exports"] {
            own.remove(made);
        }
        Ok(Serialized {
            kind,
            id: text("objectID"),
            name: text("objectName"),
            domain: text("domainURI"),
            document: Document::from_map(own)?,
            children,
            versions,
            fields,
        })
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Serialized::parse(crate::json::parse(bytes)?)
    }

    /// Of a serialised data object without a value, and the bytes of its value.
    pub(crate) fn of_parts(bytes: &[u8], value: &[u8]) -> Result<Self> {
        let mut serialized = Serialized::from_bytes(bytes)?;
        if serialized.kind != Kind::Object || serialized.fields.contains_key("value") {
            return Err(Error::invalid(
                "a value comes in a part when the serialised data object has none",
            ));
        }
        let encoding = serialized.document.encoding()?.unwrap_or(Encoding::Utf8);
        encoding.check(value)?;
        let (_, value) = encoding.encode(value, false);
        let fields = &mut serialized.fields;
        fields.insert("value".to_owned(), value.clone());
        serialized.document.source = Some(Source::Value(value));
        Ok(serialized)
    }

    /// Whether it has versions.
    pub(crate) fn has_versions(&self) -> bool {
        !self.versions.is_empty()
    }

    /// Refuses a version by itself: it says that it is one of another object.
    fn check_no_version(&self) -> Result<()> {
        let metadata = self.fields.get("metadata");
        let of = metadata.and_then(|metadata| metadata.get("cdmi_version_object"));
        let of = of
            .and_then(Value::as_str)
            .and_then(|uri| uri.rsplit('/').next());
        match (of, &self.id) {
            (Some(of), Some(own)) if !own.eq_ignore_ascii_case(of) => Err(Error::invalid(
                "a version does not come back without its object",
            )),
            _ => Ok(()),
        }
    }

    /// Whether it is a reference.
    pub(crate) fn is_reference(&self) -> bool {
        self.fields.contains_key("reference")
    }

    /// Its path as a child of a container.
    pub(crate) fn names_in(&self, container: &Container) -> Answered<Names> {
        let name = self.name.as_deref().unwrap_or_default();
        let name = name.strip_suffix('/').unwrap_or(name);
        match name.is_empty() || name.contains(['/', '?']) {
            true => Err(Fault::bad("a serialised child has no valid name")),
            false => Ok(container.names.child(name, self.kind == Kind::Container)),
        }
    }

    /// The value; of an object with versions that of the current one.
    pub(crate) fn value(&self) -> Result<NewValue> {
        if let Some(current) = self.versions.first() {
            let current = Serialized::parse(current.clone())?;
            return match current.has_versions() {
                true => Err(Error::invalid("a version has no versions")),
                false => current.value(),
            };
        }
        let encoding = self.document.encoding()?.unwrap_or(Encoding::Utf8);
        let bytes = match &self.document.source {
            Some(Source::Value(value)) => encoding.decode(value)?,
            _ => Bytes::new(),
        };
        let mimetype = self.document.mimetype()?;
        Ok(NewValue {
            bytes,
            encoding,
            mimetype: mimetype.unwrap_or_else(|| "text/plain".to_owned()),
        })
    }

    pub(crate) fn queue(&self) -> Result<QueueContent> {
        let array = |name: &str| match self.fields.get(name) {
            Some(Value::Array(items)) => items.clone(),
            _ => Vec::new(),
        };
        let (mimetypes, encodings) = (array("mimetype"), array("valuetransferencoding"));
        let mut content = QueueContent::default();
        for (at, value) in array("value").iter().enumerate() {
            let text = |items: &[Value], default: &str| {
                let item = items.get(at).and_then(Value::as_str);
                item.unwrap_or(default).to_owned()
            };
            let encoding = Encoding::parse(&text(&encodings, "utf-8"))?;
            content.values.push(QueueValue {
                mimetype: text(&mimetypes, "text/plain"),
                encoding,
                bytes: encoding.decode(value)?,
            });
        }
        let designators = self.fields.get("queueValues").and_then(Value::as_str);
        let first = designators.and_then(|text| text.split_once('-')?.0.parse().ok());
        content.first = first.unwrap_or(0);
        Ok(content)
    }
}

impl Call<'_> {
    /// The serialised form of what a URI names.
    pub(crate) async fn serialized(&self, uri: &str) -> Answered<(Bytes, Metadata)> {
        let all = self.with_all_fields();
        if let Some(domain) = self.source_domain(uri).await? {
            let bytes = all.serialize_domain(&domain, 0).await?.to_bytes()?;
            return Ok((bytes, Metadata::new()));
        }
        let source = self.source(uri).await?;
        if let Node::Leaf(leaf) = &source.node
            && leaf.version_of.is_some()
        {
            return Err(Fault::bad("a version is not serialised by itself"));
        }
        let mut taken = Taken::default();
        let rendering = all.serialize(&source.node, &mut taken).await;
        let bytes = rendering.map_err(Fault::of_source)?.to_bytes()?;
        if bytes.len() as u64 > VALUE_BYTES_MAX {
            return Err(too_much());
        }
        let metadata = match source.node {
            Node::Container(container) => container.metadata,
            Node::Leaf(leaf) => leaf.object.metadata,
        };
        Ok((bytes, crate::transfer::without_protection(metadata)))
    }

    fn serialize<'b>(
        &'b self,
        node: &'b Node,
        taken: &'b mut Taken,
    ) -> BoxFuture<'b, Answered<Rendering>> {
        async move {
            taken.object()?;
            match node {
                Node::Leaf(leaf) => {
                    let rendering = self.serialize_leaf(leaf, taken).boxed().await?;
                    taken.rendered(&rendering)?;
                    Ok(rendering)
                }
                Node::Container(container) => {
                    taken.enter()?;
                    let rendering = self.serialize_container(container, taken).await;
                    taken.leave();
                    rendering
                }
            }
        }
        .boxed()
    }

    async fn serialize_leaf(&self, leaf: &Leaf, taken: &mut Taken) -> Answered<Rendering> {
        if let Some(reference) = leaf.reference() {
            let mut rendering = Rendering::default();
            let names = leaf.names.as_ref();
            self.identity(&mut rendering, Kind::Object, self.id_of(leaf), names);
            rendering.add("reference", reference);
            return Ok(rendering);
        }
        // The right to the value is none to what else is serialised.
        let action = Action::ReadObjectMetadata;
        self.grant(action, leaf.resource()).await?;
        if leaf.is_queue() {
            let (_, content) = self.queue_content(leaf).await?;
            let mut rendering = self.seen_head(leaf, Kind::Queue).await?;
            rendering.add("queueValues", content.designators());
            self.add_values(&mut rendering, &content.values, None, false)?;
            return Ok(rendering);
        }
        let versions = self.serialized_versions(leaf, taken).boxed().await?;
        if versions.is_empty() {
            return self.serialize_state(leaf).await;
        }
        let mut rendering = self.seen_head(leaf, Kind::Object).await?;
        rendering.add("value", versions);
        Ok(rendering)
    }

    async fn serialize_container(
        &self,
        container: &Container,
        taken: &mut Taken,
    ) -> Answered<Rendering> {
        let mut rendering = self.container_head(container).await?;
        taken.rendered(&rendering)?;
        let names = self.children(container, None).await?.names;
        let mut children = Vec::new();
        for name in names {
            let child = self.resolve_child(container, &name).await?;
            let Some(child) = child else { continue };
            match self.serialize(&child, taken).await {
                Ok(rendering) => children.push(Value::Object(rendering.into_map())),
                // What may not be read is left out.
                Err(fault) if fault.is_forbidden() => {}
                Err(fault) => return Err(fault),
            }
        }
        let range = crate::value::range_text(0, children.len() as u64);
        rendering.add("childrenrange", range);
        rendering.add("children", children);
        Ok(rendering)
    }

    /// A new data object that holds the serialised form of another.
    pub(crate) async fn store_serialized(
        &self,
        destination: &Destination,
        document: &Document,
        uri: &str,
    ) -> Answered<Object> {
        let (bytes, source) = self.serialized(uri).await?;
        let metadata = match document.metadata {
            Some(_) => new_metadata(document)?,
            None => source,
        };
        let mimetype = document.mimetype()?;
        let value = NewValue {
            bytes,
            encoding: Encoding::Utf8,
            mimetype: mimetype.unwrap_or_else(|| "application/json".to_owned()),
        };
        let partial = self.is_partial()?;
        let mut properties = new_properties(&value, metadata, document, partial)?;
        self.protect_new(&mut properties)?;
        let written = self.write_bytes(destination, properties, value.bytes);
        Ok(written.await?.object)
    }

    /// What is serialised in the object that a URI names, or in base64.
    pub(crate) async fn to_deserialize(&self, source: &Source) -> Answered<Serialized> {
        let bytes = match source {
            Source::Deserialize(uri) => {
                let (leaf, _) = self.source_leaf(uri).await?;
                let read = self.read_value(&leaf, None).await;
                read.map_err(Fault::of_source)?.2
            }
            Source::DeserializeValue(text) => from_base64(text)?,
            _ => return Err(Fault::bad("there is nothing to deserialise")),
        };
        Ok(Serialized::from_bytes(&bytes)?)
    }

    /// A serialised object's domain must be the caller's own, unless another is named or they may give
    /// what they make to others.
    pub(crate) async fn check_serialized_domain(
        &self,
        serialized: &Serialized,
        given: &Document,
    ) -> Answered<()> {
        let own = self.principal.owner().map(|owner| self.domain_uri(&owner));
        match &serialized.domain {
            Some(domain)
                if given.domain.is_none()
                    && Some(domain) != own.as_ref()
                    && !self.crosses_domains().boxed().await? =>
            {
                Err(Fault::bad(format!(
                    "what is serialised belongs to the domain {domain}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// A document that says no more than to whose domain something comes back: its own, unless another
    /// is named, which counts for all of it.
    fn domain_of_restored(serialized: &Serialized, given: &Document) -> Option<Document> {
        let domain = serialized.domain.clone();
        let domain = domain.filter(|_| given.domain.is_none())?;
        Some(Document {
            domain: Some(domain),
            ..Document::default()
        })
    }

    /// The id that comes back, if it is one of this store and free.
    pub(crate) async fn free_id(&self, serialized: &Serialized) -> Answered<Option<Id>> {
        let Some(text) = &serialized.id else {
            return Ok(None);
        };
        let Ok(Some(id)) = self.cdmi.ids.parse(text) else {
            return Ok(None);
        };
        let used = crate::node::found(self.cdmi.store.find_by_id(ObjectId(id)).await)?;
        let free = used.is_none() && self.path_of(id).await?.is_none();
        Ok(free.then_some(id))
    }

    /// Whether no versions are left of an object that had an id and was deleted over another dialect:
    /// they are not for whoever takes the id.
    async fn is_without_versions(&self, at: &Destination, id: ObjectId) -> Answered<bool> {
        match self.versions(&at.bucket, id).await {
            Err(fault) if fault.is_missing() => Ok(true),
            versions => Ok(versions?.is_empty()),
        }
    }

    /// A new data object or queue out of its serialised form.
    pub(crate) async fn store_deserialized(
        &self,
        destination: &Destination,
        document: &Document,
        serialized: &Serialized,
    ) -> Answered<Object> {
        self.check_serialized_domain(serialized, document).await?;
        let to = match Self::domain_of_restored(serialized, document) {
            Some(of) => self.heir_of_new(destination, &of).boxed().await?,
            None => None,
        };
        let place = destination;
        serialized.check_no_version()?;
        check_count(&serialized.versions)?;
        let mut destination = destination.clone();
        if let Some(id) = self.free_id(serialized).await?.map(ObjectId)
            && self.is_without_versions(&destination, id).await?
        {
            destination.id = Some(id);
        }
        let mut own = serialized.document.clone();
        if document.metadata.is_some() {
            own.metadata = document.metadata.clone();
        }
        if document.mimetype.is_some() {
            own.mimetype = document.mimetype.clone();
        }
        let metadata = new_metadata(&own)?;
        let (mut properties, bytes) = match serialized.kind {
            Kind::Object if serialized.is_reference() => {
                let uri = serialized.fields.get("reference").and_then(Value::as_str);
                let uri = uri.unwrap_or_default();
                let stored = self.store_reference(&destination, uri).await?;
                return self.give_new(place, stored, to).await;
            }
            Kind::Object => {
                let mut value = serialized.value()?;
                if let Some(mimetype) = document.mimetype()? {
                    value.mimetype = mimetype;
                }
                let properties = new_properties(&value, metadata, &own, self.is_partial()?)?;
                (properties, value.bytes)
            }
            Kind::Queue => {
                self.check_queue(&metadata, None)?;
                let content = serialized.queue()?;
                let mut properties = ObjectProperties {
                    metadata,
                    ..ObjectProperties::default()
                };
                set_acl(&mut properties, &own)?;
                properties
                    .documents
                    .insert(document::QUEUE.to_owned(), content.first.to_string());
                (properties, content.encode()?)
            }
            _ => return Err(Fault::bad("what is serialised is a container")),
        };
        self.protect_new(&mut properties)?;
        if serialized.has_versions() {
            // They come with it: none is made of the write.
            destination.unversioned = true;
            mark_versioned(&mut properties);
        }
        let written = self.write_bytes(&destination, properties, bytes).await?;
        if serialized.has_versions() {
            let back = self.bring_versions_back(&destination, &written.object, serialized);
            if let Err(fault) = back.boxed().await {
                let (bucket, key) = (&destination.bucket, &destination.key);
                let own = self.cdmi.own_call();
                own.erase(bucket, key, Precondition::none()).await?;
                self.forget_versions(bucket, written.object.id).await?;
                return Err(fault);
            }
        }
        if serialized.kind == Kind::Queue {
            self.watch(&written.object).await?;
        }
        self.give_new(place, written.object, to).await
    }

    /// A new container, with all that is in it, out of its serialised form.
    pub(crate) fn deserialize_container<'b>(
        &'b self,
        parent: &'b Container,
        names: &'b Names,
        (mut serialized, document): (Serialized, &'b Document),
    ) -> BoxFuture<'b, Answered<Id>> {
        async move {
            if serialized.kind != Kind::Container {
                return Err(Fault::bad("what is serialised is not a container"));
            }
            let to = self.heir_of_restored((parent, names), &serialized, document);
            let to = to.await?;
            let mut own = serialized.document.clone();
            own.source = None;
            if document.metadata.is_some() {
                own.metadata = document.metadata.clone();
            }
            let metadata = new_metadata(&own)?;
            let id = match (self.free_id(&serialized).await?, &parent.place) {
                (Some(id), place) if *place != crate::node::Place::Root => {
                    let name = names.last().unwrap_or_default();
                    let (bucket, key) = parent.slot(self, &format!("{name}/"))?;
                    let mut destination = Destination::free(bucket, key);
                    destination.id = Some(ObjectId(id));
                    destination.acl = rights::inherited(parent, true)?;
                    destination.adding = rights::of_adding(parent, mask::ADD_SUBCONTAINER)?;
                    let mut properties = ObjectProperties {
                        metadata,
                        ..ObjectProperties::default()
                    };
                    keep_unknown(&mut properties.documents, &own.unknown)?;
                    set_acl(&mut properties, &own)?;
                    self.protect_new_container(&mut properties)?;
                    self.write_bytes(&destination, properties, Bytes::new())
                        .await?;
                    id
                }
                _ => self.make_container(parent, names, metadata, &own).await?,
            };
            let Some(Node::Container(made)) = self.resolve(names).await? else {
                return Err(Fault::conflict("the container was removed meanwhile"));
            };
            let children = std::mem::take(&mut serialized.children);
            drop((serialized, own));
            let mut filled = self.fill(&made, (children, document)).await;
            if let (Ok(()), Some(to)) = (&filled, &to) {
                filled = self.give_restored(&made, to).await;
            }
            if filled.is_err() {
                self.delete_container(&made).boxed().await?;
            }
            filled.map(|()| id)
        }
        .boxed()
    }

    /// To whose domain a container comes back by itself; none when it is the maker's, or one is given.
    // Boxed here: what is made where it recurses takes stack at each level.
    fn heir_of_restored<'b>(
        &'b self,
        place: (&'b Container, &'b Names),
        serialized: &'b Serialized,
        document: &'b Document,
    ) -> BoxFuture<'b, Answered<Option<Heir>>> {
        async move {
            self.check_serialized_domain(serialized, document).await?;
            match Self::domain_of_restored(serialized, document) {
                Some(of) => self.heir_of_new_container(place, &of).await,
                None => Ok(None),
            }
        }
        .boxed()
    }

    /// Gives a container away that came back.
    pub(crate) fn give_restored<'b>(
        &'b self,
        made: &'b Container,
        to: &'b Heir,
    ) -> BoxFuture<'b, Answered<()>> {
        async move { self.give_container(made, (to, true)).await }.boxed()
    }

    async fn fill(
        &self,
        made: &Container,
        (children, given): (Vec<Value>, &Document),
    ) -> Answered<()> {
        // A domain that is named counts for all of it, and nothing else does.
        let given = Document {
            domain: given.domain.clone(),
            ..Document::default()
        };
        for child in children {
            let child = Serialized::parse(child)?;
            let names = child.names_in(made)?;
            self.add_child(made, &names, (child, &given)).await?;
        }
        Ok(())
    }
}

fn too_much() -> Fault {
    Fault::Error(Error::new(
        ErrorKind::TooLarge,
        format!(
            "at most {OBJECTS_MAX} objects, {VALUE_BYTES_MAX} bytes and containers {DEPTH_MAX} deep \
             are serialised"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn serialised_objects_are_read_or_refused() {
        let object = json!({
            "objectType": "application/cdmi-object", "objectID": "00", "objectName": "o",
            "capabilitiesURI": "/x", "metadata": {"cdmi_size": "1", "a": "b"},
            "valuetransferencoding": "base64", "value": "/w==", "mimetype": "a/b",
        });
        let read = Serialized::parse(object).unwrap();
        let value = read.value().unwrap();
        assert_eq!(
            (&value.bytes[..], value.mimetype.as_str()),
            (&b"\xff"[..], "a/b")
        );
        assert_eq!(new_metadata(&read.document).unwrap().len(), 1);
        let queue = json!({
            "objectType": "application/cdmi-queue", "queueValues": "4-5",
            "mimetype": ["a/b", "c/d"], "valuetransferencoding": ["utf-8", "base64"],
            "value": ["x", "eQ=="],
        });
        let queue = Serialized::parse(queue).unwrap().queue().unwrap();
        assert_eq!((queue.first, queue.values.len()), (4, 2));
        assert_eq!(queue.values[1].bytes, "y");
        for bad in [json!([]), json!({}), json!({"objectType": "text/plain"})] {
            assert!(Serialized::parse(bad).is_err());
        }
        assert!(Serialized::from_bytes(b"not JSON").is_err());
    }
}
