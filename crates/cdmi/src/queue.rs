//! Queues (clause 11): values in the order of their arrival, each taken away by who has read it.

use crate::books::keep_unknown;
use crate::call::Call;
use crate::content::{Destination, VALUE_BYTES_MAX, collect};
use crate::data::{Submission, new_metadata, resolve, set_acl, set_partial};
use crate::document::{Document, Source};
use crate::fault::{Answered, Fault};
use crate::media::Kind;
use crate::modify::unchanged;
use crate::multipart::{write_end, write_part};
use crate::node::{Container, Leaf, document};
use crate::path::Names;
use crate::query::{Fields, Span};
use crate::query_queue::{IMMEDIATE, query_of};
use crate::queue_content::{QueueContent, QueueValue};
use crate::render::{Rendering, bare};
use crate::show::{encoding_of, mimetype_shown};
use crate::transfer::without_protection;
use crate::value::{Encoding, range_text, to_base64};
use bytes::Bytes;
use futures::FutureExt;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;
use trestle_access::Action;
use trestle_core::{Error, ErrorKind, Precondition, ResolvedRange, Result};
use trestle_http::Body;
use trestle_store::{Object, ObjectProperties};

/// Most bytes of the values of a queue that watches: each message writes all of it.
const TOLD_BYTES_MAX: usize = 8 << 20;
/// Tries of one change against concurrent ones.
const ATTEMPTS_MAX: usize = 100;

/// The designator of the oldest value.
fn first_of(object: &Object) -> Result<u64> {
    let first = object.documents.get(document::QUEUE);
    let first = first.and_then(|text| text.parse().ok());
    first.ok_or_else(|| Error::corrupt("a queue does not know its oldest value"))
}

/// Which of the oldest values a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Oldest {
    Count(u64),
    Range(Span),
}

fn oldest(fields: &Fields) -> Result<Option<Oldest>> {
    let arguments = fields.arguments("values");
    match arguments.as_slice() {
        [] if fields.names("values") => Ok(Some(Oldest::Count(1))),
        [] => Ok(None),
        [one] if one.contains('-') => Span::parse(one).map(|span| Some(Oldest::Range(span))),
        [one] => match one.parse() {
            Ok(count) if one.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Some(Oldest::Count(count)))
            }
            _ => Err(Error::invalid(format!("{one:?} is not a count of values"))),
        },
        _ => Err(Error::invalid("values is given more than once")),
    }
}

/// Which values of a source are meant: those of a range of designators, or so many of the oldest.
fn chosen(fields: &Fields) -> Result<Option<Oldest>> {
    match fields.span("value")? {
        Some(span) => Ok(Some(Oldest::Range(span))),
        None => oldest(fields),
    }
}

impl Oldest {
    /// Where the values that it covers are; of a range, those that are there.
    fn positions(self, content: &QueueContent) -> std::ops::Range<usize> {
        let (first, after) = match self {
            Oldest::Count(count) => (0, count),
            Oldest::Range(Span { first, last }) => (
                first.saturating_sub(content.first),
                last.saturating_add(1).saturating_sub(content.first),
            ),
        };
        let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
        let after = at(after).min(content.values.len());
        at(first).min(after)..after
    }

    /// How many of the values it covers.
    fn count(self, content: &QueueContent) -> Result<usize> {
        let count = match self {
            Oldest::Count(count) => count,
            Oldest::Range(span) if content.values.is_empty() => span.count(),
            Oldest::Range(span) if span.first > content.first => {
                return Err(Error::invalid(
                    "a range of values starts with the oldest one",
                ));
            }
            Oldest::Range(span) => span.last.saturating_add(1).saturating_sub(content.first),
        };
        Ok(usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(content.values.len()))
    }
}

impl Submission {
    /// The values that a request brings.
    fn values(&self) -> Answered<Vec<QueueValue>> {
        if !self.parts.is_empty() {
            return match self.document.source {
                None => self.values_of_parts(),
                Some(_) => Err(Fault::bad("the values are given twice")),
            };
        }
        let given = match &self.document.source {
            Some(Source::Value(Value::Array(values))) => values,
            Some(Source::Value(_)) => return Err(Fault::bad("value is not an array")),
            _ => return Err(Fault::bad("there is no value to enqueue")),
        };
        let mimetypes = texts(self.document.mimetype.as_ref(), "mimetype", given.len())?;
        let encodings = texts(
            self.document.encoding.as_ref(),
            "valuetransferencoding",
            given.len(),
        )?;
        let mut values = Vec::new();
        for (at, value) in given.iter().enumerate() {
            let encoding = encodings.get(at).map(|text| Encoding::parse(text));
            let encoding = encoding.transpose()?.unwrap_or(Encoding::Utf8);
            let mimetype = mimetypes.get(at).map(|text| text.to_lowercase());
            values.push(QueueValue {
                mimetype: mimetype.unwrap_or_else(|| "text/plain".to_owned()),
                encoding,
                bytes: encoding.decode(value)?,
            });
        }
        Ok(values)
    }

    fn values_of_parts(&self) -> Answered<Vec<QueueValue>> {
        let count = self.parts.len();
        let mimetypes = texts(self.document.mimetype.as_ref(), "mimetype", count)?;
        let encodings = self.document.encoding.as_ref();
        let encodings = texts(encodings, "valuetransferencoding", count)?;
        let mut values = Vec::new();
        for (at, part) in self.parts.iter().enumerate() {
            let media_type = part.media_type()?;
            let encoding = match encodings.get(at) {
                Some(text) => Encoding::parse(text)?,
                None if media_type.is_utf8() => Encoding::Utf8,
                None => Encoding::Base64,
            };
            encoding.check(&part.body)?;
            let mimetype = mimetypes.get(at).map(|text| text.to_lowercase());
            values.push(QueueValue {
                mimetype: mimetype.unwrap_or_else(|| media_type.mimetype()),
                encoding,
                bytes: part.body.clone(),
            });
        }
        Ok(values)
    }
}

/// Refuses fields that are a container's.
fn check_fields(document: &Document) -> Answered<()> {
    match document.exports.is_some() || document.snapshot.is_some() {
        true => Err(Fault::bad("exports and snapshot are fields of containers")),
        false => Ok(()),
    }
}

/// An array of strings with one for each value; nothing when the field is absent.
fn texts(field: Option<&Value>, name: &str, count: usize) -> Answered<Vec<String>> {
    let Some(field) = field else {
        return Ok(Vec::new());
    };
    let items = match field {
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    };
    let items: Vec<String> =
        items.ok_or_else(|| Fault::bad(format!("{name} is not an array of strings")))?;
    match items.len() == count {
        true => Ok(items),
        false => Err(Fault::bad(format!("{name} does not match the values"))),
    }
}

impl Call<'_> {
    /// A new queue in a container.
    pub(crate) async fn create_queue(
        &self,
        parent: &Container,
        names: &Names,
        document: &Document,
    ) -> Answered {
        let destination = self.place_in(parent, names).await?;
        let object = self.store_queue(&destination, document).await?;
        let leaf = Leaf::made(destination, (Some(names.clone()), Some(parent.id)), object);
        self.queue_created(&leaf).await
    }

    /// 201; of an immediate query with all that it found, and nothing of it stays.
    pub(crate) async fn queue_created(&self, leaf: &Leaf) -> Answered {
        let kind = leaf.object.metadata.get("cdmi_queue_type");
        if !leaf.is_queue() || kind.and_then(Value::as_str) != Some(IMMEDIATE) {
            return self.created(leaf).await;
        }
        let all = self.with_all_fields();
        let mut rendering = all.data_head(leaf, Kind::Queue).await?;
        let (_, content) = all.queue_content(leaf).await?;
        rendering.add("queueValues", content.designators());
        all.add_values(&mut rendering, &content.values, None, false)?;
        let (bucket, key) = (&leaf.bucket, &leaf.object.key);
        self.erase(bucket, key, Precondition::none()).await?;
        let response = rendering.answer(StatusCode::CREATED, Kind::Queue.media_type())?;
        Ok(self.located(response, leaf))
    }

    /// Stores a new queue, in the domain that it is to belong to.
    pub(crate) async fn store_queue(
        &self,
        destination: &Destination,
        document: &Document,
    ) -> Answered<Object> {
        let to = self.heir_of_new(destination, document).boxed().await?;
        let document = self.of_heir(document, to.as_ref());
        let object = self.store_made_queue(destination, &document).await?;
        self.give_new(destination, object, to).await
    }

    async fn store_made_queue(
        &self,
        destination: &Destination,
        document: &Document,
    ) -> Answered<Object> {
        if document.mimetype.is_some() || document.encoding.is_some() {
            return Err(Fault::bad("a queue is made without values"));
        }
        check_fields(document)?;
        let mut content = QueueContent::default();
        let mut metadata = new_metadata(document)?;
        match &document.source {
            None => {}
            Some(Source::Copy(uri)) => {
                self.note("cdmi_copy");
                let (source, fields) = self.source_leaf(uri).await?;
                if !source.is_queue() {
                    return Err(Fault::bad("the source is not a queue"));
                }
                let limits = self.limits(fields)?;
                self.check_copied(&source, &limits, document).await?;
                let values = self.chosen_values(&source, (&limits, false)).await?;
                if limits.has("value") || limits.has("values") {
                    content.values = values;
                }
                if document.metadata.is_none() && limits.has("metadata") {
                    metadata = without_protection(source.object.metadata.clone());
                }
            }
            Some(Source::Reference(uri)) => {
                return self.store_reference(destination, uri).await;
            }
            Some(Source::Move(uri)) => {
                return self.store_moved(destination, document, uri).boxed().await;
            }
            Some(source @ (Source::Deserialize(_) | Source::DeserializeValue(_))) => {
                let serialized = self.to_deserialize(source).await?;
                if serialized.kind != Kind::Queue {
                    return Err(Fault::bad("what is serialised is not a queue"));
                }
                let stored = self.store_deserialized(destination, document, &serialized);
                return stored.boxed().await;
            }
            Some(_) => return Err(Fault::bad("a queue is not made of this")),
        }
        self.check_queue(&metadata, None)?;
        if let Some(given) = &document.metadata {
            self.note_metadata(given);
        }
        if let Some(query) = query_of(&metadata)? {
            content.values = self.run_query(&query).boxed().await?;
        }
        let mut properties = ObjectProperties {
            metadata,
            ..ObjectProperties::default()
        };
        keep_unknown(&mut properties.documents, &document.unknown)?;
        set_partial(&mut properties, self.is_partial()?);
        set_acl(&mut properties, document)?;
        self.protect_new(&mut properties)?;
        properties
            .documents
            .insert(document::QUEUE.to_owned(), content.first.to_string());
        let bytes = content.encode()?;
        let written = self.write_bytes(destination, properties, bytes).await?;
        self.watch(&written.object).await?;
        Ok(written.object)
    }

    /// A queue's record and values, of one moment.
    pub(crate) async fn queue_content(&self, leaf: &Leaf) -> Answered<(Object, QueueContent)> {
        let reader = self.open(leaf).await?;
        let object = reader.object().clone();
        let whole = ResolvedRange {
            start: 0,
            end: object.length(),
        };
        let bytes = collect(reader, whole).await?;
        let content = QueueContent::decode(first_of(&object)?, bytes)?;
        Ok((object, content))
    }

    /// The document of a queue.
    pub(crate) async fn read_queue(&self, leaf: &Leaf) -> Answered {
        self.check_acceptable(Kind::Queue)?;
        self.settle(leaf.object.id.0).await;
        let fields = &self.fields;
        let (object, content) = match self.queue_content(leaf).await {
            Err(fault) if fault.is_forbidden() => return self.read_queue_head(leaf, fault).await,
            content => content?,
        };
        let leaf = Leaf {
            object: Box::new(object),
            ..leaf.clone()
        };
        let mut rendering = self.visible_head(&leaf, Kind::Queue).await?;
        rendering.choose(fields, "queueValues", content.designators());
        let count = match oldest(fields)? {
            Some(oldest) => oldest.count(&content)?,
            None => 1.min(content.values.len()),
        };
        let span = fields.span("value")?;
        let values = content.values.get(..count).unwrap_or_default();
        let parts = self.accepted.wants_parts();
        // What is said of values is there when there are values.
        if !content.values.is_empty() {
            self.add_values(&mut rendering, values, span, parts)?;
        }
        if parts {
            return self.queue_parts(&rendering, values);
        }
        Ok(rendering.answer(StatusCode::OK, Kind::Queue.media_type())?)
    }

    /// What a queue says of itself, and which values it has, to who may read none of them.
    async fn read_queue_head(&self, leaf: &Leaf, refused: Fault) -> Answered {
        let own = self.cdmi.own_call();
        let (object, content) = own.queue_content(leaf).await?;
        let leaf = Leaf {
            object: Box::new(object),
            ..leaf.clone()
        };
        let alone = self.fields.is_one() && self.fields.names("queueValues");
        let call = match alone {
            // Who sees anything sees them.
            true => self.with_all_fields(),
            false => self.clone(),
        };
        let mut rendering = match call.seen_head(&leaf, Kind::Queue).await {
            Err(fault) if fault.is_forbidden() => return Err(refused),
            head => head?,
        };
        if alone {
            rendering = Rendering::default();
        }
        rendering.choose(&self.fields, "queueValues", content.designators());
        if rendering.is_empty() {
            return Err(refused);
        }
        Ok(rendering.answer(StatusCode::OK, Kind::Queue.media_type())?)
    }

    pub(crate) fn add_values(
        &self,
        rendering: &mut Rendering,
        values: &[QueueValue],
        span: Option<Span>,
        parts: bool,
    ) -> Answered<()> {
        let fields = &self.fields;
        let first = self.version.is_first();
        let mut ranges = Vec::new();
        let mut encodings = Vec::new();
        let mut encoded = Vec::new();
        for (at, value) in values.iter().enumerate() {
            let span = span.filter(|_| at == 0);
            if let Some(Span { first, last }) = span {
                let length = value.bytes.len() as u64;
                let range = resolve(Some(Span { first, last }), length)?;
                let bytes = value.bytes.slice(range.start as usize..range.end as usize);
                ranges.push(Value::from(range_text(range.start, bytes.len() as u64)));
                encodings.push(Value::from(Encoding::Base64.as_str()));
                encoded.push(Value::from(to_base64(&bytes)));
                continue;
            }
            ranges.push(Value::from(range_text(0, value.bytes.len() as u64)));
            let (encoding, text) = value.encoding.encode(&value.bytes, first);
            encodings.push(Value::from(encoding.as_str()));
            encoded.push(text);
        }
        let mimetypes: Vec<Value> = values
            .iter()
            .map(|value| Value::from(value.mimetype.as_str()))
            .collect();
        rendering.choose(fields, "mimetype", mimetypes);
        rendering.choose(fields, "valuetransferencoding", encodings);
        rendering.choose(fields, "valuerange", ranges);
        if !parts && (fields.has("value") || fields.names("values")) {
            rendering.add("value", encoded);
        }
        Ok(())
    }

    fn queue_parts(&self, head: &Rendering, values: &[QueueValue]) -> Answered {
        let boundary = format!("{}{:016x}", self.cdmi.host.id(), self.cdmi.host.nonce());
        let mut body = Vec::new();
        let kind = [("Content-Type", Kind::Queue.media_type())];
        write_part(&mut body, &boundary, &kind, &head.to_bytes()?);
        for value in values {
            let head = [
                ("Content-Type", value.mimetype.as_str()),
                ("Content-Transfer-Encoding", "binary"),
            ];
            write_part(&mut body, &boundary, &head, &value.bytes);
        }
        write_end(&mut body, &boundary);
        let mut response = Response::new(Body::full(body));
        let text = format!("multipart/mixed; boundary={boundary}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(CONTENT_TYPE, value);
        }
        Ok(response)
    }

    /// Changes a queue's values, again when a concurrent change won.
    async fn change_values(
        &self,
        leaf: &Leaf,
        change: impl Fn(&mut QueueContent) -> Answered<()>,
    ) -> Answered<()> {
        for _ in 0..ATTEMPTS_MAX {
            let (object, mut content) = self.queue_content(leaf).await?;
            crate::protect::check_change(&object, self.cdmi.store.now())?;
            change(&mut content)?;
            let bytes = content.encode()?;
            if bytes.len() as u64 > VALUE_BYTES_MAX {
                return Err(Fault::Error(Error::new(
                    ErrorKind::TooLarge,
                    format!("a queue holds at most {VALUE_BYTES_MAX} bytes"),
                )));
            }
            let mut properties = object.properties();
            properties
                .documents
                .insert(document::QUEUE.to_owned(), content.first.to_string());
            let destination = self.place_of(leaf, unchanged(&object)).await?;
            match self.write_bytes(&destination, properties, bytes).await {
                Err(Fault::Error(error)) if error.kind() == ErrorKind::PreconditionFailed => {}
                Err(fault) => return Err(fault),
                Ok(_) => return Ok(()),
            }
        }
        Err(Fault::conflict(
            "concurrent changes of the queue keep winning",
        ))
    }

    /// Adds values.
    pub(crate) async fn enqueue(&self, leaf: &Leaf, submission: &Submission) -> Answered {
        let document = &submission.document;
        if document.metadata.is_some() || document.domain.is_some() {
            return Err(Fault::bad(
                "what brings values says nothing else of the queue",
            ));
        }
        check_fields(document)?;
        let values = match &submission.document.source {
            Some(Source::Copy(_) | Source::Move(_)) if !submission.parts.is_empty() => {
                return Err(Fault::bad("the values are given twice"));
            }
            Some(Source::Copy(uri)) => self.values_of(uri, false).await?,
            Some(Source::Move(uri)) => self.values_of(uri, true).await?,
            _ => submission.values()?,
        };
        if !document.unknown.is_empty() {
            let unknown = document.unknown.clone();
            let kept = Document {
                unknown,
                ..Document::default()
            };
            self.change(leaf, &kept).await?;
        }
        self.enqueue_values(leaf, &values).await?;
        if let Some(Source::Move(uri)) = &submission.document.source {
            self.take_moved(uri, values.len()).await?;
        }
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// Adds values that are at hand.
    pub(crate) async fn enqueue_values(&self, leaf: &Leaf, values: &[QueueValue]) -> Answered<()> {
        self.change_values(leaf, |content| {
            content.values.extend(values.iter().cloned());
            Ok(())
        })
        .await
    }

    /// Adds messages to a queue that watches, which holds less than others.
    pub(crate) async fn enqueue_told(&self, leaf: &Leaf, values: &[QueueValue]) -> Answered<()> {
        self.change_values(leaf, |content| {
            content.values.extend(values.iter().cloned());
            let bytes = content.values.iter().map(|value| value.bytes.len());
            match bytes.sum::<usize>() > TOLD_BYTES_MAX {
                true => Err(Fault::Error(Error::new(
                    ErrorKind::TooLarge,
                    format!("a queue is told at most {TOLD_BYTES_MAX} bytes"),
                ))),
                false => Ok(()),
            }
        })
        .await
    }

    /// Puts other values in the place of a queue's.
    pub(crate) async fn set_values(&self, leaf: &Leaf, values: &QueueContent) -> Answered<()> {
        self.change_values(leaf, |content| {
            *content = values.clone();
            Ok(())
        })
        .await
    }

    /// The values of a queue that fields choose. What is moved away starts with the oldest.
    async fn chosen_values(
        &self,
        source: &Leaf,
        (fields, moved): (&Fields, bool),
    ) -> Answered<Vec<QueueValue>> {
        let content = self.queue_content(source).await;
        let (_, content) = content.map_err(Fault::of_source)?;
        let positions = match chosen(fields)? {
            None => 0..content.values.len(),
            Some(chosen) if moved => 0..chosen.count(&content)?,
            Some(chosen) => chosen.positions(&content),
        };
        let values = content.values.get(positions);
        Ok(values.unwrap_or_default().to_vec())
    }

    /// The values that a source URI leads to.
    async fn values_of(&self, uri: &str, moved: bool) -> Answered<Vec<QueueValue>> {
        let (source, fields) = self.source_leaf(uri).await?;
        if source.is_queue() {
            return self.chosen_values(&source, (&fields, moved)).await;
        }
        let (object, _, bytes) = self
            .read_value(&source, None)
            .await
            .map_err(Fault::of_source)?;
        let value = QueueValue {
            mimetype: mimetype_shown(&object.representation, &object.documents),
            encoding: encoding_of(&object),
            bytes,
        };
        Ok(vec![value])
    }

    /// Takes what was moved away from its source.
    async fn take_moved(&self, uri: &str, count: usize) -> Answered<()> {
        let (source, _) = self.source_leaf(uri).await?;
        match source.is_queue() {
            true => {
                let take = |content: &mut QueueContent| {
                    content.drop_oldest(count);
                    Ok(())
                };
                self.change_values(&source, take).await
            }
            false => self.discard(&source, Precondition::none()).await,
        }
    }

    /// Takes the oldest values away.
    pub(crate) async fn dequeue(&self, leaf: &Leaf) -> Answered {
        let oldest = oldest(&self.fields)?.unwrap_or(Oldest::Count(1));
        self.settle(leaf.object.id.0).await;
        self.change_values(leaf, |content| {
            let count = oldest.count(content)?;
            content.drop_oldest(count);
            Ok(())
        })
        .await?;
        self.has_room(leaf.object.id.0);
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// Whether a DELETE is about values.
    pub(crate) fn names_values(&self) -> bool {
        self.fields.names("value") || self.fields.names("values")
    }

    /// Changes what a queue says of itself, not its values.
    pub(crate) async fn update_queue(&self, leaf: &Leaf, submission: &Submission) -> Answered {
        let document = &submission.document;
        check_fields(document)?;
        match &document.source {
            Some(Source::Copy(uri)) => {
                self.copy_onto_queue(leaf, document, uri).boxed().await?;
                return Ok(bare(StatusCode::NO_CONTENT));
            }
            Some(Source::Move(_)) => return self.enqueue(leaf, submission).await,
            _ => {}
        }
        if let Some(source @ (Source::Deserialize(_) | Source::DeserializeValue(_))) =
            &document.source
        {
            self.restore_leaf(leaf, (document, source)).boxed().await?;
            return Ok(bare(StatusCode::NO_CONTENT));
        }
        if document.source.is_some() || !submission.parts.is_empty() {
            return Err(Fault::bad("values are added to a queue by a POST"));
        }
        if document.mimetype.is_some() || document.encoding.is_some() {
            return Err(Fault::bad("a queue has these fields for each value"));
        }
        self.check_choice(leaf, document).boxed().await?;
        let to = self.heir_of_leaf(leaf, document).boxed().await?;
        if to.is_none() || !self.is_of_owner_alone() {
            self.check_queue_change(leaf, document)?;
            self.check_named_list(&leaf.bucket, document).await?;
            self.change(leaf, document).await?;
            self.follow_type(leaf).await?;
        }
        self.give_leaf(leaf, to).boxed().await?;
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// Replaces what a queue says of itself by what another one does; its values stay.
    async fn copy_onto_queue(&self, leaf: &Leaf, document: &Document, uri: &str) -> Answered<()> {
        self.note("cdmi_copy");
        let (source, fields) = self.source_leaf(uri).await?;
        if !source.is_queue() {
            return Err(Fault::bad("the source is not a queue"));
        }
        let read = self.grant(Action::ReadObjectMetadata, source.resource());
        read.await.map_err(|error| Fault::from(error).of_source())?;
        self.check_choice(leaf, document).boxed().await?;
        let to = self.heir_of_leaf(leaf, document).boxed().await?;
        let mut call = self.clone();
        call.fields = self.limits(fields)?;
        let mut own = document.clone();
        own.source = None;
        if own.metadata.is_none() && call.fields.has("metadata") {
            let copied = without_protection(source.object.metadata.clone());
            own.metadata = Some(copied.into_iter().collect());
        }
        call.check_queue_change(leaf, &own)?;
        call.change(leaf, &own).await?;
        call.follow_type(leaf).await?;
        self.give_leaf(leaf, to).boxed().await
    }

    /// All values of a queue, or some, one after the other.
    pub(crate) async fn joined(&self, uri: &str) -> Answered<Bytes> {
        let values = self.values_of(uri, false).await?;
        let pieces: Vec<&[u8]> = values.iter().map(|value| &value.bytes[..]).collect();
        Ok(Bytes::from(pieces.concat()))
    }
}
