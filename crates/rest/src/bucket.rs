//! Buckets as collections: create, delete, list.

use crate::document::{self, BUCKET_MEMBERS};
use crate::events::{self, EVENT_STREAM};
use crate::refusal::{Answer, Refusal};
use crate::representation::{path_of, tag_of, timestamp};
use crate::route::{Call, page, unsupported};
use crate::{html, write};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LINK, LOCATION, VARY};
use http::{Response, StatusCode};
use serde::Serialize;
use trestle_access::{Action, Resource};
use trestle_core::BucketName;
use trestle_http::{Body, MERGE_PATCH, Problem, negotiate};
use trestle_store::{Bucket, ListBuckets, ListObjects, ListingItem, VersionRef};

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
/// Largest merge patch.
const PATCH_BYTES_MAX: usize = 256 << 10;
/// A bucket has no validator yet that the conditions of a write could be compared with.
const CONDITIONS: [&str; 3] = ["if-match", "if-none-match", "if-unmodified-since"];

// The documents, written as they are read, without a tree of values between: a page has thousands
// of them. Their fields are in the order of their names.

#[derive(Serialize)]
struct AccountPage<'a> {
    buckets: Vec<BucketItem<'a>>,
    links: Links,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

/// Where else to go.
#[derive(Serialize)]
struct Links {
    client: &'static str,
    describedby: &'static str,
    documentation: &'static str,
    health: &'static str,
}

const LINKS: Links = Links {
    client: "/-/client.js",
    describedby: "/-/openapi.json",
    documentation: "/-/docs",
    health: "/healthz",
};

#[derive(Serialize)]
struct BucketItem<'a> {
    bytes: u64,
    created: String,
    href: String,
    name: &'a str,
    objects: u64,
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

/// Where the next page is.
fn next_target(call: &Call<'_>, next: Option<&str>) -> Option<String> {
    let next = next?;
    let query = call.parameters.with(&[("after", Some(next))]);
    Some(format!("{}{query}", call.request.uri().path()))
}

/// Adds where the first page is, when this is another one.
fn with_first(call: &Call<'_>, mut response: Response<Body>) -> Answer {
    if call.parameters.get("after").is_some() {
        let query = call.parameters.with(&[("after", None)]);
        let path = call.request.uri().path();
        let query = query.strip_suffix('?').unwrap_or(&query);
        let link = format!("<{path}{query}>; rel=\"first\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().append(LINK, link);
        }
    }
    Ok(response)
}

fn conditions_refused(call: &Call<'_>) -> Answer<()> {
    unsupported(call, &CONDITIONS)
}

/// The service document: the account's buckets, and where everything else is.
pub(crate) async fn list_buckets(call: Call<'_>) -> Answer {
    let parameters = &call.parameters;
    let form = form(&call, &[JSON, HTML])?;
    let account = call.account()?.clone();
    let resource = Resource::Account(account.clone());
    let grant = call.grant(Action::ListBuckets, resource).await?;
    let list = ListBuckets {
        account,
        prefix: parameters.get("prefix").unwrap_or_default().to_owned(),
        after: parameters.text("after"),
        until: None,
        reverse: false,
        limit: parameters.limit()?,
    };
    let (buckets, next) = call.rest.store.list_buckets(&grant, &list).await?;
    let next = next_target(&call, next.as_deref());
    let content = AccountPage {
        buckets: buckets
            .iter()
            .map(|(bucket, usage)| BucketItem {
                bytes: usage.bytes,
                created: timestamp(bucket.created),
                href: path_of(&bucket.name, None),
                name: bucket.name.as_str(),
                objects: usage.objects,
            })
            .collect(),
        links: LINKS,
        next: next.as_deref(),
    };
    if form == HTML {
        return html::buckets(&buckets, next.as_deref());
    }
    with_first(&call, varying(page(&content, next.as_deref())?)?)
}

/// The form that the client wants most; 406 when it wants none of them.
fn form(call: &Call<'_>, offers: &[&'static str]) -> Answer<&'static str> {
    negotiate(call.request.headers(), offers)?.ok_or_else(|| {
        let detail = format!("there is only {}", offers.join(", "));
        Refusal::Problem(
            Problem::new(StatusCode::NOT_ACCEPTABLE, detail)
                .with_header(VARY, HeaderValue::from_static("Accept")),
        )
    })
}

fn varying(mut response: Response<Body>) -> Answer {
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// Objects of a bucket, or what happens in it.
pub(crate) async fn list(call: Call<'_>, name: BucketName) -> Answer {
    let parameters = &call.parameters;
    let form = form(&call, &[JSON, HTML, EVENT_STREAM])?;
    if form == EVENT_STREAM {
        return events::answer(call, name).await;
    }
    let html = form == HTML;
    let resource = Resource::Bucket(name.clone());
    let grant = call.grant(Action::ReadBucket, resource.clone()).await?;
    let (_bucket, usage) = call.rest.store.bucket(&grant, &name).await?;
    let grant = call.grant(Action::ListObjects, resource).await?;
    // To a person a bucket is shown as folders, unless asked otherwise.
    let folders = (html && parameters.get("delimiter").is_none()).then(|| "/".to_owned());
    let list = ListObjects {
        bucket: name.clone(),
        prefix: parameters.get("prefix").unwrap_or_default().to_owned(),
        delimiter: parameters.text("delimiter").or(folders),
        after: parameters.text("after"),
        until: parameters.text("until"),
        reverse: parameters.flag("reverse")?,
        limit: parameters.limit()?,
    };
    let listing = call.rest.store.list(&grant, &list).await?;
    let next = next_target(&call, listing.next.as_deref());
    if html {
        return html::bucket(&list, &listing, &usage, next.as_deref());
    }
    let content = BucketPage {
        bucket: name.as_str(),
        bytes: usage.bytes,
        items: listing.items.iter().map(|i| Item::new(&name, i)).collect(),
        next: next.as_deref(),
        objects: usage.objects,
    };
    with_first(&call, varying(page(&content, next.as_deref())?)?)
}

/// The bucket as a document, without what the caller may not read.
pub(crate) async fn document(call: Call<'_>, name: BucketName) -> Answer {
    let resource = Resource::Bucket(name.clone());
    let grant = call.grant(Action::ReadBucket, resource.clone()).await?;
    let (bucket, usage) = call.rest.store.bucket(&grant, &name).await?;
    let mut document = document::of_bucket(&bucket, &usage)?;
    for (member, action) in [
        ("versioning", Action::ReadBucketVersioning),
        ("lock", Action::ReadBucketLock),
        ("tags", Action::ReadBucketTags),
        ("metadata", Action::ReadBucketMetadata),
        ("quota", Action::ReadBucketQuota),
        ("retention", Action::ReadBucketMetadata),
        ("legal_hold", Action::ReadBucketMetadata),
        ("cors", Action::ReadBucketCors),
    ] {
        let of = (action, resource.clone(), VersionRef::Current);
        call.hide_unless(of, member, &mut document).await?;
    }
    page(&document, None)
}

pub(crate) async fn create(call: Call<'_>, name: BucketName) -> Answer {
    conditions_refused(&call)?;
    let resource = Resource::Bucket(name.clone());
    let grant = call.grant(Action::CreateBucket, resource).await?;
    call.rest.store.create_bucket(&grant, &name).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::from_str(&path_of(&name, None)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Changes what the bucket's document has.
pub(crate) async fn patch(call: Call<'_>, name: BucketName) -> Answer {
    conditions_refused(&call)?;
    let media_type = call.request.headers().get(CONTENT_TYPE);
    if media_type.is_none_or(|value| value.as_bytes() != MERGE_PATCH.as_bytes()) {
        let detail = format!("PATCH of a bucket takes {MERGE_PATCH}");
        let told = HeaderName::from_static("accept-patch");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
            .with_header(told, HeaderValue::from_static(MERGE_PATCH))
            .into());
    }
    let resource = Resource::Bucket(name.clone());
    let bypass = write::bypass(&call)?;
    let (asker, body) = call.document(PATCH_BYTES_MAX).await?;
    let (patch, members) = document::parse_patch(&body, &BUCKET_MEMBERS)?;
    let mut grants = Vec::new();
    for member in &members {
        let action = document::bucket_action(member);
        grants.push(asker.grant(action, resource.clone()).await?);
    }
    // A patch of nothing takes a right, too.
    if members.is_empty() {
        let action = Action::WriteBucketMetadata;
        grants.push(asker.grant(action, resource.clone()).await?);
    }
    if bypass {
        let action = Action::BypassBucketRetention;
        grants.push(asker.grant(action, resource.clone()).await?);
    }
    let change = |properties: &mut _| document::patch_bucket(properties, &patch);
    let changed = asker
        .rest
        .store
        .update_bucket(&grants, &name, &change)
        .await;
    changed.map_err(write::unfit)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Deletes an empty bucket, or a snapshot of one.
pub(crate) async fn delete(call: Call<'_>, name: BucketName) -> Answer {
    conditions_refused(&call)?;
    let store = &call.rest.store;
    let there = store.peek_bucket(&name).await.ok();
    match there.as_ref().and_then(Bucket::snapshot_of) {
        Some((of, snapshot, _)) => {
            let resource = Resource::Bucket(of.clone());
            let grant = call.grant(Action::DeleteSnapshot, resource).await?;
            store.delete_snapshot(&grant, of, snapshot).await?;
        }
        None => {
            let resource = Resource::Bucket(name.clone());
            let grant = call.grant(Action::DeleteBucket, resource).await?;
            store.delete_bucket(&grant, &name).await?;
        }
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
