//! The record of a job on directories.

use super::{AskedRecord, IdBytes, OwnerRecord, Record};
use crate::nouns::{Job, JobState};
use crate::tree::Change;
use minicbor::{Decode, Encode};
use std::sync::Arc;
use trestle_access::{Action, Asked, Principal, Resource};
use trestle_core::{BucketId, Error, JobId, Result, Timestamp};

const RUNNING: u8 = 1;
const DONE: u8 = 2;
const FAILED: u8 = 3;

/// `38`: a job. It deletes when it has an owner of markers, and renames when it has a target.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct JobRecord {
    #[n(0)]
    bucket: IdBytes,
    #[n(1)]
    prefix: String,
    #[n(2)]
    to_bucket: Option<IdBytes>,
    #[n(3)]
    to_prefix: Option<String>,
    /// Present and true, or absent.
    #[n(4)]
    erase: Option<bool>,
    /// Present and true, or absent.
    #[n(5)]
    bypass: Option<bool>,
    #[n(6)]
    owner: Option<OwnerRecord>,
    #[n(7)]
    keys_done: u64,
    #[n(8)]
    state: u8,
    #[n(9)]
    message: Option<String>,
    #[n(10)]
    started: u64,
    #[n(11)]
    changed: u64,
    /// Who asked. Absent in what older versions wrote: of that nothing more is done.
    #[n(12)]
    asked: Option<AskedRecord>,
}

/// Nobody in particular asks.
fn nobody() -> Asked {
    Asked {
        principal: Arc::new(Principal::anonymous()),
        action: Action::DeleteObject,
        resource: Resource::Server,
        context: Arc::default(),
    }
}

impl Record for JobRecord {
    const NAME: &'static str = "job";
    const VERSION: u8 = 1;
}

impl JobRecord {
    pub(crate) fn new(job: &Job) -> Self {
        let (state, message) = match &job.state {
            JobState::Running => (RUNNING, None),
            JobState::Done => (DONE, None),
            JobState::Failed(message) => (FAILED, Some(message.clone())),
        };
        let mut record = JobRecord {
            bucket: IdBytes(job.bucket.0),
            prefix: job.prefix.clone(),
            to_bucket: None,
            to_prefix: None,
            erase: None,
            bypass: None,
            owner: None,
            keys_done: job.keys_done,
            state,
            message,
            started: job.started.0,
            changed: job.changed.0,
            asked: Some(AskedRecord::new(&job.asked)),
        };
        match &job.change {
            Change::Remove {
                erase,
                bypass,
                owner,
            } => {
                record.erase = erase.then_some(true);
                record.bypass = bypass.then_some(true);
                record.owner = Some(OwnerRecord::new(owner));
            }
            Change::Move { bucket, prefix } => {
                record.to_bucket = Some(IdBytes(bucket.0));
                record.to_prefix = Some(prefix.clone());
            }
        }
        record
    }

    pub(crate) fn into_job(self, id: JobId) -> Result<Job> {
        let change = match (self.owner, self.to_bucket, self.to_prefix) {
            (Some(owner), None, None) => Change::Remove {
                erase: self.erase == Some(true),
                bypass: self.bypass == Some(true),
                owner: owner.into_owner()?,
            },
            (None, Some(bucket), Some(prefix)) => Change::Move {
                bucket: BucketId(bucket.0),
                prefix,
            },
            _ => return Err(Error::corrupt("a job record that does not say what to do")),
        };
        let state = match (self.state, self.message) {
            (RUNNING, None) => JobState::Running,
            (DONE, None) => JobState::Done,
            (FAILED, Some(message)) => JobState::Failed(message),
            _ => return Err(Error::corrupt("a job record with an unknown state")),
        };
        Ok(Job {
            id,
            bucket: BucketId(self.bucket.0),
            prefix: self.prefix,
            change,
            asked: self
                .asked
                .map_or_else(|| Ok(nobody()), AskedRecord::into_asked)?,
            keys_done: self.keys_done,
            state,
            started: Timestamp(self.started),
            changed: Timestamp(self.changed),
        })
    }
}
