//! What operations tell the queues that watch: events and log messages, enqueued before the answer
//! goes out, so that whoever has the answer finds them. Those about requests of nobody known are
//! enqueued when a while has passed, or the queue is read.
//!
//! What goes wrong here never changes an answer. A queue is not told of itself.

use crate::call::Call;
use crate::dialect::Cdmi;
use crate::fault::{Answered, Fault};
use crate::mailbox::Batch;
use crate::media::Accepted;
use crate::node::{Leaf, Node, Place};
use crate::path::{Names, Target};
use crate::query::Fields;
use crate::query_queue::LastValue;
use crate::queue_content::QueueValue;
use crate::scope::results;
use crate::show::is_processing;
use crate::time;
use crate::value::Encoding;
use crate::version::Version;
use crate::watch::{Kind, Watcher};
use bytes::Bytes;
use futures::FutureExt;
use http::header::LOCATION;
use http::{HeaderMap, Method, Response, StatusCode};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use trestle_access::{Context, Principal};
use trestle_core::{AccountId, ErrorKind, Id, Timestamp};
use trestle_http::{Body, RequestBody};
use trestle_store::Deeds;

/// That data system metadata changes: it is no event, but is logged.
const DATA_SYSTEM: &str = "data system metadata";

/// What is noted of an operation while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<&'static str>>>);

impl Notes {
    fn add(&self, name: &'static str) {
        self.0.lock().push(name);
    }

    fn has(&self, name: &str) -> bool {
        self.0.lock().contains(&name)
    }
}

/// An object as one creator of a queue sees it; none when it may not be seen.
pub(crate) type Seen = Option<Map<String, Value>>;

/// What became of an operation.
pub(crate) struct Outcome {
    pub(crate) events: Vec<&'static str>,
    pub(crate) status: StatusCode,
    pub(crate) time: Timestamp,
    /// The object that it was about, if one was found.
    pub(crate) object: Option<Id>,
    pub(crate) uri: String,
    pub(crate) security: bool,
    pub(crate) data_system: bool,
    /// Whether somebody known asked for it.
    pub(crate) known: bool,
}

impl Cdmi {
    /// A call that does what the dialect itself does.
    pub(crate) fn own_call(&self) -> Call<'_> {
        let server = Principal::server(self.root_account.clone());
        self.call_as(Arc::new(server))
    }

    /// A call without a request.
    pub(crate) fn call_as(&self, principal: Arc<Principal>) -> Call<'_> {
        Call {
            cdmi: self,
            principal,
            authenticated: "",
            context: Arc::new(Context::at(self.store.now())),
            method: Method::GET,
            version: Version::Second,
            fields: Fields::default(),
            accepted: Accepted::default(),
            content: None,
            headers: HeaderMap::new(),
            origin: String::new(),
            declared_length: None,
            notes: Notes::default(),
        }
    }

    /// The call of who made a queue; none when that user is gone, whoever has the name now.
    pub(crate) async fn creator(&self, watcher: &Watcher) -> Option<Call<'_>> {
        let (account, user) = (&watcher.account, &watcher.user);
        match self.identities.user(account, user).await {
            Ok(user) => {
                let principal = user.filter(|user| user.made == Some(watcher.since))?;
                Some(Call {
                    // It is not the creator who asks: any request would fill the audit log with it.
                    context: Arc::new(Context::at(self.store.now()).quietly()),
                    ..self.call_as(principal)
                })
            }
            Err(error) => {
                tracing::warn!(%error, "the user of a notification queue was not found out");
                None
            }
        }
    }

    /// Logs that who asks could not be found out.
    pub(crate) async fn log_unknown(&self, method: &Method, path: &str, status: StatusCode) {
        let watchers = self.watchers.all();
        if watchers.is_empty() {
            return;
        }
        let call = Call {
            method: method.clone(),
            ..self.call_as(Arc::new(Principal::anonymous()))
        };
        let outcome = Outcome {
            events: Vec::new(),
            status,
            time: self.store.now(),
            object: None,
            uri: path.to_owned(),
            security: true,
            data_system: false,
            known: false,
        };
        for watcher in watchers.iter() {
            call.tell(watcher, &outcome, None).boxed().await;
        }
    }

    /// Writes what waits for a queue into it, with one write.
    pub(crate) async fn deliver(&self, watcher: &Watcher) {
        let mailbox = &watcher.mailbox;
        // What another write took along is in the queue when this one's turn comes.
        let _turn = mailbox.turn.lock().await;
        let Batch { mut values, missed } = mailbox.take(self.store.now());
        if missed > 0 {
            values.push(json_value(&json!({
                "class": "cdmi_security_logging",
                "timestamp": time::text(self.store.now()),
                "result": format!("{missed} more messages came at once"),
            })));
        }
        if values.is_empty() {
            return;
        }
        match self.own_call().enqueue_own(watcher.queue, &values).await {
            Err(Fault::Error(error)) if error.kind() == ErrorKind::TooLarge => {
                mailbox.is_full_now(values.len(), self.store.now());
                tracing::warn!("a queue that is notified is full");
            }
            Err(fault) => tracing::warn!(?fault, "a notification queue was not told of an event"),
            Ok(()) => {}
        }
    }
}

impl Call<'_> {
    /// Notes what an operation does, for who is told of it.
    pub(crate) fn note(&self, name: &'static str) {
        self.notes.add(name);
    }

    /// Notes that an update names data system metadata.
    pub(crate) fn note_metadata(&self, given: &Map<String, Value>) {
        if given.keys().any(|name| name.starts_with("cdmi_")) {
            self.notes.add(DATA_SYSTEM);
        }
    }

    /// Answers at a target, and tells the queues that watch.
    pub(crate) async fn watched(&self, target: Target, body: RequestBody) -> Answered {
        let watchers = self.cdmi.watchers.all();
        if watchers.is_empty() {
            return self.dispatch(target, body).await;
        }
        let before = self.find(&target).boxed().await.ok().flatten();
        let wanting = watchers.iter();
        let wanting = wanting.filter(|watcher| watcher.watch.may_want(&self.method));
        let watchers: Vec<_> = wanting.cloned().collect();
        let mut last = LastValue::default();
        let mut domain = self.domain_named(&target);
        let mut seen = match self.method {
            Method::DELETE if domain.is_some() => {
                self.domain_seen_by_all(&watchers, domain.as_ref()).await
            }
            Method::DELETE => {
                self.seen_by_all(&watchers, before.as_ref(), &mut last)
                    .await
            }
            _ => Vec::new(),
        };
        let deeds = Deeds::default();
        let answered = deeds.of(self.dispatch(target.clone(), body)).await;
        if domain.is_some() && self.method != Method::DELETE {
            // One that was moved there is another than that which would have been made.
            domain = self.domain_named(&target);
            seen = self.domain_seen_by_all(&watchers, domain.as_ref()).await;
        }
        let after = match self.method {
            Method::PUT | Method::POST | Method::PATCH => {
                let target = self.leads_to(&answered).unwrap_or_else(|| target.clone());
                self.find(&target).boxed().await.ok().flatten()
            }
            _ => None,
        };
        let outcome = self.outcome(&target, (before.as_ref(), after.as_ref()), &answered);
        let node = after.as_ref().or(before.as_ref());
        self.tell_all(&watchers, (&outcome, node), (&seen, &mut last))
            .await;
        if !self.method.is_safe() {
            let nodes = [before.as_ref(), after.as_ref()];
            let named = nodes.into_iter().flatten().filter_map(names_of).cloned();
            let mut named: Vec<Names> = named.collect();
            if let Target::Path(names) = target {
                named.push(names);
            }
            let copies = self.notes.has("cdmi_copy");
            let told = (deeds.take(), named.as_slice());
            self.tell_deeds(&watchers, told, (outcome.status, copies))
                .boxed()
                .await;
            if let Some(Node::Container(container)) = &after
                && let Place::Bucket(bucket) = &container.place
                && outcome.events.contains(&"cdmi_rename")
            {
                self.tell_moved_bucket(&watchers, bucket, outcome.status)
                    .boxed()
                    .await;
            }
        }
        answered
    }

    /// What the creators of queues see of something that may go.
    pub(crate) async fn seen_by_all(
        &self,
        watchers: &[Arc<Watcher>],
        node: Option<&Node>,
        last: &mut LastValue,
    ) -> Vec<Seen> {
        let mut seen = Vec::new();
        for watcher in watchers {
            seen.push(self.seen_by(watcher, node, last).boxed().await);
        }
        seen
    }

    /// The domain that a target names itself, rather than something of it.
    fn domain_named(&self, target: &Target) -> Option<AccountId> {
        let Target::Domains(names) = target else {
            return None;
        };
        let reserved = |name: &String| name.starts_with(crate::path::RESERVED);
        match names.names.is_empty() || names.names.iter().any(reserved) {
            true => None,
            false => self.domain_at(names).ok(),
        }
    }

    /// What the creators of queues see of a domain.
    async fn domain_seen_by_all(
        &self,
        watchers: &[Arc<Watcher>],
        domain: Option<&AccountId>,
    ) -> Vec<Seen> {
        let mut seen = Vec::new();
        for watcher in watchers {
            let creator = self.cdmi.creator(watcher).boxed().await;
            seen.push(match (creator, domain) {
                (Some(creator), Some(id)) => creator.domain_seen(id).boxed().await,
                _ => None,
            });
        }
        seen
    }

    /// Tells queues what they want to know of an outcome, but none of itself. What their creators saw
    /// of it before, if anything, is what they are told.
    pub(crate) async fn tell_all(
        &self,
        watchers: &[Arc<Watcher>],
        (outcome, node): (&Outcome, Option<&Node>),
        (seen, last): (&[Seen], &mut LastValue),
    ) {
        for (at, watcher) in watchers.iter().enumerate() {
            if node.map(id_of) == Some(watcher.queue) {
                continue;
            }
            let told = watcher.watch.kind == Kind::Log || !outcome.events.is_empty();
            let seen = match seen.get(at) {
                Some(seen) => seen.clone(),
                None if told => self.seen_by(watcher, node, last).boxed().await,
                None => None,
            };
            self.tell(watcher, outcome, seen).boxed().await;
        }
    }

    /// Where an answer says that something was made.
    fn leads_to(&self, answered: &Answered) -> Option<Target> {
        let location = answered.as_ref().ok()?.headers().get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        let path = location.and_then(|url| url.strip_prefix(self.origin.as_str()));
        path.and_then(|path| Target::of_request(path).ok())
    }

    fn outcome(
        &self,
        target: &Target,
        (before, after): (Option<&Node>, Option<&Node>),
        answered: &Answered<Response<Body>>,
    ) -> Outcome {
        let status = match answered {
            Ok(response) => response.status(),
            Err(fault) => fault.answer(self.principal.is_anonymous()).status(),
        };
        let refused = status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN;
        let domains = matches!(target, Target::Domains(_)) && self.method != Method::GET;
        let uri = self.uri_of_node(target, after.or(before));
        Outcome {
            events: match status.is_success() {
                true => self.events(before, after, status),
                false => Vec::new(),
            },
            status,
            time: self.cdmi.store.now(),
            object: after.or(before).map(id_of),
            uri,
            security: refused || domains,
            data_system: status.is_success() && self.notes.has(DATA_SYSTEM),
            known: !self.principal.is_anonymous(),
        }
    }

    /// The URI that a message names something by.
    pub(crate) fn uri_of_node(&self, target: &Target, node: Option<&Node>) -> String {
        match node {
            Some(Node::Container(container)) => container.names.path(),
            Some(Node::Leaf(Leaf {
                names: Some(names), ..
            })) => names.path(),
            Some(Node::Leaf(leaf)) => {
                format!("/cdmi_objectid/{}", self.id_of(leaf))
            }
            None => uri_of(target),
        }
    }

    /// The events of an operation that succeeded.
    fn events(
        &self,
        before: Option<&Node>,
        after: Option<&Node>,
        status: StatusCode,
    ) -> Vec<&'static str> {
        let processing = |node: Option<&Node>| match node {
            Some(Node::Leaf(leaf)) => is_processing(&leaf.object),
            _ => false,
        };
        match self.method {
            Method::GET | Method::HEAD => return vec!["cdmi_read"],
            Method::DELETE if self.names_values() => return vec!["cdmi_modify_complete"],
            Method::DELETE => return vec!["cdmi_delete"],
            _ => {}
        }
        if self.notes.has("cdmi_rename") {
            return vec!["cdmi_rename"];
        }
        let created = status == StatusCode::CREATED && !self.notes.has("cdmi_snapshot");
        let mut events = vec![match (created, processing(after)) {
            (true, true) => "cdmi_create_processing",
            (true, false) => "cdmi_create_complete",
            (false, true) => "cdmi_modify_processing",
            (false, false) if processing(before) && was_created(before) => "cdmi_create_complete",
            (false, false) => "cdmi_modify_complete",
        }];
        let noted = [
            "cdmi_copy",
            "cdmi_reference",
            "cdmi_export",
            "cdmi_snapshot",
        ];
        events.extend(noted.into_iter().filter(|name| self.notes.has(name)));
        events
    }

    /// What the creator of a queue sees of an object.
    pub(crate) async fn seen_by(
        &self,
        watcher: &Watcher,
        node: Option<&Node>,
        last: &mut LastValue,
    ) -> Seen {
        let node = node?;
        if let Some(names) = names_of(node)
            && !watcher.watch.may_want_at(names)
        {
            return None;
        }
        let creator = self.cdmi.creator(watcher).await?;
        creator.sees(watcher, node, last).await
    }

    /// What the creator of a queue, whose call this is, sees of something.
    pub(crate) async fn sees(&self, watcher: &Watcher, node: &Node, last: &mut LastValue) -> Seen {
        let seen = match node {
            // Queries do not find references, but that one is made is an event.
            Node::Leaf(leaf) if leaf.reference().is_some() => {
                let head = self.readable_head(leaf).await;
                head.map(|head| Some(head.into_map()))
            }
            node => self.as_searched(node, &watcher.watch.query, last).await,
        };
        match seen {
            Ok(seen) => seen,
            Err(fault) if fault.is_forbidden() => None,
            Err(fault) => {
                tracing::warn!(?fault, "an object was not read for a notification queue");
                None
            }
        }
    }

    /// Tells one queue what it wants to know of an outcome.
    pub(crate) async fn tell(&self, watcher: &Watcher, outcome: &Outcome, seen: Seen) {
        let values = match watcher.watch.kind {
            Kind::Notifications => self.notifications(watcher, outcome, seen),
            Kind::Log => self.messages(watcher, outcome, seen),
        };
        if values.is_empty() {
            return;
        }
        let now = self.cdmi.store.now();
        if watcher.mailbox.add(values, now, !outcome.known) {
            self.cdmi.deliver(watcher).await;
        }
    }

    async fn enqueue_own(&self, queue: Id, values: &[QueueValue]) -> Answered<()> {
        let nothing = Names::default();
        let target = Target::Id(self.id_text(queue), nothing);
        match self.find(&target).await? {
            Some(Node::Leaf(leaf)) if leaf.is_queue() => self.enqueue_told(&leaf, values).await,
            _ => self.unwatch(queue).await,
        }
    }

    /// Puts all that a queue was told into it, for who is about to read it.
    pub(crate) async fn settle(&self, queue: Id) {
        if let Some(watcher) = self.cdmi.watchers.of_queue(queue) {
            self.cdmi.deliver(&watcher).boxed().await;
        }
    }

    /// Notes that values were taken from a queue.
    pub(crate) fn has_room(&self, queue: Id) {
        if let Some(watcher) = self.cdmi.watchers.of_queue(queue) {
            watcher.mailbox.has_room();
        }
    }

    /// The state of a queue that watches: an error, when it was full and is not told all.
    pub(crate) fn watch_status(&self, queue: Id, status: &str) -> String {
        let watcher = self.cdmi.watchers.of_queue(queue);
        match watcher.and_then(|watcher| watcher.mailbox.lost()) {
            Some(lost) => format!("Error: the queue is full and was not told {lost} messages"),
            None => status.to_owned(),
        }
    }

    fn notifications(&self, watcher: &Watcher, outcome: &Outcome, seen: Seen) -> Vec<QueueValue> {
        let Some(object) = seen.filter(|seen| watcher.watch.query.scope.matches(seen)) else {
            return Vec::new();
        };
        let wanted = outcome.events.iter();
        let wanted = wanted.filter(|event| watcher.watch.wants(event));
        wanted
            .map(|event| {
                let mut told = object.clone();
                for (name, value) in [
                    ("cdmi_event", (*event).to_owned()),
                    ("cdmi_event_result", outcome.status.to_string()),
                    ("cdmi_event_time", time::text(outcome.time)),
                    ("cdmi_event_user", self.principal.user.clone()),
                ] {
                    told.insert(name.to_owned(), Value::from(value));
                }
                let told = results(&watcher.watch.query.results, &told);
                json_value(&Value::Object(told))
            })
            .collect()
    }

    fn messages(&self, watcher: &Watcher, outcome: &Outcome, seen: Seen) -> Vec<QueueValue> {
        // Without an object to read, only who may read everything is told.
        let everything = watcher.account == self.cdmi.root_account && watcher.user == "root";
        let scope = &watcher.watch.query.scope;
        let visible = seen.is_some() || outcome.object.is_none() && everything;
        let matching = match &seen {
            Some(seen) => scope.matches(seen),
            None => visible && scope.matches(&Map::new()),
        };
        let domain = seen.and_then(|seen| seen.get("domainURI").cloned());
        let classes = [
            ("cdmi_object_logging", matching),
            ("cdmi_datasystem_logging", matching && outcome.data_system),
            // For these the scope does not count.
            ("cdmi_security_logging", visible && outcome.security),
        ];
        let told = classes
            .into_iter()
            .filter(|(class, told)| *told && watcher.watch.wants(class));
        told.map(|(class, _)| {
            json_value(&json!({
                "class": class,
                "timestamp": time::text(outcome.time),
                "domainURI": domain,
                "operation": self.method.as_str(),
                "objectURI": outcome.uri,
                "principal": self.principal.user,
                "result": outcome.status.to_string(),
            }))
        })
        .collect()
    }
}

fn json_value(value: &Value) -> QueueValue {
    QueueValue {
        mimetype: "application/json".to_owned(),
        encoding: Encoding::Json,
        bytes: Bytes::from(value.to_string()),
    }
}

fn names_of(node: &Node) -> Option<&Names> {
    match node {
        Node::Container(container) => Some(&container.names),
        Node::Leaf(leaf) => leaf.names.as_ref(),
    }
}

pub(crate) fn id_of(node: &Node) -> Id {
    match node {
        Node::Container(container) => container.id,
        Node::Leaf(leaf) => leaf.object.id.0,
    }
}

/// Whether the first writes of an object still go on.
fn was_created(node: Option<&Node>) -> bool {
    match node {
        Some(Node::Leaf(leaf)) => {
            let status = leaf.object.documents.get(crate::node::document::STATUS);
            status.is_some_and(|status| status == crate::data::CREATING)
        }
        _ => false,
    }
}

fn uri_of(target: &Target) -> String {
    match target {
        Target::Path(names) => names.path(),
        Target::Id(id, below) => format!("/cdmi_objectid/{id}{}", below.path()),
        Target::NewId => "/cdmi_objectid/".to_owned(),
        Target::Capabilities(names) => format!("/cdmi_capabilities{}", names.path()),
        Target::Domains(names) => format!("/cdmi_domains{}", names.path()),
    }
}
