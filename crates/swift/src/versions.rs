//! Ids of versions, as the dialect writes them.

use crate::fault::{Fault, Outcome};
use trestle_core::{Id, VersionId};
use trestle_store::{Object, VersionRef};

/// The media type that stands for a deletion in listings of versions.
pub(crate) const MARKER_TYPE: &str = "application/x-deleted;swift_versions_deleted=1";

/// The id of a version.
pub(crate) fn id(object: &Object) -> String {
    match object.null_version {
        true => "null".to_owned(),
        false => object.version.to_string(),
    }
}

/// The version that an id means.
///
/// # Errors
/// 400 for what is no id.
pub(crate) fn parse(text: &str) -> Outcome<VersionRef> {
    if text == "null" {
        return Ok(VersionRef::Null);
    }
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = match (digits, text.parse::<f64>()) {
        (true, _) => u128::from_str_radix(text, 16).ok(),
        // Ids of other servers are times; there is no such version here.
        (false, Ok(time)) if time.is_finite() && time >= 0.0 => Some(0),
        _ => None,
    };
    let number = number.ok_or_else(|| Fault::html(400, "Invalid version parameter"))?;
    Ok(VersionRef::Id(VersionId(Id(number.to_be_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal_or_null() {
        assert_eq!(parse("null").unwrap(), VersionRef::Null);
        let text = "00112233445566778899aabbccddeeff";
        let VersionRef::Id(id) = parse(text).unwrap() else {
            panic!("an id")
        };
        assert_eq!(id.to_string(), text);
        assert!(parse("1402437380.58186").is_ok());
        for bad in ["", "x", "nan", "-1", "zz112233445566778899aabbccddeeff"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
