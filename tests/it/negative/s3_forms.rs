//! Forms of browsers, signed in their fields.

use super::Who::Nobody;
use super::{Ask, Case, ask};
use trestle_tests::client::base64;
use trestle_tests::sigv4::{Signer, stamp};

pub(crate) const LATE: &str = "2999-01-01T00:00:00Z";
/// The media type of what is sent.
pub(crate) const KIND: &str = "multipart/form-data; boundary=X";

/// A form of these conditions and fields, rightly signed by root.
fn form(expires: &str, conditions: &str, fields: &[(&str, &str)], file: &str) -> Ask {
    let signer = Signer::new(
        trestle_tests::server::ACCESS_KEY,
        trestle_tests::server::SECRET_KEY,
    );
    let body = signed(&signer, (expires, conditions), fields, file);
    ask("POST", "/bkt")
        .by(Nobody)
        .with("content-type", KIND)
        .body(body)
}

/// The body of a form until a time, under conditions.
pub(crate) fn signed(
    signer: &Signer,
    (expires, conditions): (&str, &str),
    fields: &[(&str, &str)],
    file: &str,
) -> String {
    let time = stamp(signer.time);
    let credential = format!("{}/{}/us-east-1/s3/aws4_request", signer.key, &time[..8]);
    let policy = format!(
        r#"{{"expiration":"{expires}","conditions":[{{"x-amz-credential":"{credential}"}},
           {{"x-amz-algorithm":"AWS4-HMAC-SHA256"}},{{"x-amz-date":"{time}"}},{conditions}]}}"#
    );
    let policy = base64(policy.as_bytes());
    let signature = signer.sign_text(&policy);
    let mut all = vec![
        ("x-amz-credential", credential.as_str()),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-date", time.as_str()),
        ("policy", policy.as_str()),
    ];
    if !fields.iter().any(|(name, _)| *name == "x-amz-signature") {
        all.push(("x-amz-signature", signature.as_str()));
    }
    all.extend_from_slice(fields);
    body(&all, file)
}

fn sent(fields: &[(&str, &str)], file: &str) -> Ask {
    ask("POST", "/bkt")
        .by(Nobody)
        .with("content-type", KIND)
        .body(body(fields, file))
}

fn body(fields: &[(&str, &str)], file: &str) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        body.push_str(&format!(
            "--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    body.push_str(&format!(
        "--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n\
         {file}\r\n--X--\r\n"
    ));
    body
}

const BUCKET: &str = r#"{"bucket":"bkt"},["starts-with","$key","in/"]"#;

/// One that is taken.
pub(super) fn good() -> Ask {
    form(LATE, BUCKET, &[("key", "in/a")], "x")
}

pub(super) fn cases() -> Vec<Case> {
    let zeros: &'static str = Box::leak("0".repeat(64).into_boxed_str());
    let scoped = |region: &str, date: &str| {
        let credential = format!("TRESTLEROOTACCESSKEY/20200101/{region}/s3/aws4_request");
        let fields = [
            ("key", "in/a"),
            ("policy", "e30="),
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", credential.as_str()),
            ("x-amz-date", date),
            ("x-amz-signature", zeros),
        ];
        sent(&fields, "x")
    };
    vec![
        (
            "a form that is over",
            403,
            "AccessDenied",
            form("2001-01-01T00:00:00Z", BUCKET, &[("key", "in/a")], "x"),
        ),
        (
            "a form with another signature",
            403,
            "SignatureDoesNotMatch",
            form(
                LATE,
                BUCKET,
                &[("key", "in/a"), ("x-amz-signature", zeros)],
                "x",
            ),
        ),
        (
            "a form with a signature that is none",
            403,
            "SignatureDoesNotMatch",
            form(
                LATE,
                BUCKET,
                &[("key", "in/a"), ("x-amz-signature", "incorrect")],
                "x",
            ),
        ),
        (
            "a form with a checksum that is none",
            400,
            "InvalidRequest",
            form(
                LATE,
                BUCKET,
                &[("key", "in/a"), ("x-amz-checksum-crc32", "invalid")],
                "x",
            ),
        ),
        (
            "a form of no time",
            400,
            "InvalidArgument",
            scoped("us-east-1", "2020-01-01"),
        ),
        (
            "a form for another region",
            400,
            "InvalidArgument",
            scoped("mars-1", "20200101T000000Z"),
        ),
        (
            "a form for a key beside its prefix",
            403,
            "AccessDenied",
            form(LATE, BUCKET, &[("key", "out/a")], "x"),
        ),
        (
            "a form for a key that looks like its prefix",
            403,
            "AccessDenied",
            form(LATE, BUCKET, &[("key", "IN/a")], "x"),
        ),
        (
            "a form for another bucket",
            403,
            "AccessDenied",
            form(
                LATE,
                r#"{"bucket":"vers"},["starts-with","$key",""]"#,
                &[("key", "in/a")],
                "x",
            ),
        ),
        (
            "a form that names no bucket",
            403,
            "AccessDenied",
            form(
                LATE,
                r#"["starts-with","$key",""]"#,
                &[("key", "in/a")],
                "x",
            ),
        ),
        (
            "a form with a field that its policy does not name",
            403,
            "AccessDenied",
            form(
                LATE,
                BUCKET,
                &[("key", "in/a"), ("acl", "public-read")],
                "x",
            ),
        ),
        (
            "a form with a field of another value",
            403,
            "AccessDenied",
            form(
                LATE,
                &format!(r#"{BUCKET},{{"acl":"private"}}"#),
                &[("key", "in/a"), ("acl", "public-read")],
                "x",
            ),
        ),
        (
            "a form whose file is too large",
            400,
            "EntityTooLarge",
            form(
                LATE,
                &format!(r#"{BUCKET},["content-length-range",0,3]"#),
                &[("key", "in/a")],
                "four",
            ),
        ),
        (
            "a form whose file is too small",
            400,
            "EntityTooSmall",
            form(
                LATE,
                &format!(r#"{BUCKET},["content-length-range",5,9]"#),
                &[("key", "in/a")],
                "four",
            ),
        ),
        (
            "a form whose lengths run backwards",
            400,
            "",
            form(
                LATE,
                &format!(r#"{BUCKET},["content-length-range",9,5]"#),
                &[("key", "in/a")],
                "four",
            ),
        ),
        (
            "a form with a condition that is not there",
            400,
            "",
            form(
                LATE,
                &format!(r#"{BUCKET},["ends-with","$key","a"]"#),
                &[("key", "in/a")],
                "x",
            ),
        ),
        (
            "a form whose end is a word",
            400,
            "",
            form("soon", BUCKET, &[("key", "in/a")], "x"),
        ),
        (
            "a form without a key",
            400,
            "",
            form(LATE, BUCKET, &[], "x"),
        ),
        (
            "a form with its key twice",
            400,
            "",
            form(LATE, BUCKET, &[("key", "in/a"), ("key", "in/b")], "x"),
        ),
        (
            "a form that nobody signed",
            403,
            "AccessDenied",
            sent(&[("key", "in/a")], "x"),
        ),
        (
            "a form whose policy is no base64",
            400,
            "",
            sent(
                &[
                    ("key", "in/a"),
                    ("policy", "???"),
                    ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
                ],
                "x",
            ),
        ),
        (
            "a form with fields for more than there is room",
            400,
            "MaxPostPreDataLengthExceededError",
            form(
                LATE,
                BUCKET,
                &[("key", "in/a"), ("x-ignore-a", &"x".repeat(70 << 10))],
                "x",
            ),
        ),
        (
            "a form without its end",
            400,
            "",
            form(LATE, BUCKET, &[("key", "in/a")], "x")
                .tampered(|w| w.body.truncate(w.body.len() - 9)),
        ),
        (
            "a form without a boundary",
            400,
            "",
            sent(&[("key", "in/a")], "x")
                .tampered(|w| *w.header("content-type") = "multipart/form-data".into()),
        ),
        (
            "a form that is no form",
            412,
            "PreconditionFailed",
            ask("POST", "/bkt")
                .by(Nobody)
                .with("content-type", "text/plain")
                .body("x"),
        ),
    ]
}
