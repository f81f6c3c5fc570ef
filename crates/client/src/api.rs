//! What the API can do, as calls.

use crate::Result;
use crate::connection::{Credentials, Options, Reply, Server, expect};
use crate::name::Remote;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, HeaderName, IF_NONE_MATCH, RANGE};
use http::{Method, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use trestle_http::{Body, incoming, read_whole};

/// Largest document.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;
const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// An object, or a common prefix, of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The key, or the prefix.
    pub key: String,
    /// Its size; none of a prefix.
    pub size: Option<u64>,
    /// When it was changed last, in microseconds since 1970.
    pub modified: i64,
    /// As the API gave it.
    pub document: Value,
}

/// A server, as somebody.
#[derive(Clone, Debug)]
pub struct Client {
    server: Arc<Server>,
    /// What names this server and its user in what is kept between runs.
    pub(crate) name: String,
}

pub(crate) type Headers = [(HeaderName, String)];

fn nothing() -> Result<Body> {
    Ok(Body::empty())
}

impl Client {
    /// A client of a server; nothing is asked yet.
    ///
    /// # Errors
    /// When the options make no sense.
    pub fn new(options: &Options) -> Result<Self> {
        let user = match &options.credentials {
            Credentials::User { name, .. } => name,
            Credentials::None | Credentials::Token(_) => "",
        };
        Ok(Client {
            server: Arc::new(Server::new(options)?),
            name: format!("{user}@{}", options.server),
        })
    }

    pub(crate) async fn send(
        &self,
        method: &Method,
        target: &str,
        headers: &Headers,
        body: &(dyn Fn() -> Result<Body> + Send + Sync),
    ) -> Result<Reply> {
        self.server.send(method, target, headers, body).await
    }

    pub(crate) async fn ask(
        &self,
        method: &Method,
        target: &str,
        headers: &Headers,
    ) -> Result<Reply> {
        self.send(method, target, headers, &nothing).await
    }

    async fn document(&self, target: &str) -> Result<Value> {
        let accept = [(ACCEPT, "application/json".to_owned())];
        let reply = self.ask(&Method::GET, target, &accept).await?;
        let reply = expect(reply, &[StatusCode::OK]).await?;
        let body = read_whole(incoming(reply.into_body()), DOCUMENT_BYTES_MAX).await;
        let body = body.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body).map_err(|error| format!("{target}: {error}"))
    }

    async fn change(&self, method: &Method, target: &str, headers: &Headers) -> Result<()> {
        let reply = self.ask(method, target, headers).await?;
        let successes = [StatusCode::OK, StatusCode::CREATED, StatusCode::NO_CONTENT];
        let reply = expect(reply, &successes).await?;
        drain(reply).await
    }

    /// All buckets.
    ///
    /// # Errors
    /// What the server says, or why it could not be asked; so for all of these.
    pub async fn buckets(&self) -> Result<Vec<Value>> {
        let mut buckets = Vec::new();
        let mut next = Some("/rest/".to_owned());
        while let Some(target) = next {
            let mut page = self.document(&target).await?;
            if let Some(Value::Array(found)) = page.get_mut("buckets").map(Value::take) {
                buckets.extend(found);
            }
            next = page.get("next").and_then(Value::as_str).map(str::to_owned);
        }
        Ok(buckets)
    }

    /// Keys that start with a prefix, as folders unless `recursive`; a page at a time.
    pub async fn list(
        &self,
        from: &Remote,
        recursive: bool,
        each: &mut (dyn FnMut(Listed) -> Result<()> + Send),
    ) -> Result<()> {
        let escape = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let delimiter = if recursive { "" } else { "&delimiter=%2F" };
        let base = from.with_key("").path();
        let mut next = Some(format!("{base}?prefix={}{delimiter}", escape(&from.key)));
        while let Some(target) = next {
            let page = self.document(&target).await?;
            for item in page
                .get("items")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                each(listed(item)?)?;
            }
            next = page.get("next").and_then(Value::as_str).map(str::to_owned);
        }
        Ok(())
    }

    /// The document of an object, or of a bucket.
    pub async fn stat(&self, of: &Remote) -> Result<Value> {
        self.document(&format!("{}?metadata", of.path())).await
    }

    /// Makes a bucket.
    pub async fn create_bucket(&self, name: &Remote) -> Result<()> {
        self.change(&Method::PUT, &name.path(), &[]).await
    }

    /// Deletes an object, or an empty bucket.
    pub async fn delete(&self, name: &Remote) -> Result<()> {
        self.change(&Method::DELETE, &name.path(), &[]).await
    }

    /// Sends a JSON document, and gives the one of the answer.
    pub async fn submit(&self, method: &Method, target: &str, document: &Value) -> Result<Value> {
        self.submit_text(method, target, Some(document.to_string()))
            .await
    }

    /// Sends a JSON document as it is written, or nothing, and gives the one of the answer.
    pub async fn submit_text(
        &self,
        method: &Method,
        target: &str,
        document: Option<String>,
    ) -> Result<Value> {
        let headers = [(CONTENT_TYPE, "application/json".to_owned())];
        let reply = match document {
            Some(text) => {
                let body = || Ok(Body::full(text.clone()));
                self.send(method, target, &headers, &body).await?
            }
            None => self.ask(method, target, &[]).await?,
        };
        let successes = [StatusCode::OK, StatusCode::CREATED, StatusCode::NO_CONTENT];
        let reply = expect(reply, &successes).await?;
        let body = read_whole(incoming(reply.into_body()), DOCUMENT_BYTES_MAX).await;
        let body = body.map_err(|error| error.to_string())?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| format!("{target}: {error}"))
    }

    /// Does several verbs in one commit, or none of them.
    pub async fn transact(&self, transaction: &Value) -> Result<Value> {
        self.submit(&Method::POST, "/-/transactions", transaction)
            .await
    }

    /// Makes a snapshot of an object.
    pub async fn create_snapshot(&self, of: &Remote, name: &str) -> Result<Value> {
        let mut document = serde_json::json!({"bucket": of.bucket, "name": name});
        if let Some(members) = document.as_object_mut().filter(|_| !of.key.is_empty()) {
            members.insert("key".to_owned(), of.key.as_str().into());
        }
        self.submit(&Method::POST, "/-/snapshots", &document).await
    }

    /// The snapshots of an object, of a directory, or of a bucket and its directories, by name.
    pub async fn snapshots(&self, of: &Remote) -> Result<Vec<Value>> {
        let escape = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let base = format!(
            "/-/snapshots?bucket={}&key={}",
            escape(&of.bucket),
            escape(&of.key)
        );
        let mut found = Vec::new();
        let mut target = base.clone();
        loop {
            let mut page = self.document(&target).await?;
            if let Some(Value::Array(items)) = page.get_mut("snapshots").map(Value::take) {
                found.extend(items);
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => target = format!("{base}&after={}", escape(next)),
                None => return Ok(found),
            }
        }
    }

    /// Makes a clone of an object, or of a bucket.
    pub async fn clone_object(&self, from: &Remote, to: &Remote) -> Result<Value> {
        let mut document = serde_json::json!({"bucket": from.bucket, "to_bucket": to.bucket});
        if let Some(members) = document.as_object_mut() {
            for (name, key) in [("key", &from.key), ("to_key", &to.key)] {
                if !key.is_empty() {
                    members.insert(name.to_owned(), key.as_str().into());
                }
            }
        }
        self.submit(&Method::POST, "/-/clones", &document).await
    }

    /// Makes a volume.
    pub async fn create_volume(&self, name: &Remote, size: u64) -> Result<()> {
        let document = serde_json::json!({ "size": size });
        // An object that is there would go.
        let absent = [(IF_NONE_MATCH, "*".to_owned())];
        self.volume(&Method::PUT, name, &document, &absent).await
    }

    /// Does something to a volume: `zeroes`, `trim`, `resize`, `flush`.
    pub async fn change_volume(&self, name: &Remote, verb: &Value) -> Result<()> {
        self.volume(&Method::POST, name, verb, &[]).await
    }

    async fn volume(
        &self,
        method: &Method,
        name: &Remote,
        document: &Value,
        conditions: &[(HeaderName, String)],
    ) -> Result<()> {
        let text = document.to_string();
        let media_type = "application/vnd.trestle.volume+json".to_owned();
        let mut headers = vec![(CONTENT_TYPE, media_type)];
        headers.extend_from_slice(conditions);
        let body = || Ok(Body::full(text.clone()));
        let reply = self.send(method, &name.path(), &headers, &body).await?;
        let successes = [StatusCode::CREATED, StatusCode::NO_CONTENT];
        drain(expect(reply, &successes).await?).await
    }

    /// Writes bytes into a volume, or over those of an object.
    pub async fn write_at(&self, name: &Remote, offset: u64, bytes: Bytes) -> Result<()> {
        let Some(last) = (bytes.len() as u64).checked_sub(1) else {
            return Ok(());
        };
        let range = format!("bytes {offset}-{}/*", offset.saturating_add(last));
        let body = || Ok(Body::full(bytes.clone()));
        let headers = [(CONTENT_RANGE, range)];
        let path = name.path();
        let reply = self.send(&Method::PATCH, &path, &headers, &body).await?;
        drain(expect(reply, &[StatusCode::NO_CONTENT]).await?).await
    }

    /// So many bytes of an object from an offset on.
    pub async fn read_at(&self, name: &Remote, offset: u64, length: u64) -> Result<Reply> {
        let last = offset.saturating_add(length).saturating_sub(1);
        let range = [(RANGE, format!("bytes={offset}-{last}"))];
        let reply = self.ask(&Method::GET, &name.path(), &range).await?;
        expect(reply, &[StatusCode::PARTIAL_CONTENT]).await
    }

    /// Copies an object within the server.
    pub async fn copy(&self, from: &Remote, to: &Remote) -> Result<()> {
        let method = Method::from_bytes(b"COPY").map_err(|error| error.to_string())?;
        self.change(&method, &from.path(), &[(DESTINATION, to.path())])
            .await
    }

    /// An object's bytes.
    pub async fn read(&self, name: &Remote) -> Result<Reply> {
        let reply = self.ask(&Method::GET, &name.path(), &[]).await?;
        expect(reply, &[StatusCode::OK]).await
    }
}

/// Reads an answer to its end, so that its connection can be used again.
pub(crate) async fn drain(reply: Reply) -> Result<()> {
    let read = read_whole(incoming(reply.into_body()), DOCUMENT_BYTES_MAX).await;
    read.map(drop).map_err(|error| error.to_string())
}

fn listed(item: &Value) -> Result<Listed> {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let modified = text("modified").and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let key = text("key")
        .or(text("prefix"))
        .ok_or("a listing cannot be read")?;
    Ok(Listed {
        key: key.to_owned(),
        size: item.get("size").and_then(Value::as_u64),
        modified: modified.map_or(0, jiff::Timestamp::as_microsecond),
        document: item.clone(),
    })
}
