//! What protects a version from whatever would destroy it: retention and legal hold.
//!
//! Every path on which bytes or a version could go asks [`Guard::check`], in the place that writes
//! the rows, so that no verb can forget it.

use crate::nouns::Object;
use crate::properties::{Retention, RetentionMode};
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
        if object.legal_hold {
            return Err(locked("a legal hold protects it"));
        }
        match object.retention {
            Some(retention) if self.retains(retention) => Err(locked("it is retained")),
            _ => Ok(()),
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
