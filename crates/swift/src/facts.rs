//! What the dialect reads out of an object's record: entity tags, types, and its own documents, which
//! make an object a large one or a link.

use serde_json::{Value, json};
use trestle_core::{BucketId, Timestamp};
use trestle_store::{Content, Ended, Object};

/// The document that makes a dynamic large object: `container/prefix` as it was sent.
pub(crate) const MANIFEST: &str = "swift.manifest";
/// The document of a static large object: the MD5 of its manifest as clients see it.
pub(crate) const LARGE: &str = "swift.slo";
/// The document of an object that another cluster sent: its time there in microseconds, and where it
/// was put. No copy has it (`trestle_store::OF_WRITE`), and nothing that was renamed.
pub(crate) const RECEIVED: &str = "swift.received.of-write";
/// The document that makes a symbolic link.
pub(crate) const LINK: &str = "swift.symlink";

/// A static large object, as its manifest's record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Large {
    pub(crate) etag: String,
    pub(crate) size: u64,
}

/// A symbolic link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// `container/object`, encoded as it was sent.
    pub(crate) target: String,
    /// The account, encoded, when it is another one.
    pub(crate) account: Option<String>,
    /// The entity tag that the target must have, when the link is static.
    pub(crate) etag: Option<String>,
    /// The target's size, when the link is static.
    pub(crate) bytes: u64,
    /// The target's, when it is a large object.
    pub(crate) slo_etag: Option<String>,
}

impl Link {
    /// The document.
    pub(crate) fn text(&self) -> String {
        json!({
            "target": self.target,
            "account": self.account,
            "etag": self.etag,
            "bytes": self.bytes,
            "slo_etag": self.slo_etag,
        })
        .to_string()
    }
}

fn document(object: &Object, name: &str) -> Option<Value> {
    serde_json::from_str(object.documents.get(name)?).ok()
}

/// Whether and how an object is a static large one.
pub(crate) fn large(object: &Object) -> Option<Large> {
    object.has_segments().then(|| Large {
        etag: object.content_tag(),
        size: object.length(),
    })
}

/// Whether and how an object is a link.
pub(crate) fn link(object: &Object) -> Option<Link> {
    let json = document(object, LINK)?;
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Link {
        target: text("target")?,
        account: text("account"),
        etag: text("etag"),
        bytes: json.get("bytes").and_then(Value::as_u64).unwrap_or(0),
        slo_etag: text("slo_etag"),
    })
}

/// `container/prefix` of a dynamic large object, as it was sent.
pub(crate) fn manifest(object: &Object) -> Option<&str> {
    object.documents.get(MANIFEST).map(String::as_str)
}

/// The entity tag of the object's own bytes, without quotes: what listings show.
pub(crate) fn hash(object: &Object) -> String {
    let shown = object
        .documents
        .get(LARGE)
        .filter(|_| object.has_segments());
    shown.cloned().unwrap_or_else(|| object.content_tag())
}

/// The text of an object's document that another cluster sent.
pub(crate) fn received(time: Timestamp, bucket: BucketId, key: &str) -> String {
    format!("{} {bucket} {key}", time.0)
}

/// The time in a document of what another cluster sent, if it was sent to this place.
fn sent(document: &str, bucket: BucketId, key: &str) -> Option<Timestamp> {
    let (time, place) = document.split_once(' ')?;
    let (own, own_key) = place.split_once(' ')?;
    let time = time.parse().ok().map(Timestamp);
    time.filter(|_| own_key == key && own == bucket.to_string())
}

/// The time that an object of a bucket has where it is from; none for one that was written, or
/// changed, here.
pub(crate) fn origin(object: &Object, bucket: BucketId) -> Option<Timestamp> {
    let kept = object
        .documents
        .get(RECEIVED)
        .filter(|_| object.change == 0)?;
    sent(kept, bucket, object.key.as_str())
}

/// When what has ended at a key became what it was: where it was from, if another cluster sent it.
pub(crate) fn time_of_ended(ended: &Ended, bucket: BucketId, key: &str) -> Timestamp {
    let kept = ended.documents.get(RECEIVED);
    let origin = kept.and_then(|kept| sent(kept, bucket, key));
    origin.unwrap_or(precise(ended.modified))
}

/// When an object of a bucket became what it is: where it is from, if another cluster sent it.
pub(crate) fn timestamp(object: &Object, bucket: BucketId) -> Timestamp {
    origin(object, bucket).unwrap_or(precise(object.modified))
}

/// A time to the precision that clients see.
pub(crate) fn precise(time: Timestamp) -> Timestamp {
    Timestamp(time.0 / 10 * 10)
}

/// The entity tag that conditions of writes are compared with.
pub(crate) fn tag(object: &Object) -> String {
    large(object).map_or_else(|| hash(object), |large| large.etag)
}

/// Whether the entity tag is one of parts.
pub(crate) fn of_parts(object: &Object) -> bool {
    hash(object).contains('-')
}

/// The media type.
pub(crate) fn content_type(object: &Object) -> &str {
    let own = object.representation.get("content-type");
    own.map_or(
        match object.content {
            Content::Directory => "application/directory",
            _ => "application/octet-stream",
        },
        String::as_str,
    )
}

/// The media type of a name, by its suffix.
pub(crate) fn guess(name: &str) -> &'static str {
    let suffix = name.rsplit('/').next().unwrap_or(name);
    let suffix = suffix.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let suffix = suffix.to_ascii_lowercase();
    TYPES
        .iter()
        .find(|(suffixes, _)| suffixes.split(' ').any(|other| other == suffix))
        .filter(|_| !suffix.is_empty())
        .map_or("application/octet-stream", |(_, kind)| kind)
}

/// Suffixes and what they stand for; the usual ones.
const TYPES: [(&str, &str); 46] = [
    ("html htm", "text/html"),
    ("txt text c h ksh pl bat", "text/plain"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("tsv", "text/tab-separated-values"),
    ("md markdown", "text/markdown"),
    ("py", "text/x-python"),
    ("vcf", "text/x-vcard"),
    ("xml xsl rdf wsdl", "text/xml"),
    ("js mjs", "text/javascript"),
    ("json", "application/json"),
    ("pdf", "application/pdf"),
    ("ps eps ai", "application/postscript"),
    ("rtf", "application/rtf"),
    ("zip", "application/zip"),
    ("tar", "application/x-tar"),
    ("gz tgz", "application/gzip"),
    ("bz2", "application/x-bzip2"),
    ("xz", "application/x-xz"),
    ("7z", "application/x-7z-compressed"),
    ("wasm", "application/wasm"),
    ("sh", "application/x-sh"),
    ("doc dot", "application/msword"),
    ("xls", "application/vnd.ms-excel"),
    ("ppt", "application/vnd.ms-powerpoint"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("jpg jpeg jpe", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("bmp", "image/bmp"),
    ("svg", "image/svg+xml"),
    ("tif tiff", "image/tiff"),
    ("ico", "image/vnd.microsoft.icon"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/x-wav"),
    ("ogg oga", "audio/ogg"),
    ("flac", "audio/flac"),
    ("mp4", "video/mp4"),
    ("mpeg mpg mpe", "video/mpeg"),
    ("mov qt", "video/quicktime"),
    ("avi", "video/x-msvideo"),
    ("webm", "video/webm"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_copy_says_that_it_came_from_elsewhere() {
        assert!(RECEIVED.ends_with(trestle_store::OF_WRITE));
    }

    #[test]
    fn suffixes_tell_the_type() {
        assert_eq!(guess("a/b.JPG"), "image/jpeg");
        assert_eq!(guess("a.b/c"), "application/octet-stream");
        assert_eq!(guess("x.tar.gz"), "application/gzip");
        assert_eq!(guess("x."), "application/octet-stream");
        assert_eq!(guess("x.wav"), "audio/x-wav");
    }
}
