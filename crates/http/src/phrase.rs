//! Reason phrases of statuses outside the registry, which HTTP/1.1 writes in its first line.

use http::{Response, StatusCode};
use hyper::ext::ReasonPhrase;

/// Gives an answer a phrase of its own.
pub fn set_phrase<B>(response: &mut Response<B>, phrase: &'static str) {
    if let Ok(phrase) = ReasonPhrase::try_from(phrase.as_bytes()) {
        response.extensions_mut().insert(phrase);
    }
}

/// Gives an answer that has none the phrase that others use for its status.
pub(crate) fn complete<B>(response: &mut Response<B>) {
    if response.status().canonical_reason().is_none()
        && response.extensions().get::<ReasonPhrase>().is_none()
    {
        set_phrase(response, phrase_of(response.status()));
    }
}

/// The phrase of a status, registered or not.
pub fn phrase_of(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or(match status.as_u16() {
        418 => "I'm a teapot",
        498 => "Rate Limited",
        499 => "Client Closed Request",
        509 => "Bandwidth Limit Exceeded",
        100..200 => "Informational",
        200..300 => "Success",
        300..400 => "Redirection",
        400..500 => "Client Error",
        _ => "Server Error",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unregistered_statuses_have_a_phrase() {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(498).unwrap();
        complete(&mut response);
        let phrase = response.extensions().get::<ReasonPhrase>().unwrap();
        assert_eq!(phrase.as_bytes(), b"Rate Limited");
        set_phrase(&mut response, "Own");
        complete(&mut response);
        let phrase = response.extensions().get::<ReasonPhrase>().unwrap();
        assert_eq!(phrase.as_bytes(), b"Own");
        assert_eq!(phrase_of(StatusCode::NOT_FOUND), "Not Found");
    }
}
