//! Rights that each dialect must ask for: what may not be known is not told, what may not be read is
//! not moved, and circumstances count whatever is spoken.

use crate::cdmi::{CONTAINER, OBJECT, call, create, get, plain, status};
use crate::s3::signed_wire;
use crate::{Fixture, put, send};
use serde_json::json as value;
use trestle_tests::sigv4::Wire;
use trestle_tests::{Client, Server};

pub(crate) const PASSWORD: &str = "a long enough password";

pub(crate) fn document(root: &mut Client, method: &str, target: &str, text: &str) {
    let answer = root.send(method, target, &[], text.as_bytes()).unwrap();
    assert!(answer.status < 300, "{target}: {}", answer.text());
}

/// A user of an account with these statements, or an administrator that has them, too.
pub(crate) fn user(
    server: &Server,
    (account, name): (&str, &str),
    admin: bool,
    statements: &str,
) -> Client {
    let root = &mut server.client();
    let policy = format!("/-/accounts/{account}/policies/of-{name}");
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    document(root, "PUT", &policy, &text);
    let target = format!("/-/accounts/{account}/users/{name}");
    let new = value!({
        "password": PASSWORD, "admin": admin, "policies": [format!("of-{name}")],
    });
    document(root, "PUT", &target, &new.to_string());
    Client::new(server.address, &format!("{account}/{name}"), PASSWORD)
}

/// A request in Swift, with a token of its own.
fn swift(server: &Server, (account, name): (&str, &str), method: &str, path: &str) -> u16 {
    let mut client = Client::anonymous(server.address);
    let login = format!("{account}:{name}");
    let headers = [("x-auth-user", login.as_str()), ("x-auth-key", PASSWORD)];
    let answer = client.send("GET", "/auth/v1.0", &headers, &[]).unwrap();
    let token = answer.header("x-auth-token").unwrap();
    let path = format!("/v1/AUTH_{account}{path}");
    let headers = [("x-auth-token", token.as_str())];
    client.send(method, &path, &headers, &[]).unwrap().status
}

#[test]
fn where_a_private_container_is_nobody_is_told() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    create(root, "/c/", value!({}));
    create(root, "/c/d/", value!({}));
    let nobody = &mut Client::anonymous(fixture.server().address);
    let stranger = &mut user(fixture.server(), ("away", "ann"), false, NOTHING);
    for path in ["/c", "/c/d", "/c/none"] {
        for method in ["GET", "DELETE"] {
            status(&plain(nobody, method, path, b""), 401);
            status(&plain(stranger, method, path, b""), 403);
        }
    }
    for path in ["/c", "/c/d"] {
        let sent = plain(root, "GET", path, b"");
        status(&sent, 301);
        assert!(
            sent.header("location")
                .unwrap()
                .ends_with(&format!("{path}/"))
        );
    }
    status(&plain(root, "GET", "/c/none", b""), 404);
}

pub(crate) const NOTHING: &str = r#"{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}"#;

#[test]
fn cdmi_moves_only_what_may_be_read_and_deletes_only_what_may_go() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    create(root, "/c/", value!({}));
    for path in ["/c/d/", "/c/open/", "/c/e/"] {
        create(root, path, value!({}));
    }
    for path in ["/c/d/secret", "/c/d/other", "/c/e/held", "/c/e/free"] {
        create(root, path, value!({"value": "x"}));
    }
    let bound = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"},
        {"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::c/d/secret"},
        {"Effect":"Deny","Action":"s3:DeleteObject*","Resource":"arn:aws:s3:::c/e/held"}"#;
    let ann = &mut user(fixture.server(), ("root", "ann"), false, bound);
    let take = |ann: &mut Client, from: &str, to: &str, kind: &str| {
        call(ann, "PUT", to, kind, value!({"move": from})).status
    };
    assert_eq!(take(ann, "/c/d/secret", "/c/open/s", OBJECT), 400);
    assert_eq!(take(ann, "/c/d/", "/c/open/d/", CONTAINER), 400);
    assert_eq!(take(ann, "/c/", "/other/", CONTAINER), 400);
    status(&plain(ann, "DELETE", "/c/e/", b""), 403);
    for path in ["/c/d/secret", "/c/d/other", "/c/e/held", "/c/e/free"] {
        status(&get(root, path, OBJECT), 200);
    }
    assert_eq!(take(ann, "/c/d/other", "/c/open/o", OBJECT), 201);
    status(&plain(root, "DELETE", "/c/e/", b""), 204);
}

#[test]
fn an_object_s_list_binds_root() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    create(root, "/c/", value!({}));
    let list = value!([{
        "acetype": "ALLOW", "identifier": "AUTHENTICATED@", "aceflags": "0x0",
        "acemask": "READ_METADATA, READ_ATTRIBUTES",
    }]);
    create(
        root,
        "/c/o",
        value!({"value": "x", "metadata": {"cdmi_acl": list}}),
    );
    // In every dialect; only the list itself is root's to mend.
    assert_eq!(send(root, "GET", "/rest/c/o").status, 403);
    assert_eq!(put(root, "/rest/c/o", b"y").status, 403);
    assert_eq!(send(root, "DELETE", "/rest/c/o").status, 403);
    assert_eq!(send(root, "HEAD", "/rest/c/o").status, 200);
    status(&plain(root, "GET", "/c/o", b""), 403);
    status(&plain(root, "DELETE", "/c/", b""), 403);
    let everything = value!([{
        "acetype": "ALLOW", "identifier": "EVERYONE@", "aceflags": "0x0", "acemask": "ALL_PERMS",
    }]);
    let mended = value!({"metadata": {"cdmi_acl": everything}});
    status(
        &call(root, "PATCH", "/c/o?metadata=cdmi_acl", OBJECT, mended),
        204,
    );
    assert_eq!(send(root, "GET", "/rest/c/o").status, 200);
}

#[test]
fn what_forbids_a_listing_forbids_its_sums_in_swift() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let boss = ("home", "boss");
    let deny = r#"{"Effect":"Deny","Action":"s3:ListBucket","Resource":"arn:aws:s3::home:c"}"#;
    user(server, boss, true, deny);
    for path in ["/c", "/d"] {
        assert_eq!(swift(server, boss, "PUT", path), 201);
    }
    for method in ["GET", "HEAD"] {
        assert_eq!(swift(server, boss, method, "/c"), 403, "{method}");
        assert_eq!(swift(server, boss, method, "/d"), 204, "{method}");
    }
}

#[test]
fn circumstances_count_in_every_dialect() {
    let folder = tempfile::TempDir::new().unwrap();
    let server = trestle_tests::Launch::new(folder.path().join("data"))
        .variable("TRESTLE_TRUSTED_PROXIES", "127.0.0.1")
        .start();
    let secure = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"},
        {"Effect":"Deny","Action":"s3:*","Resource":"*",
         "Condition":{"Bool":{"aws:SecureTransport":"false"}}},
        {"Effect":"Deny","Action":"s3:*","Resource":"*",
         "Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}"#;
    let ann = &mut user(&server, ("home", "ann"), true, secure);
    let over = |proto, from| [("x-forwarded-proto", proto), ("x-forwarded-for", from)];
    let good = over("https", "192.0.2.7");
    for target in ["/rest/r/", "/cdmi/c/"] {
        assert_eq!(ann.send("PUT", target, &good, &[]).unwrap().status, 201);
    }
    let login = [("x-auth-user", "home:ann"), ("x-auth-key", PASSWORD)];
    let login = [login.as_slice(), &good].concat();
    let nobody = &mut Client::anonymous(server.address);
    let answer = nobody.send("GET", "/auth/v1.0", &login, &[]).unwrap();
    let token = answer.header("x-auth-token").unwrap();
    let mut in_swift = |method: &str, circumstances: &[(&str, &str)]| {
        let token = [("x-auth-token", token.as_str())];
        let headers = [token.as_slice(), circumstances].concat();
        let answer = nobody.send(method, "/v1/AUTH_home/s", &headers, &[]);
        answer.unwrap().status
    };
    assert_eq!(in_swift("PUT", &good), 201);
    assert_eq!(in_swift("GET", &good), 204);
    for bad in [over("http", "192.0.2.7"), over("https", "198.51.100.7")] {
        for target in ["/rest/r/", "/cdmi/c/"] {
            assert_eq!(ann.send("GET", target, &bad, &[]).unwrap().status, 403);
        }
        assert_eq!(in_swift("GET", &bad), 403);
        assert_eq!(in_swift("HEAD", &bad), 403);
    }
}

#[test]
fn policies_speak_of_the_tags_that_a_request_over_rest_gives() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let tagged = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"},
        {"Effect":"Deny","Action":["s3:PutObject","s3:PutObjectTagging"],"Resource":"*",
         "Condition":{"StringNotEqualsIfExists":{"s3:RequestObjectTag/class":"open"},
                      "Null":{"s3:RequestObjectTagKeys":"false"}}}"#;
    let ann = &mut user(server, ("home", "ann"), false, tagged);
    assert_eq!(put(ann, "/rest/tagged/", b"").status, 201);
    let mut tries = |tags: &str| {
        let tags = [("trestle-tags", tags)];
        let patch = [("content-type", "application/merge-patch+json")];
        let value = tags[0].1.trim_start_matches("class=");
        let merged = format!(r#"{{"tags":{{"class":"{value}"}}}}"#);
        let verb = value!({"verb": "put", "bucket": "tagged", "key": "t", "text": "x",
            "tags": {"class": value}});
        let patched = value!({"verb": "patch", "bucket": "tagged", "key": "k",
            "patch": {"tags": {"class": value}}});
        let [verb, patched] = [verb, patched].map(|verb| value!({ "verbs": [verb] }).to_string());
        let json = [("content-type", "application/json")];
        let mut ask = |method: &str, target: &str, headers: &[(&str, &str)], body: &str| {
            let answer = ann.send(method, target, headers, body.as_bytes());
            answer.unwrap().status
        };
        [
            ask("PUT", "/rest/tagged/k", &tags, "x"),
            ask("POST", "/rest/tagged/", &tags, "x"),
            ask("PATCH", "/rest/tagged/k", &patch, &merged),
            ask("POST", "/-/transactions", &json, &verb),
            ask("POST", "/-/transactions", &json, &patched),
        ]
    };
    assert_eq!(tries("class=open"), [201, 201, 200, 200, 200]);
    assert_eq!(tries("class=secret"), [403; 5]);
    assert_eq!(put(ann, "/rest/tagged/none", b"x").status, 201);
}

/// Tags are given where an upload begins; what feeds and ends it is decided with them.
#[test]
fn an_upload_is_completed_with_the_tags_that_it_began_with() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let tagged = r#"{"Effect":"Allow","Action":["s3:CreateBucket","s3:ListMultipartUploadParts"],"Resource":"*"},
        {"Effect":"Allow","Action":["s3:PutObject","s3:PutObjectTagging"],"Resource":"*",
         "Condition":{"StringEquals":{"s3:RequestObjectTag/class":"open"}}}"#;
    let ann = &mut user(server, ("home", "ann"), false, tagged);
    assert_eq!(put(ann, "/rest/tagged/", b"").status, 201);
    let tus = ("tus-resumable", "1.0.0");
    let mut begin = |tags: &str, hold: &str| {
        let headers = [
            tus,
            ("upload-length", "2"),
            ("trestle-tags", tags),
            ("trestle-hold", hold),
        ];
        let answer = ann.send("POST", "/rest/tagged/k", &headers, b"").unwrap();
        (answer.status, answer.header("location").unwrap_or_default())
    };
    assert_eq!(begin("class=secret", "false").0, 403);
    let (uploaded, held) = (begin("class=open", "false"), begin("class=open", "true"));
    assert_eq!((uploaded.0, held.0), (201, 201));
    let ann = &mut trestle_tests::Client::new(server.address, "home/ann", PASSWORD);
    for (location, offset, expected) in [
        (&uploaded.1, "0", 204),
        (&uploaded.1, "1", 204),
        (&held.1, "0", 204),
        (&held.1, "1", 204),
    ] {
        let kind = ("content-type", "application/offset+octet-stream");
        let headers = [tus, kind, ("upload-offset", offset)];
        let answer = ann.send("PATCH", location, &headers, b"x").unwrap();
        assert_eq!(answer.status, expected, "{}", answer.text());
    }
    let upload = held.1.split(['=', '&']).nth(1).unwrap();
    let verb = value!({"verb": "put", "bucket": "tagged", "key": "k", "upload": upload});
    let verbs = value!({ "verbs": [verb] }).to_string();
    let json = [("content-type", "application/json")];
    let answer = ann
        .send("POST", "/-/transactions", &json, verbs.as_bytes())
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_form_that_nobody_signed_leads_nowhere_and_keeps_nothing() {
    let fixture = Fixture::new();
    let server = fixture.server();
    user(server, ("home", "boss"), true, NOTHING);
    assert_eq!(swift(server, ("home", "boss"), "PUT", "/c"), 201);
    let part = |name: &str, text: &str| {
        format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
    };
    let send = |fields: &str| {
        let body = format!("{fields}--x--\r\n");
        let kind = [("content-type", "multipart/form-data; boundary=x")];
        let mut client = Client::anonymous(server.address);
        let answer = client.send("POST", "/v1/AUTH_home/c/", &kind, body.as_bytes());
        answer.unwrap()
    };
    let lured = send(&part("redirect", "https://evil.example/"));
    assert_eq!(lured.status, 401, "{}", lured.text());
    assert_eq!(lured.header("location"), None);
    let value = "v".repeat(4000);
    let many: String = (0..20).map(|i| part(&format!("f{i}"), &value)).collect();
    let refused = send(&many);
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("too many fields"),
        "{}",
        refused.text()
    );
}

/// Entries of a server's audit log, once the last one that is waited for is there.
pub(crate) fn audited(fixture: &Fixture, last: &str) -> Vec<serde_json::Value> {
    let data = fixture.launch().data.display().to_string();
    for _ in 0..600 {
        let printed = fixture
            .launch()
            .command(&["audit", "export", "--data", &data]);
        let output = { printed }.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        if text.contains(last) {
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
            return lines.collect();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{last} was not written down");
}

pub(crate) fn verified(fixture: &Fixture) -> (Option<i32>, String) {
    let data = fixture.launch().data.display().to_string();
    let mut command = fixture
        .launch()
        .command(&["audit", "verify", "--data", &data]);
    let output = command.output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn where_no_log_can_be_none_is_sound() {
    let folder = tempfile::TempDir::new().unwrap();
    let launch = trestle_tests::Launch::new(folder.path().join("data"));
    for what in ["verify", "export"] {
        let nowhere = folder.path().join("nowhere").display().to_string();
        let output = launch
            .command(&["audit", what, "--data", &nowhere])
            .output();
        let output = output.unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(errors.contains("not a Trestle data folder"), "{errors}");
    }
}

#[test]
fn what_was_decided_is_written_down_and_cannot_be_changed() {
    let mut fixture = Fixture::new();
    let root = &mut fixture.client();
    assert_eq!(put(root, "/rest/b/k", b"secret bytes").status, 201);
    assert_eq!(send(root, "GET", "/rest/b/k").status, 200);
    let nobody = &mut Client::anonymous(fixture.server().address);
    for target in ["/rest/b/k", "/b/k", "/cdmi/b/k"] {
        assert_ne!(send(nobody, "GET", target).status, 200);
    }
    let guess = &mut Client::new(fixture.server().address, "root", "guessed-password");
    assert_eq!(send(guess, "GET", "/rest/b/marker").status, 401);
    let unknown =
        "/b/k?AWSAccessKeyId=NOBODYS&Expires=9999999999&Signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D";
    assert_eq!(send(nobody, "GET", unknown).status, 403);
    assert_eq!(put(root, "/rest/b/marker", b"x").status, 201);
    let entries = audited(&fixture, "object b/marker");
    let has = |wanted: &serde_json::Value| {
        let fields = wanted.as_object().unwrap();
        let same = |entry: &&serde_json::Value| fields.iter().all(|(k, v)| entry[k] == *v);
        entries.iter().find(same)
    };
    let wrote = value!({
        "dialect": "rest", "action": "WriteObject", "resource": "object b/k", "allowed": true,
        "reason": "the root user", "source": "127.0.0.1",
    });
    let wrote = has(&wrote).unwrap();
    assert_eq!(wrote["who"]["name"], "root");
    assert!(wrote["request"].is_string() && wrote["time"].is_string());
    for dialect in ["rest", "s3", "cdmi"] {
        let denied = value!({"dialect": dialect, "allowed": false, "reason": "nothing allows it"});
        assert_eq!(
            has(&denied).unwrap()["who"]["kind"],
            "anonymous",
            "{dialect}"
        );
    }
    assert!(has(&value!({"refused": "password", "name": "root/root"})).is_some());
    assert!(has(&value!({"refused": "access key", "name": "NOBODYS"})).is_some());
    // Reads that were allowed are not, unless they are asked for.
    assert!(has(&value!({"action": "ReadObject", "allowed": true})).is_none());
    let all = serde_json::to_string(&entries).unwrap();
    assert!(!all.contains("guessed-password") && !all.contains("secret bytes"));
    let (code, text) = verified(&fixture);
    assert_eq!(code, Some(0), "{text}");
    // A kill loses nothing of the chain, and a start goes on with it.
    fixture.kill();
    let folder = fixture.folder.path().join("data/audit");
    let file = folder.join("00000001.jsonl");
    let before = std::fs::read(&file).unwrap();
    let torn = [&before[..], br#"{"n":99,"time":"#].concat();
    std::fs::write(&file, &torn).unwrap();
    let (code, text) = verified(&fixture);
    assert!(code == Some(0) && text.contains("half a line"), "{text}");
    fixture.start();
    assert_eq!(
        put(&mut fixture.client(), "/rest/b/after", b"x").status,
        201
    );
    let entries = audited(&fixture, "object b/after");
    assert!(
        entries.iter().any(|entry| entry["torn"] == 15),
        "{entries:?}"
    );
    fixture.stop();
    let (code, text) = verified(&fixture);
    assert!(code == Some(0) && !text.contains("half a line"), "{text}");
    let written = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, written.replace("object b/k", "object b/x")).unwrap();
    let (code, text) = verified(&fixture);
    assert!(
        code == Some(1) && text.contains("00000001.jsonl, line"),
        "{text}"
    );
}

/// Makes the log's first file one that has its full length, by entries that follow from those in it.
fn fill_log(file: &std::path::Path) {
    use sha2::{Digest, Sha256};
    let mut text = std::fs::read_to_string(file).unwrap();
    let last = text.lines().last().unwrap();
    let entry: serde_json::Value = serde_json::from_str(last).unwrap();
    let mut number = entry["n"].as_u64().unwrap();
    let mut hash = entry["hash"].as_str().unwrap().to_owned();
    while text.len() < 16 << 20 {
        number += 1;
        let filler = "x".repeat(1 << 20);
        let body = format!(r#"{{"n":{number},"time":"2026-01-01T00:00:00Z","text":"{filler}""#);
        let digest = Sha256::new()
            .chain_update(&hash)
            .chain_update(&body)
            .finalize();
        hash = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!("{body},\"hash\":\"{hash}\"}}\n"));
    }
    std::fs::write(file, text).unwrap();
}

#[test]
fn a_file_of_the_log_that_has_ended_is_packed_and_still_checked() {
    let mut fixture = Fixture::new();
    assert_eq!(
        put(&mut fixture.client(), "/rest/b/first", b"x").status,
        201
    );
    fixture.stop();
    let folder = fixture.folder.path().join("data/audit");
    let plain = folder.join("00000001.jsonl");
    fill_log(&plain);
    assert_eq!(verified(&fixture).0, Some(0));
    fixture.start();
    assert_eq!(
        put(&mut fixture.client(), "/rest/b/second", b"x").status,
        201
    );
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while plain.exists() {
        assert!(std::time::Instant::now() < patience, "it is not packed");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let packed = folder.join("00000001.jsonl.gz");
    let sound = std::fs::read(&packed).unwrap();
    assert!(sound.len() < 1 << 20 && sound.starts_with(&[0x1f, 0x8b]));
    let entries = audited(&fixture, "object b/second");
    assert!(
        entries
            .iter()
            .any(|entry| entry["resource"] == "object b/first")
    );
    let numbers = entries.iter().map(|entry| entry["n"].as_u64().unwrap());
    assert!(numbers.eq(1..=entries.len() as u64));
    let (code, text) = verified(&fixture);
    assert!(code == Some(0) && text.starts_with("2 files"), "{text}");
    fixture.kill();
    fixture.start();
    assert_eq!(
        put(&mut fixture.client(), "/rest/b/third", b"x").status,
        201
    );
    audited(&fixture, "object b/third");
    assert_eq!(verified(&fixture).0, Some(0));
    fixture.stop();
    let middle = sound.len() / 2;
    std::fs::write(&packed, &sound[..middle]).unwrap();
    let (code, text) = verified(&fixture);
    assert!(code == Some(1) && text.contains("unpacked"), "{text}");
}

#[test]
fn a_role_is_taken_over_http_and_its_token_is_borne() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let root = &mut fixture.client();
    assert_eq!(put(root, "/rest/b/k", b"x").status, 201);
    let ann = &mut user(server, ("root", "ann"), false, NOTHING);
    let bob = &mut user(server, ("root", "bob"), false, NOTHING);
    let read =
        r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
    document(root, "PUT", "/-/accounts/root/policies/read", read);
    let role = value!({"policies": ["read"], "trust": {"Statement": {
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::root:user/ann"},
        "Action": "sts:AssumeRole",
    }}});
    let target = "/-/accounts/root/roles/reader";
    document(root, "PUT", target, &role.to_string());
    let sessions = format!("{target}/sessions");
    let asked = br#"{"session":"today","lifetime_seconds":600}"#;
    assert_eq!(bob.send("POST", &sessions, &[], asked).unwrap().status, 403);
    let taken = ann.send("POST", &sessions, &[], asked).unwrap();
    assert_eq!(taken.status, 201, "{}", taken.text());
    let taken = crate::json(&taken);
    let bearer = format!("Bearer {}", taken["token"].as_str().unwrap());
    let borne = [("authorization", bearer.as_str())];
    let nobody = &mut Client::anonymous(server.address);
    let mut status =
        |method: &str, target: &str| nobody.send(method, target, &borne, &[]).unwrap().status;
    assert_eq!(status("GET", "/rest/b/k"), 200);
    assert_eq!(status("DELETE", "/rest/b/k"), 403);
    assert_eq!(status("POST", "/-/tokens"), 403);
    let me = nobody.send("GET", "/-/me", &borne, &[]).unwrap();
    let me = crate::json(&me);
    assert_eq!(
        (&me["kind"], &me["session"]),
        (&value!("role"), &value!("today"))
    );
}

/// Public lists of buckets and objects, set in each dialect's form: refused under a block, also when
/// they are there already; what is beside them changes.
fn public_lists(server: &Server, boss: &mut Client) -> Vec<u16> {
    let login = [("x-auth-user", "home:boss"), ("x-auth-key", PASSWORD)];
    let token = boss.send("GET", "/auth/v1.0", &login, b"").unwrap();
    let token = token.header("x-auth-token").unwrap();
    let swift = |method: &str, target: &str, name: &str, value: &str| {
        let headers = [("x-auth-token", token.as_str()), (name, value)];
        let client = &mut Client::anonymous(server.address);
        client.send(method, target, &headers, b"").unwrap().status
    };
    let mut told = vec![
        swift("POST", "/v1/AUTH_home/lists", "x-container-read", ".r:*"),
        swift(
            "POST",
            "/v1/AUTH_home/lists",
            "x-container-read",
            ".r:.x.org",
        ),
        swift(
            "PUT",
            "/v1/AUTH_home/lists",
            "x-container-read",
            ".r:*,.rlistings",
        ),
    ];
    let list = |who: &str| {
        format!(
            r#"{{"metadata":{{"cdmi_acl":[{{"acetype":"ALLOW","identifier":"OWNER@","aceflags":"0x3","acemask":"ALL_PERMS"}},{{"acetype":"ALLOW","identifier":"{who}","aceflags":"0x3","acemask":"READ"}}]}}}}"#
        )
    };
    for (target, media, who) in [
        ("/cdmi/shown/?metadata=cdmi_acl", "container", "EVERYONE@"),
        ("/cdmi/shown/?metadata=cdmi_acl", "container", "ANONYMOUS@"),
        (
            "/cdmi/shown/k?metadata=cdmi_acl",
            "object",
            "AUTHENTICATED@",
        ),
        ("/cdmi/shown/d/?metadata=cdmi_acl", "container", "EVERYONE@"),
    ] {
        let media = format!("application/cdmi-{media}");
        let headers = [("content-type", media.as_str())];
        let set = boss.send("PATCH", target, &headers, list(who).as_bytes());
        told.push(set.unwrap().status);
    }
    told
}

/// The account has a block; there are lists from before it.
fn blocked_lists(server: &Server, boss: &mut Client) {
    assert_eq!(public_lists(server, boss), [403; 7]);
    // What is refused makes nothing, and what comes from a container is nobody's doing.
    let nobody = &mut Client::anonymous(server.address);
    let login = [("x-auth-user", "home:boss"), ("x-auth-key", PASSWORD)];
    let token = nobody.send("GET", "/auth/v1.0", &login, b"").unwrap();
    let token = token.header("x-auth-token").unwrap();
    let mut swift = |method: &str, target: &str, (name, value): (&str, &str)| {
        let headers = [("x-auth-token", token.as_str()), (name, value)];
        nobody.send(method, target, &headers, b"").unwrap().status
    };
    let public = ("x-container-read", ".r:*");
    assert_eq!(swift("PUT", "/v1/AUTH_home/fresh", public), 403);
    assert_eq!(swift("HEAD", "/v1/AUTH_home/fresh", ("x-a", "b")), 404);
    let beside = ("x-container-write", "away");
    assert_eq!(swift("POST", "/v1/AUTH_home/lists", beside), 204);
    let narrow = ("x-container-read", "away:ann");
    assert_eq!(swift("POST", "/v1/AUTH_home/lists", narrow), 204);
    let object = [("content-type", "application/cdmi-object")];
    let mut cdmi = |method: &str, target: &str, text: &str| {
        let sent = boss.send(method, target, &object, text.as_bytes());
        sent.unwrap().status
    };
    assert_eq!(cdmi("PUT", "/cdmi/shown/new", r#"{"value":"x"}"#), 201);
    assert_eq!(cdmi("PATCH", "/cdmi/shown/k", r#"{"value":"eQ=="}"#), 204);
    assert_eq!(
        cdmi(
            "PATCH",
            "/cdmi/shown/k?metadata=a",
            r#"{"metadata":{"a":"b"}}"#
        ),
        204
    );
    let flagged = r#"{"value":"x","metadata":{"cdmi_acl":[{"acetype":"ALLOW","identifier":"EVERYONE@","aceflags":"0x80","acemask":"READ"}]}}"#;
    assert_eq!(cdmi("PUT", "/cdmi/shown/flagged", flagged), 403);
}

#[test]
fn an_account_s_block_keeps_the_public_out_of_all_its_buckets() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let boss = &mut user(server, ("home", "boss"), true, NOTHING);
    assert_eq!(put(boss, "/rest/open/", b"").status, 201);
    assert_eq!(put(boss, "/rest/open/k", b"x").status, 201);
    let policy = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::open/*"}}"#;
    document(boss, "PUT", "/-/buckets/open/policy", policy);
    let nobody = &mut Client::anonymous(server.address);
    let mut seen = || {
        let targets = ["/rest/open/k", "/open/k"];
        targets.map(|target| send(nobody, "GET", target).status)
    };
    assert_eq!(seen(), [200, 200]);
    for bucket in ["lists", "shown"] {
        assert_eq!(put(boss, &format!("/rest/{bucket}/"), b"").status, 201);
    }
    for key in ["k", "d/"] {
        assert_eq!(put(boss, &format!("/rest/shown/{key}"), b"").status, 201);
    }
    let set = public_lists(server, boss);
    assert_eq!(set, [204, 204, 202, 204, 204, 204, 204]);
    let block = "/-/accounts/home/public-access";
    let all =
        r#"{"block_acls":true,"ignore_acls":true,"block_policy":true,"restrict_buckets":true}"#;
    document(boss, "PUT", block, all);
    assert_eq!(seen(), [401, 403]);
    assert_eq!(send(boss, "GET", "/rest/open/k").status, 200);
    let set = boss.send(
        "PUT",
        "/-/buckets/open/policy",
        &[],
        policy.replace("GetObject", "PutObject").as_bytes(),
    );
    assert_eq!(set.unwrap().status, 403);
    // Who sets again what is there is refused, too; other parts may change beside it.
    let list = r#"{"grants":[{"grantee":"everyone","permission":"read"}]}"#;
    for (target, body) in [
        ("/-/buckets/open/policy", policy),
        ("/-/buckets/open/acl", list),
    ] {
        let same = boss.send("PUT", target, &[], body.as_bytes()).unwrap();
        assert_eq!(same.status, 403, "{target}: {}", same.text());
    }
    for (target, acl, body) in [
        ("/open?policy", None, policy),
        ("/open?acl", Some("public-read"), ""),
        ("/open/k?acl", Some("public-read"), ""),
        ("/open/other", Some("public-read"), "x"),
    ] {
        let acl = acl.map(|acl| ("x-amz-acl".to_owned(), acl.to_owned()));
        let wire = Wire {
            method: "PUT".into(),
            target: target.into(),
            headers: acl.into_iter().collect(),
            body: body.as_bytes().to_vec(),
        };
        let (status, text) = signed_wire(server, wire);
        assert_eq!(status, 403, "{target}: {text}");
    }
    blocked_lists(server, boss);
    let tags = br#"{"tags":{"a":"b"}}"#;
    let patch = [("content-type", "application/merge-patch+json")];
    let beside = boss.send("PATCH", "/rest/open/", &patch, tags);
    assert_eq!(beside.unwrap().status, 204);
    let mut stranger = user(server, ("away", "ann"), true, NOTHING);
    assert_eq!(send(&mut stranger, "DELETE", block).status, 403);
    assert_eq!(send(boss, "DELETE", block).status, 204);
    assert_eq!(seen(), [200, 200]);
}
