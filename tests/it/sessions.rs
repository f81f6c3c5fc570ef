//! Tokens and sessions from outside: taken by the command line, used in every dialect, ended, and
//! what of it is in the audit log.

use crate::access::{audited, document, user, verified};
use crate::identities::trestle;
use crate::negative::s3_forms::{KIND, LATE, signed};
use crate::{Fixture, json, put, send};
use serde_json::{Value, json as value};
use std::time::{Duration, Instant};
use trestle_tests::sigv4::{Signer, Wire, stamp};
use trestle_tests::{Client, Response};

/// May be told to be patient: what is waited for is never a fixed time.
const PATIENCE: Duration = Duration::from_secs(60);

const NOTHING: &str = r#"{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}"#;

/// A token and its keys.
struct Keys {
    token: String,
    access_key: String,
    secret_key: String,
}

impl Keys {
    fn of(document: &Value) -> Keys {
        let text = |name: &str| document[name].as_str().unwrap().to_owned();
        Keys {
            token: text("token"),
            access_key: text("access_key"),
            secret_key: text("secret_key"),
        }
    }

    fn bear(&self, f: &Fixture, method: &str, target: &str) -> Response {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str())];
        let mut client = Client::anonymous(f.server().address);
        client.send(method, target, &headers, &[]).unwrap()
    }

    /// Over S3, signed with the keys.
    fn sign(&self, f: &Fixture, target: &str) -> Response {
        let wire = Wire {
            method: "GET".into(),
            target: target.into(),
            headers: vec![("x-amz-security-token".into(), self.token.clone())],
            ..Wire::default()
        };
        sent(f, Signer::new(&self.access_key, &self.secret_key), wire)
    }

    /// Over Swift.
    fn swift(&self, f: &Fixture, path: &str) -> u16 {
        let mut client = Client::anonymous(f.server().address);
        let headers = [("x-auth-token", self.token.as_str())];
        client.send("GET", path, &headers, &[]).unwrap().status
    }
}

pub(crate) fn sent(f: &Fixture, signer: Signer, wire: Wire) -> Response {
    as_signed(f, signer.sign(&f.server().address.to_string(), wire))
}

fn as_signed(f: &Fixture, wire: Wire) -> Response {
    let headers: Vec<(&str, &str)> = wire
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut client = Client::anonymous(f.server().address);
    client
        .send(&wire.method, &wire.target, &headers, &wire.body)
        .unwrap()
}

/// An object, a role that may read it, and ann, whom the role trusts.
fn furnished() -> (Fixture, Client) {
    let f = Fixture::new();
    let root = &mut f.client();
    assert_eq!(put(root, "/rest/b/k", b"x").status, 201);
    let ann = user(f.server(), ("root", "ann"), false, NOTHING);
    let read =
        r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
    document(root, "PUT", "/-/accounts/root/policies/read", read);
    let role = value!({"policies": ["read"], "trust": trust()});
    document(
        root,
        "PUT",
        "/-/accounts/root/roles/reader",
        &role.to_string(),
    );
    (f, ann)
}

fn trust() -> Value {
    value!({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::root:user/ann"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "42"}},
    }})
}

#[test]
fn the_command_line_takes_a_role() {
    let (f, _ann) = furnished();
    let file = f.folder.path().join("trust.json");
    std::fs::write(&file, trust().to_string()).unwrap();
    let file = file.display().to_string();
    let run = |who: Option<&str>, arguments: &[&str]| {
        let (code, out, err) = trestle(&f, who, arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    };
    let make = [
        "role", "put", "auditor", "--trust", &file, "--policy", "read",
    ];
    run(None, &make);
    assert!(run(None, &["role", "list"]).contains("auditor"));
    let take = [
        "role",
        "assume",
        "auditor",
        "--session",
        "today",
        "--lifetime",
        "600",
        "--external-id",
        "42",
        "--json",
    ];
    let taken: Value = serde_json::from_str(&run(Some("ann"), &take)).unwrap();
    let keys = Keys::of(&taken);
    assert_eq!(keys.bear(&f, "GET", "/rest/b/k").status, 200);
    assert_eq!(keys.bear(&f, "GET", "/cdmi/b/k").status, 200);
    assert_eq!(keys.sign(&f, "/b/k").status, 200);
    assert_eq!(keys.bear(&f, "DELETE", "/rest/b/k").status, 403);
    let me = json(&keys.bear(&f, "GET", "/-/me"));
    assert_eq!(
        (&me["kind"], &me["session"]),
        (&value!("role"), &value!("today"))
    );
    // For people it is a line for each.
    let shown = run(Some("ann"), &take[..take.len() - 1]);
    assert!(
        shown.contains("secret_key: ") && shown.contains("token: tr1."),
        "{shown}"
    );
    // The session does what any credential does on the command line.
    let mut command = f.launch().command(&["ls", "//b/"]);
    let listed = command
        .arg("--server")
        .arg(format!("http://{}", f.server().address))
        .env_remove("TRESTLE_USER")
        .env("TRESTLE_TOKEN", &keys.token)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(!listed.status.success() && said.contains("403"), "{said}");
    user(f.server(), ("root", "bob"), false, NOTHING);
    // Whom nobody trusts, and who does not know the id, gets nothing.
    for (who, arguments) in [
        (Some("bob"), &take[..]),
        (Some("ann"), &["role", "assume", "auditor"]),
        (
            Some("ann"),
            &["role", "assume", "auditor", "--external-id", "41"],
        ),
    ] {
        let (code, _, err) = trestle(&f, who, arguments);
        assert!(
            code == 2 && err.contains("403"),
            "{who:?} {arguments:?}: {err}"
        );
    }
    let (code, _, err) = trestle(&f, Some("ann"), &["role", "assume", "none"]);
    assert!(code == 2, "{err}");
    run(None, &["role", "delete", "auditor"]);
    assert_eq!(keys.bear(&f, "GET", "/rest/b/k").status, 401);
}

#[test]
fn a_trust_policy_says_who_may_take_a_role_and_nothing_else() {
    let (f, _ann) = furnished();
    let root = &mut f.client();
    for action in ["s3:GetObject", "*", "trestle:AssumeRole", "iam:*"] {
        let mut role = value!({"trust": trust()});
        role["trust"]["Statement"]["Action"] = value!(["sts:AssumeRole", action]);
        let target = "/-/accounts/root/roles/other";
        let answer = root.send("PUT", target, &[], role.to_string().as_bytes());
        let answer = answer.unwrap();
        assert_eq!(answer.status, 400, "{action}");
        assert!(
            answer.text().contains("Statement[0].Action"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn what_has_ended_says_so_in_each_dialect() {
    let (f, mut ann) = furnished();
    let asked = br#"{"lifetime_seconds":1,"external_id":"42"}"#;
    let sessions = "/-/accounts/root/roles/reader/sessions";
    let taken = ann.send("POST", sessions, &[], asked).unwrap();
    assert_eq!(taken.status, 201, "{}", taken.text());
    let keys = Keys::of(&json(&taken));
    let started = Instant::now();
    while keys.bear(&f, "GET", "/rest/b/k").status == 200 {
        assert!(started.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    let signed = keys.sign(&f, "/b/k");
    assert_eq!(signed.status, 400, "{}", signed.text());
    assert!(
        signed.text().contains("<Code>ExpiredToken</Code>"),
        "{}",
        signed.text()
    );
    for target in ["/rest/b/k", "/-/me", "/cdmi/b/k"] {
        let answer = keys.bear(&f, "GET", target);
        assert_eq!(answer.status, 401, "{target}");
        assert!(
            answer.text().contains("the token has expired"),
            "{target}: {}",
            answer.text()
        );
    }
    assert_eq!(keys.swift(&f, "/v1/AUTH_root/b/k"), 401);
    // What never was a token is something else.
    let forged = Keys {
        token: format!("{}x", keys.token),
        ..keys
    };
    let signed = forged.sign(&f, "/b/k");
    assert!(
        signed.text().contains("<Code>InvalidToken</Code>"),
        "{}",
        signed.text()
    );
    let answer = forged.bear(&f, "GET", "/rest/b/k");
    assert!(
        answer.status == 401 && !answer.text().contains("expired"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_revoked_token_takes_along_what_was_made_from_it() {
    let (f, mut ann) = furnished();
    let sessions = "/-/accounts/root/roles/reader/sessions";
    let issued = ann.send("POST", "/-/tokens", &[], b"{}").unwrap();
    let parent = Keys::of(&json(&issued));
    let bearer = format!("Bearer {}", parent.token);
    let headers = [("authorization", bearer.as_str())];
    let asked = br#"{"external_id":"42"}"#;
    let mut nobody = Client::anonymous(f.server().address);
    let taken = nobody.send("POST", sessions, &headers, asked).unwrap();
    assert_eq!(taken.status, 201, "{}", taken.text());
    let role = Keys::of(&json(&taken));
    let in_person = ann.send("POST", sessions, &[], asked).unwrap();
    let in_person = Keys::of(&json(&in_person));
    // A token makes no other token, narrowed or not.
    assert_eq!(parent.bear(&f, "POST", "/-/tokens").status, 403);
    assert_eq!(role.bear(&f, "GET", "/rest/b/k").status, 200);
    assert_eq!(role.sign(&f, "/b/k").status, 200);
    let revoke = value!({"token": parent.token}).to_string();
    let gone = ann.send("DELETE", "/-/tokens", &[], revoke.as_bytes());
    assert_eq!(gone.unwrap().status, 204);
    for keys in [&parent, &role] {
        assert_eq!(keys.bear(&f, "GET", "/rest/b/k").status, 401);
        let signed = keys.sign(&f, "/b/k");
        assert!(
            signed.text().contains("<Code>InvalidToken</Code>"),
            "{}",
            signed.text()
        );
    }
    assert_eq!(in_person.bear(&f, "GET", "/rest/b/k").status, 200);
    // All of it is written down: who got what, and when it was voided.
    put(&mut f.client(), "/rest/b/marker", b"x");
    let entries = audited(&f, "object b/marker");
    let find = |name: &str, key: &str| entries.iter().find(|entry| entry[name] == key);
    let token = find("issued", &parent.access_key).unwrap();
    assert_eq!(
        (&token["who"]["name"], &token["role"]),
        (&value!("ann"), &Value::Null)
    );
    let session = find("issued", &role.access_key).unwrap();
    assert_eq!(session["role"], "root/reader");
    assert_eq!(session["who"]["access_key"], value!(parent.access_key));
    assert!(find("revoked", &parent.access_key).is_some());
    let all = serde_json::to_string(&entries).unwrap();
    assert!(!all.contains(&parent.token) && !all.contains(&role.secret_key));
}

#[test]
fn what_nobody_may_fills_no_log_and_wrong_signatures_are_in_it() {
    let mut f = Fixture::new();
    put(&mut f.client(), "/rest/b/k", b"x");
    let wire = || Wire {
        method: "GET".into(),
        target: "/b/k".into(),
        ..Wire::default()
    };
    let key = trestle_tests::server::ACCESS_KEY;
    let wrong = sent(&f, Signer::new(key, "not-the-secret"), wire());
    assert!(
        wrong.text().contains("SignatureDoesNotMatch"),
        "{}",
        wrong.text()
    );
    let wrong = sent(&f, Signer::new("NOBODYS", "x"), wire());
    assert!(
        wrong.text().contains("InvalidAccessKeyId"),
        "{}",
        wrong.text()
    );
    let nobody = &mut Client::anonymous(f.server().address);
    for _ in 0..400 {
        assert_eq!(send(nobody, "GET", "/rest/b/k").status, 401);
    }
    put(&mut f.client(), "/rest/b/marker", b"x");
    audited(&f, "object b/marker");
    f.stop();
    let entries = audited(&f, "left_out");
    let has = |kind: &str, name: &str| {
        let mut all = entries.iter();
        all.find(|entry| entry["refused"] == kind && entry["name"] == name)
    };
    for (kind, name) in [("signature", key), ("access key", "NOBODYS")] {
        assert_eq!(has(kind, name).unwrap()["source"], "127.0.0.1", "{kind}");
    }
    let of_nobody = |entry: &&Value| entry["who"]["kind"] == "anonymous";
    let written = entries.iter().filter(of_nobody).count() as u64;
    let counted = |entry: &Value| entry["left_out"]["anonymous"].as_u64().unwrap_or_default();
    let left_out: u64 = entries.iter().map(counted).sum();
    assert!(left_out > 0, "{written} were written");
    // A request may ask for more than one thing.
    assert!(written + left_out >= 400, "{written} and {left_out}");
    let (code, text) = verified(&f);
    assert_eq!(code, Some(0), "{text}");
}

/// What only S3's requests say of themselves is there for policies.
#[test]
fn what_a_request_of_s3_says_of_itself_counts() {
    let f = Fixture::new();
    let root = &mut f.client();
    let statement = |action: &str, condition: &str| {
        format!(
            r#"{{"Effect":"Deny","Action":"{action}","Resource":"*","Condition":{{{condition}}}}}"#
        )
    };
    let statements = [
        r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#.to_owned(),
        statement(
            "s3:GetObject",
            r#""NumericGreaterThan":{"s3:signatureAge":"60000"}"#,
        ),
        statement(
            "s3:DeleteObject",
            r#""StringNotEquals":{"s3:authType":"REST-HEADER"}"#,
        ),
        statement("s3:PutObject", r#""Null":{"s3:if-none-match":"true"}"#),
        statement(
            "s3:PutObjectRetention",
            r#""NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"10"}"#,
        ),
        statement(
            "s3:CreateBucket",
            r#""StringEquals":{"s3:LocationConstraint":"us-east-1"}"#,
        ),
    ];
    user(f.server(), ("root", "ann"), false, &statements.join(","));
    let keys = value!({"access_key": "ANN", "secret_key": "of-ann"}).to_string();
    document(root, "POST", "/-/accounts/root/users/ann/keys", &keys);
    let signer = || Signer::new("ANN", "of-ann");
    let send = |method: &str, target: &str, headers: &[(&str, String)], body: &str| {
        let headers = headers.iter();
        let wire = Wire {
            method: method.into(),
            target: target.into(),
            headers: headers.map(|(n, v)| ((*n).into(), v.clone())).collect(),
            body: body.as_bytes().to_vec(),
        };
        sent(&f, signer(), wire).status
    };
    let place = |region: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        )
    };
    assert_eq!(send("PUT", "/there", &[], &place("us-east-1")), 403);
    let lock = [("x-amz-bucket-object-lock-enabled", "true".to_owned())];
    assert_eq!(send("PUT", "/locked", &lock, ""), 200);
    assert_eq!(send("PUT", "/locked/k", &[], "x"), 403);
    let once = ("if-none-match", "*".to_owned());
    assert_eq!(
        send("PUT", "/locked/k", std::slice::from_ref(&once), "x"),
        200
    );
    // A retention, by the document and by the headers of a write.
    let day = |days: u64| {
        // An hour less, as a day that has begun counts.
        let at = stamp(signer().time + days * 24 * 3600 - 3600);
        let part = |from: usize, to: usize| at[from..to].to_owned();
        let (date, time) = (
            [part(0, 4), part(4, 6), part(6, 8)],
            [part(9, 11), part(11, 13), part(13, 15)],
        );
        format!("{}T{}Z", date.join("-"), time.join(":"))
    };
    let retention = |days: u64| {
        let until = day(days);
        format!(
            "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{until}</RetainUntilDate>\
             </Retention>"
        )
    };
    assert_eq!(send("PUT", "/locked/k?retention", &[], &retention(11)), 403);
    assert_eq!(send("PUT", "/locked/k?retention", &[], &retention(10)), 200);
    for (days, status) in [(11, 403), (10, 200)] {
        let headers = [
            once.clone(),
            ("x-amz-object-lock-mode", "GOVERNANCE".to_owned()),
            ("x-amz-object-lock-retain-until-date", day(days)),
        ];
        assert_eq!(send("PUT", "/locked/kept", &headers, "x"), status, "{days}");
    }
    // A signature's age and its place.
    let presigned = |method: &str, age: u64| {
        let mut signer = signer();
        signer.time -= age;
        signer.expires = "600".into();
        let wire = Wire {
            method: method.into(),
            target: "/locked/k".into(),
            ..Wire::default()
        };
        as_signed(&f, signer.presign(&f.server().address.to_string(), wire)).status
    };
    assert_eq!((presigned("GET", 0), presigned("GET", 120)), (200, 403));
    assert_eq!(presigned("DELETE", 0), 403);
    assert_eq!(send("DELETE", "/locked/k", &[], ""), 204);
    // What can never be known here is refused when it is written.
    for key in [
        "s3:TlsVersion",
        "aws:RequestedRegion",
        "aws:RequestTag/a",
        "aws:SourceVpc",
    ] {
        let condition = format!(r#""StringEquals":{{"{key}":"x"}}"#);
        let text = format!(r#"{{"Statement":{}}}"#, statement("s3:*", &condition));
        let answer = root.send("PUT", "/-/accounts/root/policies/x", &[], text.as_bytes());
        let answer = answer.unwrap();
        assert!(
            answer.status == 400 && answer.text().contains(key),
            "{}",
            answer.text()
        );
    }
}

/// A form is signed, too, and its fields are what policies are asked about: not the headers beside it.
#[test]
fn what_a_form_says_of_itself_counts() {
    let f = Fixture::new();
    let root = &mut f.client();
    put(root, "/rest/b/k", b"x");
    let deny = |condition: &str| {
        let head = r#"{"Effect":"Deny","Action":"s3:PutObject","Resource":"*","Condition":"#;
        format!("{head}{{{condition}}}}}")
    };
    let statements = [
        r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#.to_owned(),
        deny(r#""StringNotEquals":{"s3:authType":"POST"}"#),
        deny(r#""StringNotEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"}"#),
        deny(r#""NumericGreaterThan":{"s3:signatureAge":"60000"}"#),
        deny(r#""StringEquals":{"s3:x-amz-acl":"public-read"}"#),
        deny(r#""Null":{"s3:x-amz-website-redirect-location":"true"}"#),
    ];
    user(f.server(), ("root", "ann"), false, &statements.join(","));
    let keys = value!({"access_key": "ANN", "secret_key": "of-ann"}).to_string();
    document(root, "POST", "/-/accounts/root/users/ann/keys", &keys);
    let send = |age: u64, headers: &[(&str, &str)], more: &[(&str, &str)]| {
        let mut signer = Signer::new("ANN", "of-ann");
        signer.time -= age;
        let mut conditions = r#"{"bucket":"b"},{"key":"new"}"#.to_owned();
        for (name, value) in more {
            conditions.push_str(&format!(r#",{{"{name}":"{value}"}}"#));
        }
        let fields = [&[("key", "new")][..], more].concat();
        let body = signed(&signer, (LATE, &conditions), &fields, "x");
        let headers = [&[("content-type", KIND)][..], headers].concat();
        let mut client = Client::anonymous(f.server().address);
        let answer = client.send("POST", "/b", &headers, body.as_bytes());
        answer.unwrap().status
    };
    let place = ("x-amz-website-redirect-location", "/there");
    assert_eq!(send(0, &[], &[place]), 204);
    assert_eq!(send(120, &[], &[place]), 403);
    assert_eq!(send(0, &[], &[]), 403);
    assert_eq!(send(0, &[place], &[]), 403);
    assert_eq!(send(0, &[], &[place, ("acl", "public-read")]), 403);
    assert_eq!(send(0, &[], &[place, ("acl", "private")]), 204);
    let wire = Wire {
        method: "PUT".into(),
        target: "/b/new".into(),
        headers: vec![(place.0.into(), place.1.into())],
        body: b"x".to_vec(),
    };
    assert_eq!(sent(&f, Signer::new("ANN", "of-ann"), wire).status, 403);
}

#[test]
fn signatures_that_swift_refuses_are_in_the_log() {
    let f = Fixture::new();
    put(&mut f.client(), "/rest/b/k", b"x");
    let nobody = &mut Client::anonymous(f.server().address);
    let url = "/v1/AUTH_root/b/k?temp_url_expires=32503680000&temp_url_sig=";
    let wrong = send(nobody, "GET", &format!("{url}{}", "0".repeat(64)));
    assert_eq!(wrong.status, 401);
    let part = |name: &str, text: &str| {
        format!("--X\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
    };
    let body = format!(
        "{}{}{}--X--\r\n",
        part("expires", "32503680000"),
        part("signature", &"0".repeat(64)),
        part("redirect", "https://example.org/")
    );
    let headers = [("content-type", KIND)];
    let wrong = nobody.send("POST", "/v1/AUTH_root/b/in/", &headers, body.as_bytes());
    assert_eq!(wrong.unwrap().status, 401);
    let entries = audited(&f, r#""refused":"form""#);
    let has = |kind: &str, name: &str| {
        let mut all = entries.iter();
        all.any(|entry| entry["refused"] == kind && entry["name"] == name)
    };
    assert!(has("temporary URL", "AUTH_root/b/k"), "{entries:?}");
    assert!(has("form", "AUTH_root/b/in/"), "{entries:?}");
    let all = serde_json::to_string(&entries).unwrap();
    assert!(!all.contains(&"0".repeat(64)));
}

#[test]
fn a_wrong_signature_is_no_use_of_a_key() {
    let f = Fixture::new();
    let root = &mut f.client();
    user(f.server(), ("root", "ann"), false, NOTHING);
    let keys = value!({"access_key": "ANN", "secret_key": "of-ann"}).to_string();
    let place = "/-/accounts/root/users/ann/keys";
    document(root, "POST", place, &keys);
    let get = || Wire {
        method: "GET".into(),
        target: "/".into(),
        ..Wire::default()
    };
    let mut used = || json(&send(root, "GET", place))["keys"][0]["used"].clone();
    assert_eq!(sent(&f, Signer::new("ANN", "guessed"), get()).status, 403);
    assert_eq!(used(), Value::Null);
    // Right is right, whether she may or not.
    let right = sent(&f, Signer::new("ANN", "of-ann"), get());
    assert!(!right.text().contains("SignatureDoesNotMatch"));
    assert!(used().is_string());
}
