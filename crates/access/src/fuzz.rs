//! Targets of the fuzzer: arbitrary bytes for each parser of rights and credentials.

use crate::{
    Acl, Policy, PolicyKind, Presented, RawRequest, Scope, SealedToken, SignedForm, TokenKey,
};
use trestle_core::Timestamp;

/// A name, and what takes the bytes.
type Named = (&'static str, fn(&[u8]));

/// Each target by its name.
pub const TARGETS: &[Named] = &[
    ("access-policy", policy),
    ("access-acl", acl),
    ("access-authorization", authorization),
    ("access-presigned", presigned),
    ("access-form", form),
    ("access-token", token),
];

/// 2026-01-31, as the corpus has it.
fn scope(regions: &[String]) -> Scope<'_> {
    Scope {
        regions,
        service: "s3",
        now: Timestamp(1_769_860_800_000_000),
    }
}

/// A document that is understood says the same each time, and whether it is public is decided.
fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for kind in [
        PolicyKind::Identity,
        PolicyKind::Bucket("b"),
        PolicyKind::Session,
        PolicyKind::Trust,
    ] {
        let _kept = Policy::parse_kept(text, kind);
        if let Ok(policy) = Policy::parse(text, kind) {
            assert!(!policy.statements.is_empty(), "a policy says something");
            assert_eq!(Policy::parse(text, kind).ok(), Some(policy.clone()));
            // What is taken now says the same when it is read as kept.
            assert_eq!(Policy::parse_kept(text, kind).ok(), Some(policy.clone()));
            let _decided = policy.is_public();
        }
    }
}

/// A list comes back as it was written.
fn acl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(acl) = Acl::parse(text) {
        let Ok(written) = acl.to_text() else { return };
        assert_eq!(Acl::parse(&written).ok(), Some(acl));
    }
}

fn header_value(data: &[u8]) -> Option<&[u8]> {
    let printable = |byte: &u8| (*byte >= 0x20 || *byte == b'\t') && *byte != 0x7f;
    data.iter().all(printable).then_some(data)
}

/// Whatever stands in the header is never nobody.
fn authorization(data: &[u8]) {
    let Some(value) = header_value(data) else {
        return;
    };
    let headers: [(&str, &[u8]); 4] = [
        ("host", b"localhost"),
        ("authorization", value),
        ("x-amz-date", b"20260131T120000Z"),
        ("x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
    ];
    let request = RawRequest {
        method: "GET",
        path: "/b/k",
        query: None,
        headers: &headers,
        host_bucket: None,
    };
    let regions = ["us-east-1".to_owned()];
    let presented = Presented::of(&request, &scope(&regions));
    assert!(!matches!(presented, Ok(Presented::Nothing)));
}

/// A query that names a part of a signature is signed or refused.
fn presigned(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else {
        return;
    };
    let headers: [(&str, &[u8]); 1] = [("host", b"localhost")];
    let request = RawRequest {
        method: "GET",
        path: "/b/k",
        query: Some(query),
        headers: &headers,
        host_bucket: None,
    };
    let regions = ["us-east-1".to_owned()];
    let presented = Presented::of(&request, &scope(&regions));
    if query
        .split('&')
        .any(|field| field.starts_with("X-Amz-Signature="))
    {
        assert!(!matches!(presented, Ok(Presented::Nothing)));
    }
}

/// Fields, a line each.
fn form(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let fields: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let field = |name: &str| {
        let found = fields.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    };
    let regions = ["us-east-1".to_owned()];
    let signed = SignedForm::of(&field, &scope(&regions));
    if field("policy").is_some() {
        assert!(!matches!(signed, Ok(None)), "a policy is never passed over");
    }
}

/// Nothing but what this key signed is a token.
fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    assert!(SealedToken::check(text, &TokenKey::new(&[7; 32])).is_none());
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_and_changes_of_it_are_survived() {
        trestle_sim::replay::replay(super::TARGETS, 3_000);
    }
}
