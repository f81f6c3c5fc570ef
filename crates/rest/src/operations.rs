//! How a request finds its operation: by what kind of resource its path names, its method, and what
//! it asks for beside them. [`TABLE`] is the one list; routing, `Allow`, OPTIONS, the query
//! parameters and bodies that are taken, and the OpenAPI document all follow from it.

use crate::parameters::Parameters;
use crate::refusal::{Answer, Refusal};
use crate::representation::{META, OWN, TAGS};
use crate::route::{CLONES, Call, SNAPSHOTS, TRANSACTIONS};
use crate::table::TABLE;
use crate::upload;
use futures::future::BoxFuture;
use http::header::{ALLOW, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, StatusCode, Version};
use trestle_core::{BucketName, Error, Key, Result};
use trestle_http::{Described, Operation, Parameter, Problem, Takes, query};

/// What kind of resource a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `/-/transactions`
    Transactions,
    /// `/-/snapshots`
    Snapshots,
    /// `/-/clones`
    Clones,
    /// `/rest/`
    Service,
    /// `/rest/{bucket}/`
    Bucket,
    /// `/rest/{bucket}/{key}` whose key ends with `/`.
    Folder,
    /// `/rest/{bucket}/{key}`
    Object,
}

/// What tells operations of one method on one resource apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Nothing.
    Plain,
    /// The request speaks the protocol of resumable uploads.
    Upload,
    /// It has this query parameter.
    Query(&'static str),
}

/// What answers.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    Service(for<'a> fn(Call<'a>) -> BoxFuture<'a, Answer>),
    Bucket(for<'a> fn(Call<'a>, BucketName) -> BoxFuture<'a, Answer>),
    Object(for<'a> fn(Call<'a>, BucketName, Key) -> BoxFuture<'a, Answer>),
}

/// One operation.
pub(crate) struct Row {
    pub(crate) places: &'static [Place],
    pub(crate) when: When,
    pub(crate) run: Run,
    pub(crate) is: Operation,
}

impl Place {
    const ALL: [Place; 7] = [
        Place::Service,
        Place::Bucket,
        Place::Folder,
        Place::Object,
        Place::Transactions,
        Place::Snapshots,
        Place::Clones,
    ];

    /// Where it is.
    fn path(self) -> &'static str {
        match self {
            Place::Transactions => TRANSACTIONS,
            Place::Snapshots => SNAPSHOTS,
            Place::Clones => CLONES,
            Place::Service => "/rest/",
            Place::Bucket => "/rest/{bucket}/",
            Place::Folder | Place::Object => "/rest/{bucket}/{key}",
        }
    }

    fn parameters(self) -> &'static [Parameter] {
        const BUCKET: Parameter = (
            "bucket",
            // Reserved names, and the length in bytes, cannot be said like this.
            Takes::Pattern("^[^/:~.\\x00-\\x1f\\x7f-\\x9f][^/:\\x00-\\x1f\\x7f-\\x9f]{0,255}$"),
            "the bucket's name; ~ACCOUNT/NAME for one that only its account knows by this name",
        );
        const KEY: Parameter = (
            "key",
            Takes::Pattern("^[\\s\\S]+$"),
            "the object's key; it may contain slashes",
        );
        match self {
            Place::Service | Place::Transactions | Place::Snapshots | Place::Clones => &[],
            Place::Bucket => &[BUCKET],
            Place::Folder | Place::Object => &[BUCKET, KEY],
        }
    }
}

fn here(place: Place) -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(move |row| row.places.contains(&place))
}

/// The methods of a resource, in the order of the table.
pub(crate) fn methods(place: Place) -> Vec<&'static str> {
    let mut methods = Vec::new();
    // What a protocol does with a method is not what the method means there.
    let plain = here(place).filter(|row| row.when != When::Upload);
    for method in plain.map(|row| row.is.method) {
        let with_head = match method {
            "GET" => &["GET", "HEAD"][..],
            _ => &[method][..],
        };
        for method in with_head {
            if !methods.contains(method) {
                methods.push(*method);
            }
        }
    }
    methods.push("OPTIONS");
    methods
}

/// The value of `Allow`.
pub(crate) fn allow(place: Place) -> HeaderValue {
    let methods = methods(place).join(", ");
    HeaderValue::from_str(&methods).unwrap_or(HeaderValue::from_static("GET, HEAD"))
}

/// 405 with what there is.
pub(crate) fn not_allowed(place: Place) -> Refusal {
    let detail = "the resource does not have this method";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
    problem.with_header(ALLOW, allow(place)).into()
}

/// The operation that a request asks for, and its query as that operation reads it.
pub(crate) fn find<B>(place: Place, request: &Request<B>) -> Answer<(&'static Row, Parameters)> {
    let mut pairs = query(request.uri().query())?;
    let rows = |method: &str| -> Vec<&'static Row> {
        here(place).filter(|row| row.is.method == method).collect()
    };
    let mut found = rows(request.method().as_str());
    if request.method() == Method::HEAD {
        found.extend(rows("GET"));
    }
    if found.is_empty() {
        return Err(not_allowed(place));
    }
    let uploads = upload::is_upload(request.headers());
    let row = if uploads {
        let row = found.iter().find(|row| row.when == When::Upload);
        row.ok_or_else(|| Error::invalid("this is not the URL of an upload"))?
    } else {
        // Whoever says that it does not ask for something does not ask for it.
        let asks = |row: &&Row, (name, value): &(String, String)| {
            matches!(row.when, When::Query(selector) if selector == name) && value != "false"
        };
        let chosen = found
            .iter()
            .find(|row| pairs.iter().any(|pair| asks(row, pair)));
        pairs.retain(|(name, value)| {
            let selects =
                |row: &&Row| matches!(row.when, When::Query(selector) if selector == name);
            value != "false" || !found.iter().any(selects)
        });
        let plain = || found.iter().find(|row| row.when == When::Plain);
        chosen.or_else(plain).ok_or_else(|| not_allowed(place))?
    };
    let known: Vec<&str> = row.is.query.iter().map(|(name, ..)| *name).collect();
    let parameters = Parameters::of(pairs, &known)?;
    if let When::Query(name) = row.when {
        let flag = row.is.query.iter().find(|(found, ..)| *found == name);
        if flag.is_some_and(|(_, takes, _)| *takes == Takes::Flag) {
            parameters.flag(name)?;
        }
    }
    Ok((row, parameters))
}

/// Refuses a header of this API's own that the operation does not have: what it says would be lost.
/// Reads pass them over.
pub(crate) fn check_headers<B>(row: &Row, request: &Request<B>) -> Result<()> {
    if matches!(row.is.method, "GET" | "HEAD") {
        return Ok(());
    }
    let has = |name: &str| {
        let mut known = row.is.headers.iter();
        known.any(|(known, ..)| known.eq_ignore_ascii_case(name))
    };
    let own = |name: &&HeaderName| name.as_str().starts_with(OWN);
    // What takes tags takes metadata.
    let known = |name: &str| has(name) || (name.starts_with(META) && has(TAGS.as_str()));
    match request
        .headers()
        .keys()
        .filter(own)
        .find(|name| !known(name.as_str()))
    {
        Some(name) => Err(Error::invalid(format!(
            "{name} has no meaning in this request"
        ))),
        None => Ok(()),
    }
}

/// Refuses a body where none has a meaning (RFC 9110 §9.3.1, §9.3.5), and a change by a body whose
/// length is not said (§15.5.12): no change is meant by nothing, so it was forgotten.
pub(crate) fn check_body<B: http_body::Body>(row: &Row, request: &Request<B>) -> Answer<()> {
    if row.is.takes.is_empty() {
        if request.body().is_end_stream() {
            return Ok(());
        }
        return Err(Error::invalid("this request takes no body").into());
    }
    let headers = request.headers();
    let said = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    if said || row.is.method != "PATCH" || request.version() >= Version::HTTP_2 {
        return Ok(());
    }
    let detail = "a PATCH says with Content-Length or Transfer-Encoding how long its body is";
    Err(Refusal::new(StatusCode::LENGTH_REQUIRED, detail))
}

/// The table as the OpenAPI document has it. A key that ends with `/` is a key like others there.
pub(crate) fn described() -> Vec<Described> {
    let places = Place::ALL
        .into_iter()
        .filter(|place| *place != Place::Folder);
    let described = places.map(|place| {
        let listed = |row: &&Row| {
            let also = place == Place::Object && row.places.contains(&Place::Folder);
            also || row.places.contains(&place)
        };
        Described {
            path: place.path(),
            parameters: place.parameters(),
            operations: TABLE.iter().filter(listed).map(|row| row.is).collect(),
        }
    });
    described.collect()
}

/// Whether every row is for the kind of resource that it is listed at.
#[cfg(test)]
fn fits(row: &Row) -> bool {
    row.places.iter().all(|place| {
        matches!(
            (row.run, place),
            (
                Run::Service(_),
                Place::Service | Place::Transactions | Place::Snapshots | Place::Clones
            ) | (Run::Bucket(_), Place::Bucket)
                | (Run::Object(_), Place::Folder | Place::Object)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use trestle_http::Body;

    #[test]
    fn methods_are_those_of_the_table() {
        assert_eq!(methods(Place::Service), ["GET", "HEAD", "OPTIONS"]);
        assert_eq!(
            methods(Place::Bucket),
            ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]
        );
        let object = [
            "GET", "HEAD", "PUT", "PATCH", "DELETE", "COPY", "MOVE", "POST", "OPTIONS",
        ];
        assert_eq!(methods(Place::Object), object);
        for row in TABLE {
            let same = TABLE.iter().filter(|other| other.is.id == row.is.id);
            assert_eq!(same.count(), 1, "{}", row.is.id);
            assert!(fits(row), "{}", row.is.id);
            for next in row.is.leads_to {
                assert!(TABLE.iter().any(|other| other.is.id == *next), "{next}");
            }
            if let When::Query(name) = row.when {
                let known = row.is.query.iter().any(|(found, ..)| *found == name);
                assert!(known, "{}", row.is.id);
            }
        }
    }

    fn find_id(place: Place, method: &str, target: &str, tus: bool) -> Option<&'static str> {
        let mut request = Request::builder().method(method).uri(target);
        if tus {
            request = request.header("tus-resumable", "1.0.0");
        }
        let request = request.body(()).unwrap();
        find(place, &request).ok().map(|(row, _)| row.is.id)
    }

    #[test]
    fn a_request_finds_its_operation() {
        let find = find_id;
        assert_eq!(find(Place::Bucket, "GET", "/x", false), Some("listObjects"));
        let target = "/x?versions&metadata=false";
        assert_eq!(
            find(Place::Bucket, "HEAD", target, false),
            Some("listVersions")
        );
        assert_eq!(
            find(Place::Bucket, "GET", "/x?versions&reverse", false),
            None
        );
        assert_eq!(find(Place::Bucket, "GET", "/x?versions=maybe", false), None);
        assert_eq!(find(Place::Bucket, "GET", "/x?unknown", false), None);
        assert_eq!(
            find(Place::Object, "POST", "/x", false),
            Some("changeVolume")
        );
        assert_eq!(
            find(Place::Object, "POST", "/x", true),
            Some("createUpload")
        );
        assert_eq!(find(Place::Object, "PUT", "/x", true), None);
        assert_eq!(
            find(Place::Folder, "DELETE", "/x?recursive", false),
            Some("deleteDirectory")
        );
    }

    #[test]
    fn own_headers_are_those_that_the_operation_has() {
        let row = |id: &str| TABLE.iter().find(|row| row.is.id == id).unwrap();
        let taken = |id: &str, name: &str| {
            let request = Request::builder().header(name, "1").body(()).unwrap();
            check_headers(row(id), &request).is_ok()
        };
        for (id, name, expected) in [
            ("writeObject", "trestle-tags", true),
            ("writeObject", "trestle-meta-a", true),
            ("writeObject", "trestle-tag", false),
            ("writeObject", "trestle-hold", false),
            ("writeObject", "x-other", true),
            ("createUpload", "trestle-hold", true),
            ("createUpload", "trestle-meta-a", true),
            ("copyObject", "trestle-meta-a", false),
            ("copyObject", "trestle-tags", false),
            ("deleteObject", "trestle-bypass-retention", true),
            ("createBucket", "trestle-tags", false),
            ("readObject", "trestle-tags", true),
        ] {
            assert_eq!(taken(id, name), expected, "{id} {name}");
        }
    }

    #[test]
    fn a_body_is_taken_where_it_has_a_meaning_and_an_end() {
        let row = |id: &str| TABLE.iter().find(|row| row.is.id == id).unwrap();
        let status = |checked: Answer<()>| match checked {
            Ok(()) => 200,
            Err(refusal) => refusal.into_response().status().as_u16(),
        };
        let bare = Request::new(Body::empty());
        assert_eq!(status(check_body(row("readObject"), &bare)), 200);
        assert_eq!(
            status(check_body(
                row("readObject"),
                &Request::new(Body::full("x"))
            )),
            400
        );
        assert_eq!(status(check_body(row("writeObject"), &bare)), 200);
        assert_eq!(status(check_body(row("changeObject"), &bare)), 411);
        let mut said = Request::new(Body::empty());
        said.headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        assert_eq!(status(check_body(row("changeObject"), &said)), 200);
    }
}
