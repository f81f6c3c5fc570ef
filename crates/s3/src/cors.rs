//! Requests of scripts from other origins: the configuration document, and what it answers.
//!
//! The rules stand in the bucket as the document that this module writes.

use crate::dialect::S3;
use crate::document::{malformed, parse};
use crate::error::{Code, S3Error};
use crate::listing::NAMESPACE;
use http::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, Response};
use trestle_core::{BucketName, ErrorKind, Noun};
use trestle_http::{
    Body, CORS_RULES_MAX, CORS_VARY, CorsRequest, CorsRule, NamedCorsRule, XmlWriter,
};

/// The name of the rules among a bucket's documents.
pub(crate) const DOCUMENT: &str = "cors";
const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// Reads a configuration.
pub(crate) fn rules(document: &[u8]) -> Result<Vec<NamedCorsRule>, S3Error> {
    let root = parse(document, "CORSConfiguration")?;
    let rules = CorsRule::read(&root).map_err(|_| malformed())?;
    for (_, rule) in &rules {
        if rule.origins.is_empty() || rule.methods.is_empty() {
            return Err(malformed());
        }
        if let Some(method) = rule.methods.iter().find(|m| !METHODS.contains(&m.as_str())) {
            return Err(S3Error::invalid(format!(
                "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            )));
        }
        let patterns = rule.origins.iter().chain(&rule.headers);
        if let Some(pattern) = patterns.into_iter().find(|p| p.matches('*').count() > 1) {
            return Err(S3Error::invalid(format!(
                "{pattern:?} can not have more than one wildcard."
            )));
        }
        let names = rule.headers.iter().chain(&rule.expose);
        if let Some(name) = names.into_iter().find(|name| !is_name(name)) {
            return Err(S3Error::invalid(format!(
                "AllowedHeader \"{name}\" contains invalid character."
            )));
        }
        if rule.expose.iter().any(|name| name.contains('*')) {
            return Err(S3Error::invalid(
                "ExposeHeader contains wildcard. We currently do not \
                support wildcard for ExposeHeader.",
            ));
        }
    }
    if rules.is_empty() || rules.len() > CORS_RULES_MAX {
        return Err(malformed());
    }
    Ok(rules)
}

/// Whether this can be the name of a header (RFC 9110 §5.1), where `*` is a character like any other.
fn is_name(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

/// Reads the rules that a bucket keeps. They may have come by another dialect, which admits more.
pub(crate) fn kept(text: &str) -> Result<Vec<NamedCorsRule>, S3Error> {
    let root = parse(text.as_bytes(), "CORSConfiguration")?;
    CorsRule::read(&root).map_err(|_| malformed())
}

/// The configuration of these rules.
pub(crate) fn document(rules: &[NamedCorsRule]) -> XmlWriter {
    CorsRule::write(rules, NAMESPACE)
}

/// Refuses a preflight that does not say what is to follow, or says what never can.
pub(crate) fn check_preflight(headers: &HeaderMap) -> Result<(), S3Error> {
    let text = |name| {
        let value = headers.get(name).map(http::HeaderValue::as_bytes);
        value.map(String::from_utf8_lossy).unwrap_or_default()
    };
    let bad = |message: String| Err(S3Error::new(Code::BadRequest, message));
    if text(ORIGIN).is_empty() {
        return bad("Insufficient information. Origin request header needed.".to_owned());
    }
    let method = text(ACCESS_CONTROL_REQUEST_METHOD);
    if !METHODS.contains(&method.as_ref()) {
        let method = if method.is_empty() { "null" } else { &method };
        return bad(format!("Invalid Access-Control-Request-Method: {method}"));
    }
    let names = text(ACCESS_CONTROL_REQUEST_HEADERS);
    let wrong = |name: &&str| !name.trim().is_empty() && !is_name(name.trim());
    match names.split(',').find(wrong) {
        Some(name) => bad(format!(
            "Access-Control-Request-Headers \"{name}\" contains invalid character."
        )),
        None => Ok(()),
    }
}

/// What a script asks, if one does. A request that is no preflight may name another method than its
/// own: rules are matched with that one.
pub(crate) fn asked(parts: &Parts) -> Result<Option<CorsRequest>, S3Error> {
    let Some(mut asked) = CorsRequest::of(&parts.method, &parts.headers)? else {
        return Ok(None);
    };
    let named = parts.headers.get(ACCESS_CONTROL_REQUEST_METHOD);
    if let Some(method) = named.and_then(|method| method.to_str().ok()) {
        method.clone_into(&mut asked.method);
    }
    Ok(Some(asked))
}

impl S3 {
    /// The headers that let a script read the answer, and whether there are rules at all. Only a
    /// preflight learns here that there is no such bucket.
    pub(crate) async fn cors(
        &self,
        bucket: &BucketName,
        asked: &CorsRequest,
    ) -> Result<(Option<HeaderMap>, bool), S3Error> {
        let bucket = match self.store.bucket_settings(bucket).await {
            Ok(bucket) => bucket,
            Err(error) if error.kind() == ErrorKind::NotFound(Noun::Bucket) && !asked.preflight => {
                return Ok((None, false));
            }
            Err(error) => return Err(error.into()),
        };
        let Some(text) = bucket.properties.documents.get(DOCUMENT) else {
            return Ok((None, false));
        };
        let rules: Vec<CorsRule> = kept(text)?.into_iter().map(|(_, rule)| rule).collect();
        let vary = || HeaderMap::from_iter([(VARY, CORS_VARY)]);
        // A cache must not keep an answer without these headers for a script that may have them.
        Ok((
            asked
                .answer(&rules)
                .or_else(|| (!asked.preflight).then(vary)),
            true,
        ))
    }
}

/// The answer to OPTIONS.
pub(crate) fn preflight(
    asked: Option<&CorsRequest>,
    allowed: Option<HeaderMap>,
    rules: bool,
) -> Result<Response<Body>, S3Error> {
    let Some(allowed) = allowed else {
        let message = match rules {
            true => {
                "CORSResponse: This CORS request is not allowed. This is usually because the \
                     evalution of Origin, request method / Access-Control-Request-Method or \
                     Access-Control-Request-Headers are not whitelisted by the resource's CORS \
                     spec."
            }
            false => "CORSResponse: CORS is not enabled for this bucket.",
        };
        let method = asked.map(|asked| asked.method.as_str());
        return Err(S3Error::new(Code::AccessForbidden, message)
            .field("Method", method.unwrap_or_default())
            .field("ResourceType", "BUCKET"));
    };
    let mut response = Response::new(Body::empty());
    response.headers_mut().extend(allowed);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rule: &str) -> Result<Vec<NamedCorsRule>, Code> {
        let text = format!("<CORSConfiguration><CORSRule>{rule}</CORSRule></CORSConfiguration>");
        rules(text.as_bytes()).map_err(|error| error.code())
    }

    #[test]
    fn rules_are_read_and_written() {
        let read_back =
            |rules: &[NamedCorsRule]| super::rules(document(rules).finish().as_bytes()).unwrap();
        let full = read(
            "<ID>x</ID><AllowedOrigin>http://*.a</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
             <AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-*</AllowedHeader>\
             <ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>30</MaxAgeSeconds>",
        )
        .unwrap();
        assert_eq!(full[0].1.methods, ["GET", "PUT"]);
        assert_eq!(full[0].1.max_age, Some(30));
        assert_eq!(read_back(&full), full);
        let origin = "<AllowedOrigin>*</AllowedOrigin>";
        for (bad, code) in [
            (origin.to_owned(), Code::MalformedXML),
            (
                "<AllowedMethod>GET</AllowedMethod>".to_owned(),
                Code::MalformedXML,
            ),
            (
                format!("{origin}<AllowedMethod>get</AllowedMethod>"),
                Code::InvalidRequest,
            ),
            (
                "<AllowedOrigin>*.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>".to_owned(),
                Code::InvalidRequest,
            ),
            (
                format!(
                    "{origin}<AllowedMethod>GET</AllowedMethod><MaxAgeSeconds>x</MaxAgeSeconds>"
                ),
                Code::MalformedXML,
            ),
        ] {
            assert_eq!(read(&bad), Err(code), "{bad}");
        }
    }
    #[test]
    fn names_of_headers_are_names() {
        let rule = |name: &str, value: &str| {
            let text = format!(
                "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
                 <{name}>{value}</{name}>"
            );
            read(&text).map(drop)
        };
        for name in ["AllowedHeader", "ExposeHeader"] {
            assert_eq!(rule(name, "X-Amz-Date"), Ok(()));
            for bad in ["a b", "a:b", "a(b)", "a/b", "a[b]", "a=b", "a\u{141}"] {
                assert_eq!(rule(name, bad), Err(Code::InvalidRequest), "{bad}");
            }
        }
        assert_eq!(rule("AllowedHeader", "x-*"), Ok(()));
        // Not to be kept at all.
        assert_eq!(rule("MaxAgeSeconds", "-200"), Ok(()));
        assert_eq!(rule("AllowedHeader", "*"), Ok(()));
    }

    #[test]
    fn a_preflight_says_what_is_to_follow() {
        let check = |list: [(HeaderName, &str); 3]| {
            let headers = list.map(|(name, text)| (name, text.parse().unwrap()));
            let refused = check_preflight(&HeaderMap::from_iter(headers));
            refused.map_err(|error| (error.code(), error.message().to_owned()))
        };
        let asked = |origin, method, names| {
            check([
                (ORIGIN, origin),
                (ACCESS_CONTROL_REQUEST_METHOD, method),
                (ACCESS_CONTROL_REQUEST_HEADERS, names),
            ])
        };
        assert_eq!(asked("http://a", "GET", "X-Amz-Date, x-amz-acl,"), Ok(()));
        assert_eq!(asked("http://a", "PUT", ""), Ok(()));
        for (origin, method, names, part) in [
            ("", "GET", "", "Origin request header needed"),
            ("http://a", "get", "", "Method: get"),
            ("http://a", "PATCH", "", "Method: PATCH"),
            ("http://a", "", "", "Method: null"),
            ("http://a", "GET", "a,b c", "\"b c\" contains"),
            ("http://a", "GET", "a, b/c", "\" b/c\" contains"),
            ("http://a", "GET", "Emoji\u{1f600}", "contains"),
        ] {
            let (code, message) = asked(origin, method, names).unwrap_err();
            assert_eq!(code, Code::BadRequest);
            assert!(message.contains(part), "{message}");
        }
    }
}
