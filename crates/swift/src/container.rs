//! Containers: made, described, changed, deleted; the headers that say how each is.

use crate::account::{self, policy_of};
use crate::acl::{self, Side};
use crate::call::{Call, empty, page, set};
use crate::contents;
use crate::fault::{Fault, Outcome};
use crate::metadata::{self, Level};
use crate::query::is_true;
use crate::rights::{Rights, Wish};
use crate::target::CONTAINER_NAME_MAX;
use crate::{listing, times};
use http::{HeaderMap, Response};
use trestle_access::{Action, Resource};
use trestle_core::{AccountId, BucketName, Error, ErrorKind, Key, Noun, Result, Timestamp};
use trestle_http::Body;
use trestle_store::{Bucket, BucketProperties, BucketUsage, Versioning};

/// Documents of containers.
pub(crate) const READ: &str = "swift.read";
/// When the container was last changed by this dialect, in microseconds.
const MODIFIED: &str = "swift.modified";
pub(crate) const WRITE: &str = "swift.write";
pub(crate) const SYNC_TO: &str = "swift.sync-to";
pub(crate) const SYNC_KEY: &str = "swift.sync-key";
pub(crate) const VERSIONS_LOCATION: &str = "swift.versions-location";
pub(crate) const HISTORY_LOCATION: &str = "swift.history-location";

const SECRET: [&str; 2] = ["temp-url-key", "temp-url-key-2"];
pub(crate) const ALLOW: &str = "HEAD, GET, PUT, POST, OPTIONS, DELETE";

/// A container.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) bucket: Bucket,
    pub(crate) usage: BucketUsage,
    /// Whether the account wants quoted entity tags.
    pub(crate) quoted: bool,
}

impl Container {
    /// A document's text.
    pub(crate) fn document(&self, name: &str) -> Option<&str> {
        let documents = &self.bucket.properties.documents;
        documents.get(name).map(String::as_str)
    }

    /// A value of its metadata.
    pub(crate) fn meta(&self, name: &str) -> Option<&str> {
        self.bucket.properties.metadata.get(name)?.as_str()
    }

    /// Whether it keeps versions, or has kept some.
    pub(crate) fn versioning(&self) -> Versioning {
        self.bucket.properties.versioning
    }

    /// Whether entity tags of its objects are quoted.
    pub(crate) fn quotes(&self) -> bool {
        self.document(account::RFC_ETAGS)
            .map_or(self.quoted, is_true)
    }
}

impl Call {
    /// The name of a container's bucket.
    ///
    /// # Errors
    /// 400 for a name that is too long.
    pub(crate) fn bucket_name(&self, account: &AccountId, container: &str) -> Outcome<BucketName> {
        if container.len() > CONTAINER_NAME_MAX {
            let length = container.len();
            let text =
                format!("Container name length of {length} longer than {CONTAINER_NAME_MAX}");
            return Err(Fault::html(400, text));
        }
        Ok(BucketName::in_account(account, container)?)
    }

    /// A container, whoever asks; none when it does not exist.
    pub(crate) async fn container(
        &self,
        account: &AccountId,
        container: &str,
    ) -> Outcome<Option<Container>> {
        let name = self.bucket_name(account, container)?;
        let Some((owner, _)) = self.account(account).await? else {
            return Ok(None);
        };
        if owner.properties.closed {
            return Ok(None);
        }
        let found = match self.on_bucket(Action::ReadBucket, &name).await {
            Ok(grant) => self.swift.store.bucket(&grant, &name).await,
            Err(error) => Err(error),
        };
        match found {
            Ok((bucket, usage)) => Ok(Some(Container {
                bucket,
                usage,
                quoted: owner.properties.documents.contains_key(account::RFC_ETAGS),
            })),
            Err(error) if error.kind() == ErrorKind::NotFound(Noun::Bucket) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn may_container(&self, reads: bool) -> Outcome<Rights> {
        self.may(Wish {
            account: &self.account,
            container: Some(self.container_name()),
            object: None,
            reads,
            manages: false,
        })
        .await
    }
}

/// Answers a request for a container.
pub(crate) async fn answer(call: &Call) -> Outcome<Response<Body>> {
    match call.method.as_str() {
        "GET" | "HEAD" => read(call).await,
        "PUT" => put(call).await,
        "POST" => post(call).await,
        "DELETE" => delete(call).await,
        "OPTIONS" => crate::cors::options(call, ALLOW).await,
        _ => Err(Fault::new(405).with("allow", ALLOW)),
    }
}

async fn read(call: &Call) -> Outcome<Response<Body>> {
    let container = call.container(&call.account, call.container_name()).await?;
    let rights = call.may_container(true).await?;
    let container = container.ok_or_else(|| Fault::new(404))?;
    let format = listing::format(&call.headers, &call.query)?;
    let limit = listing::limit(&call.query)?;
    let mut response = match call.method.as_str() {
        "HEAD" => {
            // What forbids the listing forbids its sums, too.
            let bucket = call.bucket_of(&container);
            call.on_bucket(Action::ListObjects, &bucket).await?;
            empty(204)
        }
        _ => contents::listed(call, &container, format, limit).await?,
    };
    let headers = response.headers_mut();
    set(
        headers,
        "content-type",
        &format!("{}; charset=utf-8", format.media_type()),
    );
    if call.query.get("format").is_none() {
        set(headers, "vary", "Accept");
    }
    describe(call, &container, rights, headers);
    Ok(response)
}

/// The headers that say how a container is.
pub(crate) fn describe(
    call: &Call,
    container: &Container,
    rights: Rights,
    headers: &mut HeaderMap,
) {
    let Bucket {
        properties,
        created,
        ..
    } = &container.bucket;
    let usage = &container.usage;
    set(
        headers,
        "x-container-object-count",
        &usage.objects.to_string(),
    );
    let bytes = usage.bytes + usage.version_bytes;
    set(headers, "x-container-bytes-used", &bytes.to_string());
    set(
        headers,
        "x-storage-policy",
        policy_of(call, &container.bucket),
    );
    set(headers, "x-timestamp", &times::x_timestamp(*created));
    let modified = modified(&container.bucket);
    set(headers, "last-modified", &times::last_modified(modified));
    set(headers, "accept-ranges", "bytes");
    let mut shown = properties.metadata.clone();
    if !rights.owner {
        shown.retain(|name, _| !SECRET.contains(&name.as_str()));
    }
    metadata::show(&shown, Level::Container, headers);
    for (name, quota) in [
        ("quota-bytes", properties.quota.bytes),
        ("quota-count", properties.quota.objects),
    ] {
        if let Some(quota) = quota {
            set(
                headers,
                &format!("x-container-meta-{name}"),
                &quota.to_string(),
            );
        }
    }
    let mut document = |header: &str, name: &str| {
        if let Some(value) = container.document(name) {
            set(headers, header, value);
        }
    };
    if rights.owner {
        document("x-container-read", READ);
        document("x-container-write", WRITE);
        document("x-container-sync-to", SYNC_TO);
        document("x-container-sync-key", SYNC_KEY);
    }
    document("x-versions-location", VERSIONS_LOCATION);
    document("x-history-location", HISTORY_LOCATION);
    document("x-container-rfc-compliant-etags", account::RFC_ETAGS);
    match container.versioning() {
        Versioning::Off => {}
        Versioning::Enabled => set(headers, "x-versions-enabled", "True"),
        Versioning::Suspended => set(headers, "x-versions-enabled", "False"),
    }
}

/// When a container was last made or changed.
pub(crate) fn modified(bucket: &Bucket) -> Timestamp {
    let changed = bucket.properties.documents.get(MODIFIED);
    let changed = changed.and_then(|text| text.parse().ok()).map(Timestamp);
    changed.unwrap_or(bucket.created).max(bucket.created)
}

/// What a PUT or POST changes of a container.
struct Change {
    received: Vec<(String, String)>,
    removed: Vec<String>,
    /// Quotas: none to remove one.
    quota_bytes: Option<Option<u64>>,
    quota_objects: Option<Option<u64>>,
    /// Documents: none to remove one.
    documents: Vec<(&'static str, Option<String>)>,
    versioning: Option<bool>,
}

fn changes(call: &Call, owner: bool) -> Outcome<Change> {
    let mut received = metadata::received(&call.headers, Level::Container)?;
    let mut removed = metadata::removed(&call.headers, Level::Container);
    let mut quota = |name: &str, word: &str| {
        let mut wanted = removed.contains(&name.to_owned()).then_some(None);
        removed.retain(|other| other != name);
        let mut refused = None;
        received.retain(|(other, value)| {
            if other != name {
                return true;
            }
            wanted = match (value.is_empty(), value.parse::<u64>()) {
                (true, _) => Some(None),
                (_, Ok(number)) => Some(Some(number)),
                (_, Err(_)) => {
                    refused = Some(Fault::html(400, format!("Invalid {word} quota.")));
                    None
                }
            };
            false
        });
        refused.map_or(Ok(wanted), Err)
    };
    let quota_bytes = quota("quota-bytes", "bytes")?;
    let quota_objects = quota("quota-count", "count")?;
    if !owner {
        received.retain(|(name, _)| !SECRET.contains(&name.as_str()));
    }
    let mut change = Change {
        received,
        removed,
        quota_bytes,
        quota_objects,
        documents: Vec::new(),
        versioning: None,
    };
    lists(call, owner, &mut change)?;
    versions(call, &mut change)?;
    Ok(change)
}

/// A header that sets a document, or that removes it by being empty or by its counterpart.
fn document(call: &Call, header: &str) -> Outcome<Option<Option<String>>> {
    let tail = header.strip_prefix("x-").unwrap_or(header);
    let given = call.header(header)?;
    Ok(match given {
        Some(text) if !text.is_empty() => Some(Some(text.to_owned())),
        Some(_) => Some(None),
        None => call.some_header(&format!("x-remove-{tail}"))?.map(|_| None),
    })
}

fn lists(call: &Call, owner: bool, change: &mut Change) -> Outcome<()> {
    for (header, name, side) in [
        ("x-container-read", READ, Side::Read),
        ("x-container-write", WRITE, Side::Write),
    ] {
        if let Some(value) = document(call, header)? {
            let value = value.map(|text| acl::clean(side, &text)).transpose()?;
            let value = value.filter(|text| !text.is_empty());
            if owner {
                change.documents.push((name, value));
            }
        }
    }
    if let Some(to) = document(call, "x-container-sync-to")? {
        if let Some(to) = &to {
            // Without realms and hosts nothing is sent, so no destination is taken.
            let realms = &call.swift.settings.realms;
            realms
                .destination(to)
                .map_err(|message| Fault::text(400, message))?;
        }
        if owner {
            change.documents.push((SYNC_TO, to));
        }
    }
    if let Some(key) = document(call, "x-container-sync-key")?
        && owner
    {
        change.documents.push((SYNC_KEY, key));
    }
    if let Some(value) = document(call, "x-container-rfc-compliant-etags")? {
        let value = value.map(|text| is_true(&text).to_string());
        change.documents.push((account::RFC_ETAGS, value));
    }
    Ok(())
}

fn versions(call: &Call, change: &mut Change) -> Outcome<()> {
    let stack = document(call, "x-versions-location")?;
    let history = document(call, "x-history-location")?;
    let location = match (stack, history) {
        (Some(Some(_)), Some(Some(_))) => {
            return Err(Fault::text(
                400,
                "Only one of x-versions-location or x-history-location may be specified",
            ));
        }
        (Some(Some(to)), _) => Some(Some((VERSIONS_LOCATION, to))),
        (_, Some(Some(to))) => Some(Some((HISTORY_LOCATION, to))),
        (None, None) => None,
        _ => Some(None),
    };
    if let Some(location) = location {
        change.documents.push((VERSIONS_LOCATION, None));
        change.documents.push((HISTORY_LOCATION, None));
        if let Some((name, to)) = location {
            let plain = crate::target::unquote(&to)?;
            if plain.contains('/') {
                return Err(Fault::text(412, "Container name cannot contain slashes"));
            }
            change.documents.push((name, Some(to)));
        }
    }
    change.versioning = call.header("x-versions-enabled")?.map(is_true);
    Ok(())
}

impl Change {
    /// What the lists that are given say, whatever is there already.
    fn given_list(&self) -> Result<Option<String>> {
        let given = |side: &str| {
            let mut documents = self.documents.iter();
            documents.find_map(|(name, value)| value.as_deref().filter(|_| *name == side))
        };
        acl::of_container(None, given(READ), given(WRITE))
    }

    fn apply(&self, properties: &mut BucketProperties) -> Result<()> {
        metadata::merge(&mut properties.metadata, &self.received, &self.removed)
            .map_err(|fault| Error::invalid(fault.body()))?;
        if let Some(bytes) = self.quota_bytes {
            properties.quota.bytes = bytes;
        }
        if let Some(objects) = self.quota_objects {
            properties.quota.objects = objects;
        }
        for (name, value) in &self.documents {
            match value {
                Some(value) => {
                    drop(
                        properties
                            .documents
                            .insert((*name).to_owned(), value.clone()),
                    );
                }
                None => drop(properties.documents.remove(*name)),
            }
        }
        if self
            .documents
            .iter()
            .any(|(name, _)| [READ, WRITE].contains(name))
        {
            let list = |name: &str| properties.documents.get(name).map(String::as_str);
            let former = properties.acl.as_deref();
            properties.acl = acl::of_container(former, list(READ), list(WRITE))?;
        }
        let located = [VERSIONS_LOCATION, HISTORY_LOCATION]
            .iter()
            .any(|name| properties.documents.contains_key(*name));
        let sent = properties.documents.contains_key(SYNC_TO);
        let sets = self
            .documents
            .iter()
            .any(|(name, value)| *name == SYNC_TO && value.is_some());
        if sets && properties.versioning != Versioning::Off || sent && self.versioning == Some(true)
        {
            return Err(Error::invalid(
                "Cannot configure container sync on a container with object versioning configured.",
            ));
        }
        match self.versioning {
            Some(true) if located => {
                return Err(Error::invalid(
                    "Cannot enable object versioning on a container that is already using the \
                     legacy versioned writes feature.",
                ));
            }
            Some(true) => properties.versioning = Versioning::Enabled,
            Some(false) if properties.versioning == Versioning::Enabled => {
                properties.versioning = Versioning::Suspended;
            }
            _ => {}
        }
        if located && properties.versioning != Versioning::Off && self.versioning.is_none() {
            return Err(Error::invalid(
                "Cannot use the legacy versioned writes feature on a container with object \
                 versioning.",
            ));
        }
        Ok(())
    }
}

async fn update(call: &Call, name: &BucketName, change: &Change) -> Outcome<()> {
    let mut grants = Vec::new();
    for action in [
        Action::WriteBucketMetadata,
        Action::WriteBucketQuota,
        Action::WriteBucketVersioning,
        Action::WriteBucketDocument,
        Action::WriteBucketAcl,
    ] {
        grants.push(call.on_bucket(action, name).await?);
    }
    let takes_part = |(name, value): &(&str, Option<String>)| {
        [SYNC_TO, SYNC_KEY].contains(name) && value.is_some()
    };
    let mut partner = None;
    if change.documents.iter().any(takes_part)
        && let Some(container) = call.container(&call.account, call.container_name()).await?
    {
        call.swift.take_part(container.bucket.id).await?;
        partner = Some(container.bucket.id);
    }
    let store = &call.swift.store;
    if let Some(list) = change.given_list()? {
        store.check_blocked(name, None, Some(&list)).await?;
    }
    let now = call.swift.host.clock.now().0.to_string();
    store
        .update_bucket(&grants, name, &|properties| {
            properties
                .documents
                .insert(MODIFIED.to_owned(), now.clone());
            change.apply(properties)
        })
        .await?;
    call.swift.look_at(partner);
    Ok(())
}

async fn put(call: &Call) -> Outcome<Response<Body>> {
    let rights = call.may_container(false).await?;
    let name = call.bucket_name(&call.account, call.container_name())?;
    let change = changes(call, rights.owner)?;
    let policy = match call.some_header("x-storage-policy")? {
        Some(wanted) => {
            let mut policies = call.swift.policies.iter();
            let found = policies.find(|policy| policy.is_called(wanted));
            let unknown = || Fault::text(400, format!("Invalid X-Storage-Policy '{wanted}'"));
            Some(found.ok_or_else(unknown)?.name.clone())
        }
        None => None,
    };
    let ensured = account::ensure(call, &call.account).await?;
    if ensured.closed {
        return Err(Fault::new(503));
    }
    let there = call.container(&call.account, call.container_name()).await?;
    if there.is_none()
        && let Some(list) = change.given_list()?
    {
        // What is refused leaves no container.
        let store = &call.swift.store;
        store.check_blocked_in(&call.account, &list).await?;
    }
    let made = create(call, &name, policy.clone()).await?;
    if !made {
        let found = call.container(&call.account, call.container_name()).await?;
        let found = found.ok_or_else(|| Fault::new(503))?;
        let own = policy_of(call, &found.bucket);
        if policy.is_some_and(|wanted| wanted != own) {
            return Err(Fault::new(409));
        }
    }
    update(call, &name, &change).await?;
    Ok(page(if made { 201 } else { 202 }))
}

/// Makes a container of a policy; not when there is one.
pub(crate) async fn create(
    call: &Call,
    name: &BucketName,
    policy: Option<String>,
) -> Outcome<bool> {
    let default = || call.swift.policies.first().map(|first| first.name.clone());
    let properties = BucketProperties {
        storage_policy: policy.or_else(default),
        ..BucketProperties::default()
    };
    let grant = call.on_bucket(Action::CreateBucket, name).await?;
    let store = &call.swift.store;
    match store.create_bucket_with(&grant, name, properties).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists(Noun::Bucket) => Ok(false),
        // A container that is made holds nothing yet: it is one container too many.
        Err(error) if error.kind() == ErrorKind::QuotaExceeded => {
            let most = store.buckets_per_account().unwrap_or(u64::MAX);
            let message = format!("Reached container limit of {most}");
            Err(Fault::html(403, message))
        }
        Err(error) => Err(error.into()),
    }
}

async fn post(call: &Call) -> Outcome<Response<Body>> {
    let rights = call.may_container(false).await?;
    let name = call.bucket_name(&call.account, call.container_name())?;
    let change = changes(call, rights.owner)?;
    if call
        .container(&call.account, call.container_name())
        .await?
        .is_none()
    {
        return Err(Fault::new(404));
    }
    update(call, &name, &change).await?;
    Ok(empty(204))
}

async fn delete(call: &Call) -> Outcome<Response<Body>> {
    call.may_container(false).await?;
    let name = call.bucket_name(&call.account, call.container_name())?;
    if call
        .container(&call.account, call.container_name())
        .await?
        .is_none()
    {
        return Err(Fault::new(404));
    }
    let grant = call.on_bucket(Action::DeleteBucket, &name).await?;
    let store = &call.swift.store;
    let mut deleted = store.delete_bucket(&grant, &name).await;
    if let Err(error) = &deleted
        && error.kind() == ErrorKind::NotEmpty
        && crate::contents::only_notes(call, &name).await?
    {
        deleted = store.delete_bucket(&grant, &name).await;
    }
    match deleted {
        Ok(()) => Ok(empty(204)),
        Err(error) if error.kind() == ErrorKind::NotEmpty => Err(Fault::new(409)),
        Err(error) => Err(error.into()),
    }
}

/// Deletes a container with all that it holds.
pub(crate) async fn erase(call: &Call, account: &AccountId, container: &str) -> Outcome<()> {
    let name = call.bucket_name(account, container)?;
    crate::contents::erase(call, &name).await?;
    let resource = Resource::Bucket(name.clone());
    let grant = call.grant(Action::DeleteBucket, resource).await?;
    Ok(call.swift.store.delete_bucket(&grant, &name).await?)
}

/// The key of an object's name.
///
/// # Errors
/// 400 for a name that is too long.
pub(crate) fn key(name: &str) -> Outcome<Key> {
    let max = crate::target::OBJECT_NAME_MAX;
    if name.len() > max {
        let length = name.len();
        let text = format!("Object name length of {length} longer than {max}");
        return Err(Fault::text(400, text));
    }
    Ok(Key::parse(name)?)
}
