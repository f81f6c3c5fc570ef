//! A resource's methods as HTTP: what is asked of the type, in which order, and what is answered.
//!
//! A change holds the lock of its item from the look at the present state to the change itself, so
//! a condition that held cannot have stopped holding.

use crate::accept::negotiate;
use crate::body::Body;
use crate::conditional::parse_precondition;
use crate::idempotency::{self, Ledger, Way};
use crate::merge_patch::{MERGE_PATCH, merge_patch};
use crate::parameters::Parameterized;
use crate::problem::Problem;
use crate::receive::read_whole;
use crate::resource::{Call, Methods, Page, Resource};
use crate::selected::Selected;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED, LINK,
    LOCATION, VARY,
};
use http::{Method, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use trestle_core::{Precondition, Verdict};

type Answer = Result<Response<Body>, Problem>;

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
/// Items of a page unless the request says otherwise, and most of them.
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;
/// Changes of items whose ids fall together wait for each other.
const LOCKS: usize = 64;
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// What a route needs of the application.
pub(crate) struct Around<'a> {
    pub(crate) ledger: &'a dyn Ledger,
    pub(crate) boundary: String,
}

/// A resource of any type.
pub(crate) trait Served: Send + Sync {
    fn methods(&self) -> Methods;
    fn schema(&self) -> Value;
    fn filters(&self) -> &'static [&'static str];
    fn answer<'a>(
        &'a self,
        call: &'a Call,
        id: Option<&'a str>,
        body: BoxStream<'static, trestle_core::Result<Bytes>>,
        around: Around<'a>,
    ) -> BoxFuture<'a, Answer>;
}

/// A resource with the locks of its items.
pub(crate) struct Serving<R> {
    resource: R,
    methods: Methods,
    locks: Vec<Mutex<()>>,
}

impl<R: Resource> Serving<R> {
    pub(crate) fn new(resource: R) -> Self {
        Serving {
            resource,
            methods: Methods::of::<R>(),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        }
    }
}

impl<R: Resource> Served for Serving<R> {
    fn methods(&self) -> Methods {
        self.methods
    }

    fn schema(&self) -> Value {
        R::schema()
    }

    fn filters(&self) -> &'static [&'static str] {
        R::FILTERS
    }

    fn answer<'a>(
        &'a self,
        call: &'a Call,
        id: Option<&'a str>,
        body: BoxStream<'static, trestle_core::Result<Bytes>>,
        around: Around<'a>,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let allowed = self.methods.names(id.is_some());
            if !allowed.contains(&call.method.as_str()) {
                let detail = "the resource does not have this method";
                return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
                    .with_header(ALLOW, join(&allowed)));
            }
            match (call.method.as_str(), id) {
                ("OPTIONS", _) => Ok(self.options(&allowed)),
                (_, None) if call.method == Method::POST => self.post(call, body, around).await,
                (_, None) => self.list(call, &around).await,
                (_, Some(id)) => {
                    // Before anything is read of a request for what cannot be.
                    drop(self.id(id)?);
                    match call.method.as_str() {
                        "PUT" => self.put(call, id, body).await,
                        "PATCH" => self.patch(call, id, body).await,
                        "DELETE" => self.delete(call, id).await,
                        _ => self.get(call, id, &around).await,
                    }
                }
            }
        })
    }
}

impl<R: Resource> Serving<R> {
    fn options(&self, allowed: &[&'static str]) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ALLOW, join(allowed));
        if allowed.contains(&"POST") {
            headers.insert(ACCEPT_POST, HeaderValue::from_static(JSON));
        }
        if allowed.contains(&"PATCH") {
            headers.insert(ACCEPT_PATCH, HeaderValue::from_static(MERGE_PATCH));
        }
        response
    }

    async fn list(&self, call: &Call, around: &Around<'_>) -> Answer {
        let page = page(call, R::FILTERS)?;
        accept(call, &[JSON])?;
        let listing = self.resource.list(page, call).await?;
        let selected = Selected {
            bytes: encode(&listing.items)?,
            content_type: JSON,
            modified: None,
            cache_control: R::CACHE_CONTROL,
            vary: None,
        };
        let mut response = selected.answer(&call.method, &call.headers, &around.boundary)?;
        if let Some(Ok(link)) = listing.next.map(|next| next_link(call, &next)) {
            response.headers_mut().insert(LINK, link);
        }
        Ok(response)
    }

    async fn post(
        &self,
        call: &Call,
        body: BoxStream<'static, trestle_core::Result<Bytes>>,
        around: Around<'_>,
    ) -> Answer {
        if !parse_precondition(&call.headers)?.is_none() {
            let detail = "conditions on a POST are not supported";
            return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, detail));
        }
        accept(call, &[JSON])?;
        of_type(call, JSON, ACCEPT_POST)?;
        let body = read_whole(body, R::BODY_BYTES_MAX).await?;
        let claimed =
            match idempotency::claim(around.ledger, &call.path, &call.headers, &body).await? {
                Way::Answer(response) => return Ok(response),
                Way::Do(claimed) => claimed,
            };
        let answer = self.post_now(call, &body).await;
        let Some(claimed) = claimed else {
            return answer;
        };
        let response = answer.unwrap_or_else(Problem::into_response);
        claimed.settle(around.ledger, &response).await?;
        Ok(response)
    }

    async fn post_now(&self, call: &Call, body: &[u8]) -> Answer {
        let (id, item) = self.resource.post(decode_item(body)?, call).await?;
        let mut response = self.changed(&item, StatusCode::CREATED)?;
        let path = call.path.trim_end_matches('/');
        let id = utf8_percent_encode(&id.to_string(), NON_ALPHANUMERIC).to_string();
        if let Ok(location) = HeaderValue::from_str(&format!("{path}/{id}")) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }

    async fn get(&self, call: &Call, id: &str, around: &Around<'_>) -> Answer {
        let item = self.resource.get(self.id(id)?, call).await?;
        let html = self.resource.html(&item);
        let offers: &[&'static str] = if html.is_some() {
            &[JSON, HTML]
        } else {
            &[JSON]
        };
        let content_type = accept(call, offers)?;
        let selected = match html {
            Some(html) if content_type == HTML => Selected {
                bytes: html.into(),
                content_type,
                modified: self.resource.modified(&item),
                cache_control: R::CACHE_CONTROL,
                vary: Some("Accept"),
            },
            html => Selected {
                vary: html.map(|_| "Accept"),
                ..self.selected(&item)?
            },
        };
        selected.answer(&call.method, &call.headers, &around.boundary)
    }

    async fn put(
        &self,
        call: &Call,
        id: &str,
        body: BoxStream<'static, trestle_core::Result<Bytes>>,
    ) -> Answer {
        of_type(call, JSON, ACCEPT)?;
        let item: R::Item = decode_item(&read_whole(body, R::BODY_BYTES_MAX).await?)?;
        let _held = self.lock(id).lock().await;
        let current = self.present(call, id).await?;
        let item = self.resource.put(self.id(id)?, item, call).await?;
        // Where there is no `get`, nobody knows what was there.
        let created = self.methods.get && current.is_none();
        let status = if created {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        self.changed(&item, status)
    }

    async fn patch(
        &self,
        call: &Call,
        id: &str,
        body: BoxStream<'static, trestle_core::Result<Bytes>>,
    ) -> Answer {
        of_type(call, MERGE_PATCH, ACCEPT_PATCH)?;
        let patch = parse(&read_whole(body, R::BODY_BYTES_MAX).await?)?;
        let _held = self.lock(id).lock().await;
        let current = self.present(call, id).await?;
        let item = if Methods::own_patch::<R>() {
            self.resource.patch(self.id(id)?, patch, call).await?
        } else {
            let current = current.ok_or_else(|| Problem::not_found("there is no such item"))?;
            let mut document = serde_json::to_value(&current).map_err(|_| unwritable())?;
            merge_patch(&mut document, patch);
            let item = serde_json::from_value(document).map_err(|error| unfit(&error))?;
            self.resource.put(self.id(id)?, item, call).await?
        };
        self.changed(&item, StatusCode::OK)
    }

    async fn delete(&self, call: &Call, id: &str) -> Answer {
        let _held = self.lock(id).lock().await;
        self.present(call, id).await?;
        self.resource.delete(self.id(id)?, call).await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    /// What is there now, where it is known; an error when the conditions forbid the change.
    async fn present(&self, call: &Call, id: &str) -> Result<Option<R::Item>, Problem> {
        let mut precondition = parse_precondition(&call.headers)?;
        precondition.if_modified_since = None;
        if precondition.is_none() && R::CONDITIONS_REQUIRED {
            let detail = "say which state you change: send If-Match with its ETag";
            return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, detail));
        }
        if !self.methods.get {
            return if precondition.is_none() {
                Ok(None)
            } else {
                let detail = "conditions need a resource that can be read";
                Err(Problem::new(StatusCode::NOT_IMPLEMENTED, detail))
            };
        }
        let current = match self.resource.get(self.id(id)?, call).await {
            Ok(item) => Some(item),
            Err(problem) if problem.status() == StatusCode::NOT_FOUND => None,
            Err(problem) => return Err(problem),
        };
        self.check(&mut precondition, current.as_ref())?;
        Ok(current)
    }

    fn check(
        &self,
        precondition: &mut Precondition,
        current: Option<&R::Item>,
    ) -> Result<(), Problem> {
        if precondition.is_none() {
            return Ok(());
        }
        let validators = match current {
            Some(item) => Some(self.selected(item)?.validators(precondition)),
            None => None,
        };
        match precondition.for_write(validators.as_ref()) {
            Verdict::Proceed => Ok(()),
            _ => Err(Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "the item is not in the state that the request is for",
            )),
        }
    }

    fn lock(&self, id: &str) -> &Mutex<()> {
        static SPARE: Mutex<()> = Mutex::const_new(());
        let digest = Sha256::digest(id);
        let place = digest.first().map_or(0, |byte| usize::from(*byte)) % LOCKS;
        self.locks.get(place).unwrap_or(&SPARE)
    }

    fn id(&self, text: &str) -> Result<R::Id, Problem> {
        text.parse()
            .map_err(|_| Problem::not_found("there is no such item"))
    }

    fn selected(&self, item: &R::Item) -> Result<Selected, Problem> {
        Ok(Selected {
            bytes: encode(item)?,
            content_type: JSON,
            modified: self.resource.modified(item),
            cache_control: R::CACHE_CONTROL,
            vary: None,
        })
    }

    /// The answer to a change: the item as it is now, with its validators.
    fn changed(&self, item: &R::Item, status: StatusCode) -> Answer {
        let selected = self.selected(item)?;
        let mut response = Response::new(Body::full(selected.bytes.clone()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", selected.tag())) {
            headers.insert(ETAG, tag);
        }
        let date = selected.modified.map(crate::conditional::http_date);
        if let Some(Ok(date)) = date.map(|date| HeaderValue::from_str(&date)) {
            headers.insert(LAST_MODIFIED, date);
        }
        Ok(response)
    }
}

pub(crate) fn join(names: &[&'static str]) -> HeaderValue {
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

fn unwritable() -> Problem {
    tracing::error!("an item cannot be written as JSON");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed")
}

fn encode(item: &impl Serialize) -> Result<Bytes, Problem> {
    serde_json::to_vec(item)
        .map(Bytes::from)
        .map_err(|_| unwritable())
}

/// 422 for JSON that is no item.
fn unfit(error: &serde_json::Error) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        format!("this is not an item: {error}"),
    )
}

fn parse(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body is not JSON: {error}"),
        )
    })
}

fn decode_item<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            return unfit(&error);
        }
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body is not JSON: {error}"),
        )
    })
}

fn accept<'a>(call: &Call, offers: &[&'a str]) -> Result<&'a str, Problem> {
    negotiate(&call.headers, offers)?.ok_or_else(|| {
        let offered = offers.join(", ");
        let problem = Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            format!("there is only {offered}"),
        );
        problem.with_header(VARY, HeaderValue::from_static("Accept"))
    })
}

/// Refuses a body of another type, and says in `told` which one is taken.
fn of_type(call: &Call, wanted: &'static str, told: HeaderName) -> Result<(), Problem> {
    let value = call.headers.get(CONTENT_TYPE).map(HeaderValue::to_str);
    let right = matches!(value, Some(Ok(text)) if Parameterized::parse(text)
        .is_ok_and(|parsed| parsed.value.eq_ignore_ascii_case(wanted)));
    if right {
        return Ok(());
    }
    let detail = format!("the body's Content-Type must be {wanted}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
        .with_header(told, HeaderValue::from_static(wanted)))
}

fn page(call: &Call, filters: &[&str]) -> Result<Page, Problem> {
    let mut page = Page {
        after: None,
        limit: PAGE_DEFAULT,
    };
    let mut seen = Vec::new();
    for (name, value) in &call.query {
        let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
        if seen.contains(&name) {
            return Err(bad(format!("the parameter {name:?} is given twice")));
        }
        seen.push(name);
        match name.as_str() {
            "after" => page.after = Some(value.clone()),
            "limit" => {
                let limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=PAGE_MAX).contains(limit));
                page.limit =
                    limit.ok_or_else(|| bad(format!("limit is a number from 1 to {PAGE_MAX}")))?;
            }
            name if filters.contains(&name) => {}
            _ => return Err(bad(format!("the parameter {name:?} is not known here"))),
        }
    }
    Ok(page)
}

fn next_link(call: &Call, next: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let kept = call.query.iter().filter(|(name, _)| name != "after");
    let pairs = kept.map(|(name, value)| format!("{}={}&", escape(name), escape(value)));
    let query: String = pairs.collect();
    HeaderValue::from_str(&format!(
        "<{}?{query}after={}>; rel=\"next\"",
        call.path,
        escape(next)
    ))
}
