//! Who may do what, in every dialect: buckets that were opened through each dialect's own lists,
//! and every decision, asked for through all four, held against a model of a few lines.

use crate::{Fixture, send};
use trestle_tests::client::base64;
use trestle_tests::server::{ACCESS_KEY, PASSWORD, SECRET_KEY, USER};
use trestle_tests::sigv4::{Signer, Wire};
use trestle_tests::{Client, Response};

const SECRET: &str = "a long enough password";
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
const DIALECTS: [&str; 4] = ["rest", "s3", "swift", "cdmi"];

/// How a bucket was opened; the dialect that did it is in the name.
const OPENED: [&str; 14] = [
    "private",
    "policy-public",
    "s3-public-read",
    "s3-public-write",
    "s3-authenticated",
    "s3-grant-account",
    "s3-grant-write",
    "swift-referrer",
    "swift-listings",
    "swift-user",
    "swift-account",
    "swift-write",
    "cdmi-everyone",
    "cdmi-user",
];

/// The model: what the documentation says, in another way than the product.
fn allowed(opened: &str, who: &str, what: &str) -> bool {
    let reads = ["list", "head", "get"].contains(&what);
    let gets = ["head", "get"].contains(&what);
    let away = who.starts_with("away/");
    if ["root", "home/boss"].contains(&who) {
        return true;
    }
    // An ordered list binds those, too, whom a policy of their own allows.
    if who == "home/reader" && reads && opened != "cdmi-user" {
        return true;
    }
    match opened {
        "policy-public" | "s3-public-read" | "swift-listings" | "cdmi-everyone" => reads,
        "s3-public-write" => true,
        "s3-authenticated" => reads && who != "nobody",
        // Left to the policies of the account that is named.
        "s3-grant-account" => reads && ["away/boss", "away/guest"].contains(&who),
        "s3-grant-write" => !reads && ["away/boss", "away/guest"].contains(&who),
        "swift-referrer" => gets,
        "swift-user" | "cdmi-user" => reads && who == "away/guest",
        "swift-account" => reads && away,
        "swift-write" => !reads && who == "away/plain",
        _ => false,
    }
}

/// Somebody with all of their credentials.
struct Somebody {
    client: Client,
    host: String,
    basic: Option<String>,
    token: Option<String>,
    signer: Option<Signer>,
}

impl Somebody {
    fn new(f: &Fixture, who: &str) -> Self {
        let address = f.server().address;
        let mut somebody = Somebody {
            client: Client::anonymous(address),
            host: address.to_string(),
            basic: None,
            token: None,
            signer: None,
        };
        let (login, name, password, signer) = match who.split_once('/') {
            Some((account, user)) => {
                let key = format!("{account}{user}").to_uppercase();
                let signer = Signer::new(&key, SECRET);
                (format!("{account}:{user}"), who, SECRET, signer)
            }
            None if who == "nobody" => return somebody,
            None => {
                let signer = Signer::new(ACCESS_KEY, SECRET_KEY);
                (format!("{USER}:{USER}"), USER, PASSWORD, signer)
            }
        };
        let headers = [("x-auth-user", login.as_str()), ("x-auth-key", password)];
        let client = &mut somebody.client;
        let answer = client.send("GET", "/auth/v1.0", &headers, &[]).unwrap();
        somebody.token = answer.header("x-auth-token");
        let pair = base64(format!("{name}:{password}").as_bytes());
        somebody.basic = Some(format!("Basic {pair}"));
        somebody.signer = Some(signer);
        somebody
    }

    fn send(
        &mut self,
        dialect: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let target = match dialect {
            "rest" | "cdmi" => format!("/{dialect}/{path}"),
            "swift" => format!("/v1/AUTH_home/{path}"),
            _ => format!("/{path}"),
        };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut wire = Wire {
            method: method.into(),
            target,
            headers: headers.iter().map(owned).collect(),
            body: body.to_vec(),
        };
        match (dialect, &self.signer) {
            ("s3", Some(signer)) => wire = signer.sign(&self.host, wire),
            ("swift", _) => wire.headers.extend(
                self.token
                    .clone()
                    .map(|token| ("x-auth-token".into(), token)),
            ),
            ("rest" | "cdmi", _) => wire.headers.extend(
                self.basic
                    .clone()
                    .map(|basic| ("authorization".into(), basic)),
            ),
            _ => {}
        }
        let headers: Vec<(&str, &str)> = wire
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.client
            .send(method, &wire.target, &headers, &wire.body)
            .unwrap()
    }

    fn made(
        &mut self,
        dialect: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) {
        let answer = self.send(dialect, method, path, headers, body.as_bytes());
        let told = answer.text();
        assert!(
            answer.status < 300,
            "{method} {path}: {} {told}",
            answer.status
        );
    }

    /// One question, and the answer's status.
    fn asks(&mut self, dialect: &str, what: &str, bucket: &str, place: &str) -> u16 {
        let key = |name: &str| format!("{bucket}/{name}");
        let listing = match dialect {
            "s3" | "swift" => bucket.to_owned(),
            _ => format!("{bucket}/"),
        };
        let accept = [("accept", "application/cdmi-container")];
        let accept = if dialect == "cdmi" { &accept[..] } else { &[] };
        let answer = match what {
            "list" => self.send(dialect, "GET", &listing, accept, b""),
            "head" => self.send(dialect, "HEAD", &key("seen"), &[], b""),
            "get" => self.send(dialect, "GET", &key("seen"), &[], b""),
            "put" => self.send(dialect, "PUT", &key(&format!("new-{place}")), &[], b"y"),
            _ => self.send(dialect, "DELETE", &key(&format!("old-{place}")), &[], b""),
        };
        answer.status
    }
}

fn setup(f: &Fixture) {
    let mut root = f.client();
    let statement = |action: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":{action},"Resource":"*"}}}}"#
        )
    };
    let mut put = |target: String, body: String| {
        let answer = root.send("PUT", &target, &[], body.as_bytes()).unwrap();
        assert!(answer.status < 300, "{target}: {}", answer.text());
    };
    let read = statement(r#"["s3:GetObject","s3:ListBucket"]"#);
    put("/-/accounts/home/policies/read".into(), read);
    put(
        "/-/accounts/away/policies/all".into(),
        statement(r#""s3:*""#),
    );
    for who in PRINCIPALS {
        let Some((account, name)) = who.split_once('/') else {
            continue;
        };
        let more = match name {
            "boss" => r#","admin":true"#,
            "reader" => r#","policies":["read"]"#,
            "guest" => r#","policies":["all"]"#,
            _ => "",
        };
        let key = format!("{account}{name}").to_uppercase();
        let body = format!(
            r#"{{"password":"{SECRET}","access_key":"{key}","secret_key":"{SECRET}"{more}}}"#
        );
        put(format!("/-/accounts/{account}/users/{name}"), body);
    }
}

/// Makes a bucket with what is asked for, and opens it.
fn open(boss: &mut Somebody, opened: &str) -> String {
    let bucket = format!("{opened}-bucket");
    let canned = |name: &'static str| ("x-amz-acl", name);
    let away = ("x-amz-grant-read", "id=away");
    let (dialect, on_bucket, on_object) = match opened {
        "s3-public-read" => (
            "s3",
            Some(canned("public-read")),
            Some(canned("public-read")),
        ),
        "s3-public-write" => (
            "s3",
            Some(canned("public-read-write")),
            Some(canned("public-read")),
        ),
        "s3-authenticated" => (
            "s3",
            Some(canned("authenticated-read")),
            Some(canned("authenticated-read")),
        ),
        "s3-grant-account" => ("s3", Some(away), Some(away)),
        "s3-grant-write" => ("s3", Some(("x-amz-grant-write", "id=away")), None),
        "swift-referrer" => ("swift", Some(("x-container-read", ".r:*")), None),
        "swift-listings" => ("swift", Some(("x-container-read", ".r:*,.rlistings")), None),
        "swift-user" => ("swift", Some(("x-container-read", "away:guest")), None),
        "swift-account" => ("swift", Some(("x-container-read", "away")), None),
        "swift-write" => ("swift", Some(("x-container-write", "away:plain")), None),
        _ => ("rest", None, None),
    };
    let on = |header: Option<(&'static str, &'static str)>| Vec::from_iter(header);
    boss.made(dialect, "PUT", &bucket, &on(on_bucket), "");
    boss.made(
        dialect,
        "PUT",
        &format!("{bucket}/seen"),
        &on(on_object),
        "x",
    );
    for place in 0..PRINCIPALS.len() * DIALECTS.len() {
        boss.made("rest", "PUT", &format!("{bucket}/old-{place}"), &[], "x");
    }
    match opened {
        "policy-public" => {
            let arn = format!("arn:aws:s3:::{bucket}");
            let policy = format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":"*",
                   "Action":["s3:GetObject","s3:ListBucket"],"Resource":["{arn}","{arn}/*"]}}}}"#
            );
            boss.made("s3", "PUT", &format!("{bucket}?policy"), &[], &policy);
        }
        "cdmi-everyone" | "cdmi-user" => {
            let who = match opened {
                "cdmi-everyone" => "EVERYONE@",
                _ => "away/guest",
            };
            let entry = |who: &str, mask: &str| {
                serde_json::json!({"acetype": "ALLOW", "identifier": who, "acemask": mask,
                                   "aceflags": "OBJECT_INHERIT, CONTAINER_INHERIT"})
            };
            let list = [
                entry("OWNER@", "ALL_PERMS"),
                entry("ADMINISTRATOR@", "ALL_PERMS"),
                entry(who, "READ"),
            ];
            let body = serde_json::json!({"metadata": {"cdmi_acl": list}}).to_string();
            let kind = [("content-type", "application/cdmi-container")];
            let path = format!("{bucket}/?metadata=cdmi_acl");
            boss.made("cdmi", "PATCH", &path, &kind, &body);
        }
        _ => {}
    }
    bucket
}

#[test]
fn every_dialect_decides_as_the_model_does_whichever_opened_the_bucket() {
    let f = Fixture::new();
    setup(&f);
    let mut people: Vec<Somebody> = PRINCIPALS
        .iter()
        .map(|who| Somebody::new(&f, who))
        .collect();
    let mut boss = Somebody::new(&f, "home/boss");
    let mut wrong = Vec::new();
    let mut tried = 0;
    for opened in OPENED {
        let bucket = open(&mut boss, opened);
        for (number, who) in PRINCIPALS.iter().enumerate() {
            for (column, dialect) in DIALECTS.iter().enumerate() {
                for what in ACTIONS {
                    let place = (number * DIALECTS.len() + column).to_string();
                    let status = people[number].asks(dialect, what, &bucket, &place);
                    let expected = match (allowed(opened, who, what), *who, what) {
                        (false, "nobody", _) if *dialect != "s3" => 401,
                        (false, ..) => 403,
                        (true, _, "put") if *dialect == "s3" => 200,
                        (true, _, "put") => 201,
                        (true, _, "delete") => 204,
                        (true, ..) => 200,
                    };
                    if status != expected {
                        wrong.push(format!(
                            "{opened}: {who} {what} over {dialect}: {status} for {expected}"
                        ));
                    }
                    tried += 1;
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {tried}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(tried, 14 * 8 * 4 * 5);
    assert_eq!(send(&mut f.client(), "GET", "/healthz").status, 200);
}

/// By a list alone a stranger's root may tag and open what is its own then, and nothing else may be.
#[test]
fn a_bucket_s_list_frees_from_the_right_to_tag_only_who_owns_what_is_written() {
    let f = Fixture::new();
    setup(&f);
    let user = format!(
        r#"{{"password":"{SECRET}","access_key":"AWAYAWAY","secret_key":"{SECRET}","admin":true}}"#
    );
    let made = f
        .client()
        .send("PUT", "/-/accounts/away/users/away", &[], user.as_bytes());
    assert_eq!(made.unwrap().status, 201);
    let mut boss = Somebody::new(&f, "home/boss");
    let mut stranger = Somebody::new(&f, "away/away");
    let mut nobody = Somebody::new(&f, "nobody");
    let open = ("x-amz-acl", "public-read-write");
    let preferred = ("x-amz-object-ownership", "BucketOwnerPreferred");
    boss.made("s3", "PUT", "writers", &[open], "");
    boss.made("s3", "PUT", "preferred", &[open, preferred], "");
    let tags = ("x-amz-tagging", "scanned=clean");
    let public = ("x-amz-acl", "public-read");
    let over = ("x-amz-acl", "bucket-owner-full-control");
    let mut put = |known: bool, path: &str, headers: &[(&str, &str)]| {
        let who = if known { &mut stranger } else { &mut nobody };
        who.send("s3", "PUT", path, headers, b"x").status
    };
    for bucket in ["writers", "preferred"] {
        let path = format!("{bucket}/o");
        for (headers, of_nobody) in [
            (&[] as &[(&str, &str)], 200),
            (&[over][..], 200),
            (&[tags][..], 403),
            (&[public][..], 403),
        ] {
            assert_eq!(put(true, &path, headers), 200, "{path} {headers:?}");
            let status = put(false, &path, headers);
            assert_eq!(status, of_nobody, "{path} {headers:?}");
        }
    }
    // Who reads a new object, nobody in particular may say, and nothing else of it.
    assert_eq!(put(false, "writers/new", &[public, tags]), 403);
    assert_eq!(put(false, "writers/new", &[public]), 200);
    assert_eq!(put(false, "writers/new", &[public]), 403);
    // Handed over, it is the bucket owner's where the bucket says so.
    assert_eq!(put(true, "writers/over", &[over, tags]), 200);
    assert_eq!(put(true, "preferred/over", &[over, tags]), 403);
    // So is what has an ordered list, whoever writes it.
    let entry = |who: &str| serde_json::json!({"acetype": "ALLOW", "identifier": who, "aceflags": "0x0", "acemask": "ALL_PERMS"});
    let writable = serde_json::json!({"acetype": "ALLOW", "identifier": "EVERYONE@",
        "aceflags": "0x0", "acemask": "READ_OBJECT, WRITE_OBJECT"});
    let list = [entry("OWNER@"), entry("ADMINISTRATOR@"), writable];
    let body = serde_json::json!({"value": "x", "metadata": {"cdmi_acl": list}}).to_string();
    let kind = [("content-type", "application/cdmi-object")];
    boss.made("cdmi", "PUT", "writers/listed", &kind, &body);
    assert_eq!(put(true, "writers/listed", &[tags]), 403);
    assert_eq!(put(true, "writers/listed", &[public]), 403);
    assert_eq!(put(true, "writers/listed", &[]), 200);
}
