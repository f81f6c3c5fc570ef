//! Listings of a bucket's keys and of their versions.

use crate::answer;
use crate::call::{self, Call};
use crate::error::S3Error;
use crate::listing::{self, Common, NAMESPACE, Start};
use crate::object::etag;
use crate::object::version_id;
use crate::time::iso_time;
use http::Response;
use trestle_access::{Action, Context, Grant, Resource};
use trestle_http::{Body, XmlWriter};
use trestle_store::{ListObjects, ListVersions, Object, VersionItem, VersionListing, VersionRef};

/// A grant to list, under the circumstances that policies ask about.
async fn grant(call: &Call<'_>, action: Action, common: &Common) -> Result<Grant, S3Error> {
    let mut context = Context::clone(&call.context);
    for name in ["prefix", "delimiter", "max-keys"] {
        if let Some(value) = call.parameters.get(name) {
            context.set(&format!("s3:{name}"), vec![value.to_owned()]);
        }
    }
    if call.parameters.get("prefix").is_none() {
        context.set("s3:prefix", vec![common.prefix.clone()]);
    }
    let resource = Resource::Bucket(call.bucket()?.clone());
    call.grant_in(action, resource, context.into()).await
}

/// Lists are always in order, which serves those too who can do without. Whoever can has no use for
/// a delimiter, which gathers neighbours.
fn check_order(call: &Call<'_>, common: &Common) -> Result<(), S3Error> {
    let name = "allow-unordered";
    match call.parameters.get(name) {
        None | Some("false") => Ok(()),
        Some("true") if common.delimiter.is_none() => Ok(()),
        Some(value) => Err(S3Error::argument(
            name,
            value,
            "The parameter is true or false, and true only without a delimiter",
        )),
    }
}

pub(crate) async fn list(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let common = Common::new(&call.parameters, "max-keys")?;
    let start = Start::new(&call.parameters)?;
    check_order(&call, &common)?;
    let grant = grant(&call, Action::ListObjects, &common).await?;
    let list = ListObjects {
        bucket: call.bucket()?.clone(),
        prefix: common.prefix.clone(),
        delimiter: common.delimiter.clone(),
        after: start.after(),
        until: None,
        reverse: false,
        limit: common.limit,
    };
    let listing = call.s3.store.list(&grant, &list).await?;
    Ok(answer::xml(listing::keys(
        &list.bucket,
        &common,
        &start,
        &listing,
    )))
}

pub(crate) async fn versions(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let common = Common::new(&call.parameters, "max-keys")?;
    let text = |name| {
        call.parameters
            .get(name)
            .filter(|text: &&str| !text.is_empty())
    };
    let (key_marker, version_marker) = (text("key-marker"), text("version-id-marker"));
    if version_marker.is_some() && key_marker.is_none() {
        let message = "A version-id marker cannot be specified without a key marker.";
        return Err(S3Error::argument("version-id-marker", "", message));
    }
    let grant = grant(&call, Action::ListVersions, &common).await?;
    let list = ListVersions {
        bucket: call.bucket()?.clone(),
        prefix: common.prefix.clone(),
        delimiter: common.delimiter.clone(),
        key_marker: key_marker.map(str::to_owned),
        version_marker: version_marker.map(call::version).transpose()?,
        limit: common.limit,
    };
    let listing = call.s3.store.list_versions(&grant, &list).await?;
    Ok(answer::xml(versions_document(
        &list,
        &common,
        version_marker,
        &listing,
    )))
}

fn version_text(version: &VersionRef) -> String {
    match version {
        VersionRef::Id(id) => id.to_string(),
        VersionRef::Null | VersionRef::Current | VersionRef::Ended => "null".to_owned(),
    }
}

fn versions_document(
    list: &ListVersions,
    common: &Common,
    version_marker: Option<&str>,
    listing: &VersionListing,
) -> XmlWriter {
    let mut document = XmlWriter::new();
    document.open_with("ListVersionsResult", &[("xmlns", NAMESPACE)]);
    document.leaf("Name", list.bucket.as_str());
    document.leaf("Prefix", &common.name(&common.prefix));
    document.leaf(
        "KeyMarker",
        &common.name(list.key_marker.as_deref().unwrap_or_default()),
    );
    document.leaf("VersionIdMarker", version_marker.unwrap_or_default());
    if let Some((key, version)) = &listing.next {
        document.leaf("NextKeyMarker", &common.name(key));
        document.leaf_if(
            "NextVersionIdMarker",
            version.as_ref().map(version_text).as_deref(),
        );
    }
    listing::page(&mut document, common, listing.next.is_some(), "MaxKeys");
    for item in &listing.items {
        if let VersionItem::Version { object, latest } = item {
            version(&mut document, common, object, *latest);
        }
    }
    for item in &listing.items {
        if let VersionItem::Prefix(prefix) = item {
            document
                .open("CommonPrefixes")
                .leaf("Prefix", &common.name(prefix))
                .close();
        }
    }
    document
}

fn version(document: &mut XmlWriter, common: &Common, object: &Object, latest: bool) {
    document.open(if object.is_marker() {
        "DeleteMarker"
    } else {
        "Version"
    });
    document
        .leaf("Key", &common.name(object.key.as_str()))
        .leaf("VersionId", &version_id(object))
        .leaf("IsLatest", if latest { "true" } else { "false" })
        .leaf("LastModified", &iso_time(object.modified));
    if !object.is_marker() {
        document
            .leaf("ETag", &format!("\"{}\"", etag(object)))
            .leaf("Size", &object.length().to_string());
        listing::checksum(document, object);
        document.leaf(
            "StorageClass",
            object.storage_class.as_deref().unwrap_or("STANDARD"),
        );
    }
    listing::owner(document, "Owner", object.owner.account.as_str());
    document.close();
}
