//! Which resource a URL names, who asks, and which methods it has.

use crate::error::{answer, unauthorized};
use crate::{bucket, object};
use futures::future::BoxFuture;
use http::header::{ALLOW, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;
use trestle_access::{Action, Asked, Context, Grant, Principal, Resource};
use trestle_core::{AccountId, BucketName, Error, ErrorKind, Key, Noun, Result, Timestamp};
use trestle_http::{Body, Client, Presented, Problem, decode, query};
use trestle_store::Store;

/// Says who presents this; none when it is wrong. Whoever presents nothing is anonymous.
pub type Authenticate =
    dyn Fn(Presented) -> BoxFuture<'static, Result<Option<Arc<Principal>>>> + Send + Sync;

/// The dialect.
pub struct Rest {
    pub(crate) store: Arc<Store>,
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
    pub(crate) request: Request<Incoming>,
}

impl Call<'_> {
    pub(crate) async fn grant(&self, action: Action, resource: Resource) -> Result<Grant> {
        let asked = Asked {
            principal: self.principal.clone(),
            action,
            resource,
            context: self.context.clone(),
        };
        self.rest.store.authorize(asked).await
    }

    pub(crate) fn account(&self) -> Result<&AccountId> {
        let anonymous = || Error::new(ErrorKind::Forbidden, "anonymous access is not allowed");
        self.principal.account().ok_or_else(anonymous)
    }
}

/// The circumstances of a request, by the names that policies give them.
fn context(now: Timestamp, request: &Request<Incoming>) -> Context {
    let mut context = Context::at(now);
    if let Some(client) = request.extensions().get::<Client>() {
        context.source = Some(client.address);
        context.secure = client.secure;
    }
    for (header, key) in [("user-agent", "aws:UserAgent"), ("referer", "aws:Referer")] {
        let value = request.headers().get(header);
        if let Some(Ok(text)) = value.map(|value| value.to_str()) {
            context.set(key, vec![text.to_owned()]);
        }
    }
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
enum Target {
    Service,
    Bucket(BucketName),
    Object(BucketName, Key),
}

fn target(path: &str) -> Result<Target> {
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

/// 405 with the methods that the resource has.
fn not_allowed(allowed: &'static str) -> Response<Body> {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "the resource does not have this method",
    )
    .with_header(ALLOW, HeaderValue::from_static(allowed))
    .into_response()
}

impl Rest {
    /// The dialect over a store.
    pub fn new(store: Arc<Store>, authenticate: Arc<Authenticate>) -> Self {
        Rest {
            store,
            authenticate,
        }
    }

    /// Answers a request whose path is `/rest` or lies below it.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let presented = match Presented::of(request.headers(), request.extensions()) {
            Ok(presented) => presented,
            Err(error) => return unauthorized(error.message()),
        };
        match (self.authenticate)(presented).await {
            Ok(Some(principal)) => self.route(principal, request).await,
            Ok(None) => unauthorized("the credentials are wrong"),
            Err(error) => answer(&error),
        }
    }

    async fn route(&self, principal: Arc<Principal>, request: Request<Incoming>) -> Response<Body> {
        let target = match target(request.uri().path()) {
            Ok(target) => target,
            Err(error) => return answer(&error),
        };
        let method = request.method().clone();
        let anonymous = principal.is_anonymous();
        let call = Call {
            rest: self,
            principal,
            context: Arc::new(context(self.store.now(), &request)),
            request,
        };
        let answered = match target {
            Target::Service => match method {
                Method::GET | Method::HEAD => bucket::list_buckets(call).await,
                _ => return not_allowed("GET, HEAD"),
            },
            Target::Bucket(name) => match method {
                Method::GET | Method::HEAD => bucket::list(call, name).await,
                Method::PUT => bucket::create(call, name).await,
                Method::DELETE => bucket::delete(call, name).await,
                _ => return not_allowed("GET, HEAD, PUT, DELETE"),
            },
            Target::Object(bucket, key) => match method {
                Method::GET => object::get(call, bucket, key).await,
                Method::HEAD => object::head(call, bucket, key).await,
                Method::PUT => object::put(call, bucket, key).await,
                Method::DELETE => object::delete(call, bucket, key).await,
                _ => return not_allowed("GET, HEAD, PUT, DELETE"),
            },
        };
        answered.unwrap_or_else(|error| match error.kind() {
            // Whether a bucket exists is not for everybody to know.
            ErrorKind::Forbidden | ErrorKind::NotFound(Noun::Bucket) if anonymous => {
                unauthorized("credentials are needed")
            }
            _ => answer(&error),
        })
    }
}
