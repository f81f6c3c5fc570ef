//! Domains out of others (clause 10): copied, serialised with the domains below them, and brought
//! back.

use crate::call::Call;
use crate::document::{Document, Source};
use crate::domain_tree::DEPTH_MAX;
use crate::fault::{Answered, Fault};
use crate::path::{Names, RESERVED, Target};
use crate::query::Fields;
use crate::render::Rendering;
use crate::value::from_base64;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use trestle_access::{Action, Resource};
use trestle_core::{AccountId, Metadata};

impl Call<'_> {
    /// The domain that a URI of a document names.
    pub(crate) async fn source_domain(&self, uri: &str) -> Answered<Option<AccountId>> {
        let names = self.names_of_domain(uri).await?.0;
        names.map(|names| self.domain_at(&names)).transpose()
    }

    /// The domain that a URI of a document names, itself or by the container of its members.
    pub(crate) async fn source_members(&self, uri: &str) -> Answered<Option<AccountId>> {
        let Some(mut names) = self.names_of_domain(uri).await?.0 else {
            return Ok(None);
        };
        if names.last() == Some(crate::members::NAME) {
            names.names.pop();
        }
        Ok(Some(self.domain_at(&names)?))
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
        Ok(Some((self.domain_at(&names)?, self.limits(fields)?)))
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
                if self.cdmi.domains().is_below(&below, Some(id)) {
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

    /// The account of a domain that is, or is to be, below another.
    fn new_child(&self, parent: &AccountId, name: &str) -> Answered<AccountId> {
        if name.is_empty() || name.contains('/') || name.starts_with(RESERVED) {
            return Err(Fault::bad(format!("{name:?} is no name of a domain")));
        }
        let spot = self.cdmi.domains().child(Some(parent), name)?;
        match spot.left {
            true => Err(Fault::conflict(format!(
                "the account of {name:?} is a domain elsewhere now"
            ))),
            false => Ok(spot.id),
        }
    }

    /// Moves a domain to a place where none is, and says which it was. Its account stays what it is:
    /// users, lists, policies and objects go on in it, as do the domains below.
    ///
    /// # Errors
    /// 400 for a source that is not there, that may not be deleted, or that the place is in.
    pub(crate) async fn move_domain(
        &self,
        uri: &str,
        (parent, name): (Option<&AccountId>, &str),
        document: &Document,
    ) -> Answered<AccountId> {
        let id = self.source_domain(uri).await.map_err(Fault::of_source)?;
        let id = id.ok_or_else(|| Fault::bad("the source is not a domain"))?;
        if id == self.cdmi.root_account {
            return Err(Fault::bad("the domain of the root container stays"));
        }
        let resource = Resource::Account(id.clone());
        let away = self.grant(Action::DeleteAccount, resource).await;
        away.map_err(|error| Fault::of_source(error.into()))?;
        let account = self.domain_account(&id).await.map_err(Fault::of_source)?;
        let of = (&id, account.created.0);
        let tree = self.cdmi.domains();
        let (above, former) = (tree.above(&id)?, tree.name(&id));
        self.note("cdmi_rename");
        self.cdmi.place_domain(of, (parent, name)).await?;
        if document.metadata.is_some() || !document.unknown.is_empty() {
            let all = self.with_all_fields();
            if let Err(fault) = all.update_domain(&id, document).await {
                let back = (above.last(), former.as_str());
                self.cdmi.place_domain(of, back).await?;
                return Err(fault);
            }
        }
        Ok(id)
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
                let id = self.new_child(parent, name)?;
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
                if self.cdmi.domains().is_below(other, Some(parent)) && !kept.contains(other) {
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
