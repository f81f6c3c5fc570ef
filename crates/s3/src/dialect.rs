//! The dialect: from a request to its answer.

use crate::authenticate::{KnownKey, PresentedKey};
use crate::call::{self, Call, Target};
use crate::checksum::{self, Declared};
use crate::error::{About, Code, Named, S3Error};
use crate::route::{self, Level, Operation};
use crate::{cors, headers, rename};
use futures::future::{BoxFuture, Either, Ready};
use http::header::HeaderValue;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use std::sync::Arc;
use trestle_core::{AccountId, BucketName, Result};
use trestle_host::Host;
use trestle_http::{Body, Client, LoggedUser, MemoryLedger, RequestBody, RequestId, decode, query};
use trestle_store::Store;

/// An access key that is looked up: its secret, and whose it is; mostly that is known at once.
pub type LookedUp<'a> =
    Either<Ready<Result<Option<KnownKey>>>, BoxFuture<'a, Result<Option<KnownKey>>>>;

/// Looks an access key up.
pub type KeyOf = dyn for<'a> Fn(PresentedKey<'a>) -> LookedUp<'a> + Send + Sync;

/// How a grant names an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountBy {
    /// By its id.
    Id(String),
    /// By the address of one of its users.
    Email(String),
}

/// Looks up whether an account is known.
pub type AccountOf =
    dyn Fn(AccountBy) -> BoxFuture<'static, Result<Option<AccountId>>> + Send + Sync;

/// What the dialect is set up with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Regions that signatures may be for; the first is this server's.
    pub regions: Vec<String>,
    /// Host names below which a bucket's name is taken from the host.
    pub domains: Vec<String>,
    /// Storage classes that are kept beside `STANDARD`.
    pub storage_classes: Vec<String>,
    /// Names of the keys that contents may be encrypted under; the first is meant without a name.
    pub kms_keys: Vec<String>,
    /// Whether old signatures are taken.
    pub signature_v2: bool,
    /// Whether keys of clients are taken over any connection, for a server behind others that
    /// encrypt.
    pub keys_in_the_clear: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            regions: vec!["us-east-1".to_owned()],
            domains: Vec::new(),
            storage_classes: Vec::new(),
            kms_keys: Vec::new(),
            signature_v2: true,
            keys_in_the_clear: false,
        }
    }
}

/// The dialect.
pub struct S3 {
    pub(crate) store: Arc<Store>,
    pub(crate) keys: Arc<KeyOf>,
    pub(crate) accounts: Arc<AccountOf>,
    pub(crate) renames: MemoryLedger,
    pub(crate) settings: Settings,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("S3")
    }
}

impl S3 {
    /// The dialect over a store.
    pub fn new(
        store: Arc<Store>,
        host: Host,
        keys: Arc<KeyOf>,
        accounts: Arc<AccountOf>,
        settings: Settings,
    ) -> Self {
        let (tokens, kept) = rename::TOKENS;
        S3 {
            store,
            keys,
            accounts,
            renames: MemoryLedger::new(host, tokens, kept),
            settings,
        }
    }

    /// This server's region.
    pub(crate) fn region(&self) -> &str {
        self.settings
            .regions
            .first()
            .map_or("us-east-1", String::as_str)
    }

    /// Whether the client's host names a bucket, so that every path of it is this dialect's.
    pub fn names_bucket(&self, client: &Client) -> bool {
        self.bucket_of_host(client).is_some()
    }

    /// The bucket that the client's host names.
    pub fn bucket_of_host(&self, client: &Client) -> Option<String> {
        client.virtual_host(&self.settings.domains)
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        let id = request.extensions().get::<RequestId>();
        let id = id.map(|id| id.0.to_ascii_uppercase()).unwrap_or_default();
        let head = request.method() == Method::HEAD;
        let resource = request.uri().path().to_owned();
        let (parts, body) = request.into_parts();
        let mut response = match self.transact(parts, body).await {
            Ok(response) => response,
            Err((error, mut extra)) => {
                let named = Named {
                    resource: &resource,
                    request_id: &id,
                    host_id: "trestle",
                };
                let mut response = error.into_response(named, head);
                response.headers_mut().extend(extra.drain());
                response
            }
        };
        let headers = response.headers_mut();
        headers::set(headers, "x-amz-request-id", &id);
        headers.insert("x-amz-id-2", HeaderValue::from_static("trestle"));
        response
    }

    /// The answer, or an error with the headers that let a browser read it.
    async fn transact(
        &self,
        parts: Parts,
        body: RequestBody,
    ) -> std::result::Result<Response<Body>, (S3Error, HeaderMap)> {
        let bare = |error: S3Error| (error, HeaderMap::new());
        let host_bucket = self.host_bucket(&parts);
        let target = target(parts.uri.path(), host_bucket.as_deref()).map_err(bare)?;
        if parts.method == Method::OPTIONS {
            cors::check_preflight(&parts.headers).map_err(bare)?;
        }
        let asked = cors::asked(&parts).map_err(bare)?;
        let (allowed, rules) = match (&asked, &target.bucket) {
            (Some(asked), Some(bucket)) => self.cors(bucket, asked).await.map_err(bare)?,
            _ => (None, false),
        };
        if parts.method == Method::OPTIONS {
            return cors::preflight(asked.as_ref(), allowed, rules).map_err(bare);
        }
        let allowed = allowed.unwrap_or_default();
        match self.served(parts, body, target, host_bucket).await {
            Ok(mut response) => {
                response.headers_mut().extend(allowed);
                Ok(response)
            }
            Err(error) => Err((error, allowed)),
        }
    }

    async fn served(
        &self,
        mut parts: Parts,
        body: RequestBody,
        target: Target,
        host_bucket: Option<String>,
    ) -> std::result::Result<Response<Body>, S3Error> {
        let level = match (&target.bucket, &target.key) {
            (None, _) => Level::Service,
            (Some(_), None) => Level::Bucket,
            (Some(_), Some(_)) => Level::Object,
        };
        let pairs = query(parts.uri.query()).map_err(invalid_uri)?;
        let in_query: Vec<(String, String)> = pairs
            .iter()
            .filter(|(name, _)| route::is_header(name))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        let routed = route::route(&parts.method, level, pairs)?;
        let mut authenticated = match routed.operation {
            // Its signature is in its fields.
            Operation::PostObject => crate::authenticate::Authenticated::in_form(),
            _ => self.authenticate(&parts, host_bucket.as_deref()).await?,
        };
        merge(&mut parts.headers, in_query)?;
        headers::check(&parts.method, &parts.headers, routed.operation)?;
        headers::quote_tags(&mut parts.headers, ["if-match", "if-none-match"]);
        let client = parts.extensions.get::<Client>().cloned();
        let mut context = call::context(&parts, client.as_ref(), self.store.now(), &authenticated);
        if let Some(version) = routed.parameters.get("versionId") {
            context.set("s3:VersionId", vec![version.to_owned()]);
        }
        // What a form asks for is in its fields, and headers beside them must not pass for it.
        if !matches!(routed.operation, Operation::PostObject) {
            call::circumstances(&mut context, &parts.headers, routed.operation);
        }
        let declared = match routed.operation {
            // Its checksums are of the object that it makes.
            Operation::CompleteMultipartUpload => Declared {
                md5: checksum::content_md5(&parts.headers)?,
                ..Declared::default()
            },
            _ => checksum::declared(&parts.headers)?,
        };
        let text = |text: &str| text.to_owned();
        let about = About {
            bucket: target.bucket.as_ref().map(|name| text(name.as_str())),
            key: target.key.as_ref().map(|key| text(key.as_str())),
            upload: routed.parameters.get("uploadId").map(text),
        };
        let (framing, length) = authenticated.framing(&parts.headers, &declared)?;
        let user = authenticated.principal.user.clone();
        let call = Call {
            s3: self,
            principal: authenticated.principal,
            context: context.into(),
            target,
            parameters: routed.parameters,
            headers: parts.headers,
            declared,
            length,
            framing,
            origin: client.as_ref().map(origin).unwrap_or_default(),
            by_host: host_bucket.is_some(),
            private: self.settings.keys_in_the_clear || client.as_ref().is_some_and(is_private),
            body: Some(body),
        };
        let answered = match call.expected_owner().await {
            Ok(()) => crate::operation::serve(routed.operation, call).await,
            Err(error) => Err(error),
        };
        let mut response = answered.map_err(|error| error.about(&about))?;
        if !user.is_empty() {
            response.extensions_mut().insert(LoggedUser(user));
        }
        Ok(response)
    }

    fn host_bucket(&self, parts: &Parts) -> Option<String> {
        let client = parts.extensions.get::<Client>()?;
        client.virtual_host(&self.settings.domains)
    }
}

/// The beginning of every URL that this client uses.
fn origin(client: &Client) -> String {
    format!("{}://{}", client.scheme(), client.authority)
}

/// Whether nobody else can read what this client sends.
fn is_private(client: &Client) -> bool {
    client.secure || client.peer.ip().is_loopback()
}

/// Parameters that stand for headers become headers. A header of the same name is not replaced.
fn merge(
    headers: &mut HeaderMap,
    in_query: Vec<(String, String)>,
) -> std::result::Result<(), S3Error> {
    for (name, value) in in_query {
        let wrong = || S3Error::argument(&name, &value, "This parameter cannot be a header");
        let header = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let text = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        match headers.get(&header) {
            Some(present) if *present != text => return Err(wrong()),
            Some(_) => {}
            None => drop(headers.insert(header, text)),
        }
    }
    Ok(())
}

fn invalid_uri(error: trestle_core::Error) -> S3Error {
    S3Error::new(Code::InvalidURI, error.message())
}

/// What a path names, on a host that may name the bucket.
fn target(path: &str, host_bucket: Option<&str>) -> std::result::Result<Target, S3Error> {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let (bucket, key) = match host_bucket {
        Some(bucket) => (bucket.to_owned(), rest),
        None => {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            (decode(bucket).map_err(invalid_uri)?, key)
        }
    };
    if bucket.is_empty() {
        return match key {
            "" => Ok(Target::default()),
            _ => Err(S3Error::new(
                Code::InvalidURI,
                "Couldn't parse the specified URI.",
            )),
        };
    }
    let unusable = |_| {
        S3Error::new(
            Code::InvalidBucketName,
            "The specified bucket is not valid.",
        )
        .field("BucketName", &bucket)
    };
    // An empty account is everybody's index.
    let bucket = bucket
        .strip_prefix(':')
        .map_or(bucket.clone(), str::to_owned);
    let name = BucketName::parse_qualified(bucket.as_str()).map_err(unusable)?;
    let key = decode(key).map_err(invalid_uri)?;
    Ok(Target {
        bucket: Some(name),
        key: match key.is_empty() {
            true => None,
            false => Some(call::key(&key)?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_buckets_and_keys_as_they_are() {
        let at = |path: &str, host: Option<&str>| {
            let found = target(path, host).map_err(|error| error.code())?;
            let bucket = found.bucket.as_ref().map(|name| name.as_str().to_owned());
            let key = found.key.as_ref().map(|key| key.as_str().to_owned());
            Ok((bucket, key))
        };
        let some =
            |bucket: &str, key: Option<&str>| Ok((Some(bucket.to_owned()), key.map(str::to_owned)));
        assert_eq!(at("/", None), Ok((None, None)));
        assert_eq!(at("/b", None), some("b", None));
        assert_eq!(at("/b/", None), some("b", None));
        assert_eq!(at("/b//a/../%2F+", None), some("b", Some("/a/..//+")));
        assert_eq!(at("/acme:b/k", None), some("acme:b", Some("k")));
        assert_eq!(at("/:b/k", None), some("b", Some("k")));
        assert_eq!(at("/", Some("b.c")), some("b.c", None));
        assert_eq!(at("/x/y", Some("b")), some("b", Some("x/y")));
        assert_eq!(at("/b/%zz", None), Err(Code::InvalidURI));
        assert_eq!(at("/b/%ff", None), Err(Code::InvalidURI));
        assert_eq!(at("//b", None), Err(Code::InvalidURI));
        assert_eq!(at("/rest", None), Err(Code::InvalidBucketName));
        let long = format!("/b/{}", "k".repeat(1025));
        assert_eq!(at(&long, None), Err(Code::KeyTooLongError));
    }
}
