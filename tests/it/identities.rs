//! Who may do what, from outside: users made over `/-/`, and every decision held against a model of
//! a few lines.

use crate::{Fixture, assert_problem, json, put, send};
use std::collections::BTreeMap;
use trestle_tests::{Client, Response};

const PASSWORD: &str = "a long enough password";

fn body(client: &mut Client, method: &str, target: &str, text: &str) -> Response {
    client.send(method, target, &[], text.as_bytes()).unwrap()
}

fn user(root: &mut Client, account: &str, name: &str, more: &str) {
    let target = format!("/-/accounts/{account}/users/{name}");
    let text = format!(r#"{{"password":"{PASSWORD}"{more}}}"#);
    let made = body(root, "PUT", &target, &text);
    assert_eq!(made.status, 201, "{}", made.text());
}

impl Fixture {
    fn of(&self, name: &str) -> Client {
        Client::new(self.server().address, name, PASSWORD)
    }
}

const READ: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":"*"}}"#;
const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;

/// A bucket's policy by the name that the model knows it by.
const POLICIES: [(&str, &str); 5] = [
    ("private", ""),
    (
        "public",
        r#""Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket"]"#,
    ),
    (
        "guest",
        r#""Effect":"Allow","Principal":{"AWS":"arn:aws:iam::away:user/guest"},"Action":"s3:*""#,
    ),
    (
        "account",
        r#""Effect":"Allow","Principal":{"AWS":"away"},"Action":"s3:GetObject""#,
    ),
    (
        "closed",
        r#""Effect":"Deny","Principal":"*","Action":["s3:DeleteObject","s3:PutObject"]"#,
    ),
];
const PRINCIPALS: [&str; 8] = [
    "root",
    "home/boss",
    "home/reader",
    "home/plain",
    "away/boss",
    "away/guest",
    "away/plain",
    "nobody",
];
const ACTIONS: [&str; 5] = ["list", "head", "get", "put", "delete"];

/// The model: what the documentation says, in another way than the product.
fn expected(who: &str, what: &str, policy: &str) -> bool {
    let reading = ["list", "head", "get"].contains(&what);
    let getting = ["head", "get"].contains(&what);
    if policy == "closed" && !reading {
        return false;
    }
    match who {
        "root" | "home/boss" => true,
        "home/reader" => reading,
        _ if policy == "public" && reading => true,
        // Named in person, and allowed by its own account, too.
        "away/guest" => policy == "guest" || policy == "account" && getting,
        "away/boss" => policy == "account" && getting,
        _ => false,
    }
}

#[test]
fn the_matrix_of_principals_actions_and_resources_is_the_model_s() {
    let f = Fixture::new();
    let mut root = f.client();
    for (account, name, text) in [("home", "read", READ), ("away", "all", ALL)] {
        let target = format!("/-/accounts/{account}/policies/{name}");
        assert_eq!(body(&mut root, "PUT", &target, text).status, 201);
    }
    user(&mut root, "home", "boss", r#","admin":true"#);
    user(&mut root, "home", "reader", r#","policies":["read"]"#);
    user(&mut root, "home", "plain", "");
    user(&mut root, "away", "boss", r#","admin":true"#);
    user(&mut root, "away", "guest", r#","policies":["all"]"#);
    user(&mut root, "away", "plain", "");
    let mut clients: BTreeMap<&str, Client> = PRINCIPALS
        .iter()
        .map(|name| {
            let client = match *name {
                "root" => f.client(),
                "nobody" => Client::anonymous(f.server().address),
                name => f.of(name),
            };
            (*name, client)
        })
        .collect();
    let boss = "home/boss";
    let mut tried = 0;
    for (policy, statement) in POLICIES {
        let mut owner = f.of(boss);
        let bucket = format!("/rest/{policy}-bucket/");
        assert_eq!(send(&mut owner, "PUT", &bucket).status, 201);
        for key in [
            "seen",
            "deleted-0",
            "deleted-1",
            "deleted-2",
            "deleted-3",
            "deleted-4",
            "deleted-5",
            "deleted-6",
            "deleted-7",
        ] {
            assert_eq!(put(&mut owner, &format!("{bucket}{key}"), b"x").status, 201);
        }
        if !statement.is_empty() {
            let arn = format!("arn:aws:s3:::{policy}-bucket");
            let text = format!(
                r#"{{"Version":"2012-10-17","Statement":{{{statement},"Resource":["{arn}","{arn}/*"]}}}}"#
            );
            let target = format!("/-/buckets/{policy}-bucket/policy");
            let set = body(&mut owner, "PUT", &target, &text);
            assert_eq!(set.status, 200, "{}", set.text());
        }
        for (place, who) in PRINCIPALS.iter().enumerate() {
            let client = clients.get_mut(who).unwrap();
            for what in ACTIONS {
                let answer = match what {
                    "list" => send(client, "GET", &bucket),
                    "head" => send(client, "HEAD", &format!("{bucket}seen")),
                    "get" => send(client, "GET", &format!("{bucket}seen")),
                    "put" => put(client, &format!("{bucket}new-{place}"), b"y"),
                    _ => send(client, "DELETE", &format!("{bucket}deleted-{place}")),
                };
                let status = match (expected(who, what, policy), *who, what) {
                    (false, "nobody", _) => 401,
                    (false, ..) => 403,
                    (true, _, "put") => 201,
                    (true, _, "delete") => 204,
                    (true, ..) => 200,
                };
                assert_eq!(
                    answer.status,
                    status,
                    "{who} {what} {policy}: {}",
                    answer.text()
                );
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 200);
}

#[test]
fn users_are_made_changed_and_deleted_by_who_may() {
    let f = Fixture::new();
    let mut root = f.client();
    user(&mut root, "acme", "boss", r#","admin":true"#);
    let mut boss = f.of("boss");
    let me = json(&send(&mut boss, "GET", "/-/me"));
    assert_eq!(
        (&me["account"], &me["admin"]),
        (&"acme".into(), &true.into())
    );
    let made = body(
        &mut boss,
        "PUT",
        "/-/accounts/acme/users/ann",
        r#"{"password":"short","email":"ann@x.org","access_key":"ANNKEY"}"#,
    );
    assert_eq!(made.status, 201, "{}", made.text());
    let document = json(&made);
    assert_eq!(document["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(
        document["access_key"]["secret_key"].as_str().unwrap().len(),
        40
    );
    assert!(!made.text().contains("short"));
    assert_problem(
        &body(&mut boss, "PUT", "/-/accounts/acme/users/ann", "{}"),
        409,
    );
    let shown = send(&mut boss, "GET", "/-/accounts/acme/users/ann");
    assert!(!shown.text().contains("argon2") && json(&shown)["has_password"] == true);
    let mut ann = Client::new(f.server().address, "acme/ann", "short");
    assert_eq!(send(&mut ann, "GET", "/-/me").status, 200);
    for (method, target) in [
        ("GET", "/-/accounts"),
        ("PUT", "/-/accounts/other"),
        ("GET", "/-/accounts/acme/users"),
        ("GET", "/-/accounts/acme/users/ann/keys"),
        ("POST", "/-/accounts/acme/users/boss/keys"),
        ("DELETE", "/-/accounts/acme/users/boss"),
        ("PUT", "/-/accounts/other/users/x"),
        ("GET", "/-/accounts/root/users/root"),
    ] {
        assert_problem(&send(&mut ann, method, target), 403);
    }
    // Nor does the administrator of one account reach into another, or make more than it is.
    assert_problem(&send(&mut boss, "GET", "/-/accounts/root/users"), 403);
    let more = r#"{"reseller_admin":true}"#;
    assert_problem(
        &body(&mut boss, "PUT", "/-/accounts/acme/users/big", more),
        403,
    );
    let off = body(
        &mut boss,
        "PATCH",
        "/-/accounts/acme/users/ann",
        r#"{"enabled":false}"#,
    );
    assert_eq!(off.status, 200, "{}", off.text());
    assert_problem(&send(&mut ann, "GET", "/-/me"), 401);
    assert_eq!(
        send(&mut boss, "DELETE", "/-/accounts/acme/users/ann").status,
        204
    );
    assert_problem(&send(&mut boss, "GET", "/-/accounts/acme/users/ann"), 404);
}

#[test]
fn a_token_is_its_user_s_narrowed_until_it_is_revoked() {
    let f = Fixture::new();
    let mut root = f.client();
    assert_eq!(put(&mut root, "/rest/b/k", b"x").status, 201);
    let issue = format!(r#"{{"lifetime_seconds":60,"policies":[{READ}]}}"#);
    let issued = body(&mut root, "POST", "/-/tokens", &issue);
    assert_eq!(issued.status, 201, "{}", issued.text());
    let token = json(&issued)["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let mut client = Client::anonymous(f.server().address);
    let mut with = |method: &str, target: &str, authorization: &str| {
        let headers = [("authorization", authorization)];
        client.send(method, target, &headers, b"").unwrap().status
    };
    assert_eq!(with("GET", "/rest/b/k", &bearer), 200);
    // The token of root that may read alone is just that.
    assert_eq!(with("DELETE", "/rest/b/k", &bearer), 403);
    assert_eq!(with("POST", "/-/tokens", &bearer), 403);
    for wrong in [
        format!("{bearer}x"),
        bearer.replace("tr1.", "tr1.A"),
        "Bearer".into(),
        "Bearer x y".into(),
    ] {
        assert_eq!(with("GET", "/rest/b/k", &wrong), 401, "{wrong}");
    }
    let revoke = format!(r#"{{"token":"{token}"}}"#);
    assert_eq!(body(&mut root, "DELETE", "/-/tokens", &revoke).status, 204);
    assert_eq!(with("GET", "/rest/b/k", &bearer), 401);
}

#[test]
fn a_decision_is_explained_to_who_may_know() {
    let f = Fixture::new();
    let mut root = f.client();
    user(&mut root, "root", "ann", "");
    assert_eq!(
        body(&mut root, "PUT", "/-/accounts/root/policies/read", READ).status,
        201
    );
    let ask = r#"{"user":"ann","action":"ReadObject","resource":"b/k"}"#;
    let asked = json(&body(&mut root, "POST", "/-/explain", ask));
    assert_eq!(
        (&asked["allowed"], &asked["reason"]),
        (&false.into(), &"nothing allows it".into())
    );
    let attach = body(
        &mut root,
        "PATCH",
        "/-/accounts/root/users/ann",
        r#"{"policies":["read"]}"#,
    );
    assert_eq!(attach.status, 200);
    let asked = json(&body(&mut root, "POST", "/-/explain", ask));
    assert_eq!(asked["reason"], "identity policy \"read\", statement 0");
    assert_problem(&body(&mut f.of("ann"), "POST", "/-/explain", ask), 403);
    for action in ["Nonsense", "s3:Nonsense", "s3:*", "s3:RestoreObject"] {
        let bad = format!(r#"{{"user":"ann","action":"{action}","resource":"b/k"}}"#);
        assert_problem(&body(&mut root, "POST", "/-/explain", &bad), 400);
    }
    // As policies name it: who may not do all that it stands for may not do it.
    let ask = ask
        .replace("ReadObject", "s3:GetObject")
        .replace("b/k", "arn:aws:s3:::b/k");
    let asked = json(&body(&mut root, "POST", "/-/explain", &ask));
    assert_eq!(asked["allowed"], true, "{asked}");
    assert_eq!(asked["decisions"].as_array().unwrap().len(), 2);
    let half = READ.replace(r#""s3:GetObject","#, r#""trestle:ReadObjectMetadata","#);
    let put = body(&mut root, "PUT", "/-/accounts/root/policies/read", &half);
    assert_eq!(put.status, 200);
    let asked = json(&body(&mut root, "POST", "/-/explain", &ask));
    assert_eq!(asked["allowed"], false, "{asked}");
    assert_eq!(asked["decisions"][1]["allowed"], true, "{asked}");
}

/// What another account says of its things is nobody else's to read.
#[test]
fn an_explanation_tells_nothing_of_another_account_s_rules() {
    let f = Fixture::new();
    let mut root = f.client();
    user(&mut root, "home", "boss", r#","admin":true"#);
    user(&mut root, "away", "boss", r#","admin":true"#);
    assert_eq!(
        send(&mut f.of("home/boss"), "PUT", "/rest/homely/").status,
        201
    );
    let policy = r#"{"Version":"2012-10-17","Statement":{"Sid":"Hidden","Effect":"Deny",
        "Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::homely/*"}}"#;
    let mut home = f.of("home/boss");
    assert_eq!(
        body(&mut home, "PUT", "/-/buckets/homely/policy", policy).status,
        200
    );
    let ask = r#"{"user":"boss","account":"away","action":"ReadObject","resource":"homely/k"}"#;
    let told = json(&body(&mut f.of("away/boss"), "POST", "/-/explain", ask));
    assert_eq!(
        (&told["allowed"], &told["reason"]),
        (
            &false.into(),
            &"what the account says that it belongs to".into()
        )
    );
    let told = json(&body(&mut root, "POST", "/-/explain", ask));
    assert_eq!(told["reason"], "the bucket's policy, statement 0 (Hidden)");
    let own = ask.replace("away", "home");
    let told = json(&body(&mut home, "POST", "/-/explain", &own));
    assert_eq!(told["reason"], "the bucket's policy, statement 0 (Hidden)");
}

#[test]
fn a_malformed_credential_is_never_anonymous() {
    let f = Fixture::new();
    let mut root = f.client();
    assert_eq!(put(&mut root, "/rest/b/k", b"x").status, 201);
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
    assert_eq!(
        body(&mut root, "PUT", "/-/buckets/b/policy", policy).status,
        200
    );
    let mut client = Client::anonymous(f.server().address);
    for path in ["/rest/b/k", "/cdmi/b/k", "/v1/AUTH_root/b/k"] {
        assert_eq!(send(&mut client, "GET", path).status, 200);
    }
    for credential in [
        "",
        "Basic",
        "Basic ",
        "Basic !!",
        "Basic cm9vdA==",
        "Basic cm9vdDp3cm9uZw==",
        "Bearer",
        "Bearer x",
        "Bearer tr1.x.y",
        "Negotiate x",
        "AWS4-HMAC-SHA256 Credential=x",
        "AWS a:b",
    ] {
        let headers = [("authorization", credential)];
        for path in ["/rest/b/k", "/cdmi/b/k", "/v1/AUTH_root/b/k"] {
            let answer = client.send("GET", path, &headers, b"").unwrap();
            let shown = answer.text();
            assert_eq!(answer.status, 401, "{path} {credential:?}: {shown}");
        }
    }
}

#[test]
fn what_is_not_understood_is_refused_when_it_is_written() {
    let f = Fixture::new();
    let mut root = f.client();
    let mut refused = |method: &str, target: &str, text: &str, place: &str| {
        let answer = body(&mut root, method, target, text);
        assert_problem(&answer, 400);
        assert!(
            answer.text().contains(place),
            "{} lacks {place}",
            answer.text()
        );
    };
    refused("PUT", "/-/accounts/root/policies/p", "{", "line 1");
    refused(
        "PUT",
        "/-/accounts/root/policies/p",
        r#"{"Statement":[{"Effect":"Allow","Action":"s3:Nonsense","Resource":"*"}]}"#,
        "Statement[0].Action",
    );
    refused("PUT", "/-/buckets/b/policy", READ, "Statement[0].Principal");
    refused("PUT", "/-/buckets/b/acl", r#"{"nonsense":1}"#, "nonsense");
    refused(
        "PUT",
        "/-/buckets/b/ownership",
        r#"{"ownership":"Nobody"}"#,
        "Nobody",
    );
    refused(
        "PUT",
        "/-/accounts/root/users/a",
        r#"{"nonsense":1}"#,
        "nonsense",
    );
    refused(
        "PUT",
        "/-/accounts/root/users/a%2Fb",
        "{}",
        "must not contain",
    );
    refused(
        "PUT",
        "/-/accounts/root/users/a",
        r#"{"password":""}"#,
        "empty",
    );
    refused(
        "PUT",
        "/-/accounts/root/users/a",
        r#"{"secret_key":"x"}"#,
        "access key",
    );
    refused("GET", "/-/accounts?nonsense=1", "", "nonsense");
    refused(
        "PUT",
        "/-/accounts/root/roles/r",
        r#"{"trust":{}}"#,
        "Statement",
    );
}

/// The command line against a server, as root or as somebody else.
pub(crate) fn trestle(f: &Fixture, who: Option<&str>, arguments: &[&str]) -> (i32, String, String) {
    let mut command = f.launch().command(arguments);
    command
        .arg("--server")
        .arg(format!("http://{}", f.server().address))
        .current_dir(f.folder.path())
        .env_remove("TRESTLE_TOKEN");
    match who {
        Some(who) => command
            .env("TRESTLE_USER", who)
            .env("TRESTLE_PASSWORD", PASSWORD),
        None => command
            .env_remove("TRESTLE_USER")
            .arg("--credentials")
            .arg(f.folder.path().join("data/root-credentials")),
    };
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn the_command_line_manages_identities() {
    let f = Fixture::new();
    let file = f.folder.path().join("read.json");
    std::fs::write(&file, READ).unwrap();
    let file = file.display().to_string();
    let run = |who: Option<&str>, arguments: &[&str]| {
        let (code, out, err) = trestle(&f, who, arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    };
    let create = [
        "user",
        "create",
        "acme",
        "--account",
        "acme",
        "--admin",
        "--password",
        PASSWORD,
    ];
    assert!(run(None, &create).contains("admin: true\n"));
    let acme = Some("acme");
    let key = [
        "--access-key",
        "AK",
        "--secret-key",
        "SK",
        "--display-name",
        "Ann A",
        "--email",
        "a@x.org",
    ];
    let shown = run(
        acme,
        &[&["user", "create", "ann", "--password", PASSWORD][..], &key].concat(),
    );
    assert!(
        shown.contains("secret_key: SK\n") && shown.contains("account: acme\n"),
        "{shown}"
    );
    let (code, _, err) = trestle(&f, acme, &["user", "create", "bob", "--password", "pw"]);
    assert_eq!(code, 0);
    assert!(err.contains("warning"), "{err}");
    run(acme, &["policy", "put", "read", &file]);
    run(acme, &["policy", "attach", "read", "--user", "ann"]);
    run(acme, &["group", "create", "readers", "--policy", "read"]);
    run(acme, &["group", "add", "readers", "--user", "bob"]);
    let listed = run(acme, &["user", "list"]);
    let lines: Vec<&str> = listed
        .lines()
        .map(|l| l.split('\t').next().unwrap())
        .collect();
    assert_eq!(lines, ["acme", "ann", "bob"]);
    let users: serde_json::Value =
        serde_json::from_str(&run(acme, &["user", "list", "--json"])).unwrap();
    assert_eq!(users["users"][2]["groups"][0], "readers");
    let (code, out, _) = trestle(
        &f,
        None,
        &[
            "policy",
            "explain",
            "ann",
            "ReadObject",
            "b/k",
            "--account",
            "acme",
        ],
    );
    // Of another account: its own policy is not enough.
    assert_eq!(
        (code, out == "denied: nothing allows it\n"),
        (1, true),
        "{out}"
    );
    run(
        acme,
        &[
            "key",
            "create",
            "--user",
            "bob",
            "--expires",
            "2999-01-01T00:00:00Z",
        ],
    );
    assert!(run(acme, &["key", "list", "--user", "bob"]).contains("expires=2999-01-01"));
    run(acme, &["key", "disable", "AK", "--user", "ann"]);
    assert!(run(acme, &["key", "list", "--user", "ann"]).contains("AK\tdisabled"));
    run(acme, &["user", "disable", "bob"]);
    run(acme, &["group", "remove", "readers", "--user", "bob"]);
    run(acme, &["group", "delete", "readers"]);
    run(acme, &["policy", "detach", "read", "--user", "ann"]);
    run(acme, &["policy", "delete", "read"]);
    run(acme, &["user", "delete", "bob"]);
    assert!(run(None, &["account", "list"]).contains("acme"));
    for (who, arguments, says) in [
        (acme, &["account", "list"][..], "denied (403"),
        (acme, &["user", "show", "nobody"], "does not exist (404"),
        (Some("nobody"), &["user", "list"], "wrong (401"),
        (
            None,
            &["user", "create", "x", "--secret-key", "s"],
            "--access-key",
        ),
    ] {
        let (code, _, err) = trestle(&f, who, arguments);
        assert!(code == 2 && err.contains(says), "{arguments:?}: {err}");
    }
}

/// Requests of Swift by somebody of the account `home`.
struct OfSwift(Client, String);

impl OfSwift {
    fn of(f: &Fixture, name: &str) -> Self {
        let mut client = Client::anonymous(f.server().address);
        let login = format!("home:{name}");
        let headers = [("x-auth-user", login.as_str()), ("x-auth-key", PASSWORD)];
        let answer = client.send("GET", "/auth/v1.0", &headers, &[]).unwrap();
        let token = answer.header("x-auth-token").unwrap();
        OfSwift(client, token)
    }

    fn send(&mut self, method: &str, target: &str, header: (&str, &str)) -> u16 {
        let headers = [("x-auth-token", self.1.as_str()), header];
        let target = format!("/v1/AUTH_home{target}");
        self.0.send(method, &target, &headers, &[]).unwrap().status
    }
}

#[test]
fn policies_bind_in_swift_as_anywhere() {
    const NONE: (&str, &str) = ("x-ignored", "");
    let f = Fixture::new();
    let mut root = f.client();
    let keep = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"*"}}"#;
    let part = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3::home:c/mine/*"}}"#;
    for (name, text) in [("keep", keep), ("part", part)] {
        let target = format!("/-/accounts/home/policies/{name}");
        assert_eq!(body(&mut root, "PUT", &target, text).status, 201);
    }
    let admin = r#","admin":true,"policies":["keep"]"#;
    user(&mut root, "home", "boss", admin);
    user(&mut root, "home", "part", r#","policies":["part"]"#);
    let mut boss = OfSwift::of(&f, "boss");
    for target in ["/c", "/c/secret", "/c/mine/a"] {
        assert_eq!(boss.send("PUT", target, NONE), 201, "{target}");
    }
    assert_eq!(boss.send("DELETE", "/c/secret", NONE), 403);
    assert_eq!(boss.send("GET", "/c/secret", NONE), 200);
    let mut part = OfSwift::of(&f, "part");
    let from = |source| ("x-copy-from", source);
    assert_eq!(part.send("PUT", "/c/mine/b", from("c/mine/a")), 201);
    assert_eq!(part.send("PUT", "/c/mine/b", from("c/secret")), 403);
    assert_eq!(
        part.send("COPY", "/c/mine/a", ("destination", "c/mine/d")),
        201
    );
    assert_eq!(
        part.send("COPY", "/c/mine/a", ("destination", "c/secret")),
        403
    );
    let issue = format!(r#"{{"policies":[{READ}]}}"#);
    let issued = body(&mut f.of("home/boss"), "POST", "/-/tokens", &issue);
    boss.1 = json(&issued)["token"].as_str().unwrap().to_owned();
    assert_eq!(boss.send("GET", "/c/secret", NONE), 200);
    assert_eq!(boss.send("PUT", "/c/secret", NONE), 403);
}

#[test]
fn nothing_is_moved_to_where_it_may_be_read() {
    let f = Fixture::new();
    let mut root = f.client();
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["s3:PutObject","s3:DeleteObject"],"Resource":"*"},
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/open/*"}]}"#;
    let target = "/-/accounts/root/policies/mover";
    assert_eq!(body(&mut root, "PUT", target, policy).status, 201);
    user(&mut root, "root", "ann", r#","policies":["mover"]"#);
    assert_eq!(put(&mut root, "/rest/b/secret", b"x").status, 201);
    assert_eq!(put(&mut root, "/rest/b/open/a", b"x").status, 201);
    let mut ann = f.of("root/ann");
    let mut moved = |from: &str, to: &str| {
        let headers = [("destination", to)];
        ann.send("MOVE", from, &headers, b"").unwrap().status
    };
    assert_eq!(moved("/rest/b/open/a", "/rest/b/open/b"), 201);
    assert_eq!(moved("/rest/b/secret", "/rest/b/open/secret"), 403);
}
