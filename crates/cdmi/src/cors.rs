//! Cross-origin requests (a standalone extension): data system metadata says which are admitted.

use crate::call::Call;
use crate::fault::{Answered, Fault};
use crate::metadata::is_inherited;
use crate::node::Node;
use crate::path::{Names, Target};
use crate::render::bare;
use http::header::{ACCESS_CONTROL_ALLOW_METHODS, HeaderMap, VARY};
use http::{Response, StatusCode};
use serde_json::Value;
use trestle_core::{Metadata, Result};
use trestle_http::{Body, CORS_VARY, CorsRequest, CorsRule};

const ORIGINS: &str = "cdmi_cors_origins";
const METHODS: &str = "cdmi_cors_methods";
const HEADERS: &str = "cdmi_cors_headers";

/// How long a browser may go by the answer to a preflight, in seconds.
const MAX_AGE: i64 = 3600;

/// The methods that metadata may name to some effect.
pub(crate) const SUPPORTED: [&str; 6] = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"];

fn texts(metadata: &Metadata, name: &str) -> Option<Vec<String>> {
    match metadata.get(name)? {
        Value::Array(items) => {
            let items = items.iter().filter_map(Value::as_str);
            Some(items.map(str::to_owned).collect())
        }
        Value::String(item) => Some(vec![item.clone()]),
        _ => None,
    }
}

/// The headers of an answer; none when the metadata admits nothing.
fn headers(asked: &CorsRequest, metadata: &Metadata) -> Option<HeaderMap> {
    let methods = texts(metadata, METHODS);
    let named = methods.is_some();
    let rule = CorsRule {
        origins: texts(metadata, ORIGINS)?,
        // Without a list the origin alone decides, but only of what needs no preflight.
        methods: methods.unwrap_or_else(|| match asked.preflight {
            true => Vec::new(),
            false => vec![asked.method.clone()],
        }),
        headers: texts(metadata, HEADERS).unwrap_or_default(),
        credentials: true,
        max_age: Some(MAX_AGE),
        ..CorsRule::default()
    };
    let mut headers = asked.answer(&[rule])?;
    if !named {
        headers.remove(ACCESS_CONTROL_ALLOW_METHODS);
    }
    Some(headers)
}

impl Call<'_> {
    /// What a browser's script asks, if one does.
    pub(crate) fn cross_origin(&self) -> Result<Option<CorsRequest>> {
        CorsRequest::of(&self.method, &self.headers)
    }

    /// The headers that admit a script's request; none when it is not admitted.
    pub(crate) async fn admitted(
        &self,
        asked: &CorsRequest,
        target: &Target,
    ) -> Answered<Option<HeaderMap>> {
        let names = match target {
            Target::Path(names) => Some(names.clone()),
            Target::Id(id, below) => match self.cdmi.ids.parse(id)? {
                Some(id) => self
                    .path_of(id)
                    .await?
                    .map(|names| match below.names.is_empty() {
                        true => names,
                        false => names.join(below),
                    }),
                None => None,
            },
            _ => None,
        };
        let names = names.unwrap_or_else(|| Names {
            names: Vec::new(),
            slash: true,
        });
        let mut metadata = self.inherited(&names).await?;
        let own = match self.resolve(&names).await {
            Ok(Some(Node::Container(container))) => container.metadata,
            Ok(Some(Node::Leaf(leaf))) => leaf.object.metadata.clone(),
            Ok(None) | Err(Fault::Elsewhere(..)) => Metadata::new(),
            Err(fault) if fault.is_forbidden() => return Ok(None),
            Err(fault) => return Err(fault),
        };
        metadata.extend(own.into_iter().filter(|(name, _)| is_inherited(name)));
        Ok(headers(asked, &metadata))
    }

    /// The answer to a preflight.
    pub(crate) fn preflight(&self, admitted: Option<HeaderMap>) -> Response<Body> {
        let mut response = bare(match admitted {
            Some(_) => StatusCode::OK,
            None => StatusCode::FORBIDDEN,
        });
        mark(response.headers_mut(), admitted);
        response
    }
}

/// Puts what admits a script into an answer's headers.
pub(crate) fn mark(headers: &mut HeaderMap, admitted: Option<HeaderMap>) {
    headers.insert(VARY, CORS_VARY);
    headers.extend(admitted.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use http::header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    };
    use serde_json::json;

    fn asked(method: Method, preflight: Option<&str>) -> CorsRequest {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, "http://app.example".parse().unwrap());
        if let Some(wanted) = preflight {
            headers.insert(ACCESS_CONTROL_REQUEST_METHOD, wanted.parse().unwrap());
            headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, "X-A".parse().unwrap());
        }
        CorsRequest::of(&method, &headers).unwrap().unwrap()
    }

    fn metadata(value: Value) -> Metadata {
        value.as_object().unwrap().clone().into_iter().collect()
    }

    #[test]
    fn metadata_admits_origins_methods_and_headers() {
        let origins = metadata(json!({ORIGINS: ["*"]}));
        let answer = headers(&asked(Method::GET, None), &origins).unwrap();
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_METHODS));
        assert!(headers(&asked(Method::OPTIONS, Some("PUT")), &origins).is_none());
        let all = metadata(json!({
            ORIGINS: ["http://app.example"], METHODS: ["PUT", "GET"], HEADERS: ["x-a"],
        }));
        let answer = headers(&asked(Method::OPTIONS, Some("PUT")), &all).unwrap();
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "http://app.example");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_METHODS], "PUT, GET");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_HEADERS], "x-a");
        assert!(headers(&asked(Method::OPTIONS, Some("DELETE")), &all).is_none());
        assert!(headers(&asked(Method::GET, None), &metadata(json!({}))).is_none());
        let other = metadata(json!({ORIGINS: ["http://other.example"]}));
        assert!(headers(&asked(Method::GET, None), &other).is_none());
    }
}
