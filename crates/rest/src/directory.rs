//! Directories: everything whose key starts with a key that ends with `/`. What is too much for one
//! commit is a job: 202, and its document says how far it is.

use crate::refusal::Answer;
use crate::representation::{header, path_of, timestamp};
use crate::route::{Call, page, unsupported};
use crate::transfer::destination;
use crate::write::bypass;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, Error, Id, JobId, Key, Result};
use trestle_http::Body;
use trestle_store::{DeleteDirectory, History, Job, JobState, RenameDirectory, TreeOutcome};

/// Of many keys no one state could be compared with.
const CONDITIONS: [&str; 4] = [
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
];

fn href(bucket: &BucketName, id: JobId) -> String {
    format!("{}?job={id}", path_of(bucket, None))
}

fn shown(bucket: &BucketName, job: &Job) -> Value {
    let (state, reason) = match &job.state {
        JobState::Running => ("running", None),
        JobState::Done => ("done", None),
        JobState::Failed(reason) => ("failed", Some(reason)),
    };
    let mut shown = json!({
        "job": job.id.to_string(),
        "prefix": job.prefix,
        "state": state,
        "keys_done": job.keys_done,
        "started": timestamp(job.started),
        "changed": timestamp(job.changed),
        "href": href(bucket, job.id),
    });
    if let (Some(reason), Some(shown)) = (reason, shown.as_object_mut()) {
        shown.insert("reason".to_owned(), json!(reason));
    }
    shown
}

/// 204 when it is done, else 202 and where to ask.
fn outcome(bucket: &BucketName, outcome: TreeOutcome) -> Answer {
    let mut response = Response::new(Body::empty());
    let id = match outcome {
        TreeOutcome::Done { .. } => {
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        TreeOutcome::Started(id) => id,
    };
    let href = href(bucket, id);
    let document = json!({"job": id.to_string(), "state": "running", "href": href});
    *response.body_mut() = Body::full(document.to_string());
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    header(headers, LOCATION, &href)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `DELETE /rest/{bucket}/{key}/?recursive`.
pub(crate) async fn delete(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    unsupported(&call, &CONDITIONS)?;
    let resource = Resource::Object(bucket.clone(), key.clone());
    let mut grants = vec![call.grant(Action::DeleteObject, resource.clone()).await?];
    if bypass(&call)? {
        grants.push(call.grant(Action::BypassRetention, resource).await?);
    }
    let delete = DeleteDirectory {
        bucket: bucket.clone(),
        prefix: key,
        history: History::ByBucket,
    };
    let done = call.rest.store.delete_directory(&grants, &delete).await?;
    outcome(&bucket, done)
}

/// `MOVE /rest/{bucket}/{key}/?recursive`.
pub(crate) async fn rename(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    unsupported(&call, &CONDITIONS)?;
    unsupported(&call, &["overwrite"])?;
    let (to_bucket, to_prefix) = destination(&call)?;
    if !to_prefix.as_str().ends_with('/') {
        let message = "the Destination of a directory ends with /";
        return Err(Error::invalid(message).into());
    }
    let from = Resource::Object(bucket.clone(), key.clone());
    let to = Resource::Object(to_bucket.clone(), to_prefix.clone());
    let grants = [
        // A move is a copy and a delete: elsewhere it may be read by who may not here.
        call.grant(Action::ReadObject, from.clone()).await?,
        call.grant(Action::DeleteObject, from).await?,
        call.grant(Action::WriteObject, to).await?,
    ];
    let rename = RenameDirectory {
        bucket: bucket.clone(),
        prefix: key,
        to_bucket,
        to_prefix,
    };
    let done = call.rest.store.rename_directory(&grants, &rename).await?;
    outcome(&bucket, done)
}

/// `GET /rest/{bucket}/?job=ID`.
pub(crate) async fn job(call: Call<'_>, bucket: BucketName) -> Answer {
    let id = call.parameters.get("job").and_then(Id::parse).map(JobId);
    let id = id.ok_or_else(|| Error::invalid("job is the id of a job"))?;
    let resource = Resource::Bucket(bucket.clone());
    let grant = call.grant(Action::ReadBucket, resource).await?;
    let job = call.rest.store.job(&grant, &bucket, id).await?;
    page(&shown(&bucket, &job), None)
}

/// `GET /rest/{bucket}/?jobs`.
pub(crate) async fn jobs(call: Call<'_>, bucket: BucketName) -> Answer {
    let resource = Resource::Bucket(bucket.clone());
    let grant = call.grant(Action::ReadBucket, resource).await?;
    let jobs: Result<Vec<Job>> = call.rest.store.jobs(&grant, &bucket).await;
    let jobs: Vec<Value> = jobs?.iter().map(|job| shown(&bucket, job)).collect();
    page(&json!({"bucket": bucket.as_str(), "jobs": jobs}), None)
}
