//! Domains (clause 10): each account is one, below `cdmi_domains/`.
//!
//! A domain below another is the account whose id has the names of both, with a bar between them,
//! until it is moved. A domain that is made here is disabled until its metadata says otherwise;
//! accounts that came about elsewhere are enabled.

use crate::books::{keep_unknown, unknown_fields};
use crate::call::Call;
use crate::document::{DOCUMENT_BYTES_MAX, Document, Source};
use crate::domain_summary;
use crate::domain_tree::{Spot, TOP};
use crate::fault::{Answered, Fault};
use crate::made::MadeContainer;
use crate::media::Kind;
use crate::members;
use crate::metadata::{Update, is_inherited, select};
use crate::node::{document, found};
use crate::path::{Names, RESERVED};
use crate::render::{Rendering, bare, with_location};
use crate::route::{not_allowed, part_deleted};
use crate::show::consumed;
use crate::time;
use futures::FutureExt;
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use trestle_access::{Action, Resource};
use trestle_core::{AccountId, Error, ErrorKind, Id, Metadata, ObjectId, Result};
use trestle_http::{RequestBody, incoming, read_whole};
use trestle_store::{Account, AccountProperties, AccountUsage};

/// The item that says whether a domain may be used.
const ENABLED: &str = "cdmi_domain_enabled";
/// Items that a domain does not have: its account's administrators own it.
const WITHOUT: [&str; 3] = [crate::rights::ITEM, crate::rights::GROUP, "cdmi_owner"];
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
    crate::domain_change::check_reassign(metadata)?;
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

/// How often what a domain says of itself was changed.
fn changes_of(documents: &BTreeMap<String, String>) -> u64 {
    let changes = documents.get(document::CHANGES);
    changes.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The methods that a domain admits, as what is known of it tells them.
fn admitted(metadata: &Map<String, Value>) -> Vec<String> {
    let named = metadata.get(METHODS).cloned();
    let named = named.map(|named| (METHODS.to_owned(), named));
    match methods(&named.into_iter().collect()) {
        Ok(named) if !named.is_empty() => named,
        _ => AUTHENTICATION_METHODS.map(str::to_owned).to_vec(),
    }
}

/// Whether names below a domain lead to a data object rather than a container.
fn is_single(below: &[String]) -> bool {
    match below {
        [kind, _] if kind == members::NAME => true,
        [_, one] => one == "cumulative",
        below => below.len() > 2,
    }
}

impl Call<'_> {
    /// Answers at a path below `cdmi_domains`.
    pub(crate) async fn domains(&self, names: &Names, body: RequestBody) -> Answered {
        self.account()?;
        let made = |name: &String| name == domain_summary::NAME || name == members::NAME;
        let at = names.names.iter().position(made);
        let (own, below) = names.names.split_at(at.unwrap_or(names.names.len()));
        let path = Names {
            names: own.to_vec(),
            slash: true,
        };
        let spot = match path.names.is_empty() {
            true => None,
            false => Some(self.cdmi.domains().at(&path.names)?),
        };
        let creates = self.method == Method::PUT && self.content_kind() == Some(Kind::Domain);
        if !names.slash && !is_single(below) {
            self.check_there(spot.as_ref(), below, creates).await?;
            let whole = Names {
                slash: true,
                ..names.clone()
            };
            let url = self.url_of(&format!("/{TOP}{}", whole.path()));
            return Err(Fault::Elsewhere(StatusCode::MOVED_PERMANENTLY, url));
        }
        let id = match &spot {
            Some(spot) if spot.left && !(creates && below.is_empty()) => {
                return Err(Fault::missing(&format!("/{TOP}{}", path.path())));
            }
            spot => spot.as_ref().map(|spot| spot.id.clone()),
        };
        if let (Some(id), Some((kind, below))) = (&id, below.split_first()) {
            let below = Names {
                names: below.to_vec(),
                slash: names.slash,
            };
            return match kind == members::NAME {
                true => self.domain_members(id, &below, body).boxed().await,
                false => self.domain_summary(id, &below).boxed().await,
            };
        }
        match (&self.method, id) {
            (&Method::GET | &Method::HEAD, None) => self.domains_container().await,
            (_, None) => Ok(not_allowed("GET, HEAD")),
            (&Method::GET | &Method::HEAD, Some(id)) => {
                let found = self.domain_usage(&id).await?;
                self.domain(&found, StatusCode::OK).await
            }
            (&Method::PUT, Some(_)) => self.put_domain(&path, body).boxed().await,
            (&Method::PATCH, Some(id)) => {
                let mut document = self.domain_document(&id, body).await?;
                self.domain_account(&id).await?;
                let copies = matches!(document.source, None | Some(Source::Copy(_)));
                let from = self.copied_domain(&document).boxed().await?;
                let mut call = self.clone();
                if let Some((_, limits)) = &from {
                    call.fields = limits.clone();
                }
                let (own, children) = self.domain_source(&mut document).boxed().await?;
                if !copies && !self.is_id_of(&id, own.as_deref())? {
                    return Err(Fault::bad("what is serialised is another domain"));
                }
                call.update_domain(&id, &document).await?;
                // Of another domain, what it says of itself and its members.
                if let Some((from, limits)) = from
                    && limits.is_all()
                {
                    self.replace_members(&from, &id).boxed().await?;
                }
                if !copies && !children.is_empty() {
                    self.bring_domains_back(&id, children, (0, false)).await?;
                }
                Ok(bare(StatusCode::NO_CONTENT))
            }
            (&Method::DELETE, Some(_)) if !self.fields.is_all() => Err(part_deleted()),
            (&Method::DELETE, Some(id)) => self.delete_domain(&id).await,
            (&Method::POST, Some(_)) => Err(Fault::bad("nothing is made by a POST to a domain")),
            _ => Ok(not_allowed("GET, HEAD, PUT, PATCH, DELETE")),
        }
    }

    /// Refuses a path without its slash that leads to nothing: what is there is somewhere else.
    async fn check_there(
        &self,
        spot: Option<&Spot>,
        below: &[String],
        creates: bool,
    ) -> Answered<()> {
        let made = match below {
            [] => true,
            [kind] => kind == members::NAME || kind == domain_summary::NAME,
            [_, period] => domain_summary::PERIODS.contains(&period.as_str()),
            _ => false,
        };
        let there = match spot {
            None => true,
            Some(spot) => self.is_there(spot).await?,
        };
        match made && there {
            true => Ok(()),
            false if creates => Err(Fault::bad("a domain's path ends in a slash")),
            false if self.method == Method::PUT => {
                Err(Fault::bad("only domains are made below cdmi_domains"))
            }
            false => Err(Fault::Status(
                StatusCode::NOT_FOUND,
                "no domain has this path".to_owned(),
            )),
        }
    }

    pub(crate) async fn domain_account(&self, id: &AccountId) -> Answered<Account> {
        Ok(self.domain_usage(id).await?.0)
    }

    /// A domain, and what it holds.
    pub(crate) async fn domain_usage(&self, id: &AccountId) -> Answered<(Account, AccountUsage)> {
        let resource = Resource::Account(id.clone());
        let grant = self.grant(Action::ReadAccount, resource).await?;
        Ok(self.cdmi.store.account(&grant, id).await?)
    }

    async fn domain_document(&self, id: &AccountId, body: RequestBody) -> Answered<Document> {
        let other = |uri: &String| *uri != self.domain_path(id);
        if self.content_kind() != Some(Kind::Domain) {
            return Err(Fault::bad(
                "a domain is described by a document of its type",
            ));
        }
        let bytes = read_whole(incoming(body), DOCUMENT_BYTES_MAX).await?;
        let document = Document::parse(&bytes)?;
        if document.mimetype.is_some()
            || document.exports.is_some()
            || document.snapshot.is_some()
            || document.domain.as_ref().is_some_and(other)
        {
            return Err(Fault::bad("a domain has metadata only, and owns itself"));
        }
        let metadata = document.metadata.as_ref();
        let has = |name: &&str| metadata.is_some_and(|metadata| metadata.contains_key(*name));
        if let Some(name) = WITHOUT.iter().find(|name| has(name)) {
            return Err(Fault::bad(format!("a domain has no {name} of its own")));
        }
        Ok(document)
    }

    async fn put_domain(&self, path: &Names, body: RequestBody) -> Answered {
        let spot = self.cdmi.domains().at(&path.names)?;
        let id = &spot.id;
        let mut document = self.domain_document(id, body).await?;
        if path
            .names
            .iter()
            .any(|name| name.is_empty() || name.starts_with(RESERVED))
        {
            return Err(Fault::bad(format!(
                "names that start with {RESERVED} belong to the server"
            )));
        }
        let above = path.parent().filter(|parent| !parent.names.is_empty());
        let above = above.map(|above| self.domain_at(&above)).transpose()?;
        if let Some(above) = &above {
            self.domain_account(above).await?;
        }
        let resource = Resource::Account(id.clone());
        self.grant(Action::CreateAccount, resource).await?;
        if self.is_there(&spot).await? {
            if document.source.is_some() {
                return Err(Fault::conflict("the domain exists already"));
            }
            self.update_domain(id, &document).await?;
            return Ok(bare(StatusCode::NO_CONTENT));
        }
        if let Some(Source::Move(uri)) = &document.source {
            let place = (above.as_ref(), path.last().unwrap_or_default());
            let moved = self.move_domain(uri, place, &document).boxed().await?;
            return self.made_domain(&moved).await;
        }
        if spot.left {
            return Err(Fault::conflict(format!(
                "the account of this name is the domain {} now",
                self.domain_path(id)
            )));
        }
        let from = match &document.source {
            Some(Source::Copy(uri)) => self.source_domain(uri).await?,
            _ => None,
        };
        let (_, children) = self.domain_source(&mut document).boxed().await?;
        self.make_domain(id, &document).await?;
        if let Some(from) = from {
            self.copy_members(&from, id).boxed().await?;
        }
        self.bring_domains_back(id, children, (0, true)).await?;
        self.made_domain(id).await
    }

    /// Answers that a domain was made, or moved to where it is.
    async fn made_domain(&self, id: &AccountId) -> Answered {
        let made = self.domain_usage(id).await?;
        let all = self.with_all_fields();
        let response = all.domain(&made, StatusCode::CREATED).await?;
        Ok(with_location(response, &self.url_of(&self.domain_path(id))))
    }

    /// Whether there is a domain in a place.
    async fn is_there(&self, spot: &Spot) -> Answered<bool> {
        Ok(!spot.left && self.is_domain(&spot.id).await?)
    }

    /// Whether an account is there, and thereby its domain.
    pub(crate) async fn is_domain(&self, id: &AccountId) -> Answered<bool> {
        let account = found(self.cdmi.own_account(id).await)?;
        Ok(account.is_some_and(|account| !account.properties.closed))
    }

    /// The account of the domain that names lead to.
    ///
    /// # Errors
    /// 400 for what are no names of domains, 404 where one was moved away.
    pub(crate) fn domain_at(&self, names: &Names) -> Answered<AccountId> {
        let spot = self.cdmi.domains().at(&names.names)?;
        match spot.left {
            true => Err(Fault::missing(&format!("/{TOP}{}", names.path()))),
            false => Ok(spot.id),
        }
    }

    /// Makes a domain; nothing is left of it when its metadata is refused.
    pub(crate) async fn make_domain(&self, id: &AccountId, document: &Document) -> Answered<()> {
        let resource = Resource::Account(id.clone());
        let grant = self.grant(Action::CreateAccount, resource).await?;
        self.cdmi.store.create_account(&grant, id).await?;
        let mut document = document.clone();
        let metadata = document.metadata.get_or_insert_default();
        metadata
            .entry(ENABLED)
            .or_insert_with(|| Value::from("false"));
        let mut made = self.describe_domain(id, &document, true).await;
        if made.is_ok()
            && let Some(parent) = self.cdmi.domains().above(id)?.last()
        {
            made = self.delegate_to(id, parent).await;
        }
        if let Err(fault) = made {
            let resource = Resource::Account(id.clone());
            let grant = self.grant(Action::DeleteAccount, resource).await?;
            self.cdmi.store.delete_account(&grant, id).await?;
            return Err(fault);
        }
        Ok(())
    }

    /// Makes the members of a new domain's parent its own.
    async fn delegate_to(&self, id: &AccountId, parent: &AccountId) -> Answered<()> {
        let resource = Resource::Account(id.clone());
        let grant = self.cdmi.own_grant(Action::WriteAccount, resource).await?;
        let change = |properties: &mut AccountProperties| -> Result<()> {
            let (name, entry) = members::of_parent(parent);
            let mut entries = members::entries(properties)?;
            entries.insert(name, entry);
            members::set_entries(properties, &entries)
        };
        let store = &self.cdmi.store;
        store.update_account(&grant, id, &change).await?;
        Ok(())
    }

    pub(crate) async fn update_domain(&self, id: &AccountId, document: &Document) -> Answered<()> {
        self.describe_domain(id, document, false).await
    }

    /// Sets what a domain says of itself; when it is not new, that is a change, and is counted.
    async fn describe_domain(
        &self,
        id: &AccountId,
        document: &Document,
        new: bool,
    ) -> Answered<()> {
        let resource = Resource::Account(id.clone());
        let grant = self.grant(Action::WriteAccount, resource).await?;
        let given = document.metadata.clone();
        let named = self.fields.names("metadata");
        let given = given.filter(|_| named || self.fields.is_all());
        if given.is_none() && !named && document.unknown.is_empty() {
            return Ok(());
        }
        let says = given.is_some() || named;
        let update = Update::new(given.unwrap_or_default(), &self.fields);
        let change = |properties: &mut AccountProperties| -> Result<()> {
            let changes = changes_of(&properties.documents).saturating_add(u64::from(!new));
            let changes = changes.to_string();
            properties
                .documents
                .insert(document::CHANGES.to_owned(), changes);
            keep_unknown(&mut properties.documents, &document.unknown)?;
            if !says {
                return Ok(());
            }
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

    pub(crate) async fn delete_domain(&self, id: &AccountId) -> Answered {
        if *id == self.cdmi.root_account {
            return Err(Fault::bad("the domain of the root container stays"));
        }
        let resource = Resource::Account(id.clone());
        let grant = self.grant(Action::DeleteAccount, resource).await?;
        let tree = self.cdmi.domains();
        if self
            .accounts()
            .await?
            .iter()
            .any(|other| tree.is_below(other, Some(id)))
        {
            return Err(Fault::bad("there are domains below it"));
        }
        let account = self.domain_account(id).await?;
        self.check_without_roles(id).await?;
        self.reassign(&account).boxed().await?;
        // Its members are in it, and go with it.
        self.remove_members(&account).await?;
        match self.cdmi.store.delete_account(&grant, id).await {
            Err(error) if error.kind() == ErrorKind::NotEmpty => {
                Err(Fault::conflict("objects came to the domain meanwhile"))
            }
            deleted => {
                deleted?;
                Ok(bare(StatusCode::NO_CONTENT))
            }
        }
    }

    /// Refuses to delete a domain whose account has what only its own administration shows.
    async fn check_without_roles(&self, id: &AccountId) -> Answered<()> {
        let on = |word: &str| Resource::Identity(id.clone(), format!("{word}/"));
        let store = &self.cdmi.store;
        let roles = self.grant(Action::ReadRoles, on("role")).await?;
        let policies = self.grant(Action::ReadPolicies, on("policy")).await?;
        let some = !store.list_roles(&roles, id, None).await?.0.is_empty()
            || !store.list_policies(&policies, id, None).await?.0.is_empty();
        match some {
            true => Err(Fault::bad(
                "the account of the domain has roles or policies",
            )),
            false => Ok(()),
        }
    }

    /// Whether an id in a serialised form is a domain's.
    fn is_id_of(&self, id: &AccountId, text: Option<&str>) -> Result<bool> {
        let given = match text {
            Some(text) => self.cdmi.ids.parse(text)?,
            None => None,
        };
        Ok(given == Some(self.made_id(&self.domain_path(id))))
    }

    /// The id of what the server makes at a path, which stays when the domain that it is of is moved.
    pub(crate) fn made_id(&self, path: &str) -> Id {
        self.cdmi.derived(&self.cdmi.domains().kept(path))
    }

    /// Where a domain is: relative to the root URI, with the slash behind it.
    pub(crate) fn domain_path(&self, id: &AccountId) -> String {
        self.cdmi.domains().path(id)
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
        let accounts = self.accounts().await?;
        let tree = self.cdmi.domains();
        let top = accounts.iter().filter(|id| tree.is_below(id, None));
        // Who takes nothing but domains sees the one that all others are in.
        let accepted = &self.accepted;
        let kind = match accepted.is_cdmi() && !accepted.takes(Kind::Container) {
            true if accepted.takes(Kind::Domain) => Kind::Domain,
            _ => Kind::Container,
        };
        self.made_container(&MadeContainer {
            path: format!("/{TOP}/"),
            parent: "/".to_owned(),
            domain: self.domain_path(&self.cdmi.root_account),
            profile: "/cdmi_capabilities/container/domains/",
            kind,
            children: top.map(|id| format!("{}/", tree.name(id))).collect(),
        })
        .await
    }

    async fn domain(&self, found: &(Account, AccountUsage), status: StatusCode) -> Answered {
        self.check_acceptable(Kind::Domain)?;
        let account = &found.0;
        let fields = &self.fields;
        let inherited = self.passed_on(&account.id).await?;
        let mut rendering = self.domain_head(found, inherited);
        let mut children = Vec::new();
        if fields.has("children") || fields.has("childrenrange") {
            let (accounts, tree) = (self.accounts().await?, self.cdmi.domains());
            let below = accounts
                .iter()
                .filter(|id| tree.is_below(id, Some(&account.id)));
            children = below.map(|id| format!("{}/", tree.name(id))).collect();
            children.push(format!("{}/", domain_summary::NAME));
            children.push(format!("{}/", members::NAME));
        }
        let (range, children) = self.some_children(children)?;
        rendering.choose(fields, "childrenrange", range);
        rendering.choose(fields, "children", children);
        Ok(rendering.answer(status, Kind::Domain.media_type())?)
    }

    /// Data system metadata that the domains above one pass on to it.
    async fn passed_on(&self, id: &AccountId) -> Result<Metadata> {
        let mut items = Metadata::new();
        for above in self.cdmi.domains().above(id)? {
            let above = self.cdmi.own_account(&above).await;
            let own = found(above)?.map(|above| above.properties.metadata);
            let own = own.unwrap_or_default().into_iter();
            items.extend(own.filter(|(name, _)| is_inherited(name)));
        }
        Ok(items)
    }

    /// The same fields, as who may read the domain sees them.
    pub(crate) async fn domain_seen(&self, id: &AccountId) -> Option<Map<String, Value>> {
        let found = self.domain_usage(id).await.ok()?;
        let inherited = self.passed_on(id).await.ok()?;
        Some(self.domain_head(&found, inherited).into_map())
    }

    /// The fields of a domain before its children.
    pub(crate) fn domain_head(
        &self,
        (account, usage): &(Account, AccountUsage),
        inherited: Metadata,
    ) -> Rendering {
        let fields = &self.fields;
        let mut rendering = Rendering::default();
        let path = self.domain_path(&account.id);
        let inner = path.strip_suffix('/').unwrap_or(&path);
        let (above, name) = inner.rsplit_once('/').unwrap_or(("", inner));
        let parent = format!("{above}/");
        rendering.choose(fields, "objectType", Kind::Domain.media_type());
        rendering.choose(fields, "objectID", self.id_text(self.made_id(&path)));
        rendering.choose(fields, "objectName", format!("{name}/"));
        rendering.choose(fields, "parentURI", parent.as_str());
        rendering.choose(fields, "parentID", self.id_text(self.made_id(&parent)));
        // A domain owns itself.
        rendering.choose(fields, "domainURI", path.as_str());
        rendering.choose(fields, "capabilitiesURI", "/cdmi_capabilities/domain/");
        if fields.has("metadata") {
            let metadata = &account.properties.metadata;
            let enabled = is_enabled(metadata) && !account.properties.closed;
            let mut metadata: Map<String, Value> =
                inherited.into_iter().chain(metadata.clone()).collect();
            for (name, value) in [
                (ENABLED, enabled.to_string()),
                ("cdmi_ctime", time::text(account.created)),
                ("cdmi_mtime", time::text(account.modified)),
                ("cdmi_size", consumed(usage.bytes, usage.version_bytes)),
                (
                    "cdmi_mcount",
                    changes_of(&account.properties.documents).to_string(),
                ),
            ] {
                metadata.insert(name.to_owned(), Value::from(value));
            }
            let admitted = admitted(&metadata);
            metadata.insert(format!("{METHODS}_provided"), admitted.into());
            rendering.add("metadata", select(metadata, fields));
        }
        for (name, value) in unknown_fields(&account.properties.documents) {
            rendering.choose(fields, &name, value);
        }
        rendering
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
            Some((account, _)) => {
                self.check_member(&account).boxed().await?;
                let mut metadata = self.passed_on(id).await?;
                metadata.extend(account.properties.metadata);
                self.check_method(&metadata)
            }
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
        if id == self.made_id(&format!("/{TOP}/")) {
            return Ok(Some(Names {
                names: Vec::new(),
                slash: true,
            }));
        }
        let accounts = self.accounts().await?;
        let mut accounts = accounts.iter();
        let account = accounts.find(|account| self.made_id(&self.domain_path(account)) == id);
        Ok(account.map(|account| Names {
            names: self.cdmi.domains().names(account),
            slash: true,
        }))
    }
}
