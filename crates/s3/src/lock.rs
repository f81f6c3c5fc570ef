//! Object lock: a bucket's default, and the retention and legal hold of versions.

use crate::answer;
use crate::call::Call;
use crate::config::root;
use crate::document;
use crate::error::{Code, S3Error};
use crate::headers;
use crate::object::etag;
use crate::read::{self, mode_name};
use crate::time::iso_time;
use crate::write::{hold_name, with_lock};
use http::Response;
use trestle_access::{Action, Context, Resource};
use trestle_core::{Error, ErrorKind, Precondition};
use trestle_http::Body;
use trestle_store::{Object, ObjectProperties, Period, UpdateObject};

fn not_locked() -> S3Error {
    S3Error::invalid("Bucket is missing Object Lock Configuration")
}

pub(crate) async fn get_bucket(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketLock).await?;
    let lock = bucket.properties.lock.ok_or_else(|| {
        S3Error::new(
            Code::ObjectLockConfigurationNotFoundError,
            "Object Lock configuration does not exist for this bucket",
        )
        .field("BucketName", bucket.name.as_str())
    })?;
    let mut document = root("ObjectLockConfiguration");
    document.leaf("ObjectLockEnabled", "Enabled");
    if let Some(default) = lock.default {
        document
            .open("Rule")
            .open("DefaultRetention")
            .leaf("Mode", mode_name(default.mode));
        match default.period {
            Period::Days(days) => document.leaf("Days", &days.to_string()),
            Period::Years(years) => document.leaf("Years", &years.to_string()),
        };
    }
    Ok(answer::xml(document))
}

pub(crate) async fn put_bucket(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let lock = document::object_lock(&call.document().await?)?;
    let grant = call.on_bucket(Action::WriteBucketLock).await?;
    let changed = call
        .s3
        .store
        .update_bucket(&[grant], call.bucket()?, &|properties| {
            properties.lock = Some(lock);
            Ok(())
        })
        .await;
    match changed {
        Ok(_) => Ok(answer::empty()),
        Err(error) if error.kind() == ErrorKind::InvalidState => Err(S3Error::new(
            Code::InvalidBucketState,
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        )),
        Err(error) => Err(error.into()),
    }
}

/// The bucket has object lock, or nothing of it can be asked of its objects.
async fn check_bucket(call: &Call<'_>) -> Result<(), S3Error> {
    let bucket = call.s3.store.bucket_settings(call.bucket()?).await?;
    bucket.properties.lock.map(drop).ok_or_else(not_locked)
}

async fn object(call: &Call<'_>, action: Action) -> Result<Object, S3Error> {
    let version = call.version()?;
    let grant = call.on_object(action).await?;
    check_bucket(call).await?;
    match call
        .s3
        .store
        .head(&grant, call.bucket()?, call.key()?, version)
        .await
    {
        Ok(object) => Ok(object),
        Err(error) => Err(read::nothing(call, version, error).await),
    }
}

fn none() -> S3Error {
    S3Error::new(
        Code::NoSuchObjectLockConfiguration,
        "The specified object does not have a ObjectLock configuration",
    )
}

pub(crate) async fn get_retention(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let object = object(&call, Action::ReadObjectRetention).await?;
    let retention = object.retention.ok_or_else(none)?;
    let mut document = root("Retention");
    document
        .leaf("Mode", mode_name(retention.mode))
        .leaf("RetainUntilDate", &iso_time(retention.until));
    Ok(answer::xml(document))
}

pub(crate) async fn get_hold(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let object = object(&call, Action::ReadLegalHold).await?;
    let hold = object.hold().ok_or_else(none)?;
    let mut document = root("LegalHold");
    document.leaf("Status", hold_name(hold));
    Ok(answer::xml(document))
}

async fn change(
    call: &Call<'_>,
    (action, context): (Action, Context),
    change: &(dyn Fn(&mut ObjectProperties) -> trestle_core::Result<()> + Send + Sync),
) -> Result<(), S3Error> {
    let version = call.version()?;
    let resource = Resource::Object(call.bucket()?.clone(), call.key()?.clone());
    let mut grants = vec![call.grant_in(action, resource, context.into()).await?];
    if headers::flag(&call.headers, "x-amz-bypass-governance-retention")? {
        grants.push(call.on_object(Action::BypassRetention).await?);
    }
    check_bucket(call).await?;
    let update = UpdateObject {
        bucket: call.bucket()?.clone(),
        key: call.key()?.clone(),
        version,
        precondition: Precondition::none(),
        tag_of: etag,
    };
    match call.s3.store.update_object(&grants, &update, change).await {
        Ok(_) => Ok(()),
        Err(error) => Err(read::nothing(call, version, error).await),
    }
}

pub(crate) async fn put_retention(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let retention = document::retention(&call.document().await?)?;
    let now = call.now();
    if retention.is_some_and(|retention| retention.until <= now) {
        let message = "The retain until date must be in the future!";
        return Err(S3Error::argument("RetainUntilDate", "", message));
    }
    let context = with_lock(Context::clone(&call.context), retention, None);
    change(
        &call,
        (Action::WriteObjectRetention, context),
        &|properties| {
            if properties.retention.is_none() && retention.is_none() {
                return Err(Error::invalid("there is no retention to lift"));
            }
            properties.retention = retention;
            Ok(())
        },
    )
    .await?;
    Ok(answer::empty())
}

pub(crate) async fn put_hold(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let hold = document::legal_hold(&call.document().await?)?;
    let context = with_lock(Context::clone(&call.context), None, Some(hold));
    change(&call, (Action::WriteLegalHold, context), &|properties| {
        properties.set_hold(Some(hold));
        Ok(())
    })
    .await?;
    Ok(answer::empty())
}
