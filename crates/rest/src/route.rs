//! Which resource a URL names, who asks, and which methods it has.

use crate::cors;
use crate::events::Streams;
use crate::operations::{self, Place, Run};
use crate::parameters::Parameters;
use crate::refusal::{Answer, Refusal};
use crate::representation::{check_digests, expected_digests, tags};
use crate::upload::{self, Writing};
use crate::write;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LINK,
};
use http::{Method, Request, Response, StatusCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use trestle_access::{Action, Asked, Context, Grant, Principal, Resource};
use trestle_core::{AccountId, BucketName, Error, ErrorKind, Key, Noun, Result, Timestamp};
use trestle_http::{
    Body, Client, CorsRequest, LoggedUser, Presented, Problem, RequestBody, RequestId, decode,
    incoming, query, read_whole,
};
use trestle_store::{ObjectProperties, Store, VersionRef};

/// Where transactions are sent to.
pub(crate) const TRANSACTIONS: &str = "/-/transactions";
/// Where snapshots are made.
pub(crate) const SNAPSHOTS: &str = "/-/snapshots";
/// Where clones are made.
pub(crate) const CLONES: &str = "/-/clones";

/// Says who presents this; none when it is wrong. Whoever presents nothing is anonymous.
pub type Authenticate =
    dyn Fn(Presented) -> BoxFuture<'static, Result<Option<Arc<Principal>>>> + Send + Sync;

/// The dialect.
pub struct Rest {
    pub(crate) store: Arc<Store>,
    pub(crate) writing: Writing,
    pub(crate) streams: Arc<Streams>,
    authenticate: Arc<Authenticate>,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rest")
    }
}

/// One authenticated request.
pub(crate) struct Call<'a> {
    pub(crate) rest: &'a Rest,
    pub(crate) principal: Arc<Principal>,
    pub(crate) context: Arc<Context>,
    /// The query, as the operation takes it.
    pub(crate) parameters: Parameters,
    pub(crate) request: Request<RequestBody>,
}

impl Asker<'_> {
    /// Refuses tags to who may not set any: policies can speak of them.
    pub(crate) async fn check_tags(
        &self,
        properties: &ObjectProperties,
        written: &Grant,
    ) -> Result<()> {
        if !properties.tags.is_empty() {
            let of = written.resource().clone();
            self.grant(Action::WriteObjectTags, of).await?;
        }
        Ok(())
    }
}

impl<'a> Call<'a> {
    /// What is asked of whoever decides.
    pub(crate) fn asked(&self, action: Action, resource: Resource) -> Asked {
        Asked {
            principal: self.principal.clone(),
            action,
            resource,
            context: self.context.clone(),
        }
    }

    /// The same, asking as who gives an object the tags of the headers. Tags that cannot be read are
    /// refused where they are used.
    #[must_use]
    pub(crate) fn tagging(mut self) -> Self {
        if let Ok(tags) = tags(self.request.headers()) {
            self.context = tagged(self.context, &tags);
        }
        self
    }

    pub(crate) async fn grant(&self, action: Action, resource: Resource) -> Result<Grant> {
        self.rest
            .store
            .authorize(self.asked(action, resource))
            .await
    }

    /// Takes a member out of a document unless the caller may read it.
    pub(crate) async fn hide_unless(
        &self,
        of: (Action, Resource, VersionRef),
        member: &str,
        document: &mut serde_json::Value,
    ) -> Result<()> {
        self.asker().hide_unless(of, member, document).await
    }

    /// Who asks.
    pub(crate) fn asker(&self) -> Asker<'a> {
        Asker {
            rest: self.rest,
            principal: self.principal.clone(),
            context: self.context.clone(),
        }
    }

    /// The body, and who asks: a body that is being read can be held by one task alone.
    pub(crate) fn split(self) -> (Asker<'a>, RequestBody) {
        let asker = Asker {
            rest: self.rest,
            principal: self.principal,
            context: self.context,
        };
        (asker, self.request.into_body())
    }

    /// The whole body, a document, and who asks. Its digests are held against it, and headers whose
    /// meaning is not there are refused.
    pub(crate) async fn document(self, bytes_max: usize) -> Answer<(Asker<'a>, Bytes)> {
        unsupported(&self, &write::UNSUPPORTED)?;
        let expected = expected_digests(self.request.headers())?;
        let (asker, body) = self.split();
        let body = read_whole(incoming(body), bytes_max).await?;
        check_digests(&expected, &body)?;
        Ok((asker, body))
    }

    pub(crate) fn account(&self) -> Result<&AccountId> {
        let anonymous = || Error::new(ErrorKind::Forbidden, "anonymous access is not allowed");
        self.principal.account().ok_or_else(anonymous)
    }
}

/// Who asks, when the request itself is gone.
pub(crate) struct Asker<'a> {
    pub(crate) rest: &'a Rest,
    principal: Arc<Principal>,
    context: Arc<Context>,
}

impl<'a> Asker<'a> {
    /// The same, as who gives an object these tags: policies can speak of them.
    pub(crate) fn tagging(&self, tags: &BTreeMap<String, String>) -> Asker<'a> {
        Asker {
            rest: self.rest,
            principal: self.principal.clone(),
            context: tagged(self.context.clone(), tags),
        }
    }
}

/// The circumstances of who gives an object these tags.
fn tagged(context: Arc<Context>, tags: &BTreeMap<String, String>) -> Arc<Context> {
    match tags.is_empty() {
        true => context,
        false => Arc::new(Context::clone(&context).with_tags(tags)),
    }
}

impl Asker<'_> {
    pub(crate) async fn grant(&self, action: Action, resource: Resource) -> Result<Grant> {
        let asked = Asked {
            principal: self.principal.clone(),
            action,
            resource,
            context: self.context.clone(),
        };
        self.rest.store.authorize(asked).await
    }

    /// Whether there is a right that no verb is given: of an object, by the list of this version.
    pub(crate) async fn may(
        &self,
        action: Action,
        resource: Resource,
        version: VersionRef,
    ) -> Result<bool> {
        let asked = Asked {
            principal: self.principal.clone(),
            action,
            resource,
            context: self.context.clone(),
        };
        let store = &self.rest.store;
        let decided = match asked.resource {
            Resource::Object(..) => store.authorize_on(asked, version).await,
            _ => store.authorize(asked).await,
        };
        match decided {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Forbidden => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes a member out of a document unless who asks may read it.
    pub(crate) async fn hide_unless(
        &self,
        (action, resource, version): (Action, Resource, VersionRef),
        member: &str,
        document: &mut serde_json::Value,
    ) -> Result<()> {
        if !self.may(action, resource, version).await? {
            document
                .as_object_mut()
                .and_then(|members| members.remove(member));
        }
        Ok(())
    }
}

/// The circumstances of a request, by the names that policies give them.
fn context(now: Timestamp, request: &Request<RequestBody>) -> Context {
    let id = request.extensions().get::<RequestId>();
    let mut context = Context::at(now).of("rest", id.map(|id| id.0.as_str()));
    if let Some(client) = request.extensions().get::<Client>() {
        context.source = Some(client.address);
        context.secure = client.secure;
    }
    context.set_headers(|name| request.headers().get(name)?.to_str().ok());
    // What cannot be read is refused where it is used.
    for (name, value) in query(request.uri().query()).unwrap_or_default() {
        match name.as_str() {
            "prefix" => context.set("s3:prefix", vec![value]),
            "delimiter" => context.set("s3:delimiter", vec![value]),
            "limit" => context.set("s3:max-keys", vec![value]),
            _ => {}
        }
    }
    context
}

/// What a path names.
pub(crate) enum Target {
    Transactions,
    Snapshots,
    Clones,
    Service,
    Bucket(BucketName),
    Object(BucketName, Key),
}

pub(crate) fn target(path: &str) -> Result<Target> {
    match path {
        TRANSACTIONS => return Ok(Target::Transactions),
        SNAPSHOTS => return Ok(Target::Snapshots),
        CLONES => return Ok(Target::Clones),
        _ => {}
    }
    let rest = path.strip_prefix("/rest").unwrap_or_default();
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    // `~account/bucket` is a bucket as its account knows it.
    let (account, rest) = match rest.strip_prefix('~').and_then(|rest| rest.split_once('/')) {
        Some((account, rest)) => (Some(AccountId::parse(decode(account)?)?), rest),
        None => (None, rest),
    };
    let parse = |name: &str| match &account {
        Some(account) => BucketName::in_account(account, &decode(name)?),
        None => BucketName::parse(decode(name)?),
    };
    let Some((bucket, key)) = rest.split_once('/') else {
        if rest.is_empty() && account.is_none() {
            return Ok(Target::Service);
        }
        return Ok(Target::Bucket(parse(rest)?));
    };
    let bucket = parse(bucket)?;
    if key.is_empty() {
        return Ok(Target::Bucket(bucket));
    }
    Ok(Target::Object(bucket, Key::parse(decode(key)?)?))
}

impl Target {
    fn bucket(&self) -> Option<&BucketName> {
        match self {
            Target::Service | Target::Transactions | Target::Snapshots | Target::Clones => None,
            Target::Bucket(bucket) | Target::Object(bucket, _) => Some(bucket),
        }
    }

    fn place(&self) -> Place {
        match self {
            Target::Transactions => Place::Transactions,
            Target::Snapshots => Place::Snapshots,
            Target::Clones => Place::Clones,
            Target::Service => Place::Service,
            Target::Bucket(_) => Place::Bucket,
            Target::Object(_, key) if key.as_str().ends_with('/') => Place::Folder,
            Target::Object(..) => Place::Object,
        }
    }
}

/// Refuses headers whose meaning is not there.
pub(crate) fn unsupported(call: &Call<'_>, names: &[&str]) -> Answer<()> {
    let headers = call.request.headers();
    match names.iter().find(|name| headers.contains_key(**name)) {
        Some(name) => Err(Refusal::unsupported(format!(
            "{name} is not supported here"
        ))),
        None => Ok(()),
    }
}

/// A JSON document, with a link to the next page when there is one.
pub(crate) fn page(content: &impl serde::Serialize, next: Option<&str>) -> Answer {
    let content = serde_json::to_vec(content).map_err(|error| {
        Error::new(ErrorKind::Internal, "a document cannot be written").with_source(error)
    })?;
    let mut response = Response::new(Body::full(content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(Ok(value)) = next.map(|n| HeaderValue::from_str(&format!("<{n}>; rel=\"next\""))) {
        headers.insert(LINK, value);
    }
    Ok(response)
}

/// Who may not act anonymously is asked for credentials.
fn refused(call_is_anonymous: bool, refusal: Refusal) -> Response<Body> {
    match &refusal {
        // Whether a bucket exists is not for everybody to know.
        Refusal::Error(error)
            if call_is_anonymous
                && matches!(
                    error.kind(),
                    ErrorKind::Forbidden | ErrorKind::NotFound(Noun::Bucket)
                ) =>
        {
            Problem::unauthorized("credentials are needed").into_response()
        }
        _ => refusal.into_response(),
    }
}

impl Rest {
    /// The dialect over a store.
    pub fn new(store: Arc<Store>, authenticate: Arc<Authenticate>) -> Self {
        Rest {
            store,
            authenticate,
            writing: Writing::default(),
            streams: Arc::default(),
        }
    }

    /// Whether a path outside of `/rest` belongs to this dialect.
    pub fn serves(path: &str) -> bool {
        [TRANSACTIONS, SNAPSHOTS, CLONES].contains(&path)
    }

    /// Answers a request whose path is `/rest`, lies below it, or [is one of its own](Self::serves).
    pub async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        let presented = match Presented::of(request.headers(), request.extensions()) {
            Ok(presented) => presented,
            Err(error) => return Problem::unauthorized(error.message()).into_response(),
        };
        let principal = match (self.authenticate)(presented).await {
            Ok(Some(principal)) => principal,
            Ok(None) => return Problem::unauthorized("the credentials are wrong").into_response(),
            Err(error) => return Problem::from(error).into_response(),
        };
        let known = !principal.is_anonymous();
        let user = known.then(|| LoggedUser(principal.user.clone()));
        let mut response = self.route(principal, request).await;
        if let Some(user) = user {
            response.extensions_mut().insert(user);
        }
        response
    }

    async fn route(
        &self,
        principal: Arc<Principal>,
        request: Request<RequestBody>,
    ) -> Response<Body> {
        let target = match target(request.uri().path()) {
            Ok(target) => target,
            Err(error) => return Problem::from(error).into_response(),
        };
        let place = target.place();
        let asked = match CorsRequest::of(request.method(), request.headers()) {
            Ok(asked) => asked,
            Err(error) => return Problem::from(error).into_response(),
        };
        let bucket = target.bucket().cloned();
        let anonymous = principal.is_anonymous();
        let mut response = if request.method() == Method::OPTIONS {
            options(place)
        } else {
            let answered = self.dispatch(principal, request, target).await;
            answered.unwrap_or_else(|refusal| refused(anonymous, refusal))
        };
        if let (Some(asked), Some(bucket)) = (asked, bucket) {
            cors::admit(&self.store, &bucket, &asked, &mut response).await;
        }
        response
    }

    async fn dispatch(
        &self,
        principal: Arc<Principal>,
        request: Request<RequestBody>,
        target: Target,
    ) -> Answer {
        let (row, parameters) = operations::find(target.place(), &request)?;
        operations::check_body(row, &request)?;
        operations::check_headers(row, &request)?;
        let call = Call {
            rest: self,
            principal,
            context: Arc::new(context(self.store.now(), &request)),
            parameters,
            request,
        };
        match (row.run, target) {
            (
                Run::Service(run),
                Target::Service | Target::Transactions | Target::Snapshots | Target::Clones,
            ) => run(call).await,
            (Run::Bucket(run), Target::Bucket(name)) => run(call, name).await,
            (Run::Object(run), Target::Object(bucket, key)) => run(call, bucket, key).await,
            (_, target) => Err(operations::not_allowed(target.place())),
        }
    }
}

/// What a resource can do, which is no secret.
fn options(place: Place) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW, operations::allow(place));
    let accept_patch = HeaderName::from_static("accept-patch");
    match place {
        Place::Service | Place::Transactions | Place::Snapshots | Place::Clones => {}
        Place::Bucket => drop(headers.insert(
            accept_patch,
            HeaderValue::from_static(trestle_http::MERGE_PATCH),
        )),
        Place::Folder | Place::Object => {
            headers.insert(accept_patch, write::ACCEPT_PATCH);
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
    }
    if !matches!(
        place,
        Place::Service | Place::Transactions | Place::Snapshots | Place::Clones
    ) {
        upload::describe(headers);
    }
    response
}
