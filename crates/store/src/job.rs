//! Jobs: changes of directories that are too large for one commit, done piece by piece.
//!
//! A job's state is a row; what it has done is committed with its progress, so it goes on where it
//! was after a restart. Each key is decided for who asked, as they are by then. While it runs, the buckets' records hold its prefixes, below which nothing
//! new is made; every write expects its bucket's record, so none slips through.

use crate::nouns::{Bucket, Held, Job, JobState};
use crate::record::{BucketRecord, JobRecord, Record};
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, Store};
use crate::tree::{Change, Room, TOLD_BYTES_MAX, Tree};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketId, BucketName, Error, ErrorKind, JobId, Noun, Result, Sequence};
use trestle_engine::{Commit, Expectation, MetaRead, Scan, ScanItem, Urgency, Write};

/// Keys that one commit of a job takes on.
const BATCH_KEYS: usize = 200;
/// Bytes that one commit of a job takes on.
const BATCH_BYTES: usize = 8 << 20;
/// Commits for one job in one `tidy`.
const BATCHES_MAX: usize = 50;
/// How long a finished job can be asked for, in microseconds: a day.
const KEPT: u64 = 24 * 3_600 * 1_000_000;
/// Jobs that are looked at.
const JOBS_MAX: usize = 1_000;
/// Prefixes that are held in one bucket at the same time.
const HELD_MAX: usize = 16;

/// A job's row, and the revision that a commit must still find.
struct FoundJob {
    job: Job,
    revision: Sequence,
}

impl Store {
    /// A job on directories of a bucket.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `NotFound(Job)`; `Forbidden`.
    pub async fn job(&self, grant: &Grant, bucket: &BucketName, id: JobId) -> Result<Job> {
        let jobs = self.jobs(grant, bucket).await?;
        let found = jobs.into_iter().find(|job| job.id == id);
        found.ok_or_else(|| Error::not_found(Noun::Job, id))
    }

    /// The jobs on directories of a bucket: those that run, and those that ended within a day.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `Forbidden`.
    pub async fn jobs(&self, grant: &Grant, bucket: &BucketName) -> Result<Vec<Job>> {
        let resource = Resource::Bucket(bucket.clone());
        store::require(grant, Action::ReadBucket, &resource)?;
        let read = self.snapshot().await?;
        let found = store::find_bucket(&*read, bucket).await?;
        self.confirm(&*read, grant, Some(&found), None).await?;
        let id = found.bucket.id;
        let jobs = all_jobs(&*read).await?.into_iter().map(|found| found.job);
        Ok(jobs.filter(|job| job.bucket == id).collect())
    }

    /// Starts a job. None when a concurrent change won.
    pub(crate) async fn start_job(
        &self,
        tree: &Tree,
        change: &Change,
        expectations: Vec<Expectation>,
    ) -> Result<Option<JobId>> {
        let now = self.host.clock.now();
        let job = Job {
            id: JobId(self.host.id()),
            bucket: tree.bucket.bucket.id,
            prefix: tree.prefix.clone(),
            change: change.clone(),
            asked: tree.asked.clone(),
            keys_done: 0,
            state: JobState::Running,
            started: now,
            changed: now,
        };
        let mut writes = vec![put_job(&job)?];
        for mut bucket in tree.buckets() {
            for prefix in job.prefixes_in(bucket.id) {
                bucket.held.push(Held {
                    prefix,
                    job: job.id,
                });
            }
            if bucket.held.len() > HELD_MAX {
                let message = format!("a bucket has at most {HELD_MAX} directories in jobs");
                return Err(Error::new(ErrorKind::Conflict, message));
            }
            writes.push(put_bucket(&bucket)?);
        }
        let commit = Commit {
            expectations,
            writes,
            ..Commit::default()
        };
        Ok(self.try_commit(commit).await?.then_some(job.id))
    }

    /// Carries on all jobs for a while, and forgets those that ended long ago. A part of
    /// [`Store::tidy`].
    ///
    /// # Errors
    /// The engine's; it will be tried again.
    pub async fn continue_jobs(&self) -> Result<()> {
        let jobs = all_jobs(&*self.snapshot().await?).await?;
        for FoundJob { job, revision } in jobs {
            if job.state == JobState::Running {
                for _ in 0..BATCHES_MAX {
                    if !self.step(job.id).await? {
                        break;
                    }
                }
            } else if job.changed.0.saturating_add(KEPT) < self.host.clock.now().0 {
                let key = row_key::job(job.id);
                let commit = Commit {
                    expectations: vec![Expectation::Revision(key.clone(), revision)],
                    writes: vec![Write::Delete { key }],
                    urgency: Urgency::Freeing,
                    ..Commit::default()
                };
                self.try_commit(commit).await?;
            }
        }
        Ok(())
    }

    /// One commit of a job. Whether there may be more to do.
    async fn step(&self, id: JobId) -> Result<bool> {
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let Some(row) = read.get(&row_key::job(id)).await? else {
                return Ok(false);
            };
            let mut job = JobRecord::from_value(&row.value)?.into_job(id)?;
            if job.state != JobState::Running {
                return Ok(false);
            }
            let expected = Expectation::Revision(row_key::job(id), row.revision);
            job.changed = self.host.clock.now();
            Arc::make_mut(&mut job.asked.context).time = job.changed;
            let Some(tree) = Tree::of_job(&*read, &job).await? else {
                job.state = JobState::Failed("its bucket is gone".to_owned());
                return self
                    .end(job, Vec::new(), vec![expected])
                    .await
                    .map(|_| false);
            };
            let room = Room {
                keys: BATCH_KEYS.min(self.tree_keys_max.load(Ordering::Relaxed)),
                bytes: BATCH_BYTES,
                told: TOLD_BYTES_MAX,
            };
            let batch = tree.batch(self, &*read, &job.change, room).await;
            drop(read);
            let mut expectations = tree.expectations();
            expectations.push(expected);
            let (mut changes, keys) = match batch {
                Ok(Some(batch)) if batch.keys > 0 => (batch.changes, batch.keys),
                Ok(Some(_)) => {
                    job.state = JobState::Done;
                    if self.end(job, tree.buckets(), expectations).await? {
                        return Ok(false);
                    }
                    continue;
                }
                Ok(None) => continue,
                Err(error) if ends_a_job(error.kind()) => {
                    job.state = JobState::Failed(error.message().to_owned());
                    if self.end(job, tree.buckets(), expectations).await? {
                        return Ok(false);
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            job.keys_done = job.keys_done.saturating_add(keys);
            changes.expectations.extend(expectations);
            changes.writes.push(put_job(&job)?);
            let mut hold = crate::layer::Hold::default();
            let urgency = job.change.urgency();
            let bucket = &tree.bucket;
            match changes.commit(self, bucket, &mut hold, urgency).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if ends_a_job(error.kind()) => {
                    job.keys_done -= keys;
                    job.state = JobState::Failed(error.message().to_owned());
                    let mut expectations = tree.expectations();
                    expectations.push(Expectation::Revision(row_key::job(id), row.revision));
                    if self.end(job, tree.buckets(), expectations).await? {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        // Others keep winning: later.
        Ok(false)
    }

    /// Ends a job: its prefixes are free again.
    async fn end(
        &self,
        job: Job,
        buckets: Vec<Bucket>,
        expectations: Vec<Expectation>,
    ) -> Result<bool> {
        let mut writes = vec![put_job(&job)?];
        for mut bucket in buckets {
            bucket.held.retain(|held| held.job != job.id);
            writes.push(put_bucket(&bucket)?);
        }
        let commit = Commit {
            expectations,
            writes,
            urgency: Urgency::Freeing,
            ..Commit::default()
        };
        self.try_commit(commit).await
    }
}

/// Whether a job that meets this cannot go on.
fn ends_a_job(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Locked
            | ErrorKind::Forbidden
            | ErrorKind::InvalidState
            | ErrorKind::InvalidInput
            | ErrorKind::TooLarge
            | ErrorKind::QuotaExceeded
            | ErrorKind::Corrupt
    )
}

impl Job {
    /// What it holds in a bucket.
    pub(crate) fn prefixes_in(&self, bucket: BucketId) -> Vec<String> {
        let mut prefixes = Vec::new();
        if self.bucket == bucket {
            prefixes.push(self.prefix.clone());
        }
        if let Change::Move {
            bucket: to, prefix, ..
        } = &self.change
            && *to == bucket
        {
            prefixes.push(prefix.clone());
        }
        prefixes
    }
}

fn put_job(job: &Job) -> Result<Write> {
    Ok(Write::Put {
        key: row_key::job(job.id),
        value: JobRecord::new(job).to_value()?,
        body: None,
    })
}

fn put_bucket(bucket: &Bucket) -> Result<Write> {
    Ok(Write::Put {
        key: row_key::bucket(bucket.id),
        value: BucketRecord::new(bucket)?.to_value()?,
        body: None,
    })
}

async fn all_jobs(read: &dyn MetaRead) -> Result<Vec<FoundJob>> {
    let rows = read.scan(&Scan::prefix(row_key::jobs(), JOBS_MAX)).await?;
    let mut jobs = Vec::new();
    for item in rows {
        let ScanItem::Row(key, row) = item else {
            continue;
        };
        let (id, _) =
            row_key::split_id(&key).ok_or_else(|| Error::corrupt("a job with a malformed key"))?;
        jobs.push(FoundJob {
            job: JobRecord::from_value(&row.value)?.into_job(JobId(id))?,
            revision: row.revision,
        });
    }
    Ok(jobs)
}
