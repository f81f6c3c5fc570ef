//! Containers and data objects that the server makes and nobody stores: domains, their members and
//! summaries, and the places of snapshots. Nothing changes them but what they tell of.

use crate::call::Call;
use crate::fault::Answered;
use crate::media::Kind;
use crate::metadata::select;
use crate::query::Span;
use crate::render::Rendering;
use crate::value::{Encoding, range_text};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value};
use trestle_core::{AccountId, Id, Result};
use trestle_http::Body;

/// A container that the server makes.
pub(crate) struct MadeContainer {
    /// Its path, relative to the root URI.
    pub(crate) path: String,
    /// The path of what it is in.
    pub(crate) parent: String,
    /// The URI of its domain.
    pub(crate) domain: String,
    /// The URI of its capabilities.
    pub(crate) profile: &'static str,
    /// What it is shown as.
    pub(crate) kind: Kind,
    pub(crate) children: Vec<String>,
}

/// A data object that the server makes of a domain: a JSON text.
pub(crate) struct MadeObject<'m> {
    /// The domain.
    pub(crate) id: &'m AccountId,
    /// The path of what it is in.
    pub(crate) parent: &'m str,
    pub(crate) name: &'m str,
    /// The URI of its capabilities.
    pub(crate) profile: &'static str,
    /// What it has beside its size.
    pub(crate) metadata: Map<String, Value>,
    pub(crate) bytes: Bytes,
}

impl Call<'_> {
    /// Those children that the request selects, with their range.
    pub(crate) fn some_children(&self, mut children: Vec<String>) -> Result<(String, Vec<String>)> {
        let span = self.fields.span("children")?;
        if let Some(Span { first, last }) = span {
            let at = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
            children.truncate(at(last.saturating_add(1)));
            children.drain(..at(first).min(children.len()));
        }
        let first = span.map_or(0, |span| span.first);
        Ok((range_text(first, children.len() as u64), children))
    }

    /// The document of a container that the server makes.
    pub(crate) async fn made_container(&self, made: &MadeContainer) -> Answered {
        let parent = match made.parent.as_str() {
            "/" => self.cdmi.root,
            parent => self.made_id(parent),
        };
        self.made_within(made, parent).await
    }

    /// The same, in what has this id.
    pub(crate) async fn made_within(&self, made: &MadeContainer, parent: Id) -> Answered {
        self.check_acceptable(made.kind)?;
        let id = self.keep_made(&made.path).await?;
        let fields = &self.fields;
        let mut rendering = Rendering::default();
        let kind = made.kind.media_type();
        let name = made.path.strip_prefix(&made.parent).unwrap_or_default();
        rendering.choose(fields, "objectType", kind);
        rendering.choose(fields, "objectID", self.id_text(id));
        rendering.choose(fields, "objectName", name);
        rendering.choose(fields, "parentURI", made.parent.as_str());
        rendering.choose(fields, "parentID", self.id_text(parent));
        rendering.choose(fields, "domainURI", made.domain.as_str());
        rendering.choose(fields, "capabilitiesURI", made.profile);
        rendering.choose(fields, "completionStatus", "Complete");
        rendering.choose(fields, "metadata", Map::new());
        let (range, children) = self.some_children(made.children.clone())?;
        rendering.choose(fields, "childrenrange", range);
        rendering.choose(fields, "children", children);
        Ok(rendering.answer(StatusCode::OK, kind)?)
    }

    /// A data object that the server makes, as it is or as a document; one that has just been made is
    /// shown without its value.
    pub(crate) async fn made_object(&self, made: MadeObject<'_>, status: StatusCode) -> Answered {
        let read = status == StatusCode::OK;
        if !self.wants_document() && read {
            let mut response = Response::new(Body::full(made.bytes));
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            return Ok(response);
        }
        self.check_acceptable(Kind::Object)?;
        let fields = &self.fields;
        let mut rendering = Rendering::default();
        let kind = Kind::Object.media_type();
        let path = format!("{}{}", made.parent, made.name);
        let id = self.keep_made(&path).await?;
        rendering.choose(fields, "objectType", kind);
        rendering.choose(fields, "objectID", self.id_text(id));
        rendering.choose(fields, "objectName", made.name);
        rendering.choose(fields, "parentURI", made.parent);
        rendering.choose(fields, "parentID", self.id_text(self.made_id(made.parent)));
        rendering.choose(fields, "domainURI", self.domain_path(made.id));
        rendering.choose(fields, "capabilitiesURI", made.profile);
        rendering.choose(fields, "completionStatus", "Complete");
        rendering.choose(fields, "mimetype", "application/json");
        let length = made.bytes.len();
        if fields.has("metadata") {
            let mut metadata = made.metadata;
            metadata.insert("cdmi_size".to_owned(), Value::from(length.to_string()));
            rendering.add("metadata", select(metadata, fields));
        }
        if read {
            let (encoding, value) = Encoding::Utf8.encode(&made.bytes, self.version.is_first());
            rendering.choose(fields, "valuetransferencoding", encoding.as_str());
            rendering.choose(fields, "valuerange", range_text(0, length as u64));
            rendering.choose(fields, "value", value);
        }
        Ok(rendering.answer(status, kind)?)
    }
}
