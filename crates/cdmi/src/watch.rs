//! Notification queues (clause 21) and logging queues (clause 20 of 1.1.1): which queues watch, for
//! whom, and for what.
//!
//! A watching queue has an entry in the dialect's books, so that it goes on watching after a start.
//! What it is told is what its creator may read, with the rights that the creator has then, and not
//! another user of that name. What the creator asked for is kept with the entry.

use crate::call::Call;
use crate::dialect::Cdmi;
use crate::fault::Answered;
use crate::mailbox::Mailbox;
use crate::node::{document, found, is_missing};
use crate::path::Names;
use crate::query_queue::{IMMEDIATE, QUERY, Query, query_of};
use crate::scope::{Scope, check_results};
use http::Method;
use parking_lot::RwLock;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use trestle_access::{Action, PrincipalKind, Resource};
use trestle_core::{
    AccountId, BucketName, Error, ErrorKind, Id, Key, Metadata, ObjectId, Precondition, Result,
    Timestamp,
};
use trestle_store::{ListObjects, ListingItem, Object};

/// The item that makes a queue one of a kind.
pub(crate) const TYPE: &str = "cdmi_queue_type";
pub(crate) const SCOPE: &str = "cdmi_scope_specification";
pub(crate) const RESULTS: &str = "cdmi_results_specification";
const EVENTS: &str = "cdmi_notification_events";
const CLASSES: &str = "cdmi_logging_class";
/// Most queues that watch.
const WATCHERS_MAX: usize = 1000;
/// Most of them of one account, whose requests everybody's wait for.
const WATCHERS_OF_ACCOUNT_MAX: usize = 100;

/// What notifications are about.
const EVENT_NAMES: [&str; 11] = [
    "cdmi_create_processing",
    "cdmi_create_complete",
    "cdmi_read",
    "cdmi_modify_processing",
    "cdmi_modify_complete",
    "cdmi_rename",
    "cdmi_copy",
    "cdmi_reference",
    "cdmi_delete",
    "cdmi_export",
    "cdmi_snapshot",
];

/// What log messages are about.
const CLASS_NAMES: [&str; 3] = [
    "cdmi_object_logging",
    "cdmi_datasystem_logging",
    "cdmi_security_logging",
];

/// What a queue is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Events.
    Notifications,
    /// Log messages.
    Log,
}

/// A queue's wish to be told.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) kind: Kind,
    /// Of events or classes; all when there is none.
    names: Vec<String>,
    pub(crate) query: Query,
}

/// A queue that watches.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    pub(crate) queue: Id,
    pub(crate) account: AccountId,
    pub(crate) user: String,
    /// When that user was made.
    pub(crate) since: Timestamp,
    pub(crate) watch: Watch,
    /// What it is told and does not hold yet.
    pub(crate) mailbox: Arc<Mailbox>,
}

/// All queues that watch.
#[derive(Debug, Default)]
pub(crate) struct Watchers(RwLock<Arc<Vec<Arc<Watcher>>>>);

impl Watchers {
    /// As they are now.
    pub(crate) fn all(&self) -> Arc<Vec<Arc<Watcher>>> {
        self.0.read().clone()
    }

    /// The one with this queue.
    pub(crate) fn of_queue(&self, queue: Id) -> Option<Arc<Watcher>> {
        let all = self.0.read();
        all.iter().find(|watcher| watcher.queue == queue).cloned()
    }

    fn replace(&self, queue: Id, watcher: Option<Watcher>) -> Result<()> {
        let mut current = self.0.write();
        if let Some(watcher) = &watcher {
            has_room(&current, queue, &watcher.account)?;
        }
        let others = current.iter().filter(|other| other.queue != queue);
        let mut all: Vec<_> = others.cloned().collect();
        all.extend(watcher.map(Arc::new));
        *current = Arc::new(all);
        Ok(())
    }
}

/// Refuses one more queue that watches when there are many, of all or of its account.
fn has_room(all: &[Arc<Watcher>], queue: Id, account: &AccountId) -> Result<()> {
    let others = || all.iter().filter(|other| other.queue != queue);
    let own = others().filter(|other| other.account == *account).count();
    if others().count() >= WATCHERS_MAX || own >= WATCHERS_OF_ACCOUNT_MAX {
        return Err(Error::invalid(format!(
            "at most {WATCHERS_MAX} queues are notified, {WATCHERS_OF_ACCOUNT_MAX} of an account"
        )));
    }
    Ok(())
}

impl Watch {
    /// Whether the queue may be told of what a method does.
    pub(crate) fn may_want(&self, method: &Method) -> bool {
        let of_reads = matches!(*method, Method::GET | Method::HEAD);
        match self.kind {
            Kind::Log => true,
            Kind::Notifications if of_reads => self.wants("cdmi_read"),
            Kind::Notifications => {
                self.names.is_empty() || self.names.iter().any(|name| name != "cdmi_read")
            }
        }
    }

    /// Whether the queue may be told of something of which only its place is known.
    pub(crate) fn may_want_at(&self, names: &Names) -> bool {
        // Nor does the scope count for these.
        if self.kind == Kind::Log && self.wants("cdmi_security_logging") {
            return true;
        }
        let mut known = Map::new();
        if let Some(parent) = names.parent() {
            known.insert("parentURI".to_owned(), parent.path().into());
        }
        let scope = &self.query.scope;
        scope.may_match(&known, |name| known.contains_key(name))
    }

    /// Whether the queue is told of something with this name.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}

/// Refuses a kind of queue that there is not.
fn check_type(metadata: &Metadata) -> Result<()> {
    match metadata.get(TYPE) {
        None => Ok(()),
        Some(Value::String(kind)) if kind == IMMEDIATE || !fixed_items(kind).is_empty() => Ok(()),
        Some(other) => Err(Error::invalid(format!("{TYPE} knows no {other}"))),
    }
}

/// The items that do not change while a queue is of its kind.
pub(crate) fn fixed_items(kind: &str) -> &'static [&'static str] {
    match kind {
        QUERY => &[SCOPE, RESULTS],
        "cdmi_notification_queue" => &[EVENTS, SCOPE, RESULTS],
        "cdmi_logging_queue" => &[CLASSES, SCOPE],
        _ => &[],
    }
}

fn names(metadata: &Metadata, item: &str, known: &[&str]) -> Result<Vec<String>> {
    let malformed = || Error::invalid(format!("{item} is an array of names"));
    let Some(Value::Array(names)) = metadata.get(item) else {
        return Err(malformed());
    };
    let text = |name: &Value| name.as_str().map(str::to_owned).ok_or_else(malformed);
    let names: Vec<String> = names.iter().map(text).collect::<Result<_>>()?;
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(other) => Err(Error::invalid(format!("{item} knows no {other:?}"))),
        None => Ok(names),
    }
}

/// What a queue's metadata says that it watches.
///
/// # Errors
/// `InvalidInput` for a wish that cannot be understood.
pub(crate) fn watch_of(metadata: &Metadata) -> Result<Option<Watch>> {
    let (kind, names) = match metadata.get(TYPE).and_then(Value::as_str) {
        Some("cdmi_notification_queue") => {
            let names = names(metadata, EVENTS, &EVENT_NAMES)?;
            (Kind::Notifications, names)
        }
        Some("cdmi_logging_queue") => (Kind::Log, names(metadata, CLASSES, &CLASS_NAMES)?),
        _ => return Ok(None),
    };
    let missing = |name: &str| Error::invalid(format!("such a queue needs {name}"));
    let scope = Scope::parse(metadata.get(SCOPE).ok_or_else(|| missing(SCOPE))?)?;
    let results = match (kind, metadata.get(RESULTS)) {
        (Kind::Log, None) => Value::Object(Map::new()),
        (_, results) => results.cloned().ok_or_else(|| missing(RESULTS))?,
    };
    check_results(&results)?;
    // Messages hold no field of the object.
    let results = match kind {
        Kind::Log => Value::Object(Map::new()),
        Kind::Notifications => results,
    };
    Ok(Some(Watch {
        kind,
        names,
        query: Query::new(scope, results),
    }))
}

/// The state of a queue that watches or watched.
pub(crate) fn status_of(metadata: &Metadata) -> Option<(&'static str, &'static str)> {
    let kind = metadata.get(TYPE).and_then(Value::as_str);
    let of = |item: &str, name: &str| match kind {
        Some(kind) if kind == name => Some("Current"),
        _ if metadata.contains_key(item) => Some("Halted"),
        _ => None,
    };
    let notified = of(EVENTS, "cdmi_notification_queue");
    let notified = notified.map(|status| ("cdmi_notification_status", status));
    let logged = of(CLASSES, "cdmi_logging_queue");
    notified.or(logged.map(|status| ("cdmi_logging_status", status)))
}

/// The part of a queue's metadata that says what it watches.
fn wish(metadata: &Metadata) -> Metadata {
    let kind = metadata.get(TYPE).and_then(Value::as_str);
    let fixed = fixed_items(kind.unwrap_or_default()).iter();
    let names = fixed.chain([&TYPE]);
    names
        .filter_map(|name| Some(((*name).to_owned(), metadata.get(*name)?.clone())))
        .collect()
}

impl Cdmi {
    fn watchers_bucket(&self) -> Result<BucketName> {
        BucketName::hidden(&self.root_account, "watchers")
    }

    /// Reads which queues watch.
    pub(crate) async fn load_watchers(&self) -> Result<()> {
        let bucket = self.watchers_bucket()?;
        match self.store.peek_bucket(&bucket).await {
            Err(error) if is_missing(&error) => return Ok(()),
            peeked => drop(peeked?),
        }
        let resource = Resource::Bucket(bucket.clone());
        let grant = self.own_grant(Action::ListObjects, resource).await?;
        let mut list = ListObjects {
            bucket,
            prefix: String::new(),
            delimiter: None,
            after: None,
            until: None,
            reverse: false,
            limit: WATCHERS_MAX,
        };
        loop {
            let listing = self.store.list(&grant, &list).await?;
            for item in listing.items {
                if let ListingItem::Object(entry) = item
                    && let Some(watcher) = self.watcher(&entry).await?
                    && let Err(error) = self.watchers.replace(watcher.queue, Some(watcher))
                {
                    tracing::warn!(%error, "a notification queue is told nothing");
                }
            }
            match listing.next {
                Some(next) => list.after = Some(next),
                None => break,
            }
        }
        Ok(())
    }

    /// The watcher of an entry; none when its queue is gone or watches no longer.
    async fn watcher(&self, entry: &Object) -> Result<Option<Watcher>> {
        let damaged = || Error::corrupt("an entry of a notification queue cannot be decoded");
        let text = entry.documents.get(document::WATCH).ok_or_else(damaged)?;
        let value: Value = serde_json::from_str(text).map_err(|_| damaged())?;
        let part = |name: &str| value.get(name).and_then(Value::as_str).ok_or_else(damaged);
        let id = u128::from_str_radix(entry.key.as_str(), 16).map_err(|_| damaged())?;
        let queue = Id(id.to_be_bytes());
        let Some((bucket, key)) = found(self.store.find_by_id(ObjectId(queue)).await)? else {
            return Ok(None);
        };
        let Some(object) = found(self.store.peek_object(&bucket, &key).await)? else {
            return Ok(None);
        };
        // What the queue's creator asked for then: its metadata may be somebody else's by now, who
        // may read less than the creator. They can end it alone.
        let Some(Value::Object(wish)) = value.get("wish").cloned() else {
            return Ok(None);
        };
        let wish: Metadata = wish.into_iter().collect();
        if wish.get(TYPE) != object.metadata.get(TYPE) {
            return Ok(None);
        }
        // What cannot be understood any more is not told of; its status says so.
        let Ok(Some(mut watch)) = watch_of(&wish) else {
            return Ok(None);
        };
        if let Err(fault) = self.own_call().name_ids(&mut watch.query.scope).await {
            tracing::warn!(
                ?fault,
                "the scope of a notification queue was not looked up"
            );
            return Ok(None);
        }
        let account = AccountId::parse(part("account")?)?;
        let user = part("user")?.to_owned();
        let since = value.get("since").and_then(Value::as_u64);
        let since = Timestamp(since.ok_or_else(damaged)?);
        Ok(Some(Watcher {
            queue,
            account,
            user,
            since,
            watch,
            mailbox: Arc::default(),
        }))
    }
}

impl Call<'_> {
    /// Refuses to make or to change a queue that watches within a session that may do less than its
    /// user, or that is a role's: a queue is told what its creator may read, and the creator is
    /// found again by name, without what the session narrows.
    pub(crate) fn check_watches(&self, metadata: &Metadata) -> Result<()> {
        let principal = &self.principal;
        let role = matches!(principal.kind(), PrincipalKind::Role { .. });
        let narrowed = role || !principal.session_policies.is_empty();
        match narrowed && watch_of(metadata)?.is_some() {
            true => Err(Error::new(
                ErrorKind::Forbidden,
                "queues are not notified for a session that is narrowed or a role's",
            )),
            false => Ok(()),
        }
    }

    /// Refuses a queue's metadata that cannot be understood, or that asks to be told what its maker
    /// may not ask for; `queue` is the one that is there already.
    pub(crate) fn check_queue(&self, metadata: &Metadata, queue: Option<Id>) -> Result<()> {
        check_type(metadata)?;
        query_of(metadata)?;
        self.check_watches(metadata)?;
        if watch_of(metadata)?.is_some() {
            let all = self.cdmi.watchers.all();
            has_room(&all, queue.unwrap_or_default(), self.account()?)?;
        }
        Ok(())
    }

    /// Begins to tell a queue what its metadata asks for, if it asks.
    pub(crate) async fn watch(&self, queue: &Object) -> Answered<()> {
        self.check_watches(&queue.metadata)?;
        let Some(mut watch) = watch_of(&queue.metadata)? else {
            return Ok(());
        };
        self.name_ids(&mut watch.query.scope).await?;
        let account = self.account()?.clone();
        let user = self.principal.user.clone();
        // Of who was authenticated: the name may be somebody else's by now.
        let Some(since) = self.principal.made else {
            return self.unwatch(queue.id.0).await;
        };
        let wish = wish(&queue.metadata);
        let entry = json!({
            "account": account.as_str(), "user": user, "since": since.0, "wish": wish,
        });
        let entry = entry.to_string();
        let key = Key::parse(queue.id.0.to_string())?;
        let bucket = self.cdmi.watchers_bucket()?;
        self.keep_own(&bucket, key, (document::WATCH, entry))
            .await?;
        let watcher = Watcher {
            queue: queue.id.0,
            account,
            user,
            since,
            watch,
            mailbox: Arc::default(),
        };
        Ok(self.cdmi.watchers.replace(queue.id.0, Some(watcher))?)
    }

    /// Tells a queue nothing more.
    pub(crate) async fn unwatch(&self, queue: Id) -> Answered<()> {
        let all = self.cdmi.watchers.all();
        if !all.iter().any(|watcher| watcher.queue == queue) {
            return Ok(());
        }
        self.cdmi.watchers.replace(queue, None)?;
        let key = Key::parse(queue.to_string())?;
        let bucket = self.cdmi.watchers_bucket()?;
        let own = self.cdmi.own_call();
        match own.erase(&bucket, &key, Precondition::none()).await {
            Err(fault) if fault.is_missing() => Ok(()),
            erased => erased,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(value: Value) -> Metadata {
        value.as_object().unwrap().clone().into_iter().collect()
    }

    #[test]
    fn wishes_are_understood_or_refused() {
        let asked = metadata(json!({
            TYPE: "cdmi_notification_queue", EVENTS: ["cdmi_delete"], SCOPE: [], RESULTS: {},
        }));
        let watch = watch_of(&asked).unwrap().unwrap();
        assert!(watch.wants("cdmi_delete") && !watch.wants("cdmi_read"));
        assert_eq!(
            status_of(&asked),
            Some(("cdmi_notification_status", "Current"))
        );
        let all = metadata(json!({TYPE: "cdmi_logging_queue", CLASSES: [], SCOPE: []}));
        assert!(
            watch_of(&all)
                .unwrap()
                .unwrap()
                .wants("cdmi_object_logging")
        );
        for bad in [
            json!({TYPE: "cdmi_notification_queue"}),
            json!({TYPE: "cdmi_notification_queue", EVENTS: ["x"], SCOPE: [], RESULTS: {}}),
            json!({TYPE: "cdmi_notification_queue", EVENTS: [], SCOPE: [], RESULTS: 1}),
            json!({TYPE: "cdmi_logging_queue", CLASSES: "all", SCOPE: []}),
        ] {
            assert!(watch_of(&metadata(bad.clone())).is_err(), "{bad}");
        }
        let names = |path: &[&str]| Names {
            names: path.iter().map(|name| (*name).to_owned()).collect(),
            slash: false,
        };
        let watch = |kind: &str, item: &str, wanted: Value| {
            let scope = json!([{"parentURI": "starts /c/", "value": "*"}]);
            let asked = json!({TYPE: kind, item: wanted, SCOPE: scope, RESULTS: ""});
            watch_of(&metadata(asked)).unwrap().unwrap()
        };
        let queue = watch("cdmi_notification_queue", EVENTS, json!(["cdmi_read"]));
        assert!(queue.may_want(&Method::HEAD) && !queue.may_want(&Method::PUT));
        assert!(queue.may_want_at(&names(&["c", "d", "o"])) && !queue.may_want_at(&names(&["d"])));
        let log = |classes: Value| watch("cdmi_logging_queue", CLASSES, classes);
        assert!(log(json!([])).may_want_at(&names(&["d"])));
        assert!(!log(json!(["cdmi_object_logging"])).may_want_at(&names(&["d"])));
        let ended = metadata(json!({EVENTS: [], SCOPE: [], RESULTS: {}}));
        assert!(watch_of(&ended).unwrap().is_none());
        assert_eq!(
            status_of(&ended),
            Some(("cdmi_notification_status", "Halted"))
        );
    }
}
