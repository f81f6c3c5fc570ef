//! Volumes over HTTP: a resource of a fixed size that is read and written by ranges. This is what is
//! done to one besides: made, made zero in part, resized, flushed.

use crate::conditions::demand;
use crate::refusal::Answer;
use crate::representation::{header, identify, path_of, properties, tag_of};
use crate::route::Call;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde::Deserialize;
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, Error, Key, Result};
use trestle_http::{Body, Problem, parse_precondition};
use trestle_store::{
    BodyChecks, ChangeVolume, CreateVolume, Object, Offset, PatchObject, VolumeChange,
};

/// The type of what says something of a volume.
pub(crate) const VOLUME: &str = "application/vnd.trestle.volume+json";
/// Largest document.
const BODY_BYTES_MAX: usize = 64 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    size: u64,
}

#[derive(Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase", deny_unknown_fields)]
enum Verb {
    Zeroes { offset: u64, length: u64 },
    Trim { offset: u64, length: u64 },
    Resize { size: u64 },
    Flush {},
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| Error::invalid(format!("the body is not understood: {error}")))
}

fn answered(object: &Object, created: Option<&str>) -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = match created {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::NO_CONTENT,
    };
    identify(object, response.headers_mut())?;
    if let Some(location) = created {
        header(response.headers_mut(), LOCATION, location)?;
    }
    Ok(response)
}

/// PUT with a size: makes a volume.
pub(crate) async fn create(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    let call = call.tagging();
    let headers = call.request.headers();
    let precondition = parse_precondition(headers)?;
    let mut properties = properties(headers)?;
    // This is the type of the request.
    properties.representation.remove(CONTENT_TYPE.as_str());
    let resource = Resource::Object(bucket.clone(), key.clone());
    let grant = call.grant(Action::WriteObject, resource).await?;
    demand(&call.rest.store, &bucket, headers).await?;
    call.asker().check_tags(&properties, &grant).await?;
    let (asker, body) = call.document(BODY_BYTES_MAX).await?;
    let Size { size } = parse(&body)?;
    let location = path_of(&bucket, Some(key.as_str()));
    let create = CreateVolume {
        bucket,
        key,
        size,
        precondition,
        tag_of,
        properties,
    };
    let outcome = asker.rest.store.create_volume(&grant, &create).await?;
    let created = outcome.created.then_some(location.as_str());
    answered(&outcome.object, created)
}

/// PATCH with a size: resizes.
pub(crate) async fn resize(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    act(call, bucket, key, |body| {
        let Size { size } = parse(body)?;
        Ok(Verb::Resize { size })
    })
    .await
}

/// POST: zeroes, trim, resize, flush.
pub(crate) async fn post(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    let found = crate::write::media_type(call.request.headers());
    if found.as_deref() != Some(VOLUME) {
        let detail = format!("POST to an object takes {VOLUME}");
        let told = HeaderName::from_static("accept-post");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
            .with_header(told, HeaderValue::from_static(VOLUME))
            .into());
    }
    act(call, bucket, key, parse).await
}

async fn act(
    call: Call<'_>,
    bucket: BucketName,
    key: Key,
    read: impl Fn(&[u8]) -> Result<Verb>,
) -> Answer {
    if call.parameters.get("version").is_some() {
        return Err(Error::invalid("a version's bytes never change").into());
    }
    let precondition = parse_precondition(call.request.headers())?;
    let resource = Resource::Object(bucket.clone(), key.clone());
    let grant = call.grant(Action::WriteObject, resource).await?;
    let headers = call.request.headers().clone();
    let (asker, body) = call.document(BODY_BYTES_MAX).await?;
    let store = &asker.rest.store;
    let verb = read(&body)?;
    if !matches!(verb, Verb::Flush {}) {
        demand(store, &bucket, &headers).await?;
    }
    let change = match verb {
        Verb::Zeroes { offset, length } | Verb::Trim { offset, length } => {
            VolumeChange::Zeros { offset, length }
        }
        Verb::Resize { size } => VolumeChange::Resize { size },
        Verb::Flush {} => {
            let flush = PatchObject {
                bucket,
                key,
                precondition,
                tag_of,
                at: Offset::At(0),
                checks: BodyChecks::default(),
                create: None,
            };
            return answered(&store.flush_volume(&grant, &flush).await?, None);
        }
    };
    let change = ChangeVolume {
        bucket,
        key,
        precondition,
        tag_of,
        change,
    };
    let outcome = store.change_volume(&grant, &change).await?;
    answered(&outcome.object, None)
}
