//! Data objects as documents: create, read, update, delete.

use crate::acl::mask;
use crate::books::keep_unknown;
use crate::call::Call;
use crate::content::{Destination, collect};
use crate::document::{Document, Source};
use crate::fault::{Answered, Fault};
use crate::gaps;
use crate::media::{Kind, MediaType};
use crate::metadata::Update;
use crate::modify::failed;
use crate::multipart::{ContentRange, Part, write_end, write_part};
use crate::node::{Container, Leaf, Node, check_new_name, document};
use crate::path::{self, Names};
use crate::protect;
use crate::query::{Fields, Span};
use crate::render::{Rendering, bare, with_location};
use crate::rights;
use crate::serial::Serialized;
use crate::show::{CONTENT_TYPE, encoding_of, is_processing, mimetype_of, set_mimetype};
use crate::value::{Encoding, from_base64};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::header::{CONTENT_TYPE as CONTENT_TYPE_HEADER, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use trestle_core::{ByteRange, Error, Metadata, ResolvedRange, Result, Verdict};
use trestle_http::{Body, parse_precondition};
use trestle_store::{Object, ObjectProperties};

/// The mimetype of a value in a document that says none.
const MIMETYPE_OF_TEXT: &str = "text/plain";

/// A document and the value parts that came beside it.
#[derive(Debug, Default)]
pub(crate) struct Submission {
    pub(crate) document: Document,
    pub(crate) parts: Vec<Part>,
}

/// A value as it is to be stored.
#[derive(Debug)]
pub(crate) struct NewValue {
    pub(crate) bytes: Bytes,
    pub(crate) encoding: Encoding,
    pub(crate) mimetype: String,
}

impl Submission {
    /// The value of a new object.
    pub(crate) fn new_value(&self) -> Answered<NewValue> {
        let document = &self.document;
        document.check_encoding()?;
        if !self.parts.is_empty() {
            return self.value_of_parts();
        }
        let encoding = document.encoding()?.unwrap_or(Encoding::Utf8);
        let bytes = match &document.source {
            Some(Source::Value(value)) => encoding.decode(value)?,
            // An empty text is no JSON object, but what an absent value means.
            _ => Bytes::new(),
        };
        let mimetype = document.mimetype()?;
        Ok(NewValue {
            bytes,
            encoding,
            mimetype: mimetype.unwrap_or_else(|| MIMETYPE_OF_TEXT.to_owned()),
        })
    }

    /// What a source says to deserialise; the part that follows when it names the boundary.
    async fn serialized(&self, call: &Call<'_>, source: &Source) -> Answered<Serialized> {
        let boundary = call
            .content
            .as_ref()
            .and_then(|content| content.parameter("boundary"));
        match (source, self.parts.first()) {
            (Source::DeserializeValue(text), Some(part)) if Some(text.as_str()) == boundary => {
                let mut rest = self.parts.iter().skip(1);
                match (rest.next(), rest.next()) {
                    (None, _) => Ok(Serialized::from_bytes(&part.body)?),
                    (Some(value), None) => Ok(Serialized::of_parts(&part.body, &value.body)?),
                    _ => Err(Fault::bad(
                        "a serialised object comes in one part or in two",
                    )),
                }
            }
            (_, Some(_)) => Err(Fault::bad("a value is in the document and in parts")),
            (source, None) => call.to_deserialize(source).await,
        }
    }

    fn value_of_parts(&self) -> Answered<NewValue> {
        if self.document.source.is_some() {
            return Err(Fault::bad("a value is in the document and in parts"));
        }
        let mut bytes = BytesMut::new();
        place_parts(&mut bytes, &self.parts)?;
        let encoding = match self.document.encoding()? {
            Some(encoding) => encoding,
            None => encoding_of_parts(&self.parts)?,
        };
        encoding.check(&bytes)?;
        let mimetype = match self.document.mimetype()? {
            Some(mimetype) => mimetype,
            None => match self.parts.first() {
                Some(part) => part.media_type()?.mimetype(),
                None => MIMETYPE_OF_TEXT.to_owned(),
            },
        };
        Ok(NewValue {
            bytes: bytes.freeze(),
            encoding,
            mimetype,
        })
    }
}

/// Text only when every part says that it is.
fn encoding_of_parts(parts: &[Part]) -> Result<Encoding> {
    for part in parts {
        if !part.media_type()?.is_utf8() {
            return Ok(Encoding::Base64);
        }
    }
    Ok(Encoding::Utf8)
}

/// Where each part's bytes begin: at its range, or after the part before it.
fn placed(parts: &[Part]) -> Result<Vec<(u64, Bytes)>> {
    let mut at = 0u64;
    let mut placed = Vec::new();
    for part in parts {
        if let Some(ContentRange { first, .. }) = part.content_range()? {
            at = first;
        }
        placed.push((at, part.body.clone()));
        at = at.saturating_add(part.body.len() as u64);
    }
    gaps::check_apart(&placed)?;
    Ok(placed)
}

fn place_parts(bytes: &mut BytesMut, parts: &[Part]) -> Result<()> {
    for (at, part) in placed(parts)? {
        overwrite(bytes, at, &part)?;
    }
    Ok(())
}

/// Puts bytes into others; a gap before them is zeros.
pub(crate) fn overwrite(bytes: &mut BytesMut, at: u64, part: &[u8]) -> Result<()> {
    let end = at.saturating_add(part.len() as u64);
    if end > crate::content::VALUE_BYTES_MAX {
        return Err(Error::new(
            trestle_core::ErrorKind::TooLarge,
            format!(
                "a value put together from ranges has at most {} bytes",
                crate::content::VALUE_BYTES_MAX
            ),
        ));
    }
    let (at, end) = (at as usize, end as usize);
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(at..end) {
        place.copy_from_slice(part);
    }
    Ok(())
}

/// What a new object has beside its bytes.
pub(crate) fn new_properties(
    value: &NewValue,
    metadata: Metadata,
    document: &Document,
    partial: bool,
) -> Result<ObjectProperties> {
    let mut properties = ObjectProperties {
        metadata,
        ..ObjectProperties::default()
    };
    let mimetype = value.mimetype.clone();
    if document.mimetype.is_some() {
        set_mimetype(&mut properties, mimetype);
    } else {
        let name = CONTENT_TYPE.to_owned();
        properties.representation.insert(name, mimetype);
    }
    set_encoding(&mut properties, value.encoding);
    set_partial_new(&mut properties, partial);
    keep_unknown(&mut properties.documents, &document.unknown)?;
    set_acl(&mut properties, document)?;
    Ok(properties)
}

/// The access control list that a document sets.
pub(crate) fn set_acl(properties: &mut ObjectProperties, document: &Document) -> Result<()> {
    match &document.metadata {
        Some(given) => rights::apply(&Update::whole(given.clone()), &mut properties.acl),
        None => Ok(()),
    }
}

pub(crate) fn set_encoding(properties: &mut ObjectProperties, encoding: Encoding) {
    let encoding = encoding.as_str().to_owned();
    properties
        .documents
        .insert(document::ENCODING.to_owned(), encoding);
}

/// The state of an object whose first writes still go on.
pub(crate) const CREATING: &str = "Creating";

/// The state of a new object.
pub(crate) fn set_partial_new(properties: &mut ObjectProperties, partial: bool) {
    set_partial(properties, partial);
    if let Some(status) = properties.documents.get_mut(document::STATUS) {
        CREATING.clone_into(status);
    }
}

pub(crate) fn set_partial(properties: &mut ObjectProperties, partial: bool) {
    match partial {
        true => {
            properties
                .documents
                .entry(document::STATUS.to_owned())
                .or_insert_with(|| "Processing".to_owned());
        }
        false => {
            properties.documents.remove(document::STATUS);
        }
    }
}

/// The metadata of a new object.
pub(crate) fn new_metadata(document: &Document) -> Result<Metadata> {
    let given = document.metadata.clone().unwrap_or_default();
    let mut metadata = Update::whole(given).apply(&Metadata::new())?;
    crate::profile::apply(document, &mut metadata);
    Ok(metadata)
}

/// Refuses to encrypt or decrypt a value where it is (23.2.4, 23.2.5): that is what a mimetype alone
/// asks for.
fn check_not_in_place(former: &ObjectProperties, new: &ObjectProperties) -> Result<()> {
    let is_sealed = |properties: &ObjectProperties| {
        let mimetype = properties.representation.get(CONTENT_TYPE);
        let essence = mimetype.and_then(|mimetype| mimetype.split(';').next());
        matches!(
            essence.map(str::trim),
            Some("application/cms" | "application/jose+json")
        )
    };
    match is_sealed(former) == is_sealed(new) {
        true => Ok(()),
        false => Err(Error::invalid(
            "values are neither encrypted nor decrypted where they are: give the value, too",
        )),
    }
}

impl Call<'_> {
    /// A new data object in a container.
    pub(crate) async fn create_data(
        &self,
        parent: &Container,
        names: &Names,
        submission: Submission,
    ) -> Answered {
        let destination = self.place_in(parent, names).await?;
        self.check_absent()?;
        let object = self.store_new(&destination, submission).boxed().await?;
        let leaf = Leaf::made(destination, (Some(names.clone()), Some(parent.id)), object);
        self.created(&leaf).await
    }

    /// Where a new object of a container goes.
    pub(crate) async fn place_in(
        &self,
        parent: &Container,
        names: &Names,
    ) -> Answered<Destination> {
        check_new_name(names)?;
        self.check_parent(parent, mask::ADD_OBJECT).await?;
        let (bucket, key) = parent.slot(self, names.last().unwrap_or_default())?;
        if bucket.is_hidden() {
            self.make_hidden(&bucket).await?;
        }
        let mut destination = Destination::free(bucket, key);
        destination.acl = rights::inherited(parent, false)?;
        destination.adding = rights::of_adding(parent, mask::ADD_OBJECT)?;
        destination.inherited = self.inherited(names).await?;
        Ok(destination)
    }

    /// Refuses what a condition of the request does not hold of, while nothing is there.
    fn check_absent(&self) -> Answered<()> {
        match parse_precondition(&self.headers)?.for_write(None) {
            Verdict::Proceed => Ok(()),
            _ => Err(failed()),
        }
    }

    /// Stores what a new object is made of, for whom it is to belong to.
    pub(crate) async fn store_new(
        &self,
        destination: &Destination,
        mut submission: Submission,
    ) -> Answered<Object> {
        let to = self.heir_of_new(destination, &submission.document);
        let to = to.boxed().await?;
        submission.document = self.of_heir(&submission.document, to.as_ref()).into_owned();
        let object = self.store_made(destination, submission).await?;
        self.give_new(destination, object, to).await
    }

    async fn store_made(
        &self,
        destination: &Destination,
        submission: Submission,
    ) -> Answered<Object> {
        let document = &submission.document;
        if document.exports.is_some() || document.snapshot.is_some() {
            return Err(Fault::bad("exports and snapshot are fields of containers"));
        }
        if let Some(given) = &document.metadata {
            self.note_metadata(given);
        }
        match &document.source {
            Some(Source::Reference(uri)) => self.store_reference(destination, uri).await,
            Some(Source::Copy(uri)) => self.store_copy(destination, document, uri).boxed().await,
            Some(Source::Move(uri)) => self.store_moved(destination, document, uri).await,
            Some(Source::Serialize(uri)) => {
                document.check_encoding()?;
                let stored = self.store_serialized(destination, document, uri);
                stored.boxed().await
            }
            Some(source @ (Source::Deserialize(_) | Source::DeserializeValue(_))) => {
                document.check_encoding()?;
                let serialized = submission.serialized(self, source).await?;
                if serialized.kind != Kind::Object {
                    return Err(Fault::bad("what is serialised is not a data object"));
                }
                let stored = self.store_deserialized(destination, document, &serialized);
                stored.boxed().await
            }
            None | Some(Source::Value(_)) => {
                let value = submission.new_value()?;
                let metadata = new_metadata(document)?;
                let partial = self.is_partial()?;
                let mut properties = new_properties(&value, metadata, document, partial)?;
                let pieces = placed(&submission.parts)?;
                let former = (&BTreeMap::new(), 0);
                let pieces = pieces.iter().map(gaps::range_of);
                gaps::note(&mut properties.documents, former, pieces);
                self.protect_new(&mut properties)?;
                let written = self.write_bytes(destination, properties, value.bytes);
                Ok(written.await?.object)
            }
        }
    }

    /// The protection that a new object's metadata asks for.
    pub(crate) fn protect_new(&self, properties: &mut ObjectProperties) -> Result<()> {
        let now = self.cdmi.store.now();
        protect::apply(properties, &ObjectProperties::default(), now)
    }

    pub(crate) async fn store_reference(
        &self,
        destination: &Destination,
        uri: &str,
    ) -> Answered<Object> {
        if !path::may_be_uri(uri) {
            return Err(Fault::bad("a reference is not a URI"));
        }
        self.note("cdmi_reference");
        let mut properties = ObjectProperties::default();
        properties
            .documents
            .insert(document::REFERENCE.to_owned(), uri.to_owned());
        let known = destination.known_as.clone();
        let known = known.map(|id| (document::KNOWN_AS.to_owned(), id));
        properties.documents.extend(known);
        let written = self.write_bytes(destination, properties, Bytes::new());
        Ok(written.await?.object)
    }

    /// 201 with the document of what was made.
    pub(crate) async fn created(&self, leaf: &Leaf) -> Answered {
        let all = self.with_all_fields();
        let kind = match leaf.reference() {
            // It is made as what it leads to.
            Some(_) => self.content_kind().unwrap_or(Kind::Object),
            None if leaf.is_queue() => Kind::Queue,
            None => Kind::Object,
        };
        let mut rendering = all.data_head(leaf, kind).await?;
        if leaf.is_queue() {
            let (_, content) = all.queue_content(leaf).await?;
            rendering.add("queueValues", content.designators());
        } else if kind == Kind::Queue {
            rendering.add("queueValues", "");
        }
        let response = rendering.answer(StatusCode::CREATED, kind.media_type())?;
        Ok(self.located(response, leaf))
    }

    /// An answer that says where something was made.
    pub(crate) fn located(&self, response: Response<Body>, leaf: &Leaf) -> Response<Body> {
        let url = match &leaf.names {
            Some(names) => self.url(names),
            None => self.url_of(&format!("/cdmi_objectid/{}", self.id_of(leaf))),
        };
        with_location(response, &url)
    }

    /// The same request without a choice of fields.
    pub(crate) fn with_all_fields(&self) -> Self {
        let mut call = self.clone();
        call.fields = Fields::default();
        call
    }

    /// The document of a data object.
    pub(crate) async fn read_data(&self, leaf: &Leaf) -> Answered {
        self.check_acceptable(Kind::Object)?;
        let spans = self.fields.spans("value")?;
        let mut rendering = self.visible_head(leaf, Kind::Object).await?;
        let parts = self.accepted.wants_parts();
        let value = ["value", "valuerange", "valuetransferencoding"];
        let wants_value = value.iter().any(|name| self.fields.has(name));
        if !wants_value || is_processing(&leaf.object) && !parts {
            if wants_value {
                let encoding = encoding_of(&leaf.object).as_str();
                rendering.choose(&self.fields, "valuetransferencoding", encoding);
            }
            return Ok(rendering.answer(StatusCode::OK, Kind::Object.media_type())?);
        }
        if parts {
            return self.read_parts(leaf, rendering, &spans).await;
        }
        if spans.len() > 1 {
            return Err(Fault::bad("several ranges are only given in parts"));
        }
        let read = self.read_value(leaf, spans.first().copied()).await;
        match read {
            Ok((object, first, bytes)) => {
                let ranged = !spans.is_empty();
                let bytes = match ranged {
                    true => bytes,
                    false => gaps::up_to_first(&object.documents, bytes),
                };
                self.add_value(&mut rendering, &object, (first, &bytes), ranged);
            }
            Err(Fault::Error(error))
                if error.kind() == trestle_core::ErrorKind::Forbidden && !rendering.is_empty() => {}
            Err(fault) => return Err(fault),
        }
        Ok(rendering.answer(StatusCode::OK, Kind::Object.media_type())?)
    }

    /// The fields before the value, as far as the request may read them.
    pub(crate) async fn visible_head(&self, leaf: &Leaf, kind: Kind) -> Answered<Rendering> {
        let of_value = self.fields.has("value") || self.fields.names("values");
        match self.seen_head(leaf, kind).await {
            Err(fault) if fault.is_forbidden() && of_value => Ok(Rendering::default()),
            head => head,
        }
    }

    /// The same, refused when nothing of it may be read.
    pub(crate) async fn seen_head(&self, leaf: &Leaf, kind: Kind) -> Answered<Rendering> {
        let action = trestle_access::Action::ReadObjectMetadata;
        let main = leaf.version_of.as_deref().unwrap_or(leaf);
        let at = (&main.bucket, main.object.acl.as_deref());
        let visible = self.visible(at, (action, leaf.resource())).boxed().await?;
        let mut rendering = self.data_head(leaf, kind).await?;
        visible.limit(&mut rendering)?;
        Ok(rendering)
    }

    /// The bytes of a value or of a range of it, and where they begin.
    pub(crate) async fn read_value(
        &self,
        leaf: &Leaf,
        span: Option<Span>,
    ) -> Answered<(Object, u64, Bytes)> {
        let reader = self.open(leaf).await?;
        let object = reader.object().clone();
        let range = resolve(span, object.length())?;
        let bytes = collect(reader, range).await?;
        Ok((object, range.start, bytes))
    }

    async fn read_parts(&self, leaf: &Leaf, rendering: Rendering, spans: &[Span]) -> Answered {
        let object = &leaf.object;
        let mut head = rendering;
        let encoding = encoding_of(object).as_str();
        head.choose(&self.fields, "valuetransferencoding", encoding);
        let mut whole = None;
        if spans.is_empty() {
            let mut length = object.length();
            if !is_processing(object) {
                let (object, _, bytes) = self.read_value(leaf, None).await?;
                let bytes = gaps::up_to_first(&object.documents, bytes);
                length = bytes.len() as u64;
                whole = Some(bytes);
            }
            let range = crate::value::range_text(0, length);
            head.choose(&self.fields, "valuerange", range);
        }
        let boundary = format!("{}{:016x}", object.version, self.cdmi.host.nonce());
        let mut body = Vec::new();
        let kind = [("Content-Type", Kind::Object.media_type())];
        write_part(&mut body, &boundary, &kind, &head.to_bytes()?);
        let mimetype = mimetype_of(object);
        let shared = [
            ("Content-Type", mimetype.as_str()),
            ("Content-Transfer-Encoding", "binary"),
        ];
        if let Some(bytes) = whole {
            write_part(&mut body, &boundary, &shared, &bytes);
        }
        for span in spans {
            let (object, first, bytes) = self.read_value(leaf, Some(*span)).await?;
            let last = first + (bytes.len() as u64).saturating_sub(1);
            let range = format!("bytes {first}-{last}/{}", object.length());
            let [a, b] = shared;
            write_part(
                &mut body,
                &boundary,
                &[a, b, ("Content-Range", &range)],
                &bytes,
            );
        }
        write_end(&mut body, &boundary);
        let mut response = Response::new(Body::full(body));
        let text = format!("multipart/mixed; boundary={boundary}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(CONTENT_TYPE_HEADER, value);
        }
        Ok(response)
    }

    /// Changes a data object.
    pub(crate) async fn update_data(&self, leaf: &Leaf, submission: Submission) -> Answered {
        self.check_content(&[Kind::Object])?;
        self.check_no_version(leaf)?;
        let document = &submission.document;
        if document.exports.is_some() || document.snapshot.is_some() {
            return Err(Fault::bad("exports and snapshot are fields of containers"));
        }
        self.check_choice(leaf, document).boxed().await?;
        let to = self.heir_of_leaf(leaf, document).boxed().await?;
        match &document.source {
            None if to.is_some() && self.is_of_owner_alone() => {}
            Some(Source::Copy(uri)) => self.update_by_copy(leaf, document, uri).boxed().await?,
            Some(Source::Value(_)) | None => self.update_by_value(leaf, &submission).await?,
            Some(source @ (Source::Deserialize(_) | Source::DeserializeValue(_))) => {
                document.check_encoding()?;
                let restored = self.restore_leaf(leaf, (document, source));
                restored.boxed().await?;
            }
            Some(_) => {
                return Err(Fault::bad(
                    "an existing data object is updated by value or by copy",
                ));
            }
        }
        self.give_leaf(leaf, to).boxed().await?;
        Ok(bare(StatusCode::NO_CONTENT))
    }

    async fn update_by_value(&self, leaf: &Leaf, submission: &Submission) -> Answered<()> {
        let document = &submission.document;
        let former = leaf.object.properties();
        let mut properties = former.clone();
        self.change_properties(&mut properties, document)?;
        set_partial(&mut properties, self.is_partial()?);
        protect::apply(&mut properties, &former, self.cdmi.store.now())?;
        self.check_named_list(&leaf.bucket, document).await?;
        let named = self.fields.is_all() || self.fields.has("value");
        let value = match &document.source {
            Some(Source::Value(value)) if named => Some(value),
            _ => None,
        };
        if value.is_none() && submission.parts.is_empty() {
            check_not_in_place(&former, &properties)?;
        }
        let ranges = self.fields.spans("value")?;
        if !submission.parts.is_empty() {
            let ranged = submission
                .parts
                .iter()
                .any(|part| part.header("content-range").is_some());
            if !ranged {
                let value = submission.value_of_parts()?;
                set_encoding(&mut properties, value.encoding);
                return self.replace(leaf, properties, value.bytes).await;
            }
            let encoding = match document.encoding()? {
                Some(encoding) => encoding,
                None => encoding_of_parts(&submission.parts)?,
            };
            set_encoding(&mut properties, encoding);
            let pieces = placed(&submission.parts)?;
            return self.patch(leaf, properties, pieces).await;
        }
        match (value, ranges.as_slice()) {
            (None, []) => self.change(leaf, document).await,
            (None, _) => Err(Fault::bad("a range is given without a value")),
            (Some(value), []) => {
                let encoding = document.encoding()?;
                let encoding = encoding.unwrap_or_else(|| encoding_of(&leaf.object));
                set_encoding(&mut properties, encoding);
                let bytes = encoding.decode(value)?;
                self.replace(leaf, properties, bytes).await
            }
            (Some(Value::String(text)), [span]) => {
                let bytes = from_base64(text)?;
                if span.last < u64::MAX && bytes.len() as u64 != span.count() {
                    return Err(Fault::bad(
                        "the value does not have as many bytes as its range",
                    ));
                }
                set_encoding(&mut properties, Encoding::Base64);
                self.patch(leaf, properties, vec![(span.first, bytes)])
                    .await
            }
            (Some(_), _) => Err(Fault::bad("one range of a value is a base64 string")),
        }
    }

    /// Applies what a document says of everything but the value.
    pub(crate) fn change_properties(
        &self,
        properties: &mut ObjectProperties,
        document: &Document,
    ) -> Result<()> {
        let named = |name| self.fields.is_all() || self.fields.has(name);
        if let Some(mimetype) = document.mimetype()?.filter(|_| named("mimetype")) {
            MediaType::parse(&mimetype)?;
            set_mimetype(properties, mimetype);
        }
        if let Some(update) = self.metadata_update(document) {
            self.note_metadata(&document.metadata.clone().unwrap_or_default());
            properties.metadata = update.apply(&properties.metadata)?;
            rights::apply(&update, &mut properties.acl)?;
        }
        if named("capabilitiesURI") {
            crate::profile::apply(document, &mut properties.metadata);
        }
        keep_unknown(&mut properties.documents, &document.unknown)?;
        Ok(())
    }

    /// What a document changes of metadata, if it does.
    pub(crate) fn metadata_update(&self, document: &Document) -> Option<Update> {
        let fields = &self.fields;
        let named = fields.is_all() || fields.has("metadata");
        let changes = document.metadata.is_some() || fields.names("metadata");
        let given = || document.metadata.clone().unwrap_or_default();
        (named && changes).then(|| Update::new(given(), fields))
    }

    /// Deletes a data object, a queue or a reference.
    pub(crate) async fn delete_leaf(&self, leaf: &Leaf) -> Answered {
        let precondition = parse_precondition(&self.headers)?;
        self.discard(leaf, precondition).await?;
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// What stands at a path where something is to be created.
    pub(crate) async fn occupant(&self, names: &Names) -> Answered<Option<Node>> {
        match self.resolve(names).await? {
            Some(node) => Ok(Some(node)),
            // `x` and `x/` are one name.
            None if names.slash && !names.names.is_empty() => {
                let bare = Names {
                    slash: false,
                    ..names.clone()
                };
                match self.resolve(&bare).await? {
                    Some(Node::Leaf(_)) => Err(Fault::conflict(
                        "an object that is not a container has this name",
                    )),
                    other => Ok(other),
                }
            }
            None => Ok(None),
        }
    }
}

/// The bytes that a range covers.
///
/// # Errors
/// `InvalidInput` for one that begins beyond the end.
pub(crate) fn resolve(span: Option<Span>, length: u64) -> Result<ResolvedRange> {
    match span {
        None => Ok(ResolvedRange {
            start: 0,
            end: length,
        }),
        Some(Span { first, last }) => {
            let range = ByteRange::Inclusive { first, last }.resolve(length);
            // The statuses of documents know no 416.
            range.map_err(|error| Error::invalid(error.message().to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn submission(document: Value, parts: &[(&str, &str)]) -> Submission {
        let mut body = Vec::new();
        for (head, bytes) in parts {
            let head: Vec<(&str, &str)> = head
                .split("; ; ")
                .filter_map(|line| line.split_once(": "))
                .collect();
            write_part(&mut body, "x", &head, bytes.as_bytes());
        }
        write_end(&mut body, "x");
        Submission {
            document: Document::parse(document.to_string().as_bytes()).unwrap(),
            parts: crate::multipart::parse(&Bytes::from(body), "x").unwrap(),
        }
    }

    #[test]
    fn a_new_value_has_the_defaults_of_the_standard() {
        let value = submission(json!({"value": "é"}), &[]).new_value().unwrap();
        assert_eq!(value.mimetype, "text/plain");
        assert_eq!(value.encoding, Encoding::Utf8);
        let empty = submission(json!({}), &[]).new_value().unwrap();
        assert_eq!((empty.bytes.len(), empty.encoding), (0, Encoding::Utf8));
        let binary = json!({"value": "/w==", "valuetransferencoding": "base64", "mimetype": "A/B"});
        let binary = submission(binary, &[]).new_value().unwrap();
        assert_eq!(
            (&binary.bytes[..], binary.mimetype.as_str()),
            (&b"\xff"[..], "a/b")
        );
        for bad in [
            json!({"value": "no base64!", "valuetransferencoding": "base64"}),
            json!({"value": 1}),
            json!({"value": "x", "valuetransferencoding": "rot13"}),
        ] {
            assert!(submission(bad, &[]).new_value().is_err());
        }
    }

    #[test]
    fn parts_follow_each_other_or_lie_at_their_ranges() {
        let utf8 = "Content-Type: text/x;charset=utf-8";
        let value = submission(json!({}), &[(utf8, "ab"), (utf8, "c")])
            .new_value()
            .unwrap();
        assert_eq!(
            (&value.bytes[..], value.encoding),
            (&b"abc"[..], Encoding::Utf8)
        );
        assert_eq!(value.mimetype, "text/x;charset=utf-8");
        let ranged = "Content-Type: a/b; ; Content-Range: bytes 4-5/6";
        let value = submission(json!({}), &[(utf8, "ab"), (ranged, "yz")])
            .new_value()
            .unwrap();
        assert_eq!(
            (&value.bytes[..], value.encoding),
            (&b"ab\0\0yz"[..], Encoding::Base64)
        );
        let both = submission(json!({"value": "x"}), &[(utf8, "ab")]);
        assert!(both.new_value().is_err());
    }
}
