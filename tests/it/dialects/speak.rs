//! The same few verbs in each dialect, and what their answers say in the same words.

use crate::{Fixture, json};
use serde_json::Value;
use std::collections::BTreeMap;
use trestle_tests::client::{base64, escape};
use trestle_tests::server::{ACCESS_KEY, PASSWORD, SECRET_KEY, USER};
use trestle_tests::sigv4::{Signer, Wire};
use trestle_tests::{Client, Response};

use super::Object;

/// A dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Rest,
    S3,
    Swift,
    Cdmi,
}

impl Dialect {
    pub(crate) const ALL: [Dialect; 4] =
        [Dialect::Rest, Dialect::S3, Dialect::Swift, Dialect::Cdmi];
}

/// A version of a key in a listing: its length, none for a marker.
pub(crate) type Version = (String, Option<u64>);

type Headers = Vec<(String, String)>;

/// Somebody who speaks all of them, as the root user.
pub(crate) struct Spoken {
    basic: Client,
    nobody: Client,
    host: String,
    token: String,
}

const OBJECT: &str = "application/cdmi-object";

impl Spoken {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        let mut nobody = Client::anonymous(fixture.server().address);
        let login = format!("{USER}:{USER}");
        let headers = [("x-auth-user", login.as_str()), ("x-auth-key", PASSWORD)];
        let answer = nobody.send("GET", "/auth/v1.0", &headers, &[]).unwrap();
        Spoken {
            basic: fixture.client(),
            nobody,
            host: fixture.server().address.to_string(),
            token: answer.header("x-auth-token").unwrap(),
        }
    }

    /// A request to `bucket/key…?query` in a dialect.
    pub(crate) fn send(
        &mut self,
        dialect: Dialect,
        method: &str,
        path: &str,
        headers: Headers,
        body: &[u8],
    ) -> Response {
        let pairs = |headers: &Headers| -> Vec<(String, String)> { headers.clone() };
        let (client, target, headers) = match dialect {
            Dialect::Rest => (&mut self.basic, format!("/rest/{path}"), headers),
            Dialect::Cdmi => (&mut self.basic, format!("/cdmi/{path}"), headers),
            Dialect::Swift => {
                let mut headers = pairs(&headers);
                headers.push(("x-auth-token".into(), self.token.clone()));
                let target = format!("/v1/AUTH_{USER}/{path}");
                (&mut self.nobody, target, headers)
            }
            Dialect::S3 => {
                let wire = Wire {
                    method: method.into(),
                    target: format!("/{path}"),
                    headers,
                    body: body.to_vec(),
                };
                let wire = Signer::new(ACCESS_KEY, SECRET_KEY).sign(&self.host, wire);
                (&mut self.nobody, wire.target, wire.headers)
            }
        };
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        client.send(method, &target, &headers, body).unwrap()
    }

    /// Writes a whole object.
    pub(crate) fn put(
        &mut self,
        dialect: Dialect,
        bucket: &str,
        key: &str,
        object: &Object,
    ) -> Response {
        let path = format!("{bucket}/{}", escape(key));
        if dialect == Dialect::Cdmi {
            let document = serde_json::json!({
                "mimetype": object.kind, "metadata": object.metadata,
                "valuetransferencoding": "base64", "value": base64(&object.bytes),
            });
            return self.document("PUT", &path, &document);
        }
        let mut headers = flat(dialect, &object.metadata);
        headers.push(("content-type".into(), object.kind.clone()));
        self.send(dialect, "PUT", &path, headers, &object.bytes)
    }

    fn document(&mut self, method: &str, path: &str, document: &Value) -> Response {
        let headers = vec![
            ("content-type".into(), OBJECT.into()),
            ("accept".into(), OBJECT.into()),
        ];
        let body = document.to_string();
        self.send(Dialect::Cdmi, method, path, headers, body.as_bytes())
    }

    /// What a dialect says of an object; nothing when it says that there is none.
    pub(crate) fn get(&mut self, dialect: Dialect, bucket: &str, key: &str) -> Option<Object> {
        let path = format!("{bucket}/{}", escape(key));
        let answer = self.send(dialect, "GET", &path, Vec::new(), &[]);
        // An object is not at a name where CDMI has a container alone.
        if answer.status == 404 || dialect == Dialect::Cdmi && answer.status == 301 {
            return None;
        }
        assert_eq!(answer.status, 200, "{dialect:?} {key}: {}", answer.text());
        let metadata = match dialect {
            Dialect::Cdmi => {
                let headers = vec![("accept".into(), OBJECT.into())];
                let path = format!("{path}?metadata");
                let shown = json(&self.send(dialect, "GET", &path, headers, &[]));
                let all = shown["metadata"].as_object().unwrap();
                all.iter()
                    .filter(|(name, _)| !name.starts_with("cdmi_"))
                    .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                    .collect()
            }
            _ => {
                let prefix = prefix(dialect);
                answer
                    .headers
                    .iter()
                    .filter_map(|(name, value)| {
                        Some((name.strip_prefix(prefix)?.to_owned(), value.clone()))
                    })
                    .filter(|(name, _)| name != "missing")
                    .collect()
            }
        };
        Some(Object {
            kind: answer.header("content-type").unwrap_or_default(),
            bytes: answer.body,
            metadata,
        })
    }

    /// Replaces the metadata, and keeps the bytes.
    pub(crate) fn describe(
        &mut self,
        dialect: Dialect,
        bucket: &str,
        key: &str,
        object: &Object,
    ) -> Response {
        let path = format!("{bucket}/{}", escape(key));
        let mut headers = flat(dialect, &object.metadata);
        match dialect {
            Dialect::Rest => {
                // A merge patch takes away what it sets to null.
                let shown = self.send(dialect, "GET", &format!("{path}?metadata"), vec![], &[]);
                if shown.status != 200 {
                    return shown;
                }
                let mut all = serde_json::Map::new();
                for name in json(&shown)["metadata"].as_object().unwrap().keys() {
                    all.insert(name.clone(), Value::Null);
                }
                for (name, value) in &object.metadata {
                    all.insert(name.clone(), value.clone().into());
                }
                let patch = serde_json::json!({ "metadata": all });
                let kind = "application/merge-patch+json".to_owned();
                let headers = vec![("content-type".into(), kind)];
                self.send(
                    dialect,
                    "PATCH",
                    &path,
                    headers,
                    patch.to_string().as_bytes(),
                )
            }
            Dialect::S3 => {
                headers.push(("x-amz-copy-source".into(), format!("/{path}")));
                headers.push(("x-amz-metadata-directive".into(), "REPLACE".into()));
                headers.push(("content-type".into(), object.kind.clone()));
                self.send(dialect, "PUT", &path, headers, &[])
            }
            Dialect::Swift => self.send(dialect, "POST", &path, headers, &[]),
            Dialect::Cdmi => {
                let document = serde_json::json!({ "metadata": object.metadata });
                self.document("PATCH", &path, &document)
            }
        }
    }

    pub(crate) fn copy(
        &mut self,
        dialect: Dialect,
        bucket: &str,
        from: &str,
        to: &str,
    ) -> Response {
        let (source, target) = (escape(from), escape(to));
        let (path, to_path) = (format!("{bucket}/{source}"), format!("{bucket}/{target}"));
        match dialect {
            Dialect::Rest => {
                let headers = vec![("destination".into(), format!("/rest/{to_path}"))];
                self.send(dialect, "COPY", &path, headers, &[])
            }
            Dialect::S3 => {
                let headers = vec![("x-amz-copy-source".into(), format!("/{path}"))];
                self.send(dialect, "PUT", &to_path, headers, &[])
            }
            Dialect::Swift => {
                let headers = vec![("destination".into(), to_path)];
                self.send(dialect, "COPY", &path, headers, &[])
            }
            Dialect::Cdmi => {
                let document = serde_json::json!({ "copy": format!("/{path}") });
                self.document("PUT", &to_path, &document)
            }
        }
    }

    pub(crate) fn delete(&mut self, dialect: Dialect, bucket: &str, key: &str) -> Response {
        let path = format!("{bucket}/{}", escape(key));
        self.send(dialect, "DELETE", &path, Vec::new(), &[])
    }

    /// All keys of a bucket, with their lengths where the dialect's listing says them.
    pub(crate) fn list(&mut self, dialect: Dialect, bucket: &str) -> BTreeMap<String, Option<u64>> {
        let path = match dialect {
            Dialect::Rest => format!("{bucket}/?limit=1000"),
            Dialect::S3 => format!("{bucket}?list-type=2"),
            Dialect::Swift => format!("{bucket}?format=json"),
            Dialect::Cdmi => {
                let mut keys = BTreeMap::new();
                self.children(&format!("{bucket}/"), "", &mut keys);
                return keys;
            }
        };
        let answer = self.send(dialect, "GET", &path, Vec::new(), &[]);
        assert_eq!(answer.status, 200, "{dialect:?}: {}", answer.text());
        match dialect {
            Dialect::S3 => elements(&answer.text(), "Contents")
                .into_iter()
                .map(|entry| (leaf(entry, "Key"), leaf(entry, "Size").parse().ok()))
                .collect(),
            Dialect::Swift => rows(&json(&answer), "name", "bytes"),
            _ => rows(&json(&answer)["items"], "key", "size"),
        }
    }

    fn children(&mut self, path: &str, below: &str, keys: &mut BTreeMap<String, Option<u64>>) {
        let headers = vec![("accept".into(), "application/cdmi-container".into())];
        let target = format!("{path}?children");
        let answer = self.send(Dialect::Cdmi, "GET", &target, headers, &[]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        for child in json(&answer)["children"].as_array().unwrap() {
            let name = child.as_str().unwrap();
            let key = format!("{below}{name}");
            match name.ends_with('/') {
                true => self.children(&format!("{path}{}", escape(name)), &key, keys),
                false => drop(keys.insert(key, None)),
            }
        }
    }

    /// All versions of all keys, newest first within a key; CDMI has no such listing.
    pub(crate) fn versions(&mut self, dialect: Dialect, bucket: &str) -> Option<Vec<Version>> {
        let path = match dialect {
            Dialect::Rest => format!("{bucket}/?versions"),
            Dialect::S3 => format!("{bucket}?versions"),
            Dialect::Swift => format!("{bucket}?versions&format=json"),
            Dialect::Cdmi => return None,
        };
        let answer = self.send(dialect, "GET", &path, Vec::new(), &[]);
        assert_eq!(answer.status, 200, "{dialect:?}: {}", answer.text());
        if dialect == Dialect::S3 {
            let text = answer.text();
            let open = |entry: &str| entry.starts_with("<Version>");
            let entries = text
                .split("</Version>")
                .flat_map(|part| part.split("</DeleteMarker>"));
            let found = entries.filter_map(|part| {
                let at = part
                    .find("<Version>")
                    .or_else(|| part.find("<DeleteMarker>"))?;
                let entry = &part[at..];
                let length = open(entry).then(|| leaf(entry, "Size").parse().unwrap());
                Some((leaf(entry, "Key"), length))
            });
            return Some(found.collect());
        }
        let document = json(&answer);
        let (list, name, size) = match dialect {
            Dialect::Swift => (&document, "name", "bytes"),
            _ => (&document["items"], "key", "size"),
        };
        let marker = |row: &Value| {
            row["content_type"] == "application/x-deleted;swift_versions_deleted=1"
                || row["deleted"] == true
        };
        let rows = list.as_array().unwrap().iter().map(|row| {
            let key = row[name].as_str().unwrap().to_owned();
            (key, (!marker(row)).then(|| row[size].as_u64().unwrap()))
        });
        Some(rows.collect())
    }
}

/// What a name of metadata begins with in a header.
fn prefix(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Rest => "trestle-meta-",
        Dialect::S3 => "x-amz-meta-",
        Dialect::Swift | Dialect::Cdmi => "x-object-meta-",
    }
}

fn flat(dialect: Dialect, metadata: &BTreeMap<String, String>) -> Headers {
    let prefix = prefix(dialect);
    let named = |(name, value): (&String, &String)| (format!("{prefix}{name}"), value.clone());
    metadata.iter().map(named).collect()
}

fn rows(list: &Value, name: &str, size: &str) -> BTreeMap<String, Option<u64>> {
    let row = |row: &Value| (row[name].as_str().unwrap().to_owned(), row[size].as_u64());
    list.as_array().unwrap().iter().map(row).collect()
}

/// The contents of each element of a name.
fn elements<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split(&close).next())
        .collect()
}

fn leaf(text: &str, name: &str) -> String {
    let found = elements(text, name);
    let text = found.first().copied().unwrap_or_default();
    text.replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}
