//! The table of what nobody may get away with: named bad requests of every dialect, each with the
//! status and the code that it is answered with, and after each of them the whole state of the
//! server, as an administrator sees it, is what it was.
//!
//! A dialect adds rows in its file; a row is a name, the answer, and the request.

mod admin;
mod cdmi;
mod rest;
mod rows;
mod s3;
mod s3_bodies;
pub(crate) mod s3_forms;
mod state;
mod swift;

use crate::Fixture;
use state::State;
use std::collections::BTreeMap;
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER};
use trestle_tests::sigv4::{Signer, Wire};
use trestle_tests::{Client, Response};

/// The password of everybody but root.
const SECRET: &str = "a long enough password";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// The root user.
    Root,
    /// An administrator of the account `acme`.
    Boss,
    /// A user of `acme` whom nothing allows anything.
    Ann,
    /// Without any credential.
    Nobody,
}

/// How a request shows who sent it.
#[derive(Clone, Copy)]
enum Proof {
    /// HTTP Basic.
    Basic,
    /// Swift's token.
    Token,
    /// A signature in the header, made by a signer that is first made wrong.
    Signed(fn(&mut Signer)),
    /// The same in the query.
    Presigned(fn(&mut Signer)),
}

/// A request. `<name>` within it stands for what the world calls so.
struct Ask {
    who: Who,
    proof: Proof,
    wire: Wire,
    /// What happens to it on its way, after it was signed.
    tamper: fn(&mut Wire),
}

fn ask(method: &str, target: &str) -> Ask {
    Ask {
        who: Who::Root,
        proof: Proof::Basic,
        wire: Wire {
            method: method.into(),
            target: target.into(),
            ..Wire::default()
        },
        tamper: |_| {},
    }
}

impl Ask {
    fn by(self, who: Who) -> Self {
        Ask { who, ..self }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.wire.headers.push((name.into(), value.into()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.wire.body = body.into();
        self
    }

    fn signed(self, wrong: fn(&mut Signer)) -> Self {
        let proof = Proof::Signed(wrong);
        Ask { proof, ..self }
    }

    fn presigned(self, wrong: fn(&mut Signer)) -> Self {
        let proof = Proof::Presigned(wrong);
        Ask { proof, ..self }
    }

    fn tampered(self, tamper: fn(&mut Wire)) -> Self {
        Ask { tamper, ..self }
    }
}

/// A row: its name, the status, what the answer says (nothing: it need not say anything), and the
/// request.
type Case = (&'static str, u16, &'static str, Ask);

/// A server with something to lose.
struct World {
    fixture: Fixture,
    /// What placeholders stand for.
    names: BTreeMap<&'static str, String>,
    tokens: BTreeMap<Who, String>,
    client: Client,
}

impl World {
    fn new() -> Self {
        let fixture = Fixture::new();
        let client = Client::anonymous(fixture.server().address);
        let mut world = World {
            fixture,
            names: BTreeMap::new(),
            tokens: BTreeMap::new(),
            client,
        };
        for (user, more) in [("boss", r#","admin":true"#), ("ann", "")] {
            let key = user.to_uppercase();
            let text = format!(
                r#"{{"password":"{SECRET}","access_key":"{key}KEY","secret_key":"{SECRET}"{more}}}"#
            );
            let target = format!("/-/accounts/acme/users/{user}");
            world.made(ask("PUT", &target).body(text));
        }
        world
    }

    /// Sends what must succeed.
    fn made(&mut self, ask: Ask) -> Response {
        let shown = format!("{} {}", ask.wire.method, ask.wire.target);
        let answer = self.send(&ask);
        assert!(
            answer.status < 300,
            "{shown}: {} {}",
            answer.status,
            answer.text()
        );
        answer
    }

    fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.names {
            text = text.replace(&format!("<{name}>"), value);
        }
        text
    }

    fn send(&mut self, ask: &Ask) -> Response {
        let mut wire = ask.wire.clone();
        wire.target = self.fill(&wire.target);
        for (_, value) in &mut wire.headers {
            *value = self.fill(value);
        }
        if let Ok(text) = std::str::from_utf8(&wire.body) {
            wire.body = self.fill(text).into_bytes();
        }
        let mut wire = self.proven(ask, wire);
        (ask.tamper)(&mut wire);
        let headers: Vec<(&str, &str)> = wire
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.client
            .send(&wire.method, &wire.target, &headers, &wire.body)
            .unwrap_or_else(|error| panic!("{} {}: {error}", wire.method, wire.target))
    }

    fn proven(&mut self, ask: &Ask, mut wire: Wire) -> Wire {
        let (user, password, key, secret) = match ask.who {
            Who::Nobody => return wire,
            Who::Root => (
                USER,
                PASSWORD,
                trestle_tests::server::ACCESS_KEY,
                trestle_tests::server::SECRET_KEY,
            ),
            Who::Boss => ("acme/boss", SECRET, "BOSSKEY", SECRET),
            Who::Ann => ("acme/ann", SECRET, "ANNKEY", SECRET),
        };
        let host = self.fixture.server().address.to_string();
        match ask.proof {
            Proof::Basic => {
                let pair = base64(format!("{user}:{password}").as_bytes());
                wire.headers
                    .push(("authorization".into(), format!("Basic {pair}")));
                wire
            }
            Proof::Token => {
                let token = self.token(ask.who, user, password);
                wire.headers.push(("x-auth-token".into(), token));
                wire
            }
            Proof::Signed(wrong) => {
                let mut signer = Signer::new(key, secret);
                wrong(&mut signer);
                signer.sign(&host, wire)
            }
            Proof::Presigned(wrong) => {
                let mut signer = Signer::new(key, secret);
                wrong(&mut signer);
                signer.presign(&host, wire)
            }
        }
    }

    fn token(&mut self, who: Who, user: &str, password: &str) -> String {
        if let Some(token) = self.tokens.get(&who) {
            return token.clone();
        }
        let login = match user.split_once('/') {
            Some((account, user)) => format!("{account}:{user}"),
            None => format!("{user}:{user}"),
        };
        let headers = [("x-auth-user", login.as_str()), ("x-auth-key", password)];
        let answer = self
            .client
            .send("GET", "/auth/v1.0", &headers, &[])
            .unwrap();
        let token = answer.header("x-auth-token").unwrap();
        self.tokens.insert(who, token.clone());
        token
    }

    /// Sends each, and says which were answered otherwise or left a trace.
    fn refuses(&mut self, cases: Vec<Case>) -> usize {
        let mut before = State::of(&self.fixture);
        let mut wrong = Vec::new();
        let mut names = Vec::new();
        for (name, status, says, ask) in &cases {
            assert!(!names.contains(name), "{name:?} is there twice");
            names.push(*name);
            let answer = self.send(ask);
            let text = answer.text();
            if answer.status != *status || !text.contains(says) {
                let told: String = text.chars().take(400).collect();
                wrong.push(format!(
                    "{name}: {} instead of {status} {says:?}: {told}",
                    answer.status
                ));
            }
            for secret in [SECRET, PASSWORD, trestle_tests::server::SECRET_KEY] {
                if text.contains(secret) {
                    wrong.push(format!("{name}: the answer tells a secret"));
                }
            }
            let after = State::of(&self.fixture);
            for change in before.changes(&after) {
                wrong.push(format!("{name}: {change}"));
            }
            before = after;
        }
        // Nothing of what was presented, rightly or wrongly, is in the log.
        let log = self.fixture.server().log();
        let tokens = self.tokens.values().map(String::as_str);
        let secrets = [SECRET, PASSWORD, trestle_tests::server::SECRET_KEY];
        for secret in tokens.chain(secrets) {
            if log.contains(secret) {
                wrong.push(format!("the log tells a secret: {secret}"));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of {}:\n{}",
            wrong.len(),
            cases.len(),
            wrong.join("\n")
        );
        println!("{} rows are refused", cases.len());
        cases.len()
    }
}
