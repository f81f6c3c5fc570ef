//! Documents of answers: fields in the order of the standard, value and children last.

use crate::query::Fields;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use trestle_core::{Error, ErrorKind, Result};
use trestle_http::Body;

/// Fields in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rendering(Vec<(String, Value)>);

impl Serialize for Rendering {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Rendering {
    /// Adds a field.
    pub(crate) fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Adds a field that a request selects.
    pub(crate) fn choose(&mut self, fields: &Fields, name: &str, value: impl Into<Value>) {
        if fields.has(name) {
            self.add(name, value);
        }
    }

    /// Whether there is this field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    /// Whether there is no field.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps the fields that `keeps` says yes to; whether that was all of them.
    pub(crate) fn retain(&mut self, keeps: impl Fn(&str) -> bool) -> bool {
        let all = self.0.len();
        self.0.retain(|(name, _)| keeps(name));
        self.0.len() == all
    }

    /// How deep its arrays and objects are nested, itself the first.
    pub(crate) fn levels(&self) -> usize {
        let values = self.0.iter().map(|(_, value)| levels(value));
        1 + values.max().unwrap_or(0)
    }

    /// As a tree of values, without an order.
    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.0.into_iter().collect()
    }

    /// As text.
    pub(crate) fn to_bytes(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|error| {
            Error::new(ErrorKind::Internal, "a document cannot be written").with_source(error)
        })
    }

    /// As the answer.
    pub(crate) fn answer(
        &self,
        status: StatusCode,
        media_type: &'static str,
    ) -> Result<Response<Body>> {
        let mut response = Response::new(Body::full(self.to_bytes()?));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(response)
    }
}

/// How deep a value is nested: what is stored, and what requests bring, has a limit.
fn levels(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(levels).max(),
        Value::Object(fields) => fields.values().map(levels).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// An answer without a body.
pub(crate) fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer that says where something is, by its URL.
pub(crate) fn with_location(mut response: Response<Body>, url: &str) -> Response<Body> {
    if let Ok(location) = HeaderValue::from_str(url) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;

    #[test]
    fn fields_are_written_in_their_order_and_only_when_chosen() {
        let fields = Fields::parse(Some("value&mimetype"), &Version::Second).unwrap();
        let mut rendering = Rendering::default();
        rendering.choose(&fields, "objectID", "x");
        rendering.choose(&fields, "mimetype", "text/plain");
        rendering.choose(&fields, "value", "a");
        assert_eq!(
            rendering.to_bytes().unwrap(),
            "{\"mimetype\":\"text/plain\",\"value\":\"a\"}"
        );
    }
}
