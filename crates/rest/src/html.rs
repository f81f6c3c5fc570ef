//! Listings for people: pages that a browser shows, served with a policy that runs no script but the
//! server's own.

use crate::refusal::Answer;
use crate::representation::{path_of, timestamp};
use http::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LINK, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write;
use trestle_core::Timestamp;
use trestle_http::Body;
use trestle_store::{Bucket, BucketUsage, ListObjects, Listing, ListingItem};

/// What pages of the server may do.
pub(crate) const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A size as people read it; the exact one shows when it is pointed at.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut shown = format!("{bytes} B");
    let mut tenths = u128::from(bytes) * 10;
    for unit in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths = tenths.div_ceil(1024);
        shown = format!("{}.{} {unit}", tenths / 10, tenths % 10);
    }
    format!("<td class=\"number\" title=\"{bytes} bytes\">{shown}</td>")
}

/// A time to the second; the exact one shows when it is pointed at.
fn time(time: Timestamp) -> String {
    let exact = timestamp(time);
    let short = exact.get(..19).unwrap_or_default().replace('T', " ");
    format!("<td><time datetime=\"{exact}\" title=\"{exact}\">{short}</time></td>")
}

fn document(title: &str, content: &str, next: Option<&str>) -> Answer {
    let title = escape(title);
    let more = next.map_or_else(String::new, |next| {
        format!(
            "<p><a rel=\"next\" href=\"{}\">next page</a></p>\n",
            escape(next)
        )
    });
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"/-/style.css\">\n\
         <script type=\"module\" src=\"/-/listing.js\"></script>\n</head>\n<body>\n\
         {content}{more}<footer>Times are UTC. <a href=\"/-/docs\">API</a></footer>\n</body>\n\
         </html>\n"
    );
    let mut response = Response::new(Body::full(text));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(Ok(link)) = next.map(|n| HeaderValue::from_str(&format!("<{n}>; rel=\"next\""))) {
        headers.insert(LINK, link);
    }
    Ok(response)
}

/// The account's buckets.
pub(crate) fn buckets(buckets: &[(Bucket, BucketUsage)], next: Option<&str>) -> Answer {
    let mut content = "<h1>Buckets</h1>\n<form id=\"create\"><input name=\"name\" required \
         aria-label=\"name of the new bucket\" placeholder=\"new bucket\"> \
         <button>Create</button> <output></output></form>\n<table>\n<thead><tr><th>Name</th>\
         <th class=\"number\">Objects</th><th class=\"number\">Size</th><th>Created</th></tr>\
         </thead>\n<tbody>\n"
        .to_owned();
    for (bucket, usage) in buckets {
        // Writing to a String cannot fail.
        let _written = writeln!(
            content,
            "<tr><td><a href=\"{}\">{}</a></td><td class=\"number\">{}</td>{}{}</tr>",
            escape(&path_of(&bucket.name, None)),
            escape(bucket.name.as_str()),
            usage.objects,
            size(usage.bytes),
            time(bucket.created)
        );
    }
    if buckets.is_empty() {
        content.push_str("<tr><td colspan=\"4\">no buckets yet</td></tr>\n");
    }
    content.push_str("</tbody></table>\n");
    document("Buckets", &content, next)
}

/// Objects of a bucket.
pub(crate) fn bucket(
    list: &ListObjects,
    listing: &Listing,
    usage: &BucketUsage,
    next: Option<&str>,
) -> Answer {
    let base = path_of(&list.bucket, None);
    let name = list.bucket.as_str();
    let title = format!("{name}/{}", list.prefix);
    let mut content = format!(
        "<nav><a href=\"/rest/\">buckets</a> / <a href=\"{}\">{}</a>",
        escape(&base),
        escape(name)
    );
    let mut so_far = String::new();
    for step in list.prefix.split_inclusive('/') {
        so_far.push_str(step);
        let query = utf8_percent_encode(&so_far, NON_ALPHANUMERIC);
        // Writing to a String cannot fail.
        let _written = write!(
            content,
            " / <a href=\"{}?prefix={query}\">{}</a>",
            escape(&base),
            escape(step.trim_end_matches('/'))
        );
    }
    let _written = write!(
        content,
        "</nav>\n<h1>{}</h1>\n<p>{} objects, {} bytes in the bucket</p>\n\
         <form id=\"upload\" data-bucket=\"{}\" data-prefix=\"{}\"><input type=\"file\" name=\"files\" \
         aria-label=\"files to upload\" multiple required> <button>Upload</button> \
         <progress hidden max=\"1\"></progress> <output></output></form>\n<table>\n<thead><tr>\
         <th>Name</th><th class=\"number\">Size</th><th>Changed</th><th></th></tr></thead>\n\
         <tbody>\n",
        escape(&title),
        usage.objects,
        usage.bytes,
        escape(name),
        escape(&list.prefix)
    );
    for item in &listing.items {
        let line = match item {
            ListingItem::Prefix(prefix) => {
                let query = utf8_percent_encode(prefix, NON_ALPHANUMERIC);
                let shown = prefix.strip_prefix(&list.prefix).unwrap_or(prefix);
                let base = escape(&base);
                format!(
                    "<tr><td colspan=\"4\"><a href=\"{base}?prefix={query}\">{}</a></td></tr>",
                    escape(shown)
                )
            }
            ListingItem::Object(object) => {
                let key = object.key.as_str();
                let shown = key.strip_prefix(&list.prefix).unwrap_or(key);
                format!(
                    "<tr><td><a href=\"{}\">{}</a></td>{}{}\
                     <td class=\"number\"><button data-bucket=\"{}\" data-delete=\"{}\">Delete</button></td></tr>",
                    escape(&path_of(&list.bucket, Some(key))),
                    escape(if shown.is_empty() { key } else { shown }),
                    size(object.length()),
                    time(object.modified),
                    escape(name),
                    escape(key)
                )
            }
        };
        content.push_str(&line);
        content.push('\n');
    }
    if listing.items.is_empty() {
        content.push_str("<tr><td colspan=\"4\">nothing here</td></tr>\n");
    }
    content.push_str("</tbody></table>\n");
    document(&title, &content, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up_and_exact_when_asked() {
        assert_eq!(
            size(1023),
            "<td class=\"number\" title=\"1023 bytes\">1023 B</td>"
        );
        assert!(size(1024).contains(">1.0 KiB<"));
        assert!(size(262_145).contains(">256.1 KiB<"));
        assert!(size(u64::MAX).contains(">16.0 EiB<"));
    }

    #[test]
    fn names_never_become_markup() {
        assert_eq!(
            escape("<a href=\"'&\">"),
            "&lt;a href=&quot;&#39;&amp;&quot;&gt;"
        );
    }
}
