//! The rows of Amazon S3.

use super::Who::{Boss, Nobody};
use super::rows::rows;
use super::{Ask, Case, World, ask};

/// A request that is signed as it should be.
fn s3(method: &str, target: &str) -> Ask {
    ask(method, target).signed(|_| {})
}

fn get() -> Ask {
    s3("GET", "/bkt/o")
}

pub(super) fn put() -> Ask {
    s3("PUT", "/bkt/o").body("x")
}

fn world() -> World {
    let mut world = World::new();
    for bucket in ["/bkt", "/vers"] {
        world.made(s3("PUT", bucket));
    }
    world.made(s3("PUT", "/acmebkt").by(Boss));
    world.made(s3("PUT", "/acmebkt/o").by(Boss).body("theirs"));
    world.made(s3("PUT", "/lockb").with("x-amz-bucket-object-lock-enabled", "true"));
    world.made(s3("PUT", "/bkt/o").body("0123456789"));
    let enable = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    world.made(s3("PUT", "/vers?versioning").body(enable));
    let old = world.made(s3("PUT", "/vers/o").body("old"));
    world
        .names
        .insert("old", old.header("x-amz-version-id").unwrap());
    world.made(s3("PUT", "/vers/o").body("new"));
    let held = s3("PUT", "/lockb/held")
        .with("x-amz-object-lock-mode", "COMPLIANCE")
        .with(
            "x-amz-object-lock-retain-until-date",
            "2999-01-01T00:00:00Z",
        );
    let held = world.made(held.body("held"));
    world
        .names
        .insert("held", held.header("x-amz-version-id").unwrap());
    let legal = s3("PUT", "/lockb/legal").with("x-amz-object-lock-legal-hold", "ON");
    let legal = world.made(legal.body("legal"));
    world
        .names
        .insert("legal", legal.header("x-amz-version-id").unwrap());
    let governed = s3("PUT", "/lockb/governed")
        .with("x-amz-object-lock-mode", "GOVERNANCE")
        .with(
            "x-amz-object-lock-retain-until-date",
            "2999-01-01T00:00:00Z",
        );
    let governed = world.made(governed.body("governed"));
    world
        .names
        .insert("governed", governed.header("x-amz-version-id").unwrap());
    let upload = world.made(s3("POST", "/bkt/up?uploads")).text();
    let id = upload
        .split("<UploadId>")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    world.names.insert("upload", id.unwrap().to_owned());
    let sealed = s3("POST", "/bkt/crc?uploads").with("x-amz-checksum-algorithm", "CRC32");
    let sealed = world.made(sealed).text();
    let id = sealed
        .split("<UploadId>")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    world.names.insert("crc", id.unwrap().to_owned());
    let theirs = world
        .made(s3("POST", "/acmebkt/up?uploads").by(Boss))
        .text();
    let id = theirs
        .split("<UploadId>")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    world.names.insert("theirs", id.unwrap().to_owned());
    for part in ["1", "2"] {
        let target = format!("/bkt/up?partNumber={part}&uploadId=<upload>");
        let made = world.made(s3("PUT", &target).body("small"));
        world.names.insert("part", made.header("etag").unwrap());
    }
    world
}

/// Signatures in the header.
fn signatures() -> Vec<Case> {
    vec![
        (
            "no signature",
            403,
            "AccessDenied",
            s3("GET", "/bkt/o").by(Nobody),
        ),
        (
            "an unknown access key",
            403,
            "InvalidAccessKeyId",
            get().signed(|s| s.key = "NONE".into()),
        ),
        (
            "another secret",
            403,
            "SignatureDoesNotMatch",
            get().signed(|s| s.secret.push('x')),
        ),
        (
            "an empty secret",
            403,
            "SignatureDoesNotMatch",
            get().signed(|s| s.secret.clear()),
        ),
        (
            "another's access key",
            403,
            "SignatureDoesNotMatch",
            get().signed(|s| s.key = "BOSSKEY".into()),
        ),
        (
            "another region",
            400,
            "AuthorizationHeaderMalformed",
            get().signed(|s| s.region = "eu-west-9".into()),
        ),
        (
            "another service",
            400,
            "AuthorizationHeaderMalformed",
            get().signed(|s| s.service = "sts".into()),
        ),
        (
            "a clock that is an hour late",
            403,
            "RequestTimeTooSkewed",
            get().signed(|s| s.time -= 3_600),
        ),
        (
            "a clock that is an hour early",
            403,
            "RequestTimeTooSkewed",
            get().signed(|s| s.time += 3_600),
        ),
        (
            "a day of the past in the scope alone",
            400,
            "AuthorizationHeaderMalformed",
            get().tampered(|w| {
                let text = w.header("authorization");
                let at = text.find('/').unwrap() + 1;
                text.replace_range(at..at + 8, "20200101");
            }),
        ),
        (
            "a time without a day",
            403,
            "",
            get().tampered(|w| *w.header("x-amz-date") = "T000000Z".into()),
        ),
        (
            "no time",
            403,
            "AccessDenied",
            get().tampered(|w| w.headers.retain(|(name, _)| name != "x-amz-date")),
        ),
        (
            "another method than was signed",
            403,
            "SignatureDoesNotMatch",
            get().tampered(|w| w.method = "DELETE".into()),
        ),
        (
            "another key than was signed",
            403,
            "SignatureDoesNotMatch",
            get().tampered(|w| w.target = "/bkt/other".into()),
        ),
        (
            "another bucket than was signed",
            403,
            "SignatureDoesNotMatch",
            get().tampered(|w| w.target = "/vers/o".into()),
        ),
        (
            "a query that was not signed",
            403,
            "SignatureDoesNotMatch",
            get().tampered(|w| w.target.push_str("?acl")),
        ),
        (
            "a path that is escaped twice",
            403,
            "SignatureDoesNotMatch",
            s3("GET", "/bkt/a%20b").tampered(|w| w.target = "/bkt/a%2520b".into()),
        ),
        (
            "a header's value that was not signed",
            403,
            "SignatureDoesNotMatch",
            put()
                .with("x-amz-acl", "private")
                .tampered(|w| *w.header("x-amz-acl") = "public-read".into()),
        ),
        (
            "a header that was not signed",
            403,
            "AccessDenied",
            put().tampered(|w| w.headers.push(("x-amz-acl".into(), "public-read".into()))),
        ),
        (
            "a copy's source that was not signed",
            403,
            "AccessDenied",
            s3("PUT", "/bkt/o").tampered(|w| {
                w.headers
                    .push(("x-amz-copy-source".into(), "/vers/o".into()))
            }),
        ),
        (
            "metadata that were not signed",
            403,
            "AccessDenied",
            put().tampered(|w| w.headers.push(("x-amz-meta-a".into(), "b".into()))),
        ),
        (
            "a signed header twice",
            403,
            "",
            put()
                .with("x-amz-meta-a", "b")
                .tampered(|w| w.headers.push(("x-amz-meta-a".into(), "c".into()))),
        ),
        (
            "a signed header that is missing",
            403,
            "",
            put()
                .with("x-amz-meta-a", "b")
                .tampered(|w| w.headers.retain(|(name, _)| name != "x-amz-meta-a")),
        ),
        (
            "a list of signed headers without the host",
            403,
            "",
            get().tampered(|w| {
                let text = w.header("authorization");
                *text = text.replace("host;", "");
            }),
        ),
        (
            "another body than was signed",
            400,
            "XAmzContentSHA256Mismatch",
            put().tampered(|w| w.body = b"y".to_vec()),
        ),
        (
            "a digest that is none",
            400,
            "",
            put().signed(|s| s.payload = Some("x".into())),
        ),
        (
            "a digest of another kind",
            400,
            "",
            put().signed(|s| s.payload = Some("STREAMING-NOTHING".into())),
        ),
        (
            "a digest that is changed on the way",
            403,
            "SignatureDoesNotMatch",
            put().tampered(|w| *w.header("x-amz-content-sha256") = "UNSIGNED-PAYLOAD".into()),
        ),
        (
            "no digest",
            400,
            "",
            put().tampered(|w| w.headers.retain(|(name, _)| name != "x-amz-content-sha256")),
        ),
        (
            "half a signature",
            400,
            "AuthorizationHeaderMalformed",
            get().tampered(|w| {
                let text = w.header("authorization");
                text.truncate(text.len() - 32);
            }),
        ),
        (
            "a signature in capitals",
            400,
            "AuthorizationHeaderMalformed",
            get().tampered(|w| {
                let text = w.header("authorization");
                let at = text.len() - 64;
                let upper = text[at..].to_uppercase();
                text.replace_range(at.., &upper);
            }),
        ),
        (
            "an empty signature",
            400,
            "AuthorizationHeaderMalformed",
            get().tampered(|w| {
                let text = w.header("authorization");
                text.truncate(text.len() - 64);
            }),
        ),
        (
            "two signatures in one header",
            400,
            "",
            get().tampered(|w| {
                let text = w.header("authorization");
                let again = text[text.rfind("Signature=").unwrap()..].to_owned();
                *text = format!("{text}, {again}");
            }),
        ),
        (
            "two headers with a signature",
            400,
            "",
            get().tampered(|w| {
                let again = w.header("authorization").clone();
                w.headers.push(("authorization".into(), again));
            }),
        ),
        (
            "a signature in header and query",
            400,
            "InvalidArgument",
            get().tampered(|w| {
                w.target
                    .push_str("?X-Amz-Signature=x&X-Amz-Algorithm=AWS4-HMAC-SHA256")
            }),
        ),
        (
            "a credential without a scope",
            400,
            "AuthorizationHeaderMalformed",
            get().by(Nobody).with(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=TRESTLEROOTACCESSKEY, SignedHeaders=host, Signature=0",
            ),
        ),
        (
            "an algorithm that is not there",
            400,
            "",
            get().tampered(|w| {
                let text = w.header("authorization");
                *text = text.replace("HMAC-SHA256", "HMAC-SHA1");
            }),
        ),
        (
            "a signature by elliptic curves",
            501,
            "NotImplemented",
            get().tampered(|w| {
                let text = w.header("authorization");
                *text = text.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256");
            }),
        ),
        ("HTTP Basic", 400, "InvalidArgument", ask("GET", "/bkt/o")),
        (
            "a token of the REST API",
            400,
            "InvalidArgument",
            get().by(Nobody).with("authorization", "Bearer x"),
        ),
        (
            "an empty header of authorization",
            400,
            "",
            get().by(Nobody).with("authorization", ""),
        ),
        (
            "the scheme alone",
            400,
            "",
            get().by(Nobody).with("authorization", "AWS4-HMAC-SHA256"),
        ),
        (
            "version 2 without a signature",
            400,
            "",
            get()
                .by(Nobody)
                .with("authorization", "AWS TRESTLEROOTACCESSKEY")
                .with("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ),
        (
            "version 2 of the past",
            403,
            "RequestTimeTooSkewed",
            get()
                .by(Nobody)
                .with(
                    "authorization",
                    "AWS TRESTLEROOTACCESSKEY:AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                )
                .with("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ),
        (
            "a session that nobody gave out",
            400,
            "InvalidToken",
            get().with("x-amz-security-token", "FwoGZXIvYXdzEA"),
        ),
    ]
}

/// Signatures in the query.
fn presigned() -> Vec<Case> {
    let url = || ask("GET", "/bkt/o").presigned(|_| {});
    vec![
        (
            "a URL that is over",
            403,
            "AccessDenied",
            url().presigned(|s| s.time -= 600),
        ),
        (
            "a URL of the future",
            403,
            "AccessDenied",
            url().presigned(|s| s.time += 3_600),
        ),
        (
            "a URL for more than a week",
            403,
            "AccessDenied",
            url().presigned(|s| s.expires = "604801".into()),
        ),
        (
            "a URL for no time",
            403,
            "",
            url().presigned(|s| s.expires = "0".into()),
        ),
        (
            "a URL for less than no time",
            403,
            "AccessDenied",
            url().presigned(|s| s.expires = "-1".into()),
        ),
        (
            "a URL for a word",
            400,
            "AuthorizationQueryParametersError",
            url().presigned(|s| s.expires = "forever".into()),
        ),
        (
            "a URL for another region",
            400,
            "AuthorizationQueryParametersError",
            url().presigned(|s| s.region = "eu-west-9".into()),
        ),
        (
            "a URL for another service",
            400,
            "AuthorizationQueryParametersError",
            url().presigned(|s| s.service = "sts".into()),
        ),
        (
            "a URL whose credential ends otherwise",
            400,
            "AuthorizationQueryParametersError",
            url().tampered(|w| w.target = w.target.replace("aws4_request", "aws_request")),
        ),
        (
            "a URL whose credential has no day",
            400,
            "AuthorizationQueryParametersError",
            url().tampered(|w| w.target = w.target.replace("%2Fus-east-1", "x%2Fus-east-1")),
        ),
        (
            "a URL that lasts longer than was signed",
            403,
            "SignatureDoesNotMatch",
            url().tampered(|w| w.target = w.target.replace("Expires=60", "Expires=600")),
        ),
        (
            "a URL for GET that puts",
            403,
            "SignatureDoesNotMatch",
            url().tampered(|w| {
                w.method = "PUT".into();
                w.body = b"x".to_vec();
            }),
        ),
        (
            "a URL for GET that deletes",
            403,
            "SignatureDoesNotMatch",
            url().tampered(|w| w.method = "DELETE".into()),
        ),
        (
            "a URL for GET that looks",
            403,
            "",
            url().tampered(|w| w.method = "HEAD".into()),
        ),
        (
            "a URL of one key for another",
            403,
            "SignatureDoesNotMatch",
            url().tampered(|w| w.target = w.target.replace("/bkt/o", "/vers/o")),
        ),
        (
            "a URL with a subresource behind it",
            403,
            "SignatureDoesNotMatch",
            url().tampered(|w| w.target.push_str("&acl")),
        ),
        (
            "a URL with a header that was not signed",
            403,
            "AccessDenied",
            ask("PUT", "/bkt/o")
                .body("x")
                .presigned(|_| {})
                .tampered(|w| w.headers.push(("x-amz-acl".into(), "public-read".into()))),
        ),
        (
            "a URL that another type is put to than was signed",
            403,
            "SignatureDoesNotMatch",
            ask("PUT", "/bkt/o")
                .with("content-type", "text/plain")
                .body("x")
                .presigned(|_| {})
                .tampered(|w| *w.header("content-type") = "text/html".into()),
        ),
        (
            "a signature twice",
            400,
            "",
            url().tampered(|w| w.target.push_str("&X-Amz-Signature=0")),
        ),
        (
            "a time twice",
            400,
            "",
            url().tampered(|w| w.target.push_str("&X-Amz-Date=20200101T000000Z")),
        ),
        (
            "a credential twice",
            400,
            "",
            url().tampered(|w| w.target.push_str("&X-Amz-Credential=x")),
        ),
        (
            "a URL without its algorithm",
            400,
            "AuthorizationQueryParametersError",
            url()
                .tampered(|w| w.target = w.target.replace("X-Amz-Algorithm=AWS4-HMAC-SHA256&", "")),
        ),
        (
            "a URL without its time",
            400,
            "AuthorizationQueryParametersError",
            url().tampered(|w| w.target = w.target.replace("X-Amz-Date", "X-Amz-Datum")),
        ),
        (
            "a URL of another algorithm",
            400,
            "AuthorizationQueryParametersError",
            url().tampered(|w| w.target = w.target.replace("AWS4-HMAC-SHA256", "none")),
        ),
        (
            "a URL without a signature",
            400,
            "",
            url().tampered(|w| {
                let at = w.target.find("&X-Amz-Signature").unwrap();
                w.target.truncate(at);
            }),
        ),
    ]
}

#[test]
fn s3_refuses_each_of_its_named_cases_and_changes_nothing() {
    let mut world = world();
    let cases = [
        signatures(),
        presigned(),
        super::s3_bodies::cases(),
        super::s3_forms::cases(),
        rows(include_str!("s3.txt"), |ask| ask.signed(|_| {})),
    ];
    let refused = world.refuses(cases.into_iter().flatten().collect());
    assert!(refused >= 345, "{refused}");
}

/// Else a row would show nothing: it could be refused for another reason than its name says.
#[test]
fn what_the_wrong_requests_are_made_of_is_served() {
    let mut world = world();
    for (name, ask) in [
        ("a signed read", get()),
        ("a signed write", put()),
        ("a presigned read", ask("GET", "/bkt/o").presigned(|_| {})),
        (
            "a body in chunks",
            super::s3_bodies::open(
                "3",
                "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n",
            ),
        ),
        (
            "a body in chunks without a trailer",
            ask("PUT", "/bkt/o")
                .with("x-amz-decoded-content-length", "3")
                .body("3\r\nabc\r\n0\r\n\r\n")
                .signed(|s| s.payload = Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER".into())),
        ),
        (
            "a part with its upload's checksum",
            s3("PUT", "/bkt/crc?partNumber=1&uploadId=<crc>")
                .with("x-amz-checksum-crc32", "jNwWgw==")
                .body("x"),
        ),
        ("a form", super::s3_forms::good()),
    ] {
        let answer = world.send(&ask);
        assert!(
            answer.status < 300,
            "{name}: {} {}",
            answer.status,
            answer.text()
        );
    }
}
