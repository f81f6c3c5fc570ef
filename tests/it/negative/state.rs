//! All that a server holds, as those see it who may see it: what a refused request must not change.

use super::SECRET;
use crate::{Fixture, json, send};
use std::collections::BTreeMap;
use trestle_tests::Client;
use trestle_tests::server::{ACCESS_KEY, PASSWORD, SECRET_KEY, USER};
use trestle_tests::sigv4::{Signer, Wire};

/// Each resource and what it shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct State(BTreeMap<String, String>);

impl State {
    pub(super) fn of(fixture: &Fixture) -> Self {
        let mut state = State(BTreeMap::new());
        let mut root = fixture.client();
        let boss = &mut Client::new(fixture.server().address, "acme/boss", SECRET);
        for (who, client) in [("root", &mut root), ("boss", boss)] {
            for bucket in state.names(client, who, "/rest/", ["buckets", "name"]) {
                let bucket = trestle_tests::client::escape(&bucket);
                for target in [
                    format!("/rest/{bucket}/?metadata"),
                    format!("/rest/{bucket}/?versions"),
                    format!("/-/buckets/{bucket}/policy"),
                    format!("/-/buckets/{bucket}/acl"),
                    format!("/-/buckets/{bucket}/ownership"),
                    format!("/-/buckets/{bucket}/public-access"),
                ] {
                    state.note(client, who, &target);
                }
                if who == "root" {
                    state.uploads(fixture, &bucket);
                    state.elsewhere(fixture, client, &bucket);
                }
            }
        }
        for account in state.names(&mut root, "root", "/-/accounts", ["accounts", "id"]) {
            for kind in ["users", "groups", "roles", "policies"] {
                let target = format!("/-/accounts/{account}/{kind}");
                state.note(&mut root, "root", &target);
            }
        }
        state
    }

    fn note(&mut self, client: &mut Client, who: &str, target: &str) -> String {
        let text = send(client, "GET", target).text();
        self.0.insert(format!("{who} {target}"), text.clone());
        text
    }

    /// The names in a list, which is noted as well.
    fn names(
        &mut self,
        client: &mut Client,
        who: &str,
        target: &str,
        [list, name]: [&str; 2],
    ) -> Vec<String> {
        let answer = send(client, "GET", target);
        assert_eq!(answer.status, 200, "{who} {target}: {}", answer.text());
        self.0.insert(format!("{who} {target}"), answer.text());
        let document = json(&answer);
        let items = document[list].as_array();
        let items = items.unwrap_or_else(|| panic!("no {list} in {document}"));
        let of = |item: &serde_json::Value| match item.as_str() {
            Some(text) => text.to_owned(),
            None => item[name].as_str().unwrap_or_default().to_owned(),
        };
        items.iter().map(of).collect()
    }

    fn uploads(&mut self, fixture: &Fixture, bucket: &str) {
        let host = fixture.server().address.to_string();
        let wire = Wire {
            method: "GET".into(),
            target: format!("/{bucket}?uploads"),
            ..Wire::default()
        };
        let wire = Signer::new(ACCESS_KEY, SECRET_KEY).sign(&host, wire);
        let headers: Vec<(&str, &str)> = wire
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut nobody = Client::anonymous(fixture.server().address);
        let answer = nobody.send("GET", &wire.target, &headers, &[]).unwrap();
        self.0.insert(format!("uploads of {bucket}"), answer.text());
    }

    /// What only one dialect shows of a bucket: a container's headers and its document.
    fn elsewhere(&mut self, fixture: &Fixture, client: &mut Client, bucket: &str) {
        let login = format!("{USER}:{USER}");
        let headers = [("x-auth-user", login.as_str()), ("x-auth-key", PASSWORD)];
        let mut nobody = Client::anonymous(fixture.server().address);
        let token = nobody.send("GET", "/auth/v1.0", &headers, &[]).unwrap();
        let token = token.header("x-auth-token").unwrap();
        for path in [String::new(), format!("/{bucket}")] {
            let target = format!("/v1/AUTH_{USER}{path}");
            let headers = [("x-auth-token", token.as_str())];
            let answer = nobody.send("HEAD", &target, &headers, &[]).unwrap();
            let shown: Vec<String> = answer
                .headers
                .iter()
                .filter(|(name, _)| name.starts_with("x-account") || name.starts_with("x-cont"))
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            self.0.insert(target, shown.join("\n"));
        }
        self.note(client, "root", &format!("/cdmi/{bucket}/?metadata"));
    }

    /// What differs, in words.
    pub(super) fn changes(&self, after: &State) -> Vec<String> {
        let mut changes = Vec::new();
        for (what, text) in &after.0 {
            match self.0.get(what) {
                Some(before) if before == text => {}
                Some(before) => changes.push(format!("{what} was {before} and is {text}")),
                None => changes.push(format!("{what} is new: {text}")),
            }
        }
        let gone = self.0.keys().filter(|what| !after.0.contains_key(*what));
        changes.extend(gone.map(|what| format!("{what} is gone")));
        changes
    }
}
