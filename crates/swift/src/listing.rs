//! Listings of accounts and containers: which of the three formats a request wants, and each of
//! them.

use crate::fault::{Fault, Outcome};
use crate::query::Query;
use http::HeaderMap;
use http::header::ACCEPT;
use serde_json::{Map, Value, json};

/// Most items of one listing.
pub(crate) const LIMIT_MAX: usize = 10_000;

/// How a listing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Plain,
    Json,
    Xml,
    /// The same under its older name.
    TextXml,
}

impl Format {
    /// Its media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Format::Plain => "text/plain",
            Format::Json => "application/json",
            Format::Xml => "application/xml",
            Format::TextXml => "text/xml",
        }
    }
}

/// What answers of the bulk operations can be written in, in order of preference.
pub(crate) const REPORTS: [Format; 4] = [Format::Plain, Format::Json, Format::Xml, Format::TextXml];

/// The format of a listing: what the query says, else what Accept prefers.
///
/// # Errors
/// 406 when Accept allows none.
pub(crate) fn format(headers: &HeaderMap, query: &Query) -> Outcome<Format> {
    if let Some(format) = query.get("format") {
        return Ok(match format.to_ascii_lowercase().as_str() {
            "json" => Format::Json,
            "xml" => Format::Xml,
            _ => Format::Plain,
        });
    }
    let order = [Format::Plain, Format::Json, Format::Xml, Format::TextXml];
    best(headers, &order).ok_or_else(|| Fault::new(406))
}

/// The best of `offered` by the Accept header; the first without one.
pub(crate) fn best(headers: &HeaderMap, offered: &[Format]) -> Option<Format> {
    let mut ranges = Vec::new();
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().ok()?.split(',') {
            ranges.push(accepted(range)?);
        }
    }
    if ranges.is_empty() {
        return offered.first().copied();
    }
    let mut best: Option<(u32, Format)> = None;
    for format in offered {
        let quality = quality(&ranges, format.media_type());
        if quality > best.map_or(0, |(quality, _)| quality) {
            best = Some((quality, *format));
        }
    }
    best.map(|(_, format)| format)
}

/// One media range with its quality in thousandths; none when it is malformed.
fn accepted(range: &str) -> Option<(&str, u32)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().filter(|media| media.contains('/'))?;
    let mut quality = 1000;
    for parameter in parts {
        if let Some(text) = parameter.strip_prefix("q=") {
            let value: f64 = text.trim().parse().ok()?;
            if !(0.0..=1.0).contains(&value) {
                return None;
            }
            // Within 0 to 1000 by the check above.
            quality = (value * 1000.0).round() as u32;
        }
    }
    Some((media, quality))
}

/// The quality that the most specific matching range gives.
fn quality(ranges: &[(&str, u32)], media: &str) -> u32 {
    let (kind, _) = media.split_once('/').unwrap_or((media, ""));
    let any = format!("{kind}/*");
    [media, &any, "*/*"]
        .iter()
        .find_map(|wanted| {
            let mut same = ranges
                .iter()
                .filter(|(range, _)| range.eq_ignore_ascii_case(wanted));
            same.next().map(|(_, quality)| *quality)
        })
        .unwrap_or(0)
}

/// The limit of a listing: what is no number is ignored.
///
/// # Errors
/// 412 for more than the largest.
pub(crate) fn limit(query: &Query) -> Outcome<usize> {
    let Some(text) = query.some("limit") else {
        return Ok(LIMIT_MAX);
    };
    match text.trim().parse::<u64>() {
        Ok(limit) if limit <= LIMIT_MAX as u64 => Ok(usize::try_from(limit).unwrap_or(LIMIT_MAX)),
        Ok(_) => Err(Fault::text(412, format!("Maximum limit is {LIMIT_MAX}"))),
        Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(Fault::text(412, format!("Maximum limit is {LIMIT_MAX}")))
        }
        Err(_) => Ok(LIMIT_MAX),
    }
}

/// A row of a listing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Row {
    /// What names have in common.
    Subdir(String),
    /// Something with its fields in the order of the XML form, then those that only JSON shows.
    Item {
        name: String,
        fields: Vec<(&'static str, Value)>,
        json_only: Vec<(&'static str, Value)>,
    },
}

impl Row {
    pub(crate) fn name(&self) -> &str {
        match self {
            Row::Subdir(name) => name,
            Row::Item { name, .. } => name,
        }
    }
}

/// What a listing is of, as XML names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) outer: &'static str,
    pub(crate) item: &'static str,
    /// Whether a subdir repeats its name in an element of its own.
    pub(crate) named_subdir: bool,
}

pub(crate) const ACCOUNT: Shape = Shape {
    outer: "account",
    item: "container",
    named_subdir: false,
};

pub(crate) const CONTAINER: Shape = Shape {
    outer: "container",
    item: "object",
    named_subdir: true,
};

/// Writes a listing.
pub(crate) fn render(format: Format, shape: Shape, of: &str, rows: &[Row]) -> String {
    match format {
        Format::Plain => rows.iter().flat_map(|row| [row.name(), "\n"]).collect(),
        Format::Json => {
            let rows: Vec<Value> = rows.iter().map(json_row).collect();
            Value::Array(rows).to_string()
        }
        Format::Xml | Format::TextXml => xml(shape, of, rows),
    }
}

fn json_row(row: &Row) -> Value {
    match row {
        Row::Subdir(name) => json!({ "subdir": name }),
        Row::Item {
            name,
            fields,
            json_only,
        } => {
            let mut map = Map::new();
            map.insert("name".into(), json!(name));
            for (name, value) in fields.iter().chain(json_only) {
                map.insert((*name).into(), value.clone());
            }
            Value::Object(map)
        }
    }
}

/// Escapes text for XML; a control character, which XML 1.0 has no place for, becomes a reference.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push_str(&format!("&#{};", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

fn xml(shape: Shape, of: &str, rows: &[Row]) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{} name=\"{}\">",
        shape.outer,
        escape(of)
    );
    for row in rows {
        match row {
            Row::Subdir(name) => {
                let name = escape(name);
                match shape.named_subdir {
                    true => text.push_str(&format!(
                        "<subdir name=\"{name}\"><name>{name}</name></subdir>"
                    )),
                    false => text.push_str(&format!("<subdir name=\"{name}\"/>")),
                }
            }
            Row::Item { name, fields, .. } => {
                text.push_str(&format!("<{}><name>{}</name>", shape.item, escape(name)));
                for (name, value) in fields {
                    let value = match value {
                        Value::String(text) => escape(text),
                        other => other.to_string(),
                    };
                    text.push_str(&format!("<{name}>{value}</{name}>"));
                }
                text.push_str(&format!("</{}>", shape.item));
            }
        }
    }
    text.push_str(&format!("</{}>", shape.outer));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: Option<&str>, query: &str) -> Option<Format> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        format(&headers, &Query::parse(Some(query)).unwrap()).ok()
    }

    #[test]
    fn the_query_wins_over_accept() {
        assert_eq!(chosen(None, ""), Some(Format::Plain));
        assert_eq!(chosen(Some("application/json"), ""), Some(Format::Json));
        assert_eq!(
            chosen(Some("application/json"), "format=xml"),
            Some(Format::Xml)
        );
        assert_eq!(
            chosen(Some("image/png"), "format=what"),
            Some(Format::Plain)
        );
        assert_eq!(chosen(Some("*/*"), ""), Some(Format::Plain));
        assert_eq!(chosen(Some("text/xml"), ""), Some(Format::TextXml));
        assert_eq!(chosen(Some("application/*"), ""), Some(Format::Json));
        assert_eq!(
            chosen(Some("text/plain;q=0.5, application/xml;q=0.9"), ""),
            Some(Format::Xml)
        );
        assert_eq!(
            chosen(Some("*/*;q=0.1, text/plain;q=0"), ""),
            Some(Format::Json)
        );
        for bad in ["image/png", "json", "text/plain;q=2", "text/plain;q=0"] {
            assert_eq!(chosen(Some(bad), ""), None, "{bad}");
        }
    }

    #[test]
    fn limits_beyond_the_largest_are_refused_and_nonsense_is_not() {
        let limit = |text: &str| limit(&Query::parse(Some(text)).unwrap()).map_err(|f| f.status());
        assert_eq!(limit(""), Ok(10_000));
        assert_eq!(limit("limit=7"), Ok(7));
        assert_eq!(limit("limit=0"), Ok(0));
        assert_eq!(limit("limit=x"), Ok(10_000));
        assert_eq!(limit("limit=-1"), Ok(10_000));
        assert_eq!(limit("limit=10001"), Err(412));
        assert_eq!(limit("limit=99999999999999999999999"), Err(412));
    }

    #[test]
    fn each_format_shows_the_same_rows() {
        let rows = [
            Row::Subdir("a<&/".into()),
            Row::Item {
                name: "b\u{1}".into(),
                fields: vec![("hash", json!("x")), ("bytes", json!(3))],
                json_only: vec![("slo_etag", json!("\"y\""))],
            },
        ];
        let plain = render(Format::Plain, CONTAINER, "c", &rows);
        assert_eq!(plain, "a<&/\nb\u{1}\n");
        let json: Value =
            serde_json::from_str(&render(Format::Json, CONTAINER, "c", &rows)).unwrap();
        assert_eq!(
            json,
            json!([{"subdir": "a<&/"}, {"name": "b\u{1}", "hash": "x", "bytes": 3, "slo_etag": "\"y\""}])
        );
        let xml = render(Format::Xml, CONTAINER, "\"c\"", &rows);
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<container name=\"&quot;c&quot;\">\
             <subdir name=\"a&lt;&amp;/\"><name>a&lt;&amp;/</name></subdir>\
             <object><name>b&#1;</name><hash>x</hash><bytes>3</bytes></object></container>"
        );
        let account = render(Format::Xml, ACCOUNT, "a", &rows[..1]);
        assert!(account.ends_with("<account name=\"a\"><subdir name=\"a&lt;&amp;/\"/></account>"));
        assert_eq!(render(Format::Json, ACCOUNT, "a", &[]), "[]");
    }
}
