//! Domains out of others (clause 10): copied, serialised with the domains below them, and brought
//! back.

use crate::call::Call;
use crate::document::{Document, Source};
use crate::domain::{domain_names, is_below};
use crate::fault::{Answered, Fault};
use crate::path::{Names, Target};
use crate::query::Fields;
use crate::render::Rendering;
use crate::value::from_base64;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use trestle_core::{AccountId, Metadata};

/// How deep serialised domains nest.
const DEPTH_MAX: usize = 32;

impl Call<'_> {
    /// The domain that a URI of a document names.
    pub(crate) async fn source_domain(&self, uri: &str) -> Answered<Option<AccountId>> {
        let names = self.names_of_domain(uri).await?.0;
        Ok(names.map(|names| domain_names(&names)).transpose()?)
    }

    /// The domain that a URI of a document names, itself or by the container of its members.
    pub(crate) async fn source_members(&self, uri: &str) -> Answered<Option<AccountId>> {
        let Some(mut names) = self.names_of_domain(uri).await?.0 else {
            return Ok(None);
        };
        if names.last() == Some(crate::members::NAME) {
            names.names.pop();
        }
        Ok(Some(domain_names(&names)?))
    }

    /// Where a URI leads below `cdmi_domains`, and what its query is.
    async fn names_of_domain(&self, uri: &str) -> Answered<(Option<Names>, Option<String>)> {
        let authority = self.origin.split_once("://").map(|(_, host)| host);
        let (target, query) = Target::of_field(uri, authority)?;
        match self.aliased(target).await? {
            Target::Domains(names) => Ok((Some(names), query)),
            _ => Ok((None, query)),
        }
    }

    /// The domain that an update copies, and the fields that limit what it takes.
    ///
    /// # Errors
    /// 400 when fields are named at the source and at the destination.
    pub(crate) async fn copied_domain(
        &self,
        document: &Document,
    ) -> Answered<Option<(AccountId, Fields)>> {
        let Some(Source::Copy(uri)) = &document.source else {
            return Ok(None);
        };
        let (names, query) = self.names_of_domain(uri).await.map_err(Fault::of_source)?;
        let names = names.ok_or_else(|| Fault::bad("the source is not a domain"))?;
        let fields = Fields::parse(query.as_deref(), &self.version)?;
        Ok(Some((domain_names(&names)?, self.limits(fields)?)))
    }

    /// A domain's document with those of the domains below it.
    pub(crate) fn serialize_domain<'b>(
        &'b self,
        id: &'b AccountId,
        depth: usize,
    ) -> BoxFuture<'b, Answered<Rendering>> {
        async move {
            if depth > DEPTH_MAX {
                return Err(Fault::bad("the domains are nested too deep"));
            }
            let found = self.domain_usage(id).await.map_err(Fault::of_source)?;
            let mut rendering = self.domain_head(&found, Metadata::new());
            let mut children = Vec::new();
            for below in self.accounts().await? {
                if is_below(&below, id) {
                    let child = self.serialize_domain(&below, depth + 1).await?;
                    children.push(Value::Object(child.into_map()));
                }
            }
            let range = crate::value::range_text(0, children.len() as u64);
            rendering.add("childrenrange", range);
            rendering.add("children", children);
            Ok(rendering)
        }
        .boxed()
    }

    /// What a document takes from another domain: its metadata, when it has none of its own, and
    /// the serialised domains below it.
    pub(crate) async fn domain_source(
        &self,
        document: &mut Document,
    ) -> Answered<(Option<String>, Vec<Value>)> {
        let serialized = match document.source.take() {
            None => return Ok((None, Vec::new())),
            Some(Source::Copy(uri)) => {
                let id = self.source_domain(&uri).await.map_err(Fault::of_source)?;
                let id = id.ok_or_else(|| Fault::bad("the source is not a domain"))?;
                let all = self.with_all_fields();
                let serialized = all.serialize_domain(&id, 0).await?;
                let mut fields = serialized.into_map();
                fields.remove("objectID");
                Value::Object(fields)
            }
            Some(Source::Deserialize(uri)) => {
                let (leaf, _) = self.source_leaf(&uri).await?;
                let read = self.read_value(&leaf, None).await;
                parse(&read.map_err(Fault::of_source)?.2)?
            }
            Some(Source::DeserializeValue(text)) => parse(&from_base64(&text)?)?,
            Some(Source::Move(_)) => {
                return Err(Fault::bad(
                    "a domain is not moved: its members and its objects are known by its name",
                ));
            }
            Some(_) => return Err(Fault::bad("a domain is not made of this")),
        };
        let Value::Object(mut fields) = serialized else {
            return Err(Fault::bad("what is serialised is not a domain"));
        };
        let kind = fields.get("objectType").and_then(Value::as_str);
        if kind != Some(crate::media::Kind::Domain.media_type()) {
            return Err(Fault::bad("what is serialised is not a domain"));
        }
        let id = fields
            .get("objectID")
            .and_then(Value::as_str)
            .map(str::to_owned);
        if document.metadata.is_none() {
            document.metadata = match fields.remove("metadata") {
                Some(Value::Object(metadata)) => Some(metadata),
                _ => Some(Map::new()),
            };
        }
        let children = match fields.remove("children") {
            Some(Value::Array(children)) => children,
            _ => Vec::new(),
        };
        Ok((id, children))
    }

    /// Makes the domains below one those of its serialised form: they are made and changed, and unless
    /// it is new, others are deleted.
    pub(crate) fn bring_domains_back<'b>(
        &'b self,
        parent: &'b AccountId,
        children: Vec<Value>,
        (depth, new): (usize, bool),
    ) -> BoxFuture<'b, Answered<()>> {
        async move {
            if depth > DEPTH_MAX {
                return Err(Fault::bad("the domains are nested too deep"));
            }
            let there = self.accounts().await?;
            let mut kept = Vec::new();
            for mut child in children {
                let name = child.get("objectName").and_then(Value::as_str);
                let name = name.unwrap_or_default().trim_end_matches('/');
                let id = crate::domain::child_of(parent, name)?;
                kept.push(id.clone());
                let metadata = child.get("metadata").and_then(Value::as_object);
                let document = Document {
                    metadata: metadata.cloned(),
                    ..Document::default()
                };
                let made = !there.contains(&id);
                match made {
                    true => self.make_domain(&id, &document).await?,
                    false => {
                        let all = self.with_all_fields();
                        all.update_domain(&id, &document).await?;
                    }
                }
                if let Some(Value::Array(below)) = child.get_mut("children").map(Value::take)
                    && !below.is_empty()
                {
                    self.bring_domains_back(&id, below, (depth + 1, made))
                        .await?;
                }
            }
            for other in there.iter().filter(|_| !new) {
                if is_below(other, parent) && !kept.contains(other) {
                    self.delete_domain(other).boxed().await?;
                }
            }
            Ok(())
        }
        .boxed()
    }
}

fn parse(bytes: &[u8]) -> Answered<Value> {
    Ok(crate::json::parse(bytes)?)
}
