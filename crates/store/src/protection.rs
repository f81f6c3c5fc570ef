//! What protects a version, or a bucket, from whatever would destroy it: retention and legal hold.
//!
//! Every path on which bytes or a version could go asks [`Guard::check`], in the place that writes
//! the rows, so that no verb can forget it.

use crate::nouns::Object;
use crate::properties::{BucketProperties, Retention, RetentionMode};
use trestle_core::{Error, ErrorKind, Result, Timestamp};

/// When it is asked, and whether governance may be passed over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    pub(crate) now: Timestamp,
    pub(crate) bypass: bool,
}

impl Guard {
    /// For who may pass over nothing.
    pub(crate) fn at(now: Timestamp) -> Self {
        Guard { now, bypass: false }
    }

    /// Whether a version may be destroyed.
    ///
    /// # Errors
    /// `Locked`.
    pub(crate) fn check(&self, object: &Object) -> Result<()> {
        self.check_parts(object.legal_hold, object.retention)
    }

    /// Whether a bucket may go, or lose its name.
    ///
    /// # Errors
    /// `Locked`.
    pub(crate) fn check_bucket(&self, properties: &BucketProperties) -> Result<()> {
        self.check_parts(properties.legal_hold, properties.retention)
    }

    fn check_parts(&self, held: bool, retention: Option<Retention>) -> Result<()> {
        if held {
            return Err(locked("a legal hold protects it"));
        }
        match retention {
            Some(retention) if self.retains(retention) => Err(locked("it is retained")),
            _ => Ok(()),
        }
    }

    /// Whether a retention may become another: one in force may be extended; in governance mode it may
    /// be anything for who may pass over it.
    ///
    /// # Errors
    /// `Locked`.
    pub(crate) fn check_retention(
        &self,
        former: Option<Retention>,
        new: Option<Retention>,
    ) -> Result<()> {
        let Some(former) = former.filter(|former| self.retains(*former)) else {
            return Ok(());
        };
        let extended = new.is_some_and(|new| new.mode == former.mode && new.until >= former.until);
        match (former.mode, extended) {
            (_, true) => Ok(()),
            (RetentionMode::Compliance, false) => Err(locked("nobody can shorten its retention")),
            (RetentionMode::Governance, false) => Err(locked("its retention is in force")),
        }
    }

    /// Whether a retention is in force, and not passed over.
    pub(crate) fn retains(&self, retention: Retention) -> bool {
        retention.until > self.now && (retention.mode == RetentionMode::Compliance || !self.bypass)
    }
}

pub(crate) fn locked(message: &str) -> Error {
    Error::new(ErrorKind::Locked, message)
}
