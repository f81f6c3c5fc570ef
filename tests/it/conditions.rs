//! What a request says of itself counts for policies alike, whatever dialect it speaks.

use crate::access::{PASSWORD, document, user};
use crate::{Fixture, put, send};
use trestle_tests::sigv4::{Signer, Wire};
use trestle_tests::{Client, Response};

fn granted(status: u16) -> bool {
    assert!([200, 204, 401, 403].contains(&status), "{status}");
    status < 300
}

#[test]
fn who_asks_by_which_program_and_from_which_page_counts_in_every_dialect() {
    let f = Fixture::new();
    let root = &mut f.client();
    assert_eq!(send(root, "PUT", "/rest/bkt/").status, 201);
    assert_eq!(put(root, "/rest/bkt/k", b"x").status, 201);
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/*",
         "Condition":{"StringLike":{"aws:Referer":"https://good.example/*"}}},
        {"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/*",
         "Condition":{"StringLike":{"aws:UserAgent":"*robot*"}}}]}"#;
    document(root, "PUT", "/-/buckets/bkt/policy", policy);
    let mut nobody = Client::anonymous(f.server().address);
    for path in [
        "/rest/bkt/k",
        "/bkt/k",
        "/cdmi/bkt/k",
        "/v1/AUTH_root/bkt/k",
    ] {
        let mut asks = |headers: &[(&str, &str)]| {
            granted(nobody.send("GET", path, headers, b"").unwrap().status)
        };
        let page = ("referer", "https://good.example/page");
        assert!(asks(&[page]), "{path}");
        assert!(!asks(&[]), "{path}");
        assert!(!asks(&[("referer", "https://bad.example/")]), "{path}");
        assert!(!asks(&[page, ("user-agent", "a robot")]), "{path}");
    }
}

/// A listing by each dialect.
struct Listing<'a> {
    f: &'a Fixture,
    basic: Client,
    token: String,
}

impl Listing<'_> {
    fn swift(&mut self, query: &str) -> Response {
        let headers = [("x-auth-token", self.token.as_str())];
        let target = format!("/v1/AUTH_acme/bkt?{query}");
        let mut client = Client::anonymous(self.f.server().address);
        client.send("GET", &target, &headers, b"").unwrap()
    }

    fn basic(&mut self, target: &str) -> Response {
        self.basic.send("GET", target, &[], b"").unwrap()
    }

    fn s3(&mut self, query: &str) -> Response {
        let wire = Wire {
            method: "GET".into(),
            target: format!("/bkt?{query}"),
            ..Wire::default()
        };
        crate::sessions::sent(self.f, Signer::new("ANNKEY", PASSWORD), wire)
    }
}

#[test]
fn what_a_listing_asks_for_counts_in_every_dialect() {
    let f = Fixture::new();
    let root = &mut f.client();
    let acme = "/-/accounts/acme/users/";
    let boss = format!(r#"{{"password":"{PASSWORD}","admin":true}}"#);
    document(root, "PUT", &format!("{acme}boss"), &boss);
    let mut boss = Client::new(f.server().address, "acme/boss", PASSWORD);
    assert_eq!(send(&mut boss, "PUT", "/rest/bkt/").status, 201);
    for key in ["home/a", "else/b"] {
        assert_eq!(
            put(&mut boss, &format!("/rest/bkt/{key}"), b"x").status,
            201
        );
    }
    let statement = r#"{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bkt",
        "Condition":{"StringLike":{"s3:prefix":"home/*"},
                     "NumericLessThanEqualsIfExists":{"s3:max-keys":"10"}}}"#;
    let basic = user(f.server(), ("acme", "ann"), false, statement);
    let key = format!(r#"{{"access_key":"ANNKEY","secret_key":"{PASSWORD}"}}"#);
    document(root, "POST", &format!("{acme}ann/keys"), &key);
    let login = [("x-auth-user", "acme:ann"), ("x-auth-key", PASSWORD)];
    let mut nobody = Client::anonymous(f.server().address);
    let token = nobody.send("GET", "/auth/v1.0", &login, &[]).unwrap();
    let token = token.header("x-auth-token").unwrap();
    let mut ann = Listing {
        f: &f,
        basic,
        token,
    };
    for (prefix, limit, expected) in [
        ("home/", "10", true),
        ("home/", "11", false),
        ("else/", "10", false),
        ("", "10", false),
    ] {
        let shown = format!("{prefix:?} {limit}");
        let rest = ann.basic(&format!("/rest/bkt/?prefix={prefix}&limit={limit}"));
        assert_eq!(granted(rest.status), expected, "{shown}: {}", rest.text());
        let s3 = ann.s3(&format!(
            "max-keys={limit}&prefix={}",
            prefix.replace('/', "%2F")
        ));
        assert_eq!(granted(s3.status), expected, "{shown}: {}", s3.text());
        let swift = ann.swift(&format!("prefix={prefix}&limit={limit}"));
        assert_eq!(granted(swift.status), expected, "{shown}: {}", swift.text());
    }
    assert!(granted(ann.swift("path=home").status));
    assert!(!granted(ann.swift("path=else").status));
}
