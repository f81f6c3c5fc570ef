//! Domains (clause 10): each account is one, below `cdmi_domains/`.
//!
//! An account's id is flat, and so are domains here. A domain that is made here is disabled until
//! its metadata says otherwise; accounts that came about elsewhere are enabled.

use crate::call::Call;
use crate::document::{DOCUMENT_BYTES_MAX, Document};
use crate::fault::{Answered, Fault};
use crate::media::Kind;
use crate::metadata::{Update, select};
use crate::node::found;
use crate::path::Names;
use crate::query::Span;
use crate::render::{Rendering, bare};
use crate::route::not_allowed;
use crate::time;
use crate::value::range_text;
use http::header::{HeaderValue, LOCATION};
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use trestle_access::{Action, Resource};
use trestle_core::{AccountId, Error, ErrorKind, Id, Metadata, ObjectId, Result};
use trestle_http::{RequestBody, incoming, read_whole};
use trestle_store::{Account, AccountProperties};

/// Where domains begin.
const TOP: &str = "cdmi_domains";
/// The item that says whether a domain may be used.
const ENABLED: &str = "cdmi_domain_enabled";
/// The item that says how its members may authenticate.
const METHODS: &str = "cdmi_authentication_methods";
/// How who asks may be known.
pub(crate) const AUTHENTICATION_METHODS: [&str; 4] = ["anonymous", "basic", "bearer", "x509"];

/// Whether a domain may be used.
fn is_enabled(metadata: &Metadata) -> bool {
    metadata.get(ENABLED).and_then(Value::as_str) != Some("false")
}

/// Refuses a domain's metadata that means nothing.
fn check(metadata: &Metadata) -> Result<()> {
    match metadata.get(ENABLED).map(|value| value.as_str()) {
        None | Some(Some("true" | "false")) => {}
        Some(_) => {
            return Err(Error::invalid(
                "cdmi_domain_enabled is \"true\" or \"false\"",
            ));
        }
    }
    let methods = methods(metadata)?;
    match methods
        .iter()
        .find(|method| !AUTHENTICATION_METHODS.contains(&method.as_str()))
    {
        Some(other) => Err(Error::invalid(format!(
            "{other:?} is not a method of authentication here"
        ))),
        None => Ok(()),
    }
}

/// The methods of authentication that a domain admits; all without any.
fn methods(metadata: &Metadata) -> Result<Vec<String>> {
    let text = |value: &Value| value.as_str().map(|text| text.trim().to_owned());
    let named = match metadata.get(METHODS) {
        None => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        // As the examples of the standard write it.
        Some(Value::String(names)) => Some(
            names
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
        ),
        Some(_) => None,
    };
    named.ok_or_else(|| Error::invalid("cdmi_authentication_methods is an array of strings"))
}

impl Call<'_> {
    /// Answers at a path below `cdmi_domains`.
    pub(crate) async fn domains(&self, names: &Names, body: RequestBody) -> Answered {
        self.account()?;
        let id = match names.names.as_slice() {
            [] => None,
            [name] => Some(AccountId::parse(name.as_str())?),
            _ => return Err(Fault::missing(&names.path())),
        };
        let creates = self.method == Method::PUT && self.content_kind() == Some(Kind::Domain);
        if !names.slash {
            if creates {
                return Err(Fault::bad("a domain's path ends in a slash"));
            }
            let whole = Names {
                slash: true,
                ..names.clone()
            };
            let url = format!("{}{}/{TOP}{}", self.origin, crate::path::ROOT, whole.path());
            return Err(Fault::Elsewhere(StatusCode::MOVED_PERMANENTLY, url));
        }
        match (&self.method, id) {
            (&Method::GET | &Method::HEAD, None) => self.domains_container().await,
            (_, None) => Ok(not_allowed("GET, HEAD")),
            (&Method::GET | &Method::HEAD, Some(id)) => {
                let account = self.domain_account(&id).await?;
                self.domain(&account, StatusCode::OK)
            }
            (&Method::PUT, Some(id)) => self.put_domain(&id, body).await,
            (&Method::PATCH, Some(id)) => {
                let document = self.domain_document(body).await?;
                self.domain_account(&id).await?;
                self.update_domain(&id, &document).await?;
                Ok(bare(StatusCode::NO_CONTENT))
            }
            (&Method::DELETE, Some(id)) => self.delete_domain(&id).await,
            _ => Ok(not_allowed("GET, HEAD, PUT, PATCH, DELETE")),
        }
    }

    async fn domain_account(&self, id: &AccountId) -> Answered<Account> {
        let resource = Resource::Account(id.clone());
        let grant = self.grant(Action::ReadAccount, resource).await?;
        Ok(self.cdmi.store.account(&grant, id).await?.0)
    }

    async fn domain_document(&self, body: RequestBody) -> Answered<Document> {
        if self.content_kind() != Some(Kind::Domain) {
            return Err(Fault::bad(
                "a domain is described by a document of its type",
            ));
        }
        let bytes = read_whole(incoming(body), DOCUMENT_BYTES_MAX).await?;
        let document = Document::parse(&bytes)?;
        if document.source.is_some() || document.mimetype.is_some() || document.exports.is_some() {
            return Err(Fault::bad("a domain has metadata only"));
        }
        Ok(document)
    }

    async fn put_domain(&self, id: &AccountId, body: RequestBody) -> Answered {
        let document = self.domain_document(body).await?;
        let resource = Resource::Account(id.clone());
        let grant = self.grant(Action::CreateAccount, resource).await?;
        if !self.cdmi.store.create_account(&grant, id).await? {
            self.update_domain(id, &document).await?;
            return Ok(bare(StatusCode::NO_CONTENT));
        }
        let mut document = document;
        let metadata = document.metadata.get_or_insert_default();
        metadata
            .entry(ENABLED)
            .or_insert_with(|| Value::from("false"));
        if let Err(fault) = self.update_domain(id, &document).await {
            let resource = Resource::Account(id.clone());
            let grant = self.grant(Action::DeleteAccount, resource).await?;
            self.cdmi.store.delete_account(&grant, id).await?;
            return Err(fault);
        }
        let account = self.domain_account(id).await?;
        let mut response = self
            .with_all_fields()
            .domain(&account, StatusCode::CREATED)?;
        let url = format!("{}{}/{TOP}/{id}/", self.origin, crate::path::ROOT);
        if let Ok(location) = HeaderValue::from_str(&url) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }

    async fn update_domain(&self, id: &AccountId, document: &Document) -> Answered<()> {
        let resource = Resource::Account(id.clone());
        let grant = self.grant(Action::WriteAccount, resource).await?;
        let given = document.metadata.clone();
        if given.is_none() && !self.fields.names("metadata") {
            return Ok(());
        }
        let update = Update::new(given.unwrap_or_default(), &self.fields);
        let change = |properties: &mut AccountProperties| -> Result<()> {
            let mut metadata = update.apply(&properties.metadata)?;
            check(&metadata)?;
            // It stays as it is unless it is named.
            if let Some(enabled) = properties.metadata.get(ENABLED) {
                metadata
                    .entry(ENABLED.to_owned())
                    .or_insert_with(|| enabled.clone());
            }
            properties.metadata = metadata;
            Ok(())
        };
        let store = &self.cdmi.store;
        store.update_account(&grant, id, &change).await?;
        Ok(())
    }

    async fn delete_domain(&self, id: &AccountId) -> Answered {
        if *id == self.cdmi.root_account {
            return Err(Fault::bad("the domain of the root container stays"));
        }
        let resource = Resource::Account(id.clone());
        let grant = self.grant(Action::DeleteAccount, resource).await?;
        match self.cdmi.store.delete_account(&grant, id).await {
            Err(error) if error.kind() == ErrorKind::NotEmpty => Err(Fault::bad(
                "the domain has objects, and reassigning them is not supported",
            )),
            deleted => {
                deleted?;
                Ok(bare(StatusCode::NO_CONTENT))
            }
        }
    }

    fn domain_id(&self, name: &str) -> Id {
        self.cdmi.derived(&format!("/{TOP}/{name}"))
    }

    /// All accounts that may be seen, by their ids.
    pub(crate) async fn accounts(&self) -> Answered<Vec<AccountId>> {
        let grant = match self.grant(Action::ListAccounts, Resource::Server).await {
            Err(error) if error.kind() == ErrorKind::Forbidden => {
                return Ok(vec![self.account()?.clone()]);
            }
            grant => grant?,
        };
        let mut ids = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let store = &self.cdmi.store;
            let (accounts, next) = store.list_accounts(&grant, after.as_deref()).await?;
            ids.extend(accounts.into_iter().map(|account| account.id));
            match next {
                Some(next) if ids.len() < crate::children::CHILDREN_MAX => after = Some(next),
                _ => return Ok(ids),
            }
        }
    }

    async fn domains_container(&self) -> Answered {
        self.check_acceptable(Kind::Container)?;
        let fields = &self.fields;
        let mut rendering = Rendering::default();
        let kind = Kind::Container.media_type();
        rendering.choose(fields, "objectType", kind);
        rendering.choose(fields, "objectID", self.id_text(self.domain_id("")));
        rendering.choose(fields, "objectName", format!("{TOP}/"));
        rendering.choose(fields, "parentURI", "/");
        rendering.choose(fields, "parentID", self.id_text(self.cdmi.root));
        let owner = format!("/{TOP}/{}/", self.cdmi.root_account);
        rendering.choose(fields, "domainURI", owner);
        let profile = "/cdmi_capabilities/container/domains/";
        rendering.choose(fields, "capabilitiesURI", profile);
        rendering.choose(fields, "completionStatus", "Complete");
        rendering.choose(fields, "metadata", Map::new());
        let children = self.accounts().await?;
        let mut children: Vec<String> = children.iter().map(|id| format!("{id}/")).collect();
        let span = fields.span("children")?;
        if let Some(Span { first, last }) = span {
            let at = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
            children.truncate(at(last.saturating_add(1)));
            children.drain(..at(first).min(children.len()));
        }
        let first = span.map_or(0, |span| span.first);
        let range = range_text(first, children.len() as u64);
        rendering.choose(fields, "childrenrange", range);
        rendering.choose(fields, "children", children);
        Ok(rendering.answer(StatusCode::OK, kind)?)
    }

    fn domain(&self, account: &Account, status: StatusCode) -> Answered {
        self.check_acceptable(Kind::Domain)?;
        let fields = &self.fields;
        let mut rendering = Rendering::default();
        let kind = Kind::Domain.media_type();
        let id = account.id.as_str();
        let own = self.domain_id(&format!("{id}/"));
        rendering.choose(fields, "objectType", kind);
        rendering.choose(fields, "objectID", self.id_text(own));
        rendering.choose(fields, "objectName", format!("{id}/"));
        rendering.choose(fields, "parentURI", format!("/{TOP}/"));
        rendering.choose(fields, "parentID", self.id_text(self.domain_id("")));
        // A domain owns itself.
        rendering.choose(fields, "domainURI", format!("/{TOP}/{id}/"));
        rendering.choose(fields, "capabilitiesURI", "/cdmi_capabilities/domain/");
        if fields.has("metadata") {
            let metadata = &account.properties.metadata;
            let enabled = is_enabled(metadata) && !account.properties.closed;
            let mut metadata: Map<String, Value> = metadata.clone().into_iter().collect();
            for (name, value) in [
                (ENABLED, enabled.to_string()),
                ("cdmi_ctime", time::text(account.created)),
                ("cdmi_mtime", time::text(account.modified)),
            ] {
                metadata.insert(name.to_owned(), Value::from(value));
            }
            rendering.add("metadata", select(metadata, fields));
        }
        rendering.choose(fields, "childrenrange", "");
        rendering.choose(fields, "children", Vec::<String>::new());
        Ok(rendering.answer(status, kind)?)
    }

    /// Refuses what belongs to a domain that is disabled.
    pub(crate) async fn check_enabled(&self, id: &AccountId) -> Answered<()> {
        if *id == self.cdmi.root_account {
            return Ok(());
        }
        let resource = Resource::Account(id.clone());
        let grant = self.cdmi.own_grant(Action::ReadAccount, resource).await?;
        let account = found(self.cdmi.store.account(&grant, id).await)?;
        match account {
            Some((account, _)) if !is_enabled(&account.properties.metadata) => {
                Err(Fault::forbidden(format!("the domain {id} is not enabled")))
            }
            Some((account, _)) => self.check_method(&account.properties.metadata),
            None => Ok(()),
        }
    }

    /// Refuses who is known by a method that a domain does not admit.
    fn check_method(&self, metadata: &Metadata) -> Answered<()> {
        let admitted = methods(metadata)?;
        // What the dialect does by itself is known by nothing.
        let own = self.authenticated.is_empty();
        let known =
            own || admitted.is_empty() || admitted.iter().any(|one| one == self.authenticated);
        match known || self.principal.is_root() {
            true => Ok(()),
            false => Err(Fault::forbidden(format!(
                "the domain does not admit the method {:?}",
                self.authenticated
            ))),
        }
    }

    /// The domain with this id, if any.
    pub(crate) async fn domain_of(&self, id: Id) -> Answered<Option<Names>> {
        // Ids of stored objects start with the time of their making: theirs are not derived.
        if crate::node::found(self.cdmi.store.find_by_id(ObjectId(id)).await)?.is_some() {
            return Ok(None);
        }
        if id == self.domain_id("") {
            return Ok(Some(Names {
                names: Vec::new(),
                slash: true,
            }));
        }
        let accounts = self.accounts().await?;
        let mut accounts = accounts.iter();
        let account = accounts.find(|account| self.domain_id(&format!("{account}/")) == id);
        Ok(account.map(|account| Names {
            names: vec![account.to_string()],
            slash: true,
        }))
    }
}
