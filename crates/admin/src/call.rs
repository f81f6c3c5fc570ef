//! Who asks, what a request says, and the way to who answers it.

use crate::answer::{Answer, nothing, problem};
use crate::operations::{self, Names, Row};
use futures::future::BoxFuture;
use http::header::{ALLOW, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use trestle_access::{Action, Asked, Context, Grant, Principal, Resource};
use trestle_core::{AccountId, Result};
use trestle_http::{
    Body, Client, LoggedUser, Presented, Problem, RequestBody, RequestId, decode, incoming, query,
    read_whole,
};
use trestle_store::{Identities, Store};

/// Largest document of a request.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Says who presents this; none when it is wrong. Whoever presents nothing is anonymous.
pub type Authenticate =
    dyn Fn(Presented) -> BoxFuture<'static, Result<Option<Arc<Principal>>>> + Send + Sync;

/// Identities over HTTP.
pub struct Admin {
    pub(crate) identities: Arc<Identities>,
    authenticate: Arc<Authenticate>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

/// One authenticated request: everything but its body.
pub(crate) struct Call<'a> {
    pub(crate) admin: &'a Admin,
    pub(crate) principal: Arc<Principal>,
    context: Arc<Context>,
    pub(crate) method: Method,
    query: Vec<(String, String)>,
    body: Option<RequestBody>,
}

impl Call<'_> {
    pub(crate) fn store(&self) -> &Store {
        self.admin.identities.store()
    }

    pub(crate) async fn grant(
        &self,
        action: Action,
        resource: Resource,
    ) -> std::result::Result<Grant, Problem> {
        let asked = Asked {
            principal: self.principal.clone(),
            action,
            resource,
            context: self.context.clone(),
        };
        self.store().authorize(asked).await.map_err(problem)
    }

    /// Adds to the circumstances that policies can ask about.
    pub(crate) fn circumstance(&mut self, key: &str, value: &str) {
        Arc::make_mut(&mut self.context).set(key, vec![value.to_owned()]);
    }

    /// The grant for an identity of an account.
    pub(crate) async fn on(
        &self,
        action: Action,
        account: &AccountId,
        word: &str,
        name: &str,
    ) -> std::result::Result<Grant, Problem> {
        let resource = Resource::Identity(account.clone(), format!("{word}/{name}"));
        self.grant(action, resource).await
    }

    /// Refuses parameters that are not of these.
    fn check_parameters(&self, known: &[&str]) -> std::result::Result<(), Problem> {
        let mut names = self.query.iter().map(|(name, _)| name.as_str());
        match names.find(|name| !known.contains(name)) {
            Some(other) => {
                let detail = format!("the parameter {other:?} is not known here");
                Err(Problem::new(StatusCode::BAD_REQUEST, detail))
            }
            None => Ok(()),
        }
    }

    /// The one value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> std::result::Result<Option<&str>, Problem> {
        let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
        let mut values = self.query.iter().filter(|(n, _)| n == name);
        let first = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            None => Ok(first),
            Some(_) => Err(bad(format!("the parameter {name:?} is given twice"))),
        }
    }

    /// The body, which must be text of a bounded size.
    pub(crate) async fn text(&mut self) -> std::result::Result<String, Problem> {
        let Some(body) = self.body.take() else {
            return Ok(String::new());
        };
        let bytes = read_whole(incoming(body), BODY_BYTES_MAX).await;
        let bytes = bytes.map_err(problem)?;
        String::from_utf8(bytes.to_vec())
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8"))
    }

    /// The body as a JSON map; an empty one is an empty map.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> std::result::Result<T, Problem> {
        parsed(&self.text().await?)
    }

    /// Refuses a body where none has a meaning.
    pub(crate) fn no_body(&self) -> std::result::Result<(), Problem> {
        match self.body.as_ref().is_none_or(RequestBody::is_empty) {
            true => Ok(()),
            false => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "this request takes no body",
            )),
        }
    }
}

/// A document as a JSON map; an empty text is an empty map.
pub(crate) fn parsed<T: DeserializeOwned>(text: &str) -> std::result::Result<T, Problem> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    if text.trim_start().starts_with('[') {
        // It would be taken by the order of the fields.
        let detail = "the body is not understood: it is a list";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    serde_json::from_str(text).map_err(|error| {
        // Of a value that does not fit the message would quote it, which may be a secret.
        let what = match error.classify() {
            serde_json::error::Category::Data => {
                let message = error.to_string();
                // It tells the place itself, which is told below.
                let message = message.rsplit_once(" at line ").map(|(what, _)| what);
                let unknown = message.filter(|what| what.starts_with("unknown field"));
                if let Some(unknown) = unknown {
                    unknown.to_owned()
                } else {
                    "a value does not fit".to_owned()
                }
            }
            _ => "it is not JSON".to_owned(),
        };
        let place = format!("line {}, column {}", error.line(), error.column());
        let detail = format!("the body is not understood: {what}, {place}");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}

/// 405. The table lets a request through only with a method that its path has.
pub(crate) fn not_allowed() -> Problem {
    let detail = "the resource does not have this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// The row of a path, and what stands in the place of its parameters.
fn find(path: &str) -> std::result::Result<(&'static Row, Names), Problem> {
    let rest = path.strip_prefix("/-/").unwrap_or_default();
    let segments: Result<Vec<String>> = rest.split('/').map(decode).collect();
    let segments = segments.map_err(problem)?;
    operations::find(&segments).ok_or_else(|| Problem::not_found("nothing is served here"))
}

fn allow(row: &Row) -> HeaderValue {
    let methods = row.methods().join(", ");
    HeaderValue::from_str(&methods).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// What a resource can do, which is no secret.
fn options(path: &str) -> Answer {
    let (row, _) = find(path)?;
    let mut response = nothing()?;
    response.headers_mut().insert(ALLOW, allow(row));
    Ok(response)
}

impl Admin {
    /// Over the identities of a store.
    pub fn new(identities: Arc<Identities>, authenticate: Arc<Authenticate>) -> Self {
        Admin {
            identities,
            authenticate,
        }
    }

    /// Whether a path is one of these resources.
    pub fn serves(path: &str) -> bool {
        let first = path
            .strip_prefix("/-/")
            .and_then(|rest| rest.split('/').next());
        first.is_some_and(operations::serves)
    }

    /// Answers a request whose path [is one of these](Self::serves).
    pub async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        if request.method() == Method::OPTIONS {
            let options = options(request.uri().path());
            return options.unwrap_or_else(Problem::into_response);
        }
        let presented = Presented::of(request.headers(), request.extensions());
        let presented = match presented {
            Ok(presented) if presented.is_nothing() => {
                return Problem::unauthorized("credentials are needed").into_response();
            }
            Ok(presented) => presented,
            Err(error) => return Problem::unauthorized(error.message()).into_response(),
        };
        let principal = match (self.authenticate)(presented).await {
            Ok(Some(principal)) if !principal.is_anonymous() => principal,
            Ok(_) => return Problem::unauthorized("the credentials are wrong").into_response(),
            Err(error) => return problem(error).into_response(),
        };
        let user = LoggedUser(principal.user.clone());
        let answered = self.route(principal, request).await;
        let mut response = answered.unwrap_or_else(Problem::into_response);
        response.extensions_mut().insert(user);
        response
    }

    async fn route(&self, principal: Arc<Principal>, request: Request<RequestBody>) -> Answer {
        let (parts, body) = request.into_parts();
        let id = parts.extensions.get::<RequestId>();
        let context = Context::at(self.identities.store().now());
        let mut context = context.of("admin", id.map(|id| id.0.as_str()));
        if let Some(client) = parts.extensions.get::<Client>() {
            context.source = Some(client.address);
            context.secure = client.secure;
        }
        context.set_headers(|name| parts.headers.get(name)?.to_str().ok());
        let (row, names) = find(parts.uri.path())?;
        if !row.methods().contains(&parts.method.as_str()) {
            return Err(not_allowed().with_header(ALLOW, allow(row)));
        }
        let call = Call {
            admin: self,
            principal,
            context: Arc::new(context),
            method: parts.method,
            query: query(parts.uri.query()).map_err(problem)?,
            body: Some(body),
        };
        call.check_parameters(&row.parameters(&call.method))?;
        (row.run)(call, names).await
    }
}
