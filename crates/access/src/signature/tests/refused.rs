//! Signed requests that each have one thing wrong, and the error that says so.

use super::*;

#[test]
fn what_is_malformed_is_refused_by_its_own_name() {
    use SignatureError as E;
    type Change = fn(&mut Owned);
    type Is = fn(&SignatureError) -> bool;
    let cases: &[(&str, Change, Is)] = &[
        (
            "no credential",
            |o| *o.header("authorization") = "AWS4-HMAC-SHA256".into(),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "empty",
            |o| *o.header("authorization") = String::new(),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "another scheme",
            |o| *o.header("authorization") = "Basic cm9vdDp4".into(),
            |e| matches!(e, E::Unsupported(_)),
        ),
        (
            "4A",
            |o| *o.header("authorization") = "AWS4-ECDSA-P256-SHA256 Credential=a".into(),
            |e| matches!(e, E::Unsupported(_)),
        ),
        (
            "lower-case scheme",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("AWS4", "aws4")
            },
            |e| matches!(e, E::Unsupported(_)),
        ),
        (
            "repeated header",
            |o| {
                let h = o.header("authorization").clone();
                o.headers.push(("authorization".into(), h))
            },
            |e| *e == E::Repeated("authorization"),
        ),
        (
            "repeated host",
            |o| o.headers.push(("host".into(), "x".into())),
            |e| *e == E::Repeated("host"),
        ),
        (
            "repeated date",
            |o| {
                o.headers
                    .push(("x-amz-date".into(), "20130524T000000Z".into()))
            },
            |e| *e == E::Repeated("x-amz-date"),
        ),
        (
            "repeated part",
            |o| {
                let h = o.header("authorization");
                h.push_str(",Signature=0")
            },
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "unknown part",
            |o| {
                let h = o.header("authorization");
                h.push_str(",Nonsense=0")
            },
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "missing part",
            |o| {
                let h = o.header("authorization");
                *h = h.split(",Sig").next().unwrap().into()
            },
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "region",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("us-east-1", "eu-west-1")
            },
            |e| {
                *e == E::WrongRegion {
                    presented: "eu-west-1".into(),
                    expected: "us-east-1".into(),
                }
            },
        ),
        (
            "service",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("/s3/", "/ec2/")
            },
            |e| matches!(e, E::WrongScope(_)),
        ),
        (
            "terminator",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("aws4_request", "aws4")
            },
            |e| matches!(e, E::WrongScope(_)),
        ),
        (
            "short credential",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("/20130524", "")
            },
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "no day",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("/20130524/", "/2013/")
            },
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "another day",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("/20130524/", "/20130523/")
            },
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "another key",
            |o| {
                let h = o.header("authorization");
                *h = h.replace(KEY, "AKIAOTHER")
            },
            |e| matches!(e, E::Unsupported(_)),
        ),
        (
            "upper-case signature",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("f0e8", "F0E8")
            },
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "host not signed",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("host;", "")
            },
            |e| *e == E::Unsigned("host".into()),
        ),
        (
            "unsorted headers",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("host;range", "range;host")
            },
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "a header named twice",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("host;", "host;host;")
            },
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "upper-case header",
            |o| {
                let h = o.header("authorization");
                *h = h.replace("host;", "Host;")
            },
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "a signed header that did not come",
            |o| o.headers.retain(|(n, _)| n != "range"),
            |e| matches!(e, E::Mismatch(_)),
        ),
        (
            "unsigned x-amz",
            |o| o.headers.push(("x-amz-acl".into(), "public-read".into())),
            |e| *e == E::Unsigned("x-amz-acl".into()),
        ),
        (
            "unsigned copy source",
            |o| o.headers.push(("x-amz-copy-source".into(), "b/k".into())),
            |e| *e == E::Unsigned("x-amz-copy-source".into()),
        ),
        (
            "no date",
            |o| o.headers.retain(|(n, _)| n != "x-amz-date"),
            |e| *e == E::MissingDate,
        ),
        (
            "a date of another form",
            |o| *o.header("x-amz-date") = "2013-05-24".into(),
            |e| *e == E::MissingDate,
        ),
        (
            "late",
            |o| *o.header("x-amz-date") = "20130524T001501Z".into(),
            |e| matches!(e, E::Skewed { .. }),
        ),
        (
            "early",
            |o| *o.header("x-amz-date") = "20130523T234459Z".into(),
            |e| matches!(e, E::Skewed { .. }),
        ),
        (
            "no payload",
            |o| o.headers.retain(|(n, _)| n != "x-amz-content-sha256"),
            |e| *e == E::MissingPayload,
        ),
        (
            "a payload that is none",
            |o| *o.header("x-amz-content-sha256") = "abc".into(),
            |e| *e == E::MalformedPayload,
        ),
        (
            "payload of 4A",
            |o| {
                *o.header("x-amz-content-sha256") =
                    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD".into()
            },
            |e| matches!(e, E::Unsupported(_)),
        ),
        (
            "another payload",
            |o| *o.header("x-amz-content-sha256") = "UNSIGNED-PAYLOAD".into(),
            |e| matches!(e, E::Mismatch(_)),
        ),
        (
            "repeated payload",
            |o| {
                o.headers
                    .push(("x-amz-content-sha256".into(), EMPTY.into()))
            },
            |e| *e == E::Repeated("x-amz-content-sha256"),
        ),
        (
            "signed twice",
            |o| o.query = Some("X-Amz-Signature=0".into()),
            |e| *e == E::Ambiguous,
        ),
        (
            "signed by both versions",
            |o| o.query = Some("AWSAccessKeyId=a".into()),
            |e| *e == E::Ambiguous,
        ),
        (
            "another parameter",
            |o| o.query = Some("acl".into()),
            |e| matches!(e, E::Mismatch(_)),
        ),
        (
            "another method",
            |o| o.method = "PUT".into(),
            |e| matches!(e, E::Mismatch(_)),
        ),
        (
            "a version 2 header without a colon",
            |o| *o.header("authorization") = "AWS abc".into(),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "a version 2 header without a key",
            |o| *o.header("authorization") = "AWS :AAAAAAAAAAAAAAAAAAAAAAAAAAA=".into(),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "a version 2 signature of a wrong length",
            |o| *o.header("authorization") = "AWS a:AAAA".into(),
            |e| matches!(e, E::Malformed(_)),
        ),
    ];
    for (name, change, is) in cases {
        let mut changed = get_object();
        change(&mut changed);
        let outcome = changed.verify(SECRET, "us-east-1", THEN);
        assert!(outcome.as_ref().is_err_and(is), "{name}: {outcome:?}");
    }
}

#[test]
fn a_presigned_url_is_read_strictly() {
    use SignatureError as E;
    let with = |from: &str, to: &str| {
        let mut changed = presigned();
        changed.query = changed.query.map(|query| query.replace(from, to));
        changed.verify(SECRET, "us-east-1", THEN)
    };
    for (from, to) in [
        ("&X-Amz-Expires=86400", ""),
        ("X-Amz-Expires=86400", "X-Amz-Expires=0"),
        ("X-Amz-Expires=86400", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=86400", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=86400", "X-Amz-Expires=%2B1"),
        ("X-Amz-Expires=86400", "X-Amz-Expires=x"),
        (
            "X-Amz-Expires=86400",
            "X-Amz-Expires=86400&X-Amz-Expires=86400",
        ),
        ("X-Amz-Date=20130524T000000Z", "X-Amz-Date=2013"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256&", ""),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=none"),
        ("&X-Amz-SignedHeaders=host", ""),
        ("%2F20130524%2F", "%2F20130525%2F"),
    ] {
        assert!(
            matches!(with(from, to), Err(E::MalformedQuery(_))),
            "{from} → {to}"
        );
    }
    assert!(matches!(with("us-east-1", "x"), Err(E::WrongRegion { .. })));
    assert!(matches!(
        with("HMAC-SHA256", "ECDSA-P256-SHA256"),
        Err(E::Malformed(_) | E::Unsupported(_))
    ));
    assert!(matches!(
        with("X-Amz-Expires=86400", "X-Amz-Expires=86401"),
        Err(E::Mismatch(_))
    ));
    let at = |seconds: i64| {
        let micros = seconds * 1_000_000;
        presigned().verify(
            SECRET,
            "us-east-1",
            Timestamp(THEN.0.saturating_add_signed(micros)),
        )
    };
    assert_eq!((at(86_400), at(-899)), (Ok(()), Ok(())));
    assert!(matches!(at(86_401), Err(E::Expired { .. })));
    assert_eq!(at(-901), Err(E::NotYetValid));
    let mut extra = presigned();
    extra
        .headers
        .push(("x-amz-copy-source".into(), "/secret/key".into()));
    let outcome = extra.verify(SECRET, "us-east-1", THEN);
    assert_eq!(outcome, Err(E::Unsigned("x-amz-copy-source".into())));
}

/// What is left of a signature is not taken for nothing.
#[test]
fn a_remnant_of_a_signature_is_never_nobody_s() {
    let plain = |target: &str, headers: &[(&str, &str)]| {
        let request = Owned::new("GET", target, headers);
        request.present("us-east-1", THEN)
    };
    let host = ("host", "examplebucket.s3.amazonaws.com");
    for query in [
        "X-Amz-Date=20130524T000000Z",
        "x-amz-expires=86400",
        "X-Amz-Security-Token=t",
    ] {
        let presented = plain(&format!("/test.txt?{query}"), &[host]);
        assert!(
            matches!(presented, Err(SignatureError::MalformedQuery(_))),
            "{query}"
        );
    }
    let token = ("x-amz-security-token", "t");
    let presented = plain("/test.txt", &[host, token]);
    assert!(matches!(presented, Err(SignatureError::Malformed(_))));
    // The time alone says nothing of who asks.
    let date = ("x-amz-date", "20130524T000000Z");
    let presented = plain("/test.txt?versionId=1", &[host, date]);
    assert!(matches!(presented, Ok(Presented::Nothing)));
}
