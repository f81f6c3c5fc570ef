//! Who is told of decisions: one auditor, or nobody.

use crate::store::Store;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use trestle_access::{Asked, Auditor, Principal, Verdict};

/// The auditor, once there is one.
#[derive(Clone, Default)]
pub(crate) struct Audit(Arc<OnceLock<Arc<dyn Auditor>>>);

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Audit")
    }
}

impl Audit {
    pub(crate) fn decided(&self, asked: &Asked, verdict: &Verdict) {
        if let Some(auditor) = self.0.get()
            && !asked.context.quiet
        {
            auditor.decided(asked, verdict);
        }
    }

    pub(crate) fn refused(&self, kind: &str, name: &str, source: Option<IpAddr>) {
        if let Some(auditor) = self.0.get() {
            auditor.refused(kind, name, source);
        }
    }

    pub(crate) fn issued(&self, to: &Principal, access_key: &str, role: Option<&str>) {
        if let Some(auditor) = self.0.get() {
            auditor.issued(to, access_key, role);
        }
    }

    pub(crate) fn revoked(&self, access_key: &str) {
        if let Some(auditor) = self.0.get() {
            auditor.revoked(access_key);
        }
    }
}

impl Store {
    /// Lets somebody be told of every decision from now on. The first one counts.
    pub fn set_auditor(&self, auditor: Arc<dyn Auditor>) {
        let _first = self.audit.0.set(auditor);
    }

    /// Has it noted that a credential was refused, where it is not the store that refuses it.
    pub fn audit_refused(&self, kind: &str, name: &str, source: Option<IpAddr>) {
        self.audit.refused(kind, name, source);
    }
}
