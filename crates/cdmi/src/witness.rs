//! What requests of other dialects tell the queues that watch: the object or container that a request
//! names is looked at before and after it, and so is the other one of a copy or a move. What else it
//! changes the store tells.

use crate::books::tag_of;
use crate::call::Call;
use crate::dialect::Cdmi;
use crate::node::Node;
use crate::notify::{Outcome, Seen, id_of};
use crate::path::{Names, Target};
use crate::query_queue::LastValue;
use crate::watch::{Kind, Watcher};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Response, StatusCode};
use std::sync::Arc;
use trestle_access::Principal;
use trestle_core::AccountId;
use trestle_http::{Body, LoggedUser};
use trestle_store::Deeds;

/// An object or bucket that a request names.
#[derive(Clone, Debug)]
pub struct WitnessedPlace {
    /// The account in whose names it names the bucket, if it says one.
    pub account: Option<AccountId>,
    /// The bucket.
    pub bucket: String,
    /// The key in it; empty for the bucket itself.
    pub key: String,
}

/// A request of another dialect.
#[derive(Clone, Debug)]
pub struct Witnessed {
    /// Its method.
    pub method: Method,
    /// What it names.
    pub place: WitnessedPlace,
    /// What a copy or a move leads to, or comes from.
    pub other: Option<WitnessedPlace>,
    /// Whether it makes a copy.
    pub copies: bool,
    /// Whether a read is one of the value, rather than of something about it.
    pub of_value: bool,
}

impl WitnessedPlace {
    fn names(&self) -> Names {
        let key = self.key.strip_suffix('/').unwrap_or(&self.key);
        let mut names = vec![self.bucket.clone()];
        if !key.is_empty() {
            names.extend(key.split('/').map(str::to_owned));
        }
        Names {
            names,
            slash: self.key.is_empty() || self.key.ends_with('/'),
        }
    }
}

impl Witnessed {
    fn reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// What is looked at before and after a request.
struct Look {
    target: Target,
    before: Option<Node>,
    after: Option<Node>,
    /// What the creators of queues saw of it before.
    seen: Vec<Seen>,
}

impl Look {
    fn node(&self) -> Option<&Node> {
        self.after.as_ref().or(self.before.as_ref())
    }

    /// What happened between the two looks.
    fn event(&self) -> Option<&'static str> {
        let state = |node: &Node| match node {
            Node::Leaf(leaf) => tag_of(&leaf.object),
            Node::Container(container) => format!("{:?}", container.metadata),
        };
        match (&self.before, &self.after) {
            (None, Some(_)) => Some("cdmi_create_complete"),
            (Some(_), None) => Some("cdmi_delete"),
            (Some(before), Some(after)) if state(before) != state(after) => {
                Some("cdmi_modify_complete")
            }
            _ => None,
        }
    }

    /// Whether what was at another place is here now.
    fn has_come_from(&self, other: &Look) -> bool {
        let moved = other.before.as_ref().filter(|_| other.after.is_none());
        let moved = moved.map(id_of);
        moved.is_some() && self.after.as_ref().map(id_of) == moved
    }
}

/// The events of a request that succeeded, at each place that was looked at.
fn events(request: &Witnessed, looks: &[Look]) -> Vec<Vec<&'static str>> {
    if request.reads() {
        let read = request.of_value.then_some("cdmi_read");
        return looks.iter().map(|_| read.into_iter().collect()).collect();
    }
    let of = |look: &Look| -> Vec<&'static str> {
        if looks.iter().any(|other| look.has_come_from(other)) {
            return vec!["cdmi_rename"];
        }
        if looks.iter().any(|other| other.has_come_from(look)) {
            return Vec::new();
        }
        let mut events: Vec<_> = look.event().into_iter().collect();
        if request.copies && look.after.is_some() && !events.is_empty() {
            events.push("cdmi_copy");
        }
        events
    };
    looks.iter().map(of).collect()
}

impl Call<'_> {
    /// Whether the bucket of a place has the name here that the request's account has for it.
    async fn names_the_same(&self, place: &WitnessedPlace) -> bool {
        let Some(account) = &place.account else {
            return true;
        };
        let found = self.find_bucket(&place.bucket).await;
        let owner = found.ok().flatten().map(|bucket| bucket.owner.account);
        owner.is_none_or(|owner| owner == *account)
    }

    async fn look_around(&self, target: &Target) -> Option<Node> {
        self.find(target).boxed().await.ok().flatten()
    }

    /// Looks at the places of a request before it is answered.
    async fn look_before(
        &self,
        request: &Witnessed,
        (watchers, last): (&[Arc<Watcher>], &mut LastValue),
    ) -> Vec<Look> {
        let mut looks = Vec::new();
        for place in [Some(&request.place), request.other.as_ref()] {
            let Some(place) = place else { continue };
            if !self.names_the_same(place).await {
                continue;
            }
            let target = Target::Path(place.names());
            let before = self.look_around(&target).await;
            let seen = match request.reads() || before.is_none() {
                true => Vec::new(),
                false => self.seen_by_all(watchers, before.as_ref(), last).await,
            };
            looks.push(Look {
                target,
                before,
                after: None,
                seen,
            });
        }
        looks
    }
}

impl Cdmi {
    /// Whether any queue watches.
    pub fn is_watched(&self) -> bool {
        !self.watchers.all().is_empty()
    }

    /// Has a request answered, and tells the queues that watch what it did, also when it is not known
    /// what it names. What goes wrong with that never changes the answer.
    pub async fn witness(
        &self,
        method: Method,
        request: Option<Witnessed>,
        answer: BoxFuture<'_, Response<Body>>,
    ) -> Response<Body> {
        let watchers = self.watchers.all();
        let reads = matches!(method, Method::GET | Method::HEAD);
        let of_value = request.as_ref().is_some_and(|request| request.of_value);
        let told = |kind: Kind| kind == Kind::Log || !reads || of_value;
        let wanting = watchers
            .iter()
            .filter(|watcher| told(watcher.watch.kind) && watcher.watch.may_want(&method));
        let watchers: Vec<_> = wanting.cloned().collect();
        if watchers.is_empty() || reads && request.is_none() {
            return answer.await;
        }
        let Some(request) = request else {
            return self.witness_nameless((&watchers, method), answer).await;
        };
        let own = self.own_call();
        let mut last = LastValue::default();
        let mut looks = own.look_before(&request, (&watchers, &mut last)).await;
        let deeds = Deeds::default();
        let response = deeds.of(answer).await;
        for look in &mut looks {
            look.after = match request.reads() {
                true => look.before.clone(),
                false => own.look_around(&look.target).await,
            };
        }
        let user = response.extensions().get::<LoggedUser>().cloned();
        let answered = (response.status(), user.clone());
        self.tell_of(&request, (&watchers, &mut last), (&looks, answered))
            .await;
        let named = looks.iter().filter_map(|look| match &look.target {
            Target::Path(names) => Some(names.clone()),
            _ => None,
        });
        let named: Vec<Names> = named.collect();
        let call = self.call_of(&request.method, user);
        let told = (deeds.take(), named.as_slice());
        call.tell_deeds(&watchers, told, (response.status(), request.copies))
            .boxed()
            .await;
        response
    }

    /// The same, of what the store tells alone.
    async fn witness_nameless(
        &self,
        (watchers, method): (&[Arc<Watcher>], Method),
        answer: BoxFuture<'_, Response<Body>>,
    ) -> Response<Body> {
        let deeds = Deeds::default();
        let response = deeds.of(answer).await;
        let user = response.extensions().get::<LoggedUser>().cloned();
        let call = self.call_of(&method, user);
        let told: (_, &[Names]) = (deeds.take(), &[]);
        call.tell_deeds(watchers, told, (response.status(), false))
            .boxed()
            .await;
        response
    }

    /// A call in the name of who is known to have asked.
    fn call_of(&self, method: &Method, user: Option<LoggedUser>) -> Call<'_> {
        let mut principal = Principal::anonymous();
        if let Some(LoggedUser(user)) = user {
            principal.user = user;
        }
        Call {
            method: method.clone(),
            ..self.call_as(Arc::new(principal))
        }
    }

    /// Tells queues what an answered request did.
    async fn tell_of(
        &self,
        request: &Witnessed,
        (watchers, last): (&[Arc<Watcher>], &mut LastValue),
        (looks, (status, user)): (&[Look], (StatusCode, Option<LoggedUser>)),
    ) {
        let known = user.is_some();
        let call = self.call_of(&request.method, user);
        for (look, events) in looks.iter().zip(events(request, looks)) {
            let outcome = Outcome {
                known,
                events: match status.is_success() {
                    true => events,
                    false => Vec::new(),
                },
                status,
                time: self.store.now(),
                object: look.node().map(id_of),
                uri: call.uri_of_node(&look.target, look.node()),
                security: matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
                data_system: false,
            };
            // What is there still is seen as it is now.
            let seen: &[Seen] = match look.after {
                Some(_) => &[],
                None => &look.seen,
            };
            call.tell_all(watchers, (&outcome, look.node()), (seen, last))
                .await;
        }
    }
}
