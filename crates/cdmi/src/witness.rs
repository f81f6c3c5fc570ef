//! What requests of other dialects tell the queues that watch: the object or container that a request
//! names is looked at before and after it.
//!
//! So it is known what one request did to what it names, and not what else it did: of a request over
//! many objects, or that takes one elsewhere, only what it names is told.

use crate::books::tag_of;
use crate::call::Call;
use crate::dialect::Cdmi;
use crate::node::Node;
use crate::notify::{Outcome, id_of};
use crate::path::{Names, Target};
use crate::query_queue::LastValue;
use crate::watch::Kind;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Response, StatusCode};
use std::sync::Arc;
use trestle_access::Principal;
use trestle_core::AccountId;
use trestle_http::{Body, LoggedUser};

/// A request of another dialect.
#[derive(Clone, Debug)]
pub struct Witnessed {
    /// Its method.
    pub method: Method,
    /// The account in whose names it names the bucket, if it says one.
    pub account: Option<AccountId>,
    /// The bucket that it names.
    pub bucket: String,
    /// The key in it; empty for the bucket itself.
    pub key: String,
    /// Whether a read is one of the value, rather than of something about it.
    pub of_value: bool,
}

impl Witnessed {
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

    fn reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// What happened to something between two looks.
fn event(before: Option<&Node>, after: Option<&Node>) -> Option<&'static str> {
    let state = |node: &Node| match node {
        Node::Leaf(leaf) => tag_of(&leaf.object),
        Node::Container(container) => format!("{:?}", container.metadata),
    };
    match (before, after) {
        (None, Some(_)) => Some("cdmi_create_complete"),
        (Some(_), None) => Some("cdmi_delete"),
        (Some(before), Some(after)) if state(before) != state(after) => {
            Some("cdmi_modify_complete")
        }
        _ => None,
    }
}

impl Call<'_> {
    /// Whether the bucket of a request has the name here that the request's account has for it.
    async fn names_the_same(&self, request: &Witnessed) -> bool {
        let Some(account) = &request.account else {
            return true;
        };
        let found = self.find_bucket(&request.bucket).await;
        let owner = found.ok().flatten().map(|bucket| bucket.owner.account);
        owner.is_none_or(|owner| owner == *account)
    }
}

impl Cdmi {
    /// Whether any queue watches.
    pub fn is_watched(&self) -> bool {
        !self.watchers.all().is_empty()
    }

    /// Has a request answered, and tells the queues that watch what it did. What goes wrong with that
    /// never changes the answer.
    pub async fn witness(
        &self,
        request: Witnessed,
        answer: BoxFuture<'_, Response<Body>>,
    ) -> Response<Body> {
        let watchers = self.watchers.all();
        let told = |kind: Kind| kind == Kind::Log || !request.reads() || request.of_value;
        let wanting = watchers
            .iter()
            .filter(|watcher| told(watcher.watch.kind) && watcher.watch.may_want(&request.method));
        let watchers: Vec<_> = wanting.cloned().collect();
        let own = self.own_call();
        if watchers.is_empty() || !own.names_the_same(&request).await {
            return answer.await;
        }
        let target = Target::Path(request.names());
        let before = own.find(&target).boxed().await.ok().flatten();
        let (mut seen, mut last) = (Vec::new(), LastValue::default());
        if !request.reads() && before.is_some() {
            for watcher in watchers.iter() {
                let seeing = own.seen_by(watcher, before.as_ref(), &mut last);
                seen.push(seeing.boxed().await);
            }
        }
        let response = answer.await;
        let after = match request.reads() {
            true => before.clone(),
            false => own.find(&target).boxed().await.ok().flatten(),
        };
        let status = response.status();
        let event = match request.reads() {
            true => request.of_value.then_some("cdmi_read"),
            false => event(before.as_ref(), after.as_ref()),
        };
        let node = after.as_ref().or(before.as_ref());
        let user = response.extensions().get::<LoggedUser>().cloned();
        let outcome = Outcome {
            known: user.is_some(),
            events: event.filter(|_| status.is_success()).into_iter().collect(),
            status,
            time: self.store.now(),
            object: node.map(id_of),
            uri: own.uri_of_node(&target, node),
            security: matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
            data_system: false,
        };
        let mut principal = Principal::anonymous();
        if let Some(LoggedUser(user)) = user {
            principal.user = user;
        }
        let mut call = self.call_as(Arc::new(principal));
        call.method = request.method;
        for (at, watcher) in watchers.iter().enumerate() {
            if node.map(id_of) == Some(watcher.queue) {
                continue;
            }
            let told = watcher.watch.kind == Kind::Log || !outcome.events.is_empty();
            let seen = match (&after, seen.get(at)) {
                (None, Some(seen)) => seen.clone(),
                _ if told => own.seen_by(watcher, node, &mut last).boxed().await,
                _ => None,
            };
            call.tell(watcher, &outcome, seen).boxed().await;
        }
        response
    }
}
