//! Proactive negotiation (RFC 9110 §12): which of the forms on offer a client wants most.

use crate::parameters::Parameterized;
use http::header::{ACCEPT, HeaderMap};
use trestle_core::{Error, Result};

/// Most media ranges of an Accept header.
const RANGES_MAX: usize = 100;

/// The offer that the Accept header wants most; of equals the one that is offered first. None when
/// it wants none of them: 406.
///
/// # Errors
/// `InvalidInput` for a malformed header.
pub fn negotiate<'a>(headers: &HeaderMap, offers: &[&'a str]) -> Result<Option<&'a str>> {
    let mut ranges = Vec::new();
    for value in headers.get_all(ACCEPT) {
        let malformed = || Error::invalid("the Accept header is malformed");
        let text = value.to_str().map_err(|_| malformed())?;
        for range in elements(text) {
            ranges.push(MediaRange::parse(range).ok_or_else(malformed)?);
            if ranges.len() > RANGES_MAX {
                return Err(Error::invalid("the Accept header is too long"));
            }
        }
    }
    if ranges.is_empty() {
        return Ok(offers.first().copied());
    }
    let mut best = None;
    for offer in offers {
        let quality = quality(&ranges, offer);
        if quality > 0 && best.is_none_or(|(_, found)| quality > found) {
            best = Some((*offer, quality));
        }
    }
    Ok(best.map(|(offer, _)| offer))
}

/// The elements of a list, with commas in quotes left alone.
fn elements(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
    .filter(|element| !element.is_empty())
}

/// A media range with its quality in thousandths.
struct MediaRange {
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
    quality: u16,
}

impl MediaRange {
    fn parse(text: &str) -> Option<Self> {
        let parsed = Parameterized::parse(text).ok()?;
        let (kind, subtype) = parsed.value.split_once('/')?;
        if kind.is_empty() || subtype.is_empty() || (kind == "*" && subtype != "*") {
            return None;
        }
        let (kind, subtype) = (kind.to_ascii_lowercase(), subtype.to_ascii_lowercase());
        let quality = match parsed.parameter("q") {
            None => 1000,
            Some(text) => thousandths(text)?,
        };
        // What follows the weight are extensions that nobody defined.
        let parameters = parsed.parameters.into_iter();
        Some(MediaRange {
            kind,
            subtype,
            parameters: parameters.take_while(|(name, _)| name != "q").collect(),
            quality,
        })
    }

    /// How specifically this names an offer; none when it does not.
    fn names(&self, offer: &Parameterized) -> Option<usize> {
        let (kind, subtype) = offer.value.split_once('/')?;
        let exact = self.kind == kind && self.subtype == subtype;
        // All text here is UTF-8, also that of types which have no such parameter, such as JSON.
        let parameter = |(name, value): &(String, String)| match offer.parameter(name) {
            Some(found) => found.eq_ignore_ascii_case(value),
            None => name == "charset" && value.eq_ignore_ascii_case("utf-8"),
        };
        match (self.kind.as_str(), self.subtype.as_str()) {
            ("*", _) => Some(0),
            (found, "*") if found == kind => Some(1),
            _ if exact && self.parameters.iter().all(parameter) => Some(2 + self.parameters.len()),
            _ => None,
        }
    }
}

fn quality(ranges: &[MediaRange], offer: &str) -> u16 {
    let Ok(offer) = Parameterized::parse(offer) else {
        return 0;
    };
    let named = ranges
        .iter()
        .filter_map(|range| Some((range.names(&offer)?, range.quality)));
    // The most specific range counts (§12.5.1); of two alike the more generous.
    named.max().map_or(0, |(_, quality)| quality)
}

fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match (whole, part) {
        ("0", _) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> Result<Option<&'static str>> {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        negotiate(&headers, &["application/json", "text/html; charset=utf-8"])
    }

    #[test]
    fn the_most_wanted_form_wins() {
        let json = Some("application/json");
        let html = Some("text/html; charset=utf-8");
        for (accept, expected) in [
            ("", json),
            ("*/*", json),
            ("text/*", html),
            ("text/html,application/xhtml+xml,*/*;q=0.8", html),
            ("application/json;q=0.5, text/html;q=0.6", html),
            ("*/*, application/json;q=0", html),
            ("Text/HTML;Charset=UTF-8;q=1.000", html),
            ("text/html;charset=latin1, application/json;q=0.1", json),
            ("application/json; charset=utf-8", json),
            ("application/json;charset=latin1", None),
            ("application/json;version=1", None),
            ("image/png", None),
            ("application/json;q=0", None),
        ] {
            assert_eq!(chosen(accept).unwrap(), expected, "{accept}");
        }
        for bad in [
            "text",
            "*/html",
            "text/html;q=2",
            "text/html;q=0.1234",
            "text/html;q=x",
        ] {
            assert!(chosen(bad).is_err(), "{bad}");
        }
    }
}
