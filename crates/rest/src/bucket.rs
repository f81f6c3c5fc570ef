//! Buckets as collections: create, delete, list.

use crate::object::{no_body, path_of, plain, tag_of, timestamp, unsupported};
use crate::route::Call;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LINK, LOCATION};
use http::{Response, StatusCode};
use serde::Serialize;
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, Error, ErrorKind, Result};
use trestle_http::{Body, query};
use trestle_store::{ListBuckets, ListObjects, ListingItem};

/// Items of a page unless the request says otherwise.
const LIMIT_DEFAULT: usize = 1000;
/// A bucket has no validator yet that the conditions of a write could be compared with.
const CONDITIONS: [&str; 3] = ["if-match", "if-none-match", "if-unmodified-since"];

// The documents, written as they are read, without a tree of values between: a page has thousands
// of them. Their fields are in the order of their names.

#[derive(Serialize)]
struct AccountPage<'a> {
    buckets: Vec<BucketItem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct BucketItem<'a> {
    created: String,
    href: String,
    name: &'a str,
}

#[derive(Serialize)]
struct BucketPage<'a> {
    bucket: &'a str,
    bytes: u64,
    items: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    objects: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Prefix {
        prefix: &'a str,
    },
    Object {
        content_type: Option<&'a str>,
        etag: String,
        href: String,
        key: &'a str,
        modified: String,
        size: u64,
    },
}

impl<'a> Item<'a> {
    fn new(bucket: &BucketName, item: &'a ListingItem) -> Self {
        match item {
            ListingItem::Prefix(prefix) => Item::Prefix { prefix },
            ListingItem::Object(object) => Item::Object {
                content_type: object
                    .representation
                    .get("content-type")
                    .map(String::as_str),
                etag: tag_of(object),
                href: path_of(bucket, Some(object.key.as_str())),
                key: object.key.as_str(),
                modified: timestamp(object.modified),
                size: object.length(),
            },
        }
    }
}

/// The parameters of a listing, each at most once and all known.
#[derive(Default)]
struct Parameters {
    prefix: String,
    delimiter: Option<String>,
    after: Option<String>,
    until: Option<String>,
    reverse: bool,
    limit: Option<usize>,
}

fn parameters(text: Option<&str>, known: &[&str]) -> Result<Parameters> {
    let mut parameters = Parameters::default();
    let mut seen = Vec::new();
    for (name, value) in query(text)? {
        if !known.contains(&name.as_str()) {
            return Err(Error::invalid(format!(
                "the parameter {name:?} is not known here"
            )));
        }
        if seen.contains(&name) {
            return Err(Error::invalid(format!(
                "the parameter {name:?} is given twice"
            )));
        }
        match name.as_str() {
            "prefix" => parameters.prefix = value,
            "delimiter" => parameters.delimiter = Some(value).filter(|value| !value.is_empty()),
            "after" => parameters.after = Some(value).filter(|value| !value.is_empty()),
            "until" => parameters.until = Some(value).filter(|value| !value.is_empty()),
            "reverse" => {
                parameters.reverse = match value.as_str() {
                    "" | "true" => true,
                    "false" => false,
                    _ => return Err(Error::invalid("reverse is true or false")),
                }
            }
            _ => {
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                let limit = value
                    .parse()
                    .ok()
                    .filter(|limit| digits && *limit <= 10_000);
                let wrong = || Error::invalid("limit is a number from 0 to 10000");
                parameters.limit = Some(limit.ok_or_else(wrong)?);
            }
        }
        seen.push(name);
    }
    Ok(parameters)
}

/// The query of the next page: the same parameters, from another place.
fn next_query(text: Option<&str>, after: &str) -> Result<String> {
    let mut pairs: Vec<(String, String)> = query(text)?
        .into_iter()
        .filter(|(name, _)| name != "after")
        .collect();
    pairs.push(("after".to_owned(), after.to_owned()));
    let escape = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();
    Ok(format!("?{}", pairs.join("&")))
}

/// Where the next page is.
fn next_target(call: &Call<'_>, next: Option<&str>) -> Result<Option<String>> {
    let uri = call.request.uri();
    next.map(|after| Ok(format!("{}{}", uri.path(), next_query(uri.query(), after)?)))
        .transpose()
}

fn page(content: &impl Serialize, next: Option<&str>) -> Result<Response<Body>> {
    let content = serde_json::to_vec(content).map_err(|error| {
        Error::new(ErrorKind::Internal, "a listing cannot be written").with_source(error)
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

pub(crate) async fn list_buckets(call: Call<'_>) -> Result<Response<Body>> {
    no_body(&call)?;
    let parameters = parameters(call.request.uri().query(), &["prefix", "after", "limit"])?;
    let account = call.account()?.clone();
    let grant = call
        .grant(Action::ListBuckets, Resource::Account(account.clone()))
        .await?;
    let list = ListBuckets {
        account,
        prefix: parameters.prefix,
        after: parameters.after,
        until: None,
        reverse: false,
        limit: parameters.limit.unwrap_or(LIMIT_DEFAULT),
    };
    let (buckets, next) = call.rest.store.list_buckets(&grant, &list).await?;
    let next = next_target(&call, next.as_deref())?;
    let content = AccountPage {
        buckets: buckets
            .iter()
            .map(|(bucket, _)| BucketItem {
                created: timestamp(bucket.created),
                href: path_of(&bucket.name, None),
                name: bucket.name.local(),
            })
            .collect(),
        next: next.as_deref(),
    };
    page(&content, next.as_deref())
}

pub(crate) async fn list(call: Call<'_>, name: BucketName) -> Result<Response<Body>> {
    no_body(&call)?;
    let known = ["prefix", "delimiter", "after", "until", "reverse", "limit"];
    let parameters = parameters(call.request.uri().query(), &known)?;
    let grant = call
        .grant(Action::ReadBucket, Resource::Bucket(name.clone()))
        .await?;
    let (_bucket, usage) = call.rest.store.bucket(&grant, &name).await?;
    let grant = call
        .grant(Action::ListObjects, Resource::Bucket(name.clone()))
        .await?;
    let list = ListObjects {
        bucket: name.clone(),
        prefix: parameters.prefix,
        delimiter: parameters.delimiter,
        after: parameters.after,
        until: parameters.until,
        reverse: parameters.reverse,
        limit: parameters.limit.unwrap_or(LIMIT_DEFAULT),
    };
    let listing = call.rest.store.list(&grant, &list).await?;
    let next = next_target(&call, listing.next.as_deref())?;
    let content = BucketPage {
        bucket: name.as_str(),
        bytes: usage.bytes,
        items: listing.items.iter().map(|i| Item::new(&name, i)).collect(),
        next: next.as_deref(),
        objects: usage.objects,
    };
    page(&content, next.as_deref())
}

pub(crate) async fn create(call: Call<'_>, name: BucketName) -> Result<Response<Body>> {
    plain(&call)?;
    if let Some(refused) = unsupported(&call, &CONDITIONS) {
        return Ok(refused);
    }
    let grant = call
        .grant(Action::CreateBucket, Resource::Bucket(name.clone()))
        .await?;
    call.rest.store.create_bucket(&grant, &name).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::from_str(&path_of(&name, None)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(crate) async fn delete(call: Call<'_>, name: BucketName) -> Result<Response<Body>> {
    plain(&call)?;
    if let Some(refused) = unsupported(&call, &CONDITIONS) {
        return Ok(refused);
    }
    let grant = call
        .grant(Action::DeleteBucket, Resource::Bucket(name.clone()))
        .await?;
    call.rest.store.delete_bucket(&grant, &name).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
