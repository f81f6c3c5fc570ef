//! Each right of S3 is the one that its policies name, of the version that is asked for.

use crate::access::{document, user};
use crate::sessions::sent;
use crate::{Fixture, put};
use serde_json::json as value;
use trestle_tests::server::{ACCESS_KEY, SECRET_KEY};
use trestle_tests::sigv4::{Signer, Wire};
use trestle_tests::{Client, Response};

const ALL: &str = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;

/// Who signs with which key.
#[derive(Clone, Copy)]
struct Who(&'static str, &'static str);

const ROOT: Who = Who(ACCESS_KEY, SECRET_KEY);

/// A user of root's account with a policy, and its key.
fn signer(f: &Fixture, name: &'static str, statements: &str) -> Who {
    drop(user(f.server(), ("root", name), false, statements));
    let keys = value!({"access_key": name, "secret_key": "of-the-user"}).to_string();
    let path = format!("/-/accounts/root/users/{name}/keys");
    document(&mut f.client(), "POST", &path, &keys);
    Who(name, "of-the-user")
}

fn ask(
    f: &Fixture,
    Who(key, secret): Who,
    (method, target): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Response {
    let headers = headers.iter();
    let wire = Wire {
        method: method.into(),
        target: target.into(),
        headers: headers.map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        body: body.as_bytes().to_vec(),
    };
    sent(f, Signer::new(key, secret), wire)
}

fn deny(action: &str, condition: &str) -> String {
    format!(r#"{{"Effect":"Deny","Action":"{action}","Resource":"*","Condition":{{{condition}}}}}"#)
}

#[test]
fn a_place_and_attributes_take_their_own_rights() {
    let f = Fixture::new();
    put(&mut f.client(), "/rest/b/k", b"x");
    let only = r#"{"Effect":"Allow","Action":"s3:GetBucketLocation","Resource":"*"}"#;
    let place = signer(&f, "place", only);
    assert_eq!(ask(&f, place, ("GET", "/b?location="), &[], "").status, 200);
    assert_eq!(ask(&f, place, ("GET", "/b"), &[], "").status, 403);
    let not = r#"{"Effect":"Deny","Action":"s3:GetBucketLocation","Resource":"*"}"#;
    let but = signer(&f, "but", &format!("{ALL},{not}"));
    assert_eq!(ask(&f, but, ("GET", "/b?location="), &[], "").status, 403);
    let wanted = [("x-amz-object-attributes", "ObjectSize")];
    let attributes = |who| ask(&f, who, ("GET", "/b/k?attributes="), &wanted, "").status;
    let read = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#;
    let reader = signer(&f, "reader", read);
    assert_eq!(ask(&f, reader, ("GET", "/b/k"), &[], "").status, 200);
    assert_eq!(attributes(reader), 403);
    let both = r#"{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectAttributes"],
        "Resource":"*"}"#;
    assert_eq!(attributes(signer(&f, "both", both)), 200);
    assert_eq!(attributes(ROOT), 200);
}

/// What a bucket is created with takes the rights that it takes afterwards.
#[test]
fn what_comes_along_with_a_bucket_takes_its_own_rights() {
    let f = Fixture::new();
    let create = r#"{"Effect":"Allow","Action":"s3:CreateBucket","Resource":"*"}"#;
    let only = signer(&f, "only", create);
    let not = r#"{"Effect":"Deny","Action":"s3:PutBucketAcl","Resource":"*"}"#;
    let private = signer(&f, "private", &format!("{ALL},{not}"));
    let open = ("x-amz-acl", "public-read");
    let locked = ("x-amz-bucket-object-lock-enabled", "true");
    let preferred = ("x-amz-object-ownership", "BucketOwnerPreferred");
    let tags = "<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>\
                </CreateBucketConfiguration>";
    for (who, name, header, body, expected) in [
        (only, "one", None, "", 200),
        (only, "two", Some(open), "", 403),
        (only, "two", Some(locked), "", 403),
        (only, "two", Some(preferred), "", 403),
        (only, "two", None, tags, 403),
        (private, "two", Some(open), "", 403),
        (private, "two", Some(locked), "", 200),
        (private, "three", Some(preferred), tags, 200),
        (ROOT, "four", Some(open), tags, 200),
    ] {
        let headers: Vec<(&str, &str)> = header.into_iter().collect();
        let made = ask(&f, who, ("PUT", &format!("/{name}")), &headers, body);
        let said = made.text();
        assert_eq!(made.status, expected, "{name} {header:?} {said}");
    }
}

/// As its documentation has writes of new objects enforced.
#[test]
fn a_policy_that_wants_conditions_lets_uploads_begin() {
    let f = Fixture::new();
    put(&mut f.client(), "/rest/b/k", b"x");
    let condition =
        r#""Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}"#;
    let statements = format!("{ALL},{}", deny("s3:PutObject", condition));
    let once = signer(&f, "once", &statements);
    let new = [("if-none-match", "*")];
    assert_eq!(ask(&f, once, ("PUT", "/b/new"), &[], "x").status, 403);
    assert_eq!(ask(&f, once, ("PUT", "/b/new"), &new, "x").status, 200);
    let begun = ask(&f, once, ("POST", "/b/up?uploads="), &[], "");
    assert_eq!(begun.status, 200, "{}", begun.text());
    let text = begun.text();
    let upload = text
        .split("<UploadId>")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    let upload = format!("/b/up?uploadId={}", upload.unwrap());
    let part = ask(
        &f,
        once,
        ("PUT", &format!("{upload}&partNumber=1")),
        &[],
        "x",
    );
    assert_eq!(part.status, 200, "{}", part.text());
    let tag = part.header("etag").unwrap();
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    assert_eq!(ask(&f, once, ("POST", &upload), &[], &parts).status, 403);
    assert_eq!(ask(&f, once, ("POST", &upload), &new, &parts).status, 200);
    // It is a write of an object by whatever interface, and no other has that condition's key.
    let mut client = user(f.server(), ("root", "other"), false, &statements);
    let other = client.send("PUT", "/rest/b/other", &[], b"x").unwrap();
    assert_eq!(other.status, 403, "{}", other.text());
}

#[test]
fn a_version_goes_by_its_own_list_and_its_own_id() {
    let f = Fixture::new();
    put(&mut f.client(), "/rest/b/k", b"x");
    let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let set = ask(&f, ROOT, ("PUT", "/b?versioning="), &[], enabled);
    assert_eq!(set.status, 200, "{}", set.text());
    let write = |headers: &[(&str, &str)]| {
        let answer = ask(&f, ROOT, ("PUT", "/b/k"), headers, "x");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("x-amz-version-id").unwrap()
    };
    let open = write(&[("x-amz-acl", "public-read")]);
    let closed = write(&[]);
    let nobody = |version: &str| {
        let target = format!("/b/k?versionId={version}");
        let mut client = Client::anonymous(f.server().address);
        client.send("GET", &target, &[], b"").unwrap().status
    };
    assert_eq!((nobody(&open), nobody(&closed)), (200, 403));
    // A policy about one version counts wherever a request names it.
    let mut kept = deny(
        "s3:DeleteObjectVersion",
        &format!(r#""StringEquals":{{"s3:VersionId":"{open}"}}"#),
    );
    kept.push_str(&format!(
        ",{}",
        deny(
            "s3:GetObjectVersion",
            &format!(r#""StringEquals":{{"s3:VersionId":"{open}"}}"#)
        )
    ));
    let bound = signer(&f, "bound", &format!("{ALL},{kept}"));
    let copy = |version: &str| {
        let source = format!("/b/k?versionId={version}");
        let headers = [("x-amz-copy-source", source.as_str())];
        ask(&f, bound, ("PUT", "/b/copy"), &headers, "").status
    };
    assert_eq!((copy(&open), copy(&closed)), (403, 200));
    // A marker is no source by its id.
    let marked = ask(&f, ROOT, ("DELETE", "/b/k2"), &[], "");
    let marker = marked.header("x-amz-version-id").unwrap();
    let source = format!("/b/k2?versionId={marker}");
    let headers = [("x-amz-copy-source", source.as_str())];
    let refused = ask(&f, ROOT, ("PUT", "/b/copy"), &headers, "");
    assert_eq!(refused.status, 400, "{}", refused.text());
    let object = |id: &str| format!("<Object><Key>k</Key><VersionId>{id}</VersionId></Object>");
    let both = format!("<Delete>{}{}</Delete>", object(&open), object(&closed));
    let deleted = ask(&f, bound, ("POST", "/b?delete="), &[], &both).text();
    assert_eq!(deleted.matches("<Error>").count(), 1, "{deleted}");
    assert!(deleted.contains("<Code>AccessDenied</Code>"), "{deleted}");
    assert_eq!(nobody(&open), 200);
}

#[test]
fn a_copy_over_rest_takes_along_what_may_be_read() {
    let f = Fixture::new();
    put(&mut f.client(), "/rest/b/plain", b"x");
    let tagged = ask(
        &f,
        ROOT,
        ("PUT", "/b/tagged"),
        &[("x-amz-tagging", "a=b")],
        "x",
    );
    assert_eq!(tagged.status, 200, "{}", tagged.text());
    let described = ask(
        &f,
        ROOT,
        ("PUT", "/b/described"),
        &[("x-amz-meta-a", "b")],
        "x",
    );
    assert_eq!(described.status, 200, "{}", described.text());
    for (name, action, refused) in [
        ("tags", "s3:GetObjectTagging", "tagged"),
        ("metadata", "trestle:ReadObjectMetadata", "described"),
    ] {
        let not = format!(r#"{{"Effect":"Deny","Action":"{action}","Resource":"*"}}"#);
        let mut bound = user(f.server(), ("root", name), false, &format!("{ALL},{not}"));
        for key in ["plain", "tagged", "described"] {
            let expected = if key == refused { 403 } else { 201 };
            let to = format!("/rest/b/{key}-of-{name}");
            let headers = [("destination", to.as_str())];
            let path = format!("/rest/b/{key}");
            let copied = bound.send("COPY", &path, &headers, b"").unwrap();
            assert_eq!(copied.status, expected, "{name} {key} {}", copied.text());
            let verbs = format!(
                r#"{{"verbs":[{{"verb":"copy","bucket":"b","key":"{key}","to_key":"{key}-{name}"}}]}}"#
            );
            let headers = [("content-type", "application/json")];
            let copied = bound.send("POST", "/-/transactions", &headers, verbs.as_bytes());
            let expected = if key == refused { 403 } else { 200 };
            assert_eq!(
                copied.unwrap().status,
                expected,
                "{name} {key} by a transaction"
            );
        }
        let to = [("destination", "/rest/b/elsewhere")];
        let moved = bound.send("MOVE", &format!("/rest/b/{refused}"), &to, b"");
        assert_eq!(moved.unwrap().status, 403, "{name}");
    }
}
