//! Cross-origin requests (the Fetch standard's CORS protocol): rules in, answer headers out.
//!
//! Where rules are kept and how they are written is the dialect's matter. Without a rule that
//! matches there are no headers, and the browser refuses.

use http::Method;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use trestle_core::{Error, Result};

/// Most names in a preflight's list of headers.
const HEADERS_MAX: usize = 100;

/// One rule. Patterns may have one `*`, which stands for any run of characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsRule {
    /// Patterns of origins.
    pub origins: Vec<String>,
    /// Methods.
    pub methods: Vec<String>,
    /// Patterns of the header names that a preflight may ask for, in any case.
    pub headers: Vec<String>,
    /// Names of answer headers that scripts may read.
    pub expose: Vec<String>,
    /// For how many seconds a preflight's answer may be kept: below 0, not at all.
    pub max_age: Option<i64>,
    /// Whether requests may carry credentials. A lone `*` as origin never admits them.
    pub credentials: bool,
}

/// What a browser asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsRequest {
    /// Where the script comes from.
    pub origin: HeaderValue,
    /// The method, of the request that is to follow when this is a preflight.
    pub method: String,
    /// The headers that a preflight asks for, in lower case.
    pub headers: Vec<String>,
    /// Whether this is a preflight.
    pub preflight: bool,
}

impl CorsRequest {
    /// What a request with this method and these headers asks; none when it is of no browser's
    /// script.
    ///
    /// # Errors
    /// `InvalidInput` for a repeated or malformed header.
    pub fn of(method: &Method, headers: &HeaderMap) -> Result<Option<Self>> {
        let single = |name: HeaderName| {
            let mut values = headers.get_all(&name).iter();
            match (values.next(), values.next()) {
                (value, None) => Ok(value),
                _ => Err(Error::invalid(format!("the {name} header is repeated"))),
            }
        };
        let text = |value: &HeaderValue| {
            let text = value.to_str().map(str::to_owned);
            text.map_err(|_| Error::invalid("a header of the preflight is not visible ASCII"))
        };
        let Some(origin) = single(ORIGIN)? else {
            return Ok(None);
        };
        text(origin)?;
        let asked = single(ACCESS_CONTROL_REQUEST_METHOD)?.filter(|_| method == Method::OPTIONS);
        let list = match (asked, single(ACCESS_CONTROL_REQUEST_HEADERS)?) {
            (Some(_), Some(list)) => text(list)?,
            _ => String::new(),
        };
        let names = list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let headers: Vec<String> = names.map(str::to_ascii_lowercase).collect();
        if headers.len() > HEADERS_MAX {
            return Err(Error::invalid("a preflight asks for too many headers"));
        }
        Ok(Some(CorsRequest {
            origin: origin.clone(),
            method: match asked {
                Some(asked) => text(asked)?,
                None => method.as_str().to_owned(),
            },
            headers,
            preflight: asked.is_some(),
        }))
    }

    /// The headers of the answer by the first rule that matches; none when no rule does.
    pub fn answer(&self, rules: &[CorsRule]) -> Option<HeaderMap> {
        let origin = self.origin.to_str().ok()?;
        rules.iter().find_map(|rule| {
            let by = rule
                .origins
                .iter()
                .find(|pattern| matches(pattern, origin))?;
            let method = rule.methods.contains(&self.method);
            let headers = self.headers.iter().all(|name| {
                let admits = |pattern: &String| matches(&pattern.to_ascii_lowercase(), name);
                rule.headers.iter().any(admits)
            });
            (method && headers).then(|| self.by_rule(rule, by == "*"))
        })
    }

    fn by_rule(&self, rule: &CorsRule, anybody: bool) -> HeaderMap {
        let mut answer = HeaderMap::new();
        let mut put = |name, text: String| {
            // A rule's text that no header can carry is left out, which admits nothing.
            if let Ok(value) = HeaderValue::from_str(&text) {
                answer.insert(name, value);
            }
        };
        put(ACCESS_CONTROL_ALLOW_METHODS, rule.methods.join(", "));
        if !self.headers.is_empty() {
            put(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.join(", "));
        }
        if !rule.expose.is_empty() {
            put(ACCESS_CONTROL_EXPOSE_HEADERS, rule.expose.join(", "));
        }
        if let Some(seconds) = rule.max_age.filter(|_| self.preflight) {
            put(ACCESS_CONTROL_MAX_AGE, seconds.to_string());
        }
        if anybody {
            let any = HeaderValue::from_static("*");
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
        } else {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
            if rule.credentials {
                let yes = HeaderValue::from_static("true");
                answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
            }
        }
        answer.insert(VARY, CORS_VARY);
        answer
    }
}

/// What an answer depends on wherever there are rules, whether one matched or not.
pub const CORS_VARY: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
);

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> CorsRule {
        CorsRule {
            origins: vec!["https://*.example.com".into(), "http://a".into()],
            methods: vec!["GET".into(), "PUT".into()],
            headers: vec!["X-*".into(), "content-type".into()],
            expose: vec!["ETag".into()],
            max_age: Some(60),
            credentials: true,
        }
    }

    fn request(method: Method, pairs: &[(&'static str, &str)]) -> Result<Option<CorsRequest>> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        CorsRequest::of(&method, &headers)
    }

    fn preflight(origin: &str, method: &str, headers: &str) -> Option<HeaderMap> {
        let pairs = [
            ("origin", origin),
            ("access-control-request-method", method),
            ("access-control-request-headers", headers),
        ];
        let asked = request(Method::OPTIONS, &pairs).unwrap().unwrap();
        assert!(asked.preflight);
        asked.answer(&[rule()])
    }

    #[test]
    fn a_preflight_needs_origin_method_and_headers() {
        let found = preflight("https://x.example.com", "PUT", "X-A, Content-Type").unwrap();
        let get = |name: &str| found.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(
            get("access-control-allow-origin"),
            Some("https://x.example.com")
        );
        assert_eq!(get("access-control-allow-methods"), Some("GET, PUT"));
        assert_eq!(
            get("access-control-allow-headers"),
            Some("x-a, content-type")
        );
        assert_eq!(get("access-control-max-age"), Some("60"));
        assert_eq!(get("access-control-allow-credentials"), Some("true"));
        assert!(get("vary").unwrap().starts_with("Origin"));
        assert_eq!(preflight("https://example.org", "PUT", ""), None);
        assert_eq!(preflight("http://a", "DELETE", ""), None);
        assert_eq!(preflight("http://a", "PUT", "authorization"), None);
        assert_eq!(preflight("https://.example.co", "PUT", ""), None);
    }

    #[test]
    fn a_simple_request_needs_origin_and_method() {
        assert_eq!(request(Method::GET, &[]).unwrap(), None);
        let asked = request(Method::GET, &[("origin", "http://a")])
            .unwrap()
            .unwrap();
        let answer = asked.answer(&[rule()]).unwrap();
        assert_eq!(answer["access-control-expose-headers"], "ETag");
        assert!(!answer.contains_key("access-control-max-age"));
        let anybody = CorsRule {
            origins: vec!["*".into()],
            ..rule()
        };
        let answer = asked.answer(&[anybody]).unwrap();
        assert_eq!(answer["access-control-allow-origin"], "*");
        assert!(!answer.contains_key("access-control-allow-credentials"));
        assert!(request(Method::GET, &[("origin", "a"), ("origin", "b")]).is_err());
        let options = request(Method::OPTIONS, &[("origin", "http://a")])
            .unwrap()
            .unwrap();
        assert!(!options.preflight);
    }
}
