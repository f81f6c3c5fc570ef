//! Who is told of every decision, where it is made: no dialect can forget it. Those alone
//! are left out whose circumstances are quiet.

use crate::{Asked, Principal, Verdict};
use std::net::IpAddr;

/// Is told of decisions. It must not wait: a request does.
pub trait Auditor: Send + Sync {
    /// Something was decided.
    fn decided(&self, asked: &Asked, verdict: &Verdict);

    /// A credential of some kind was refused, for whoever it names.
    fn refused(&self, kind: &str, name: &str, source: Option<IpAddr>);

    /// A token was issued, whose access key this is; for a role, when it is one's.
    fn issued(&self, to: &Principal, access_key: &str, role: Option<&str>);

    /// The token whose access key this is was revoked.
    fn revoked(&self, access_key: &str);
}
