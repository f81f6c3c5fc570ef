//! Buckets: list, create, head, delete, where they are.

use crate::acl::{self, Sent};
use crate::answer;
use crate::call::Call;
use crate::document::{self, OWNERSHIPS};
use crate::error::{Code, S3Error};
use crate::headers;
use crate::listing::{NAMESPACE, PAGE_MAX, number, of_token, owner, token};
use crate::name::is_bucket_name;
use crate::time::iso_time;
use http::Response;
use http::header::{HeaderValue, LOCATION};
use trestle_access::{Action, Context, Resource};
use trestle_core::{BucketName, ErrorKind, Noun};
use trestle_http::{Body, XmlWriter};
use trestle_store::{
    Bucket, BucketProperties, ListBuckets, ListUploads, ListVersions, ObjectLock, UploadItem,
    UploadKey, Versioning,
};

/// Most buckets of a page, and as many as there are without a number.
const BUCKETS_MAX: usize = 10_000;
/// The region whose name is never spoken.
const FIRST_REGION: &str = "us-east-1";
/// Why a bucket cannot have a list and be without lists.
pub(crate) const LISTS_OFF: &str =
    "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";

pub(crate) async fn list(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let account = call.account()?.clone();
    let grant = call
        .grant(Action::ListBuckets, Resource::Account(account.clone()))
        .await?;
    let text = |name| {
        call.parameters
            .get(name)
            .filter(|text: &&str| !text.is_empty())
    };
    let wanted = text("bucket-region");
    if wanted.is_some_and(|wanted| !call.s3.settings.regions.iter().any(|known| known == wanted)) {
        let message = "There are no buckets of this region here";
        return Err(S3Error::argument("bucket-region", "", message));
    }
    let limit = number(&call.parameters, "max-buckets", BUCKETS_MAX)?;
    let list = ListBuckets {
        account: account.clone(),
        prefix: text("prefix").unwrap_or_default().to_owned(),
        after: text("continuation-token").map(of_token).transpose()?,
        until: None,
        reverse: false,
        limit,
    };
    let (buckets, next) = call.s3.store.list_buckets(&grant, &list).await?;
    let mut document = XmlWriter::new();
    document.open_with("ListAllMyBucketsResult", &[("xmlns", NAMESPACE)]);
    owner(&mut document, "Owner", account.as_str());
    document.open("Buckets");
    // A page may have fewer than it could: the next goes on.
    for (bucket, _usage) in &buckets {
        let region = region_of(&call, bucket);
        if wanted.is_some_and(|wanted| wanted != region) {
            continue;
        }
        document
            .open("Bucket")
            .leaf("Name", bucket.name.as_str())
            .leaf("CreationDate", &iso_time(bucket.created))
            .leaf("BucketRegion", region)
            .close();
    }
    document.close();
    document.leaf_if("Prefix", text("prefix"));
    document.leaf_if("ContinuationToken", next.as_deref().map(token).as_deref());
    Ok(answer::xml(document))
}

/// The document of a bucket that was made for another region than this server's first.
const REGION: &str = "s3.region";

/// The region that a bucket was made for.
fn region_of<'a>(call: &'a Call<'_>, bucket: &'a Bucket) -> &'a str {
    let chosen = bucket.properties.documents.get(REGION);
    chosen.map_or(call.s3.region(), String::as_str)
}

/// What a bucket is created with, by its headers and its document.
fn properties(call: &Call<'_>, new: document::NewBucket) -> Result<BucketProperties, S3Error> {
    let mut properties = BucketProperties {
        tags: new.tags,
        ..BucketProperties::default()
    };
    let location = new.location.filter(|name| !name.is_empty());
    if let Some(region) = location.filter(|name| name != call.s3.region()) {
        properties.documents.insert(REGION.to_owned(), region);
    }
    if headers::flag(&call.headers, "x-amz-bucket-object-lock-enabled")? {
        properties.lock = Some(ObjectLock { default: None });
        properties.versioning = Versioning::Enabled;
    }
    // Whoever writes an object owns it, as lists of this protocol count on.
    properties.set_default_ownership("ObjectWriter");
    if let Some(ownership) = headers::text(&call.headers, "x-amz-object-ownership")? {
        if !OWNERSHIPS.contains(&ownership) {
            let message = "Invalid x-amz-object-ownership header";
            return Err(S3Error::argument(
                "x-amz-object-ownership",
                ownership,
                message,
            ));
        }
        properties.choose_ownership(Some(ownership.to_owned()));
    }
    Ok(properties)
}

/// What it takes to set what a new bucket is created with, as if it were set afterwards.
fn rights_of(call: &Call<'_>, new: &BucketProperties) -> Vec<Action> {
    let chosen = call.headers.contains_key("x-amz-object-ownership");
    let locked = new.lock.is_some();
    [
        (new.acl.is_some(), Action::WriteBucketAcl),
        (chosen, Action::WriteBucketOwnership),
        (locked, Action::WriteBucketLock),
        (locked, Action::WriteBucketVersioning),
        (!new.tags.is_empty(), Action::WriteBucketTags),
    ]
    .into_iter()
    .filter_map(|(set, action)| set.then_some(action))
    .collect()
}

/// Refuses a place that is not here.
fn check_location(call: &Call<'_>, location: Option<&str>) -> Result<(), S3Error> {
    match location {
        None | Some("") => Ok(()),
        Some(location)
            if call
                .s3
                .settings
                .regions
                .iter()
                .any(|region| region == location) =>
        {
            Ok(())
        }
        Some(location) => Err(S3Error::new(
            Code::InvalidLocationConstraint,
            "The specified location-constraint is not valid",
        )
        .field("LocationConstraint", location)),
    }
}

pub(crate) async fn create(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let name = call.bucket()?.clone();
    if !is_bucket_name(name.as_str()) {
        return Err(S3Error::new(
            Code::InvalidBucketName,
            "The specified bucket is not valid.",
        )
        .field("BucketName", name.as_str()));
    }
    call.account()?;
    let document = document::create_bucket(&call.document().await?);
    let mut context = Context::clone(&call.context);
    // A policy may say where; who may not is told that before what is wrong with the document.
    let location = document.as_ref().ok().and_then(|new| new.location.clone());
    if let Some(location) = location.filter(|location| !location.is_empty()) {
        context.set("s3:LocationConstraint", vec![location]);
    }
    let resource = Resource::Bucket(name.clone());
    let grant = call
        .grant_in(Action::CreateBucket, resource, context.into())
        .await?;
    let new = document?;
    check_location(&call, new.location.as_deref())?;
    let mut properties = properties(&call, new)?;
    let sent = acl::sent(&call.headers)?;
    let given = sent != Sent::Nothing && sent != Sent::Canned("private".to_owned());
    if properties.ownership.as_deref() == Some("BucketOwnerEnforced") && given {
        return Err(S3Error::new(
            Code::InvalidBucketAclWithObjectOwnership,
            LISTS_OFF,
        ));
    }
    properties.acl = acl::of_bucket(&call, &sent).await?;
    for action in rights_of(&call, &properties) {
        call.check_made(action).await?;
    }
    let wanted = properties.clone();
    match call
        .s3
        .store
        .create_bucket_with(&grant, &name, properties)
        .await
    {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists(Noun::Bucket) => {
            again(&call, &name, &wanted).await?;
        }
        // A bucket that is made holds nothing yet: it is one bucket too many.
        Err(error) if error.kind() == ErrorKind::QuotaExceeded => {
            let message = "You have attempted to create more buckets than allowed";
            return Err(S3Error::new(Code::TooManyBuckets, message));
        }
        Err(error) => return Err(error.into()),
    }
    let mut response = Response::new(Body::empty());
    if let Ok(location) = HeaderValue::from_str(&format!("/{name}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    let arn = format!("arn:aws:s3:::{name}");
    headers::set(response.headers_mut(), "x-amz-bucket-arn", &arn);
    Ok(response)
}

/// A bucket that exists: the first region takes its owner's repetition for done, when it asks for
/// what is there.
async fn again(
    call: &Call<'_>,
    name: &BucketName,
    wanted: &BucketProperties,
) -> Result<(), S3Error> {
    let found = call.s3.store.bucket_settings(name).await?;
    let own = Some(&found.owner.account) == call.principal.account();
    let exists = || {
        S3Error::new(
            Code::BucketAlreadyExists,
            "The requested bucket name is not available. The bucket namespace is shared by all \
             users of the system. Please select a different name and try again.",
        )
        .field("BucketName", name.as_str())
    };
    let owned = || {
        S3Error::new(
            Code::BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it.",
        )
        .field("BucketName", name.as_str())
    };
    match own {
        false => Err(exists()),
        true if call.s3.region() != FIRST_REGION => Err(owned()),
        true if found.properties.acl != wanted.acl => Err(exists()),
        true if found.properties.lock.is_some() != wanted.lock.is_some() => Err(owned()),
        true => Ok(()),
    }
}

/// A limit as Ceph's clients read it.
fn limit(most: Option<u64>) -> String {
    most.map_or_else(|| "-1".to_owned(), |most| most.to_string())
}

/// What the account holds and may hold, as Ceph's clients ask for it.
pub(crate) async fn usage(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let account = call.account()?.clone();
    let grant = call
        .grant(Action::ReadAccount, Resource::Account(account.clone()))
        .await?;
    let (account, usage) = call.s3.store.account(&grant, &account).await?;
    let quota = account.properties.quota;
    let bytes = usage.bytes + usage.version_bytes;
    let objects = usage.objects + usage.versions;
    let mut document = XmlWriter::new();
    document.open("Usage").open("Summary");
    for (name, most) in [
        ("QuotaMaxBytes", quota.bytes),
        ("QuotaMaxBuckets", call.s3.store.buckets_per_account()),
        ("QuotaMaxObjCount", quota.objects),
        ("QuotaMaxBytesPerBucket", None),
        ("QuotaMaxObjCountPerBucket", None),
    ] {
        document.leaf(name, &limit(most));
    }
    document
        .leaf("TotalBytes", &bytes.to_string())
        .leaf("TotalEntries", &objects.to_string());
    document.close();
    Ok(answer::xml(document))
}

pub(crate) async fn head(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let grant = call.on_bucket(Action::ListObjects).await?;
    let (bucket, usage) = call.s3.store.bucket(&grant, call.bucket()?).await?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers::set(headers, "x-amz-bucket-region", region_of(&call, &bucket));
    headers::set(headers, "x-amz-access-point-alias", "false");
    match call.parameters.get("read-stats") {
        None | Some("false") => {}
        Some("true") => {
            let objects = usage.objects + usage.versions;
            headers::set(headers, "x-rgw-object-count", &objects.to_string());
            let bytes = usage.bytes + usage.version_bytes;
            headers::set(headers, "x-rgw-bytes-used", &bytes.to_string());
            let buckets = limit(call.s3.store.buckets_per_account());
            headers::set(headers, "x-rgw-quota-max-buckets", &buckets);
        }
        Some(other) => {
            let message = "The parameter is true or false";
            return Err(S3Error::argument("read-stats", other, message));
        }
    }
    Ok(response)
}

pub(crate) async fn delete(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let grant = call.on_bucket(Action::DeleteBucket).await?;
    let store = &call.s3.store;
    match store.delete_bucket(&grant, call.bucket()?).await {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotEmpty => {
            if !abort_uploads(&call).await? {
                return Err(error.into());
            }
            store.delete_bucket(&grant, call.bucket()?).await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(answer::no_content())
}

/// Gives up the uploads of a bucket that holds nothing else: in this protocol they do not keep a
/// bucket from being deleted. Takes the rights to list and to abort them.
async fn abort_uploads(call: &Call<'_>) -> Result<bool, S3Error> {
    let (store, bucket) = (&call.s3.store, call.bucket()?);
    let Ok(list) = call.on_bucket(Action::ListVersions).await else {
        return Ok(false);
    };
    let versions = ListVersions {
        bucket: bucket.clone(),
        prefix: String::new(),
        delimiter: None,
        key_marker: None,
        version_marker: None,
        limit: 1,
    };
    if !store
        .list_versions(&list, &versions)
        .await?
        .items
        .is_empty()
    {
        return Ok(false);
    }
    let Ok(list) = call.on_bucket(Action::ListUploads).await else {
        return Ok(false);
    };
    let mut uploads = ListUploads {
        bucket: bucket.clone(),
        prefix: String::new(),
        delimiter: None,
        key_marker: None,
        upload_marker: None,
        limit: PAGE_MAX,
    };
    loop {
        let page = store.list_uploads(&list, &uploads).await?;
        for item in page.items {
            let UploadItem::Upload(upload) = item else {
                continue;
            };
            let resource = Resource::Object(bucket.clone(), upload.key.clone());
            let grant = call.grant(Action::AbortUpload, resource).await?;
            let key = UploadKey {
                bucket: bucket.clone(),
                key: upload.key,
                upload: upload.id,
            };
            match store.abort_upload(&grant, &key).await {
                Err(error) if error.kind() != ErrorKind::NotFound(Noun::Upload) => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        match page.next {
            Some((key, upload)) => {
                (uploads.key_marker, uploads.upload_marker) = (Some(key), upload)
            }
            None => return Ok(true),
        }
    }
}

pub(crate) async fn location(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketLocation).await?;
    let mut document = XmlWriter::new();
    document.open_with("LocationConstraint", &[("xmlns", NAMESPACE)]);
    match region_of(&call, &bucket) {
        FIRST_REGION => {}
        region => drop(document.text(region)),
    }
    Ok(answer::xml(document))
}
