//! Objects as this dialect shows them.

use trestle_core::DigestAlgorithm;
use trestle_store::Object;

/// The entity tag, without quotes: the MD5 of what was written in one piece.
pub(crate) fn etag(object: &Object) -> String {
    match object.digests.get(DigestAlgorithm::Md5) {
        Some(md5) => md5.hex(),
        None => object.revision(),
    }
}
