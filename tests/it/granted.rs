//! What a right is not: a name of a policy that gives one thing gives nothing beside it, and a request
//! that changes nothing takes a right, too.

use crate::access::{NOTHING, PASSWORD, document, user};
use crate::{Fixture, put};
use trestle_tests::Client;

#[test]
fn circumstances_are_supposed_or_refused() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let statement = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"},"Bool":{"aws:SecureTransport":"true"},"StringLike":{"aws:UserAgent":"x*"}}}"#;
    let boss = &mut user(server, ("home", "boss"), true, NOTHING);
    user(server, ("home", "ann"), false, statement);
    assert_eq!(put(boss, "/rest/own/", b"").status, 201);
    let mut asked = |context: &str| {
        let text = format!(
            r#"{{"user":"ann","action":"ReadObject","resource":"own/k","context":{{{context}}}}}"#
        );
        let answer = boss
            .send("POST", "/-/explain", &[], text.as_bytes())
            .unwrap();
        match answer.status {
            200 => Ok(crate::json(&answer)["allowed"].as_bool().unwrap()),
            status => Err((status, answer.text())),
        }
    };
    let [from, at, over, by] = [
        r#""aws:SourceIp":["10.1.2.3"]"#,
        r#""AWS:CurrentTime":["2019-12-31T23:59:59Z"]"#,
        r#""aws:SecureTransport":["true"]"#,
        r#""aws:UserAgent":["xyz"]"#,
    ];
    assert_eq!(asked(&[from, at, over, by].join(",")), Ok(true));
    for left_out in [
        [at, over, by],
        [from, over, by],
        [from, at, by],
        [from, at, over],
    ] {
        assert_eq!(asked(&left_out.join(",")), Ok(false), "{left_out:?}");
    }
    let epoch = r#""aws:EpochTime":["1500000000"]"#;
    assert_eq!(asked(&[from, epoch, over, by].join(",")), Ok(true));
    for (wrong, said) in [
        (r#""aws:SourceIp":["nowhere"]"#, "an address"),
        (r#""aws:SourceIp":["10.0.0.1","10.0.0.2"]"#, "one value"),
        (r#""aws:CurrentTime":["soon"]"#, "a time"),
        (r#""aws:SecureTransport":["perhaps"]"#, "true or false"),
        (r#""aws:username":["root"]"#, "follows from who asks"),
        (r#""s3:ExistingObjectTag/a":["b"]"#, "follows from who asks"),
        (r#""aws:SourceVpc":["v"]"#, "no policy can ask for"),
    ] {
        let (status, text) = asked(wrong).unwrap_err();
        assert!(status == 400 && text.contains(said), "{wrong}: {text}");
    }
}

#[test]
fn who_may_do_nothing_is_told_so_of_nothing_and_of_bytes_alone() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let boss = &mut user(server, ("home", "boss"), true, NOTHING);
    assert_eq!(put(boss, "/rest/own/", b"").status, 201);
    assert_eq!(put(boss, "/rest/own/k", b"x").status, 201);
    let stranger = &mut user(server, ("away", "ann"), true, NOTHING);
    let patch = [("content-type", "application/merge-patch+json")];
    let nothing = |client: &mut Client, target: &str| {
        let sent = client.send("PATCH", target, &patch, b"{}");
        sent.unwrap().status
    };
    for target in ["/rest/own/", "/rest/own/k"] {
        assert_eq!(nothing(stranger, target), 403, "{target}");
    }
    assert_eq!(nothing(boss, "/rest/own/"), 204);
    // Its metadata may be read, its bytes may not.
    let list = br#"{"metadata":{"cdmi_acl":[{"acetype":"DENY","identifier":"EVERYONE@","aceflags":"0x0","acemask":"READ_OBJECT"},{"acetype":"ALLOW","identifier":"OWNER@","aceflags":"0x0","acemask":"ALL_PERMS"}]}}"#;
    let object = [("content-type", "application/cdmi-object")];
    let set = boss.send("PATCH", "/cdmi/own/k?metadata=cdmi_acl", &object, list);
    assert_eq!(set.unwrap().status, 204);
    let login = [("x-auth-user", "home:boss"), ("x-auth-key", PASSWORD)];
    let token = boss.send("GET", "/auth/v1.0", &login, b"").unwrap();
    let token = token.header("x-auth-token").unwrap();
    let swift = &mut Client::anonymous(server.address);
    let mut read = |method: &str| {
        let headers = [("x-auth-token", token.as_str())];
        let sent = swift.send(method, "/v1/AUTH_home/own/k", &headers, b"");
        sent.unwrap().status
    };
    assert_eq!([read("HEAD"), read("GET")], [200, 403]);
}

#[test]
fn to_make_somebody_is_not_to_change_or_delete_them() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let boss = &mut user(server, ("home", "boss"), true, NOTHING);
    let bob = "/-/accounts/home/users/bob";
    document(boss, "PUT", bob, r#"{"access_key":"BOBSKEY"}"#);
    let rename = ("PATCH", bob, r#"{"password":"another password"}"#);
    let make = ("PUT", "/-/accounts/home/users/new", "{}");
    let delete = ("DELETE", bob, "");
    let key = ("POST", "/-/accounts/home/users/bob/keys", "{}");
    let shut = (
        "PATCH",
        "/-/accounts/home/users/bob/keys/BOBSKEY",
        r#"{"enabled":false}"#,
    );
    let forget = ("DELETE", "/-/accounts/home/users/bob/keys/BOBSKEY", "");
    let all = [make, rename, key, shut, forget, delete];
    for (index, (name, allowed)) in [
        ("CreateUser", make),
        ("UpdateUser", rename),
        ("CreateAccessKey", key),
        ("UpdateAccessKey", shut),
        ("DeleteAccessKey", forget),
        ("DeleteUser", delete),
    ]
    .into_iter()
    .enumerate()
    {
        let statement = format!(r#"{{"Effect":"Allow","Action":"iam:{name}","Resource":"*"}}"#);
        let ann = &mut user(server, ("home", &format!("ann{index}")), false, &statement);
        for one in all.iter().filter(|one| **one != allowed) {
            let (method, target, text) = *one;
            let refused = ann.send(method, target, &[], text.as_bytes()).unwrap();
            assert_eq!(refused.status, 403, "{name}: {method} {target}");
        }
        let (method, target, text) = allowed;
        let done = ann.send(method, target, &[], text.as_bytes()).unwrap();
        assert!(done.status < 300, "{name}: {}", done.text());
    }
}

#[test]
fn a_default_stands_for_what_users_do_not_have() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let tagged = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::own/${aws:PrincipalTag/team, 'company-wide'}/*"},
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::own/tagged/*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}},
        {"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::own/*/secret","Condition":{"StringNotEquals":{"aws:PrincipalTag/team":"red"}}}"#;
    let boss = &mut user(server, ("home", "boss"), true, NOTHING);
    assert_eq!(put(boss, "/rest/own/", b"").status, 201);
    for key in ["company-wide/k", "company-wide/secret", "red/k", "tagged/k"] {
        assert_eq!(put(boss, &format!("/rest/own/{key}"), b"x").status, 201);
    }
    let ann = &mut user(server, ("home", "ann"), false, tagged);
    for (key, seen) in [
        ("company-wide/k", 200),
        ("company-wide/secret", 403),
        ("red/k", 403),
        ("tagged/k", 403),
    ] {
        let target = format!("/rest/own/{key}");
        let answer = ann.send("GET", &target, &[], b"").unwrap();
        assert_eq!(answer.status, seen, "{key}");
    }
}
