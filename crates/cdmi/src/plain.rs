//! The same objects over HTTP alone (clauses 6 and 7): bytes with their media type.

use crate::books::tag_of;
use crate::call::Call;
use crate::content::Destination;
use crate::data::{set_encoding, set_partial, set_partial_new};
use crate::document::Document;
use crate::fault::{Answered, Fault};
use crate::gaps;
use crate::media::MediaType;
use crate::metadata::is_header;
use crate::multipart::ContentRange;
use crate::node::{Container, Leaf, Node, document};
use crate::partial::{Upload, is_new};
use crate::path::Names;
use crate::render::bare;
use crate::show::{CONTENT_TYPE, MIMETYPE_DEFAULT, is_processing, mimetype_of};
use crate::text::Text;
use crate::value::Encoding;
use bytes::Bytes;
use futures::{FutureExt, Stream};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE as CONTENT_TYPE_HEADER, ETAG, HeaderName, HeaderValue, LAST_MODIFIED, LOCATION,
};
use http::{HeaderMap, Method, Response, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use trestle_access::Action;
use trestle_core::{
    ByteRange, Error, ErrorKind, Metadata, Precondition, ResolvedRange, Result, Validators, Verdict,
};
use trestle_http::{
    Body, RangeHeader, http_date, parse_if_range, parse_precondition, parse_range, read_whole,
};
use trestle_store::{Object, ObjectBytes, ObjectProperties};

fn header(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<()> {
    let value = HeaderValue::from_str(value)
        .map_err(|_| Error::corrupt("a stored field cannot be sent as a header"))?;
    headers.insert(name, value);
    Ok(())
}

fn validators(object: &Object) -> Validators {
    Validators {
        tag: tag_of(object),
        modified: object.modified,
    }
}

fn describe(object: &Object, headers: &mut HeaderMap) -> Result<()> {
    header(headers, ETAG, &format!("\"{}\"", tag_of(object)))?;
    header(headers, LAST_MODIFIED, &http_date(object.modified))?;
    header(headers, CACHE_CONTROL, "no-cache")
}

/// Those metadata items that are headers, as headers.
pub(crate) fn give_headers(metadata: &Metadata, headers: &mut HeaderMap) {
    for (name, value) in metadata {
        let Some(text) = value.as_str().filter(|_| is_header(name)) else {
            continue;
        };
        // What came by another way need not fit into a header: then it is not one.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(text),
        ) {
            headers.insert(name, value);
        }
    }
}

/// Sets metadata that came in headers; an empty item goes, and names that differ in case alone are the
/// same.
pub(crate) fn take_items(items: &BTreeMap<String, String>, metadata: &mut Metadata) -> Result<()> {
    for (name, text) in items {
        let same = |item: &&String| item.eq_ignore_ascii_case(name);
        let there = metadata.keys().find(same).cloned();
        let name = there.unwrap_or_else(|| name.clone());
        match text.is_empty() {
            true => metadata.remove(&name),
            false => metadata.insert(name, Value::from(text.as_str())),
        };
    }
    crate::metadata::check_header_room(metadata.iter())?;
    crate::metadata::check(metadata)
}

fn conditional(precondition: &Precondition, object: &Object) -> Result<Option<Response<Body>>> {
    match precondition.for_read(Some(&validators(object))) {
        Verdict::Proceed => Ok(None),
        Verdict::NotModified => {
            let mut response = bare(StatusCode::NOT_MODIFIED);
            describe(object, response.headers_mut())?;
            Ok(Some(response))
        }
        Verdict::Failed => Err(Error::new(
            ErrorKind::PreconditionFailed,
            "a condition of the request fails",
        )),
    }
}

fn wanted_range(method: &Method, headers: &HeaderMap, object: &Object) -> Option<ByteRange> {
    match parse_range(headers) {
        // A date is never strong enough: an object may change twice within its second.
        RangeHeader::One(range)
            if *method == Method::GET
                && parse_if_range(headers).holds(&validators(object), false) =>
        {
            Some(range)
        }
        _ => None,
    }
}

impl Call<'_> {
    /// The bytes of a data object.
    pub(crate) async fn read_plain(&self, leaf: &Leaf) -> Answered {
        let precondition = parse_precondition(&self.headers)?;
        let reader = self.open(leaf).await?;
        let object = reader.object();
        if let Some(response) = conditional(&precondition, object)? {
            return Ok(response);
        }
        if is_processing(object) {
            return Err(Fault::Status(
                StatusCode::ACCEPTED,
                "the object is still being written".to_owned(),
            ));
        }
        let mut response = bare(StatusCode::OK);
        let length = object.length();
        let mut range = ResolvedRange {
            start: 0,
            end: length,
        };
        if let Some(wanted) = wanted_range(&self.method, &self.headers, object) {
            range = wanted.resolve(length)?;
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let text = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            header(response.headers_mut(), CONTENT_RANGE, &text)?;
        }
        let headers = response.headers_mut();
        describe(object, headers)?;
        header(headers, CONTENT_TYPE_HEADER, &mimetype_of(object))?;
        if object.metadata.keys().any(|name| is_header(name)) && self.sees_metadata(leaf).await? {
            give_headers(&object.metadata, headers);
        }
        header(headers, ACCEPT_RANGES, "bytes")?;
        header(headers, CONTENT_LENGTH, &range.len().to_string())?;
        if self.method == Method::HEAD {
            return Ok(response);
        }
        *response.body_mut() = match reader.into_bytes(range).await? {
            ObjectBytes::Whole(bytes) => Body::full(bytes),
            ObjectBytes::Stream(stream) => Body::stream(range.len(), stream),
        };
        Ok(response)
    }

    /// Whether who asks may see metadata: the right to the value is none to it.
    async fn sees_metadata(&self, leaf: &Leaf) -> Result<bool> {
        let action = Action::ReadObjectMetadata;
        match self.grant(action, leaf.resource()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Forbidden => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Metadata that comes in headers (extension of clause 26.5), as text by its names.
    pub(crate) fn header_items(&self) -> Result<BTreeMap<String, String>> {
        let headers = self.headers.iter();
        let items = headers.filter(|(name, _)| is_header(name.as_str()));
        items
            .map(
                |(name, value)| match std::str::from_utf8(value.as_bytes()) {
                    Ok(text) => Ok((name.as_str().to_owned(), text.to_owned())),
                    Err(_) => Err(Error::invalid(format!("the header {name} is not UTF-8"))),
                },
            )
            .collect()
    }

    fn take_headers(&self, properties: &mut ObjectProperties) -> Result<()> {
        take_items(&self.header_items()?, &mut properties.metadata)
    }

    fn content_range(&self) -> Result<Option<ContentRange>> {
        let mut values = self.headers.get_all(CONTENT_RANGE).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Error::invalid("the Content-Range header is repeated"));
        }
        ContentRange::parse(value.to_str().unwrap_or_default()).map(Some)
    }

    /// What the media type of the body says of the value.
    pub(crate) fn describe_value(&self, properties: &mut ObjectProperties, existing: bool) {
        let (mimetype, encoding) = match &self.content {
            Some(content) if content.is_utf8() => (content.mimetype(), Encoding::Utf8),
            Some(content) => (content.mimetype(), Encoding::Base64),
            None if existing => return,
            None => (MIMETYPE_DEFAULT.to_owned(), Encoding::Base64),
        };
        properties.documents.remove(document::MIMETYPE_SAID);
        properties
            .representation
            .insert(CONTENT_TYPE.to_owned(), mimetype);
        set_encoding(properties, encoding);
    }

    /// Creates a data object of the body's bytes.
    pub(crate) async fn create_plain<B>(
        &self,
        parent: &Container,
        names: &Names,
        body: B,
    ) -> Answered
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        if let Some(upload) = self.upload()? {
            let leaf = self.begin_upload(parent, names).boxed().await?;
            return self.take_piece(&leaf, &upload, body).await;
        }
        let mut destination = self.place_in(parent, names).await?;
        destination.precondition = parse_precondition(&self.headers)?;
        let mut document = Document::default();
        self.in_domain_of(parent, &mut document);
        let to = self.heir_of_new(&destination, &document).boxed().await?;
        let object = self.store_plain(&destination, body).await?;
        let object = self.give_new(&destination, object, to).await?;
        let mut response = bare(StatusCode::CREATED);
        describe(&object, response.headers_mut())?;
        header(response.headers_mut(), LOCATION, &self.url(names))?;
        Ok(response)
    }

    /// Stores a new object of the body's bytes.
    pub(crate) async fn store_plain<B>(
        &self,
        destination: &Destination,
        body: B,
    ) -> Answered<Object>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let mut properties = ObjectProperties::default();
        self.take_headers(&mut properties)?;
        self.describe_value(&mut properties, false);
        set_partial_new(&mut properties, self.is_partial()?);
        let Some(range) = self.content_range()? else {
            let length = self.declared_length;
            let body = self.checked(body);
            let written = self.write(destination, properties, length, body);
            return Ok(written.await?.object);
        };
        let bytes = self.ranged_body(range, body).await?;
        let mut whole = bytes::BytesMut::new();
        crate::data::overwrite(&mut whole, range.first, &bytes)?;
        let written = [gaps::range_of(&(range.first, bytes))];
        let former = (&BTreeMap::new(), 0);
        gaps::note(&mut properties.documents, former, written);
        let written = self.write_bytes(destination, properties, whole.freeze());
        Ok(written.await?.object)
    }

    /// Replaces the value of a data object, or a range of it; everything else stays.
    pub(crate) async fn update_plain<B>(&self, leaf: &Leaf, body: B) -> Answered
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        crate::protect::check_change(&leaf.object, self.cdmi.store.now())?;
        self.check_no_version(leaf)?;
        if let Some(upload) = self.upload()? {
            return self.take_piece(leaf, &upload, body).await;
        }
        let mut properties = leaf.object.properties();
        self.take_headers(&mut properties)?;
        self.describe_value(&mut properties, true);
        let partial = self.is_partial()?;
        set_partial(&mut properties, partial);
        match self.content_range()? {
            None if self.goes_on(leaf) => {
                let most = crate::content::VALUE_BYTES_MAX as usize;
                let bytes = read_whole(body, most).await?;
                let end = (leaf.object.length(), bytes);
                let pieces = Some(end).filter(|(_, bytes)| !bytes.is_empty());
                let pieces = pieces.into_iter().collect();
                self.patch(leaf, properties, pieces).await?;
                if is_new(leaf) && !partial {
                    return Ok(bare(StatusCode::CREATED));
                }
            }
            Some(range) => {
                let bytes = self.ranged_body(range, body).await?;
                self.patch(leaf, properties, vec![(range.first, bytes)])
                    .await?;
            }
            None => {
                self.check_besides(leaf, &properties).await?;
                let precondition = parse_precondition(&self.headers)?;
                let destination = self.place_of(leaf, precondition).await?;
                let length = self.declared_length;
                gaps::forget(&mut properties.documents);
                let body = self.checked(body);
                self.write(&destination, properties, length, body).await?;
            }
        }
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// Whether a PUT is another part of a series of writes, which it says in so many words: without a
    /// range such a part follows those that are there (extension for partial uploads).
    fn goes_on(&self, leaf: &Leaf) -> bool {
        self.method == Method::PUT
            && self.headers.contains_key("x-cdmi-partial")
            && is_processing(&leaf.object)
    }

    /// The body, which is text when its media type says so (8.2.3).
    fn checked<B>(&self, body: B) -> Text<B> {
        let is_text = self.content.as_ref().is_some_and(MediaType::is_utf8);
        Text::new(body, is_text)
    }

    /// A new object without a value, for an upload in pieces.
    async fn begin_upload(&self, parent: &Container, names: &Names) -> Answered<Leaf> {
        let destination = self.place_in(parent, names).await?;
        let mut properties = ObjectProperties::default();
        self.take_headers(&mut properties)?;
        self.describe_value(&mut properties, false);
        set_partial_new(&mut properties, true);
        let made = self.write_bytes(&destination, properties, Bytes::new());
        match made.await {
            Ok(made) => Ok(Leaf::made(
                destination,
                (Some(names.clone()), Some(parent.id)),
                made.object,
            )),
            // Another piece has just come first.
            Err(fault) => match self.resolve(names).await? {
                Some(Node::Leaf(leaf)) if leaf.reference().is_none() => Ok(leaf),
                _ => Err(fault),
            },
        }
    }

    /// A piece of an upload.
    async fn take_piece<B>(&self, leaf: &Leaf, upload: &Upload, body: B) -> Answered
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let range = self.content_range()?;
        let bytes = match range {
            Some(range) => self.ranged_body(range, body).await?,
            None => read_whole(body, crate::content::VALUE_BYTES_MAX as usize).await?,
        };
        let answered = self.upload_piece(leaf, upload, (range, bytes));
        answered.boxed().await
    }

    async fn ranged_body<B>(&self, range: ContentRange, body: B) -> Answered<Bytes>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let most = crate::content::VALUE_BYTES_MAX as usize;
        let bytes = read_whole(body, most).await?;
        if bytes.len() as u64 != range.count() {
            return Err(Fault::bad(
                "the body does not have as many bytes as its range",
            ));
        }
        Ok(bytes)
    }
}
