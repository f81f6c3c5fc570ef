//! What an entry says.

use serde::Serialize;
use std::net::IpAddr;
use trestle_access::{Asked, Principal, PrincipalKind, Verdict};
use trestle_core::{AccountId, Timestamp};

/// What is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What was denied, and what was allowed and changes something.
    Changes,
    /// Reads, too.
    All,
}

impl Scope {
    /// By its name in the configuration.
    pub fn named(name: &str) -> Option<Scope> {
        match name {
            "changes" => Some(Scope::Changes),
            "all" => Some(Scope::All),
            _ => None,
        }
    }

    pub(crate) fn holds(self, asked: &Asked, verdict: &Verdict) -> bool {
        let denied = !matches!(verdict, Verdict::Allowed(_));
        self == Scope::All || denied || !asked.action.only_reads()
    }
}

#[derive(Serialize)]
struct Who<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<&'a str>,
}

#[derive(Serialize)]
struct Entry<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    dialect: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<IpAddr>,
    who: Who<'a>,
    action: &'a str,
    resource: String,
    allowed: bool,
    reason: String,
}

/// A time as the log writes it.
pub(crate) fn time(at: Timestamp) -> String {
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros)
        .map(|at| format!("{at:.6}"))
        .unwrap_or_default()
}

fn who(principal: &Principal) -> Who<'_> {
    let (kind, session) = match principal.kind() {
        PrincipalKind::Anonymous => ("anonymous", None),
        PrincipalKind::Root => ("root", None),
        PrincipalKind::User => ("user", None),
        PrincipalKind::Service => ("service", None),
        PrincipalKind::Role { session, .. } => ("role", Some(session.as_str())),
    };
    Who {
        kind,
        account: principal.account().map(AccountId::as_str),
        name: &principal.user,
        session,
        access_key: principal.access_key.as_deref(),
    }
}

/// The fields of a document, without its braces.
fn fields(document: &impl Serialize) -> Option<String> {
    let text = serde_json::to_string(document).ok()?;
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    Some(inner.to_owned())
}

/// The fields of a decision.
pub(crate) fn decided(asked: &Asked, verdict: &Verdict) -> Option<String> {
    let (allowed, reason) = match verdict {
        Verdict::Allowed(reason) => (true, reason.to_string()),
        Verdict::Denied(reason) => (false, reason.to_string()),
        Verdict::NeedsMore => (false, "it could not be decided".to_owned()),
    };
    fields(&Entry {
        time: time(asked.context.time),
        request: asked.context.request.as_deref(),
        dialect: &asked.context.dialect,
        source: asked.context.source,
        who: who(&asked.principal),
        action: asked.action.name(),
        resource: asked.resource.to_string(),
        allowed,
        reason,
    })
}

/// The fields of a token that was issued.
pub(crate) fn issued(
    at: Timestamp,
    to: &Principal,
    access_key: &str,
    role: Option<&str>,
) -> Option<String> {
    #[derive(Serialize)]
    struct Issued<'a> {
        time: String,
        issued: &'a str,
        who: Who<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<&'a str>,
    }
    fields(&Issued {
        time: time(at),
        issued: access_key,
        who: who(to),
        role,
    })
}

/// The fields of a token that was revoked.
pub(crate) fn revoked(at: Timestamp, access_key: &str) -> Option<String> {
    #[derive(Serialize)]
    struct Revoked<'a> {
        time: String,
        revoked: &'a str,
    }
    fields(&Revoked {
        time: time(at),
        revoked: access_key,
    })
}

/// The fields of what was left out of a minute.
pub(crate) fn left_out(at: Timestamp, (denied, refused): (u64, u64)) -> String {
    let time = time(at);
    format!("\"time\":\"{time}\",\"left_out\":{{\"anonymous\":{denied},\"refused\":{refused}}}")
}

/// The fields of a credential that was refused.
pub(crate) fn refused(
    at: Timestamp,
    kind: &str,
    name: &str,
    source: Option<IpAddr>,
) -> Option<String> {
    #[derive(Serialize)]
    struct Refused<'a> {
        time: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<IpAddr>,
        refused: &'a str,
        name: &'a str,
    }
    // Anybody can send a name of any length.
    let name: String = name.chars().take(128).collect();
    fields(&Refused {
        time: time(at),
        source,
        refused: kind,
        name: &name,
    })
}
