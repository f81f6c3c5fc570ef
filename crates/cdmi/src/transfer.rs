//! Copies and moves: what a URI names becomes the content of another object.

use crate::books::{keep_unknown, tag_of, unknown_fields};
use crate::call::Call;
use crate::content::{Destination, encryption_of, hash_of, pieces};
use crate::data::{new_metadata, set_acl, set_encoding, set_partial};
use crate::document::Document;
use crate::fault::{Answered, Fault};
use crate::metadata::Update;
use crate::node::{Container, Leaf, Node, document};
use crate::path::Target;
use crate::query::Fields;
use crate::rights;
use crate::show::{CONTENT_TYPE, is_processing};
use crate::value::Encoding;
use crate::versions::level_of;
use bytes::Bytes;
use futures::FutureExt;
use http::StatusCode;
use std::collections::BTreeMap;
use trestle_access::Action;
use trestle_core::{ErrorKind, Metadata, Precondition, Result};
use trestle_store::{CopyObject, Object, ObjectProperties, RenameObject, Source, VersionRef};

/// What a URI of a document leads to, with the fields that it names.
pub(crate) struct SourceNode {
    pub(crate) node: Node,
    pub(crate) fields: Fields,
}

/// Takes fields that the standard does not know along with a whole copy; those of the document stay.
pub(crate) fn take_unknown(source: &BTreeMap<String, String>, document: &mut Document) {
    let mut all = unknown_fields(source);
    all.append(&mut document.unknown);
    document.unknown = all;
}

impl Call<'_> {
    /// A copy or a move for which a right is missing is 400, at its source and where it leads (8.3.5);
    /// who is not known is asked for credentials all the same.
    pub(crate) fn of_transfer<T>(&self, transfers: bool, answered: Answered<T>) -> Answered<T> {
        match answered {
            Err(Fault::Error(error))
                if transfers
                    && error.kind() == ErrorKind::Forbidden
                    && !self.principal.is_anonymous() =>
            {
                Err(Fault::bad(error.message()))
            }
            answered => answered,
        }
    }

    /// What a source URI leads to.
    ///
    /// # Errors
    /// 400, whatever is wrong with it.
    pub(crate) async fn source(&self, uri: &str) -> Answered<SourceNode> {
        let authority = self.origin.split_once("://").map(|(_, host)| host);
        let (target, query) = Target::of_field(uri, authority)?;
        let fields = Fields::parse(query.as_deref(), &self.version)?;
        let found = match self.need(&target).await {
            // Whoever leaves out a container's slash is led to it, and so is this.
            Err(Fault::Elsewhere(StatusCode::MOVED_PERMANENTLY, _)) => {
                self.need(&target.with_slash()).await
            }
            found => found,
        };
        let node = found.map_err(Fault::of_source)?;
        Ok(SourceNode { node, fields })
    }

    /// The data object that a source URI leads to.
    pub(crate) async fn source_leaf(&self, uri: &str) -> Answered<(Leaf, Fields)> {
        let SourceNode { node, fields } = self.source(uri).await?;
        match node {
            Node::Leaf(leaf) if leaf.reference().is_some() => {
                Err(Fault::bad("the source is a reference"))
            }
            Node::Leaf(leaf) => Ok((leaf, fields)),
            Node::Container(_) => Err(Fault::bad("the source is a container")),
        }
    }

    /// The container that a source URI leads to.
    pub(crate) async fn source_container(&self, uri: &str) -> Answered<(Container, Fields)> {
        let SourceNode { node, fields } = self.source(uri).await?;
        match node {
            Node::Container(container) => Ok((*container, fields)),
            Node::Leaf(_) => Err(Fault::bad("the source is not a container")),
        }
    }

    /// The fields that limit a copy: named at the source or at the destination, not at both.
    pub(crate) fn limits(&self, source: Fields) -> Answered<Fields> {
        match (self.fields.is_all(), source.is_all()) {
            (false, false) => Err(Fault::bad(
                "fields are named at the source and at the destination",
            )),
            (false, true) => Ok(self.fields.clone()),
            _ => Ok(source),
        }
    }

    /// What a copy has beside its bytes.
    fn copied_properties(
        &self,
        source: &Object,
        limits: &Fields,
        document: &Document,
    ) -> Result<ObjectProperties> {
        let mut properties = ObjectProperties::default();
        let from = source.properties();
        if limits.has("mimetype") {
            properties.representation = from.representation;
        } else {
            let mimetype = "text/plain".to_owned();
            properties
                .representation
                .insert(CONTENT_TYPE.to_owned(), mimetype);
        }
        properties.documents = from.documents;
        for own in [document::VERSION, document::VERSIONED] {
            properties.documents.remove(own);
        }
        if limits.span("value")?.is_some() {
            crate::gaps::forget(&mut properties.documents);
        }
        if !limits.is_all() {
            properties.documents.remove(document::FIELDS);
        }
        keep_unknown(&mut properties.documents, &document.unknown)?;
        properties.metadata = match limits.has("metadata") {
            true => named_items(without_protection(from.metadata), limits),
            false => Metadata::new(),
        };
        if document.metadata.is_some() {
            properties.metadata = new_metadata(document)?;
        }
        crate::profile::apply(document, &mut properties.metadata);
        if let Some(mimetype) = document.mimetype()? {
            properties
                .representation
                .insert(CONTENT_TYPE.to_owned(), mimetype);
        }
        set_partial(&mut properties, self.is_partial()?);
        set_acl(&mut properties, document)?;
        self.protect_new(&mut properties)?;
        Ok(properties)
    }

    /// Asks for the right to the metadata, and the fields beside it, that a copy takes along: the
    /// right to the value is none to them.
    pub(crate) async fn check_copied(
        &self,
        source: &Leaf,
        limits: &Fields,
        document: &Document,
    ) -> Answered<()> {
        let fields = limits.is_all() && source.object.documents.contains_key(document::FIELDS);
        if fields || limits.has("metadata") && document.metadata.is_none() {
            let read = self.grant(Action::ReadObjectMetadata, source.resource());
            read.await.map_err(|error| Fault::from(error).of_source())?;
        }
        Ok(())
    }

    /// A new object that is a copy of another.
    pub(crate) async fn store_copy(
        &self,
        destination: &Destination,
        document: &Document,
        uri: &str,
    ) -> Answered<Object> {
        document.check_encoding()?;
        self.note("cdmi_copy");
        let (source, fields) = self.source_leaf(uri).await?;
        if is_processing(&source.object) {
            return Err(Fault::bad("the source is not complete"));
        }
        let limits = self.limits(fields)?;
        self.check_copied(&source, &limits, document).await?;
        if source.is_queue() {
            let source = (&source, &limits, uri);
            let joined = self.store_joined(destination, document, source);
            return joined.boxed().await;
        }
        if let Some(span) = limits.span("value")? {
            let mut properties = self.copied_properties(&source.object, &limits, document)?;
            // Part of a text need not be one.
            set_encoding(&mut properties, Encoding::Base64);
            let read = self.read_value(&source, Some(span)).await;
            let (_, _, bytes) = read.map_err(Fault::of_source)?;
            let written = self.write_bytes(destination, properties, bytes);
            return Ok(written.await?.object);
        }
        if !limits.has("value") || destination.id.is_some() {
            let properties = self.copied_properties(&source.object, &limits, document)?;
            if !limits.has("value") {
                let written = self.write_bytes(destination, properties, Bytes::new());
                return Ok(written.await?.object);
            }
            let reader = self.open(&source).await.map_err(Fault::of_source)?;
            let length = reader.object().length();
            let body = pieces(reader).await?;
            let written = self.write(destination, properties, Some(length), body);
            return Ok(written.await?.object);
        }
        self.copy_by_reference(destination, (&source, &limits), document)
            .await
    }

    /// A copy of all bytes without moving any.
    async fn copy_by_reference(
        &self,
        destination: &Destination,
        (source, limits): (&Leaf, &Fields),
        document: &Document,
    ) -> Answered<Object> {
        let read = self.right_to_read(source).await;
        let read = read.map_err(|error| Fault::from(error).of_source())?;
        let Destination {
            bucket,
            key,
            precondition,
            acl,
            ..
        } = destination.clone();
        let copied = self.copied_properties(&source.object, limits, document)?;
        let effective = destination.effective(&copied.metadata);
        let versioned = level_of(&effective)?.is_some();
        let write = self.right_to_write(destination).await?;
        let acl = rights::of_new(copied.acl.clone(), acl.as_deref())?;
        let new = ObjectProperties {
            acl: acl.clone(),
            ..copied
        };
        self.check_new(destination, &new).boxed().await?;
        self.note_own_abroad(&bucket).boxed().await?;
        let copy = CopyObject {
            encrypt: encryption_of(&effective),
            source: Source {
                key_of_client: None,
                itself: false,
                bucket: source.bucket.clone(),
                key: source.object.key.clone(),
                version: VersionRef::Current,
                precondition: Precondition::none(),
                tag_of,
                range: None,
            },
            bucket,
            key,
            precondition,
            tag_of,
            checksum: hash_of(&effective),
        };
        let properties = |object: &Object| -> Result<ObjectProperties> {
            let mut properties = self.copied_properties(object, limits, document)?;
            properties.acl.clone_from(&acl);
            if versioned {
                let yes = "true".to_owned();
                properties
                    .documents
                    .insert(document::VERSIONED.to_owned(), yes);
            }
            Ok(properties)
        };
        let store = &self.cdmi.store;
        let copied = match destination.is_new() {
            true => store.copy(&read, &write, copy, &properties).boxed().await?,
            false => {
                let over = store.copy_over(&read, &write, copy, &properties);
                over.boxed().await?
            }
        };
        if versioned {
            let place = (&destination.bucket, &destination.key);
            self.version_after(place, &effective, false).await;
        }
        Ok(copied.object)
    }

    /// A new data object of the values of a queue, one after the other.
    async fn store_joined(
        &self,
        destination: &Destination,
        document: &Document,
        (source, limits, uri): (&Leaf, &Fields, &str),
    ) -> Answered<Object> {
        let bytes = match names_values(limits) {
            true => self.joined(uri).await?,
            false => Bytes::new(),
        };
        let mut properties = ObjectProperties::default();
        if limits.has("metadata") {
            let metadata = without_protection(source.object.metadata.clone());
            properties.metadata = named_items(metadata, limits);
        }
        if document.metadata.is_some() {
            properties.metadata = new_metadata(document)?;
        }
        crate::profile::apply(document, &mut properties.metadata);
        keep_unknown(&mut properties.documents, &document.unknown)?;
        set_encoding(&mut properties, encoding_of_joined(&bytes));
        let mimetype = document.mimetype()?;
        properties.representation.insert(
            CONTENT_TYPE.to_owned(),
            mimetype.unwrap_or_else(|| "text/plain".to_owned()),
        );
        set_partial(&mut properties, self.is_partial()?);
        set_acl(&mut properties, document)?;
        self.protect_new(&mut properties)?;
        let written = self.write_bytes(destination, properties, bytes).await?;
        Ok(written.object)
    }

    /// An object that comes from elsewhere, with its id.
    pub(crate) async fn store_moved(
        &self,
        destination: &Destination,
        document: &Document,
        uri: &str,
    ) -> Answered<Object> {
        document.check_encoding()?;
        self.note("cdmi_rename");
        let (source, fields) = self.source_leaf(uri).await?;
        if !fields.is_all() || !self.fields.is_all() || self.is_partial()? {
            return Err(Fault::bad("a move is of the whole object"));
        }
        crate::snapshots::check_changeable(source.names.as_ref())?;
        crate::protect::check_change(&source.object, self.cdmi.store.now())?;
        self.check_no_version(&source)?;
        if source.is_queue() {
            self.check_queue_change(&source, document)?;
        }
        let delete = self.grant(Action::DeleteObject, source.resource()).await;
        let grants = [
            delete.map_err(|error| Fault::from(error).of_source())?,
            self.right_to_write(destination).await?,
        ];
        let owner = &source.object.owner.account;
        self.note_abroad(owner, &destination.bucket).boxed().await?;
        let rename = RenameObject {
            bucket: source.bucket.clone(),
            key: source.object.key.clone(),
            to_bucket: destination.bucket.clone(),
            to_key: destination.key.clone(),
            precondition: Precondition::none(),
            target: destination.precondition.clone(),
            tag_of,
        };
        let moved = self.cdmi.store.rename(&grants, &rename).boxed().await?;
        self.take_versions_along(&source, &destination.bucket)
            .await?;
        let effective = destination.effective(&moved.object.metadata);
        let place = (&destination.bucket, &destination.key);
        self.version_after(place, &effective, false).await;
        let changes = document.metadata.is_some()
            || document.mimetype.is_some()
            || document.profile.is_some()
            || !document.unknown.is_empty();
        if !changes {
            return Ok(moved.object);
        }
        let all = self.with_all_fields();
        let change = |properties: &mut ObjectProperties| -> Result<()> {
            let former = properties.clone();
            all.change_properties(properties, document)?;
            crate::protect::apply(properties, &former, self.cdmi.store.now())
        };
        self.update(&destination.bucket, &destination.key, &change)
            .await?;
        if source.is_queue() {
            let there = Leaf {
                bucket: destination.bucket.clone(),
                object: Box::new(moved.object),
                ..source
            };
            self.follow_type(&there).await?;
        }
        let changed = self.look(&destination.bucket, &destination.key).await?;
        changed.ok_or_else(|| Fault::conflict("the object was removed meanwhile"))
    }

    /// Keeps it known that an object has versions. One of them that is copied onto it lacks the data
    /// system metadata of its object, which stays as it is.
    fn keep_versioning(&self, properties: &mut ObjectProperties, leaf: &Leaf, source: &Leaf) {
        let own = &leaf.object;
        if let Some(yes) = own.documents.get(document::VERSIONED) {
            let name = document::VERSIONED.to_owned();
            properties.documents.insert(name, yes.clone());
        }
        let main = source.version_of.as_ref();
        if main.is_some_and(|main| main.object.id == own.id) {
            let kept = own.metadata.iter();
            let kept = kept.filter(|(name, _)| name.starts_with("cdmi_"));
            let kept: Vec<_> = kept
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            properties.metadata.extend(kept);
        }
    }

    /// Replaces what an object holds by what another does; the id stays. What the document says
    /// itself counts instead, as far as the query names it.
    pub(crate) async fn update_by_copy(
        &self,
        leaf: &Leaf,
        document: &Document,
        uri: &str,
    ) -> Answered<()> {
        document.check_encoding()?;
        self.note("cdmi_copy");
        let (source, fields) = self.source_leaf(uri).await?;
        if is_processing(&source.object) {
            return Err(Fault::bad("the source is not complete"));
        }
        let limits = self.limits(fields)?;
        let document = &self.named_of(document);
        if source.is_queue() {
            return self.update_by_queue(leaf, document, (uri, &limits)).await;
        }
        self.check_copied(&source, &limits, document).await?;
        let mut properties = self.onto(leaf, (&source, &limits), document)?;
        if !limits.has("value") {
            return self.take_beside(leaf, document, &properties).await;
        }
        let span = limits.span("value")?;
        let read = self.read_value(&source, span).await;
        let (_, first, bytes) = read.map_err(Fault::of_source)?;
        if span.is_some() {
            set_encoding(&mut properties, Encoding::Base64);
            // A range that is named at the destination is that of both.
            if !self.fields.is_all() {
                return self.patch(leaf, properties, vec![(first, bytes)]).await;
            }
        }
        self.replace(leaf, properties, bytes).await
    }

    /// A document with as much of itself as the query names.
    fn named_of(&self, document: &Document) -> Document {
        let mut named = document.clone();
        if !self.fields.has("mimetype") {
            named.mimetype = None;
        }
        if !self.fields.has("capabilitiesURI") {
            named.profile = None;
        }
        let items = self.fields.arguments("metadata");
        named.metadata = named.metadata.filter(|_| self.fields.has("metadata"));
        if let Some(metadata) = &mut named.metadata
            && !items.is_empty()
        {
            metadata.retain(|name, _| items.contains(&name.as_str()));
        }
        named
    }

    /// What an object is to be when another is copied onto it.
    fn onto(
        &self,
        leaf: &Leaf,
        (source, limits): (&Leaf, &Fields),
        document: &Document,
    ) -> Result<ObjectProperties> {
        let former = leaf.object.properties();
        let mut properties = match limits.is_all() {
            true => ObjectProperties::default(),
            false => former.clone(),
        };
        let from = self.copied_properties(&source.object, limits, document)?;
        if limits.has("mimetype") || document.mimetype.is_some() {
            properties.representation = from.representation;
        }
        if limits.has("metadata") || document.metadata.is_some() {
            let mut own = leaf.object.metadata.clone();
            let named = limits.arguments("metadata");
            // Of items that are named, the others stay.
            own.retain(|name, _| {
                !named.is_empty() && !named.iter().any(|prefix| name.starts_with(prefix))
            });
            properties.metadata = from.metadata;
            properties.metadata.extend(own);
        } else {
            crate::profile::apply(document, &mut properties.metadata);
        }
        if limits.has("value") {
            properties.documents = from.documents;
            if let Some(fields) = former.documents.get(document::FIELDS)
                && !limits.is_all()
            {
                let name = document::FIELDS.to_owned();
                properties.documents.insert(name, fields.clone());
            }
        } else {
            set_partial(&mut properties, self.is_partial()?);
        }
        keep_unknown(&mut properties.documents, &document.unknown)?;
        self.keep_versioning(&mut properties, leaf, source);
        self.take_list(&mut properties, &former, document)?;
        properties.retention = former.retention;
        properties.set_hold(former.hold());
        crate::protect::apply(&mut properties, &former, self.cdmi.store.now())?;
        Ok(properties)
    }

    /// The list of an object, with what a document beside a copy makes of it.
    fn take_list(
        &self,
        properties: &mut ObjectProperties,
        former: &ObjectProperties,
        document: &Document,
    ) -> Result<()> {
        properties.acl.clone_from(&former.acl);
        let Some(given) = &document.metadata else {
            return Ok(());
        };
        self.note_metadata(given);
        let update = Update::new(given.clone(), &self.fields);
        rights::apply(&update, &mut properties.acl)
    }

    /// Changes what is not the value as a copy without it does.
    async fn take_beside(
        &self,
        leaf: &Leaf,
        document: &Document,
        new: &ObjectProperties,
    ) -> Answered<()> {
        let partial = self.is_partial()?;
        let listed = new.acl != leaf.object.acl;
        let change = |target: &mut ObjectProperties| -> Result<()> {
            let former = target.clone();
            target.representation = new.representation.clone();
            target.metadata = new.metadata.clone();
            if listed {
                target.acl.clone_from(&new.acl);
            }
            keep_unknown(&mut target.documents, &document.unknown)?;
            set_partial(target, partial);
            crate::protect::apply(target, &former, self.cdmi.store.now())
        };
        self.update(&leaf.bucket, &leaf.object.key, &change).await?;
        self.version_of_updated(leaf).await
    }

    /// Replaces the value of an object by the values of a queue, one after the other.
    async fn update_by_queue(
        &self,
        leaf: &Leaf,
        document: &Document,
        (uri, limits): (&str, &Fields),
    ) -> Answered<()> {
        if !names_values(limits) {
            return Err(Fault::bad("values alone are copied from a queue onto this"));
        }
        let bytes = self.joined(uri).await?;
        let former = leaf.object.properties();
        let mut properties = former.clone();
        // Metadata that is named for the copy, and not given, stays.
        let call = match document.metadata.is_some() {
            true => self.clone(),
            false => self.with_all_fields(),
        };
        call.change_properties(&mut properties, document)?;
        set_encoding(&mut properties, encoding_of_joined(&bytes));
        set_partial(&mut properties, self.is_partial()?);
        crate::protect::apply(&mut properties, &former, self.cdmi.store.now())?;
        self.replace(leaf, properties, bytes).await
    }
}

/// Whether fields of a queue are those of its values.
fn names_values(limits: &Fields) -> bool {
    limits.has("value") || limits.names("values")
}

/// How values that were joined are shown: as a text if they are one.
fn encoding_of_joined(bytes: &[u8]) -> Encoding {
    match std::str::from_utf8(bytes) {
        Ok(_) => Encoding::Utf8,
        Err(_) => Encoding::Base64,
    }
}

/// The items of metadata that fields name by how they begin; all without such names.
fn named_items(mut metadata: Metadata, fields: &Fields) -> Metadata {
    let prefixes = fields.arguments("metadata");
    metadata.retain(|name, _| {
        prefixes.is_empty() || prefixes.iter().any(|prefix| name.starts_with(prefix))
    });
    metadata
}

/// Metadata without retention and holds: copies carry neither.
pub(crate) fn without_protection(mut metadata: Metadata) -> Metadata {
    metadata
        .retain(|name, _| !name.starts_with("cdmi_retention_") && !name.starts_with("cdmi_hold_"));
    metadata
}
