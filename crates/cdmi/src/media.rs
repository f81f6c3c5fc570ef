//! Media types (RFC 6208) in Accept and Content-Type: whether a request speaks CDMI, and of what.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use trestle_core::{Error, Result};

/// Most media types of an Accept header that are looked at.
const ACCEPTED_MAX: usize = 64;

/// What media types began with before there was a standard for them.
const OF_VENDOR: &str = "application/vnd.org.snia.cdmi.";

/// The kinds of things that have a representation of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A data object.
    Object,
    /// A container.
    Container,
    /// A domain.
    Domain,
    /// A queue.
    Queue,
    /// A capability object.
    Capability,
}

impl Kind {
    const ALL: [Kind; 5] = [
        Kind::Object,
        Kind::Container,
        Kind::Domain,
        Kind::Queue,
        Kind::Capability,
    ];

    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Kind::Object => "application/cdmi-object",
            Kind::Container => "application/cdmi-container",
            Kind::Domain => "application/cdmi-domain",
            Kind::Queue => "application/cdmi-queue",
            Kind::Capability => "application/cdmi-capability",
        }
    }

    fn of(essence: &str) -> Option<Kind> {
        let essence = essence.strip_suffix("+json").unwrap_or(essence);
        // Before RFC 6208 the types were a vendor's (CDMI 1.0, and an example that 2.0 still has).
        if let Some(kind) = essence.strip_prefix(OF_VENDOR) {
            return match kind {
                "dataobject" | "object" => Some(Kind::Object),
                "container" => Some(Kind::Container),
                "domain" => Some(Kind::Domain),
                "queue" => Some(Kind::Queue),
                "capabilities" | "capability" => Some(Kind::Capability),
                _ => None,
            };
        }
        Kind::ALL
            .into_iter()
            .find(|kind| kind.media_type() == essence)
    }
}

/// A media type of a header: what is before the parameters, in lower case, and the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    essence: String,
    parameters: Vec<(String, String)>,
    text: String,
}

impl MediaType {
    /// Parses one media type.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut parts = split_outside_quotes(text, ';').into_iter();
        let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence.split('/').filter(|half| !half.is_empty()).count() != 2
            || essence.matches('/').count() != 1
        {
            return Err(Error::invalid(format!("{text:?} is not a media type")));
        }
        let parameters = parts
            .filter(|part| !part.trim().is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                let value = value.trim();
                let inner = value
                    .strip_prefix('"')
                    .and_then(|value| value.strip_suffix('"'));
                (
                    name.trim().to_ascii_lowercase(),
                    inner.unwrap_or(value).replace('\\', ""),
                )
            })
            .collect();
        Ok(MediaType {
            essence,
            parameters,
            text: text.trim().to_owned(),
        })
    }

    /// The Content-Type of a request.
    pub(crate) fn of_content(headers: &HeaderMap) -> Result<Option<Self>> {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Error::invalid("the Content-Type header is repeated"));
        }
        let text = value
            .to_str()
            .map_err(|_| Error::invalid("the Content-Type header is not visible ASCII"))?;
        MediaType::parse(text).map(Some)
    }

    /// Which of the CDMI types it is.
    pub(crate) fn kind(&self) -> Option<Kind> {
        Kind::of(&self.essence)
    }

    /// Whether it is `multipart/mixed`.
    pub(crate) fn is_mixed(&self) -> bool {
        self.essence == "multipart/mixed"
    }

    /// Whether it is a form with files.
    pub(crate) fn is_form(&self) -> bool {
        self.essence == "multipart/form-data"
    }

    /// A parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it says that the text is UTF-8.
    pub(crate) fn is_utf8(&self) -> bool {
        self.parameter("charset")
            .is_some_and(|charset| charset.eq_ignore_ascii_case("utf-8"))
    }

    /// The mimetype field that a value of this type gets: all in lower case.
    pub(crate) fn mimetype(&self) -> String {
        self.text.to_ascii_lowercase()
    }
}

/// What an Accept header wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    kinds: Vec<Kind>,
    mixed: bool,
    any: bool,
    others: bool,
    /// What is before the parameters, and its quality in thousandths.
    ranges: Vec<(String, u16)>,
}

impl Accepted {
    /// Of a request; without the header anything is acceptable.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut accepted = Accepted::default();
        let mut present = false;
        for value in headers.get_all(ACCEPT) {
            let text = value.to_str().unwrap_or_default();
            for part in split_outside_quotes(text, ',')
                .into_iter()
                .take(ACCEPTED_MAX)
            {
                let Ok(media_type) = MediaType::parse(part) else {
                    continue;
                };
                present = true;
                let quality = media_type.parameter("q").map_or(WHOLE, quality);
                let essence = match media_type.kind() {
                    Some(kind) if media_type.essence.starts_with(OF_VENDOR) => kind.media_type(),
                    _ => media_type.essence.as_str(),
                };
                accepted.ranges.push((essence.to_owned(), quality));
                if quality == 0 {
                    continue;
                }
                match media_type.kind() {
                    Some(kind) => accepted.kinds.push(kind),
                    None if media_type.is_mixed() => accepted.mixed = true,
                    None if media_type.essence == "*/*" => accepted.any = true,
                    None => accepted.others = true,
                }
            }
        }
        accepted.any |= !present;
        accepted
    }

    /// Whether a CDMI representation is asked for.
    pub(crate) fn is_cdmi(&self) -> bool {
        !self.kinds.is_empty() || self.mixed
    }

    /// Whether this kind's representation may be sent.
    pub(crate) fn takes(&self, kind: Kind) -> bool {
        self.ranges.is_empty() || self.quality_of(kind) > 0
    }

    /// Whether documents are taken for what they are written in.
    pub(crate) fn takes_json(&self) -> bool {
        self.quality("application/json").1 > 0
    }

    /// Whether the value is to follow in parts of its own.
    pub(crate) fn wants_parts(&self) -> bool {
        let mut kinds = self.kinds.iter();
        let parts = self.quality("multipart/mixed").1;
        self.mixed && kinds.all(|kind| parts > self.quality_of(*kind))
    }

    /// Whether a value of this media type is to come as it is, rather than in a document that would
    /// be taken as well: it is named with a better quality, itself or by its type.
    pub(crate) fn prefers_bytes(&self, mimetype: &str) -> bool {
        let (named, bytes) = self.quality(mimetype);
        named > 1 && bytes > self.quality_of(Kind::Object) && !self.wants_parts()
    }

    /// Whether a value of this media type may come in a document alone.
    pub(crate) fn takes_document_alone(&self, mimetype: &str) -> bool {
        let document = !self.ranges.is_empty() && self.quality_of(Kind::Object) > 0;
        document && self.quality(mimetype).1 == 0
    }

    fn quality_of(&self, kind: Kind) -> u16 {
        let plain = self.quality(kind.media_type());
        let json = self.quality(&format!("{}+json", kind.media_type()));
        plain.max(json).1
    }

    /// The quality of a media type: that of what names it most closely, and how closely.
    fn quality(&self, mimetype: &str) -> (u8, u16) {
        let essence = mimetype.split(';').next().unwrap_or_default().trim();
        let kind = essence.split('/').next().unwrap_or_default();
        let ranges = self.ranges.iter().filter_map(|(range, quality)| {
            let close = match range.as_str() {
                range if range == essence => 3,
                "*/*" => 1,
                range if range.strip_suffix("/*") == Some(kind) => 2,
                _ => return None,
            };
            Some((close, *quality))
        });
        ranges.max().unwrap_or_default()
    }

    /// Whether nothing but what is sent in any case is asked for.
    pub(crate) fn is_indifferent(&self) -> bool {
        self.any && !self.is_cdmi() && !self.others
    }
}

/// The quality of what says none, in thousandths.
const WHOLE: u16 = 1000;

/// A quality in thousandths; the whole for what is none.
fn quality(text: &str) -> u16 {
    let thousandths = text.parse::<f32>().ok().map(|quality| quality * 1000.0);
    let sound = thousandths.filter(|quality| (0.0..=1000.0).contains(quality));
    sound.map_or(WHOLE, |quality| quality.round() as u16)
}

/// Splits a header's value where a separator is not within a quoted string.
pub(crate) fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(value: &str) -> Accepted {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, value.parse().unwrap());
        Accepted::of(&headers)
    }

    #[test]
    fn accept_says_whether_cdmi_is_spoken_and_what_may_be_sent() {
        assert!(Accepted::of(&HeaderMap::new()).is_indifferent());
        assert!(accepted("*/*").is_indifferent());
        assert!(!accepted("text/plain, */*").is_indifferent());
        let vendor = accepted("application/vnd.org.snia.cdmi.dataobject+json");
        assert!(vendor.is_cdmi() && vendor.takes(Kind::Object) && !vendor.takes(Kind::Queue));
        let object = accepted("text/plain;q=0.3, Application/CDMI-Object+json");
        assert!(object.is_cdmi() && object.takes(Kind::Object));
        assert!(!object.takes(Kind::Container));
        assert!(accepted("application/cdmi-object, */*").takes(Kind::Queue));
        assert!(!accepted("application/cdmi-object;q=0").is_cdmi());
        assert!(accepted("multipart/mixed").wants_parts());
        assert!(!accepted("multipart/mixed, application/cdmi-object").wants_parts());
        assert!(accepted("multipart/mixed, application/cdmi-object;q=0.5").wants_parts());
    }

    #[test]
    fn what_is_named_more_closely_and_with_a_better_quality_is_preferred() {
        let object = "application/cdmi-object";
        let both = accepted("text/plain;q=0.9, application/cdmi-object;q=0.1");
        assert!(both.prefers_bytes("text/plain;charset=utf-8"));
        assert!(!both.prefers_bytes("image/png"));
        assert!(!accepted("text/plain, application/cdmi-object").prefers_bytes("text/plain"));
        assert!(!accepted("*/*, application/cdmi-object;q=0.5").prefers_bytes("text/plain"));
        assert!(accepted("text/*, application/cdmi-object;q=0.5").prefers_bytes("text/plain"));
        let all = accepted("application/*");
        assert!(all.takes_document_alone("text/plain") && all.takes(Kind::Container));
        assert!(!all.takes_document_alone("application/pdf"));
        assert!(!Accepted::of(&HeaderMap::new()).takes_document_alone("text/plain"));
        assert!(!accepted("*/*").takes_document_alone("text/plain"));
        let container = accepted(&format!("{object}, application/*;q=0.2"));
        assert!(container.takes(Kind::Container));
        assert!(!accepted("application/cdmi-queue;q=0, */*").takes(Kind::Queue));
    }

    #[test]
    fn content_types_keep_their_parameters() {
        let parsed = MediaType::parse("Text/Plain; Charset=\"UTF-8\"; x=\"a;b\"").unwrap();
        assert!(parsed.is_utf8());
        assert_eq!(parsed.parameter("x"), Some("a;b"));
        assert_eq!(
            parsed.mimetype(),
            "text/plain; charset=\"utf-8\"; x=\"a;b\""
        );
        assert_eq!(
            MediaType::parse("application/cdmi-queue+json")
                .unwrap()
                .kind(),
            Some(Kind::Queue)
        );
        let before = |name: &str| {
            let text = format!("application/vnd.org.snia.cdmi.{name}+json");
            MediaType::parse(&text).unwrap().kind()
        };
        assert_eq!(before("dataobject"), Some(Kind::Object));
        assert_eq!(before("container"), Some(Kind::Container));
        assert_eq!(before("objectid"), None);
        for bad in ["", "text", "a/b/c", "/x", "x/"] {
            assert!(MediaType::parse(bad).is_err(), "{bad:?}");
        }
    }
}
