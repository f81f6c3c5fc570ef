//! Objects: which method does what.

use crate::call::{Call, Input, Place};
use crate::container::Container;
use crate::fault::{Fault, Outcome};
use crate::{copy, cors, delete, manifest, read, write};
use http::Response;
use trestle_http::Body;

/// Largest object, in bytes: five gibibytes and two bytes, as clients of Swift know it.
pub(crate) const SIZE_MAX: u64 = (5 << 30) + 2;
const ALLOW: &str = "HEAD, GET, PUT, POST, COPY, OPTIONS, DELETE";

/// Answers a request for an object.
pub(crate) async fn answer(call: &Call, input: Input) -> Outcome<Response<Body>> {
    let method = call.method.as_str();
    if call.temp_url.is_some() && matches!(method, "PUT" | "POST") {
        write::refuse_pointers(call)?;
    }
    match method {
        "GET" | "HEAD" => read::answer(call).await,
        "PUT" if call.some_header("x-copy-from")?.is_some() => copy::from(call, input.length).await,
        "PUT" if call.query.get("multipart-manifest") == Some("put") => {
            manifest::put(call, input).await
        }
        "PUT" => write::put(call, input).await,
        "POST" => write::post(call).await,
        "DELETE" if call.query.get("multipart-manifest") == Some("delete") => {
            manifest::delete(call).await
        }
        "DELETE" => delete::answer(call).await,
        "COPY" => copy::to(call).await,
        "OPTIONS" => cors::options(call, ALLOW).await,
        _ => Err(Fault::new(405).with("allow", ALLOW)),
    }
}

/// The container of an object that the caller may write.
///
/// # Errors
/// 401, 403; 404.
pub(crate) async fn writable(call: &Call, place: &Place) -> Outcome<Container> {
    let container = call.container(&place.account, &place.container).await?;
    call.may_object(place, false).await?;
    container.ok_or_else(|| Fault::new(404))
}
