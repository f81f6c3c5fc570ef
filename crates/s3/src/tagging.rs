//! Tags of buckets and objects.

use crate::answer;
use crate::call::Call;
use crate::config::{root, update};
use crate::document::{self, BUCKET_TAGS_MAX, OBJECT_TAGS_MAX, Tags};
use crate::error::{Code, S3Error};
use crate::object::{etag, set_version};
use crate::read;
use http::Response;
use trestle_access::{Action, Context, Resource};
use trestle_core::Precondition;
use trestle_http::{Body, XmlWriter};
use trestle_store::{Object, UpdateObject, VersionRef};

fn tagging(tags: &Tags) -> XmlWriter {
    let mut document = root("Tagging");
    document.open("TagSet");
    for (key, value) in tags {
        document
            .open("Tag")
            .leaf("Key", key)
            .leaf("Value", value)
            .close();
    }
    document
}

pub(crate) async fn get_bucket(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketTags).await?;
    if bucket.properties.tags.is_empty() {
        return Err(
            S3Error::new(Code::NoSuchTagSet, "The TagSet does not exist")
                .field("BucketName", bucket.name.as_str()),
        );
    }
    Ok(answer::xml(tagging(&bucket.properties.tags)))
}

pub(crate) async fn put_bucket(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let tags = document::tagging(&call.document().await?, BUCKET_TAGS_MAX)?;
    set_bucket(&call, tags).await
}

pub(crate) async fn delete_bucket(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    set_bucket(&call, Tags::new()).await
}

async fn set_bucket(call: &Call<'_>, tags: Tags) -> Result<Response<Body>, S3Error> {
    update(call, Action::WriteBucketTags, &|properties| {
        properties.tags = tags.clone();
        Ok(())
    })
    .await?;
    Ok(answer::no_content())
}

pub(crate) async fn get_object(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let version = call.version()?;
    let grant = call
        .on_version(Action::ReadObjectTags, Action::ReadObjectVersionTags)
        .await?;
    let object = match call
        .s3
        .store
        .head(&grant, call.bucket()?, call.key()?, version)
        .await
    {
        Ok(object) => object,
        Err(error) => return Err(read::nothing(&call, version, error).await),
    };
    let mut response = answer::xml(tagging(&object.tags));
    set_version(response.headers_mut(), &object);
    Ok(response)
}

async fn set_object(
    call: &Call<'_>,
    tags: Tags,
    [current, named]: [Action; 2],
) -> Result<Object, S3Error> {
    let version = call.version()?;
    let action = match version {
        VersionRef::Current | VersionRef::Ended => current,
        VersionRef::Null | VersionRef::Id(_) => named,
    };
    let context = Context::clone(&call.context).with_tags(&tags);
    let resource = Resource::Object(call.bucket()?.clone(), call.key()?.clone());
    let grant = call.grant_in(action, resource, context.into()).await?;
    let update = UpdateObject {
        bucket: call.bucket()?.clone(),
        key: call.key()?.clone(),
        version,
        precondition: Precondition::none(),
        tag_of: etag,
    };
    let changed = call
        .s3
        .store
        .update_object(&[grant], &update, &|properties| {
            properties.tags = tags.clone();
            Ok(())
        })
        .await;
    match changed {
        Ok(object) => Ok(object),
        Err(error) => Err(read::nothing(call, version, error).await),
    }
}

pub(crate) async fn put_object(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let tags = document::tagging(&call.document().await?, OBJECT_TAGS_MAX)?;
    let actions = [Action::WriteObjectTags, Action::WriteObjectVersionTags];
    let object = set_object(&call, tags, actions).await?;
    let mut response = answer::empty();
    set_version(response.headers_mut(), &object);
    Ok(response)
}

pub(crate) async fn delete_object(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let actions = [Action::DeleteObjectTags, Action::DeleteObjectVersionTags];
    let object = set_object(&call, Tags::new(), actions).await?;
    let mut response = answer::no_content();
    set_version(response.headers_mut(), &object);
    Ok(response)
}
