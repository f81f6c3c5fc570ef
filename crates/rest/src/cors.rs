//! Scripts of other origins: the rules of a bucket, as its document has them, and what they admit.

use http::Response;
use http::header::{HeaderMap, VARY};
use serde::{Deserialize, Serialize};
use trestle_core::{BucketName, Error, ErrorKind, Noun, Result};
use trestle_http::{
    Body, CORS_RULES_MAX, CORS_VARY, CorsRequest, CorsRule, NamedCorsRule, parse_xml,
};
use trestle_store::{BucketProperties, Store};

/// The name of the rules among a bucket's documents, for every dialect.
const DOCUMENT: &str = "cors";
/// Longest document that other dialects take, too.
const DOCUMENT_BYTES_MAX: usize = 2 << 20;
/// The namespace that clients of the document's form expect.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A rule as the bucket's document has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RulePart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    origins: Vec<String>,
    methods: Vec<String>,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    expose: Vec<String>,
    #[serde(default)]
    max_age: Option<i64>,
}

fn kept(properties: &BucketProperties) -> Result<Option<Vec<NamedCorsRule>>> {
    let Some(text) = properties.documents.get(DOCUMENT) else {
        return Ok(None);
    };
    let malformed =
        |error: Error| Error::corrupt("the bucket's rules cannot be read").with_source(error);
    let root = parse_xml(text.as_bytes(), DOCUMENT_BYTES_MAX).map_err(malformed)?;
    CorsRule::read(&root).map(Some).map_err(malformed)
}

/// The rules of a bucket.
pub(crate) fn of(properties: &BucketProperties) -> Result<Vec<RulePart>> {
    let rules = kept(properties)?.unwrap_or_default().into_iter();
    let part = |(id, rule): NamedCorsRule| RulePart {
        id,
        origins: rule.origins,
        methods: rule.methods,
        headers: rule.headers,
        expose: rule.expose,
        max_age: rule.max_age,
    };
    Ok(rules.map(part).collect())
}

/// Sets the rules of a bucket.
pub(crate) fn set(parts: Vec<RulePart>, properties: &mut BucketProperties) -> Result<()> {
    if parts.len() > CORS_RULES_MAX {
        let message = format!("a bucket has at most {CORS_RULES_MAX} rules");
        return Err(Error::invalid(message));
    }
    if parts.is_empty() {
        properties.documents.remove(DOCUMENT);
        return Ok(());
    }
    let mut rules = Vec::new();
    for part in parts {
        if part.id.as_ref().is_some_and(|id| id.len() > 255) {
            return Err(Error::invalid("a rule's id has at most 255 bytes"));
        }
        let rule = CorsRule {
            origins: part.origins,
            methods: part.methods,
            headers: part.headers,
            expose: part.expose,
            max_age: part.max_age,
            credentials: true,
        };
        rule.check()?;
        rules.push((part.id, rule));
    }
    let text = CorsRule::write(&rules, NAMESPACE).finish();
    if text.len() > DOCUMENT_BYTES_MAX {
        let message = format!("the rules have at most {DOCUMENT_BYTES_MAX} bytes as a document");
        return Err(Error::invalid(message));
    }
    properties.documents.insert(DOCUMENT.to_owned(), text);
    Ok(())
}

/// Lets the browser show the answer to a script when a rule of the bucket admits it.
pub(crate) async fn admit(
    store: &Store,
    bucket: &BucketName,
    asked: &CorsRequest,
    response: &mut Response<Body>,
) {
    let rules = match store.bucket_settings(bucket).await {
        Ok(found) => kept(&found.properties),
        Err(error) if error.kind() == ErrorKind::NotFound(Noun::Bucket) => return,
        Err(error) => Err(error),
    };
    let rules = match rules {
        Ok(Some(rules)) => rules,
        Ok(None) => return,
        Err(error) => {
            // The browser refuses, which is the safe side; the answer itself is the caller's.
            tracing::error!(%error, "the rules for scripts of other origins are not applied");
            return;
        }
    };
    let rules: Vec<CorsRule> = rules.into_iter().map(|(_, rule)| rule).collect();
    let admitted = asked.answer(&rules);
    // A cache must not keep an answer without these headers for a script that may have them.
    let mut headers = admitted.unwrap_or_else(|| HeaderMap::from_iter([(VARY, CORS_VARY)]));
    for (name, value) in headers.drain() {
        if let Some(name) = name {
            response.headers_mut().append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_kept_as_every_dialect_reads_them() {
        let mut properties = BucketProperties::default();
        let parts: Vec<RulePart> = serde_json::from_value(serde_json::json!([
            {"origins": ["https://a.example"], "methods": ["PUT"], "max_age": 5}]))
        .unwrap();
        set(parts, &mut properties).unwrap();
        assert!(properties.documents["cors"].contains("<AllowedMethod>PUT<"));
        let read = of(&properties).unwrap();
        assert_eq!(read[0].max_age, Some(5));
        set(Vec::new(), &mut properties).unwrap();
        assert!(properties.documents.is_empty());
    }
}
