//! Uploads in parts.

use crate::answer;
use crate::call::{self, Call};
use crate::checksum::{self, Kind};
use crate::config::root;
use crate::document;
use crate::error::{Code, S3Error};
use crate::headers;
use crate::listing::{self, Common, NAMESPACE, PAGE_MAX, number};
use crate::object::{self, etag, set_version, version_id};
use crate::source;
use crate::sse;
use crate::time::iso_time;
use crate::write::{self, checks};
use http::header::{ETAG, HeaderValue};
use http::{HeaderMap, Response};
use trestle_access::{Action, Grant};
use trestle_core::{ByteRange, Digest, DigestAlgorithm, ErrorKind, Noun, UploadId};
use trestle_http::{Body, XmlWriter};
use trestle_store::{
    Checksum, CompletePart, CompleteUpload, CreateUpload, Encryption, ListUploads, Part,
    UploadChecksum, UploadItem, UploadKey, UploadListing, UploadPart,
};

/// Smallest part that is not the last.
const PART_BYTES_MIN: u64 = 5 << 20;
/// Largest number of a part.
const NUMBER_MAX: u32 = 10_000;

fn no_upload() -> S3Error {
    S3Error::new(
        Code::NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have \
         been aborted or completed.",
    )
}

/// The upload that the request names. One that cannot be is missed after its bucket.
async fn upload_key(call: &Call<'_>) -> Result<UploadKey, S3Error> {
    let text = call.parameters.get("uploadId").unwrap_or_default();
    let bucket = call.bucket()?.clone();
    let Some(id) = call::id(text) else {
        call.s3.store.bucket_settings(&bucket).await?;
        return Err(no_upload());
    };
    Ok(UploadKey {
        bucket,
        key: call.key()?.clone(),
        upload: UploadId(id),
    })
}

fn part_number(call: &Call<'_>) -> Result<u32, S3Error> {
    let text = call.parameters.get("partNumber").unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text
        .parse()
        .ok()
        .filter(|n| digits && (1..=NUMBER_MAX).contains(n));
    let message = "Part number must be an integer between 1 and 10000, inclusive";
    number.ok_or_else(|| S3Error::argument("partNumber", text, message))
}

/// Which checksum the object is to have.
fn chosen(headers: &HeaderMap) -> Result<Option<UploadChecksum>, S3Error> {
    let algorithm = match headers::text(headers, "x-amz-checksum-algorithm")? {
        None => None,
        Some(name) => Some(checksum::named(name)?),
    };
    let kind = match headers::text(headers, "x-amz-checksum-type")? {
        None => None,
        Some(name) => Some(Kind::parse(name)?),
    };
    let Some(algorithm) = algorithm else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(S3Error::invalid(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm \
                 header.",
            )),
        };
    };
    let composes = matches!(
        algorithm,
        DigestAlgorithm::Crc32 | DigestAlgorithm::Crc32c | DigestAlgorithm::Crc64Nvme
    );
    let only_whole = algorithm == DigestAlgorithm::Crc64Nvme;
    let composite = match kind {
        None => !only_whole,
        Some(Kind::Composite) if !only_whole => true,
        Some(Kind::FullObject) if composes => false,
        Some(kind) => {
            return Err(S3Error::invalid(format!(
                "The {} checksum type cannot be used with the {} checksum algorithm.",
                kind.name(),
                checksum::name(algorithm).to_ascii_lowercase()
            )));
        }
    };
    Ok(Some(UploadChecksum {
        algorithm,
        composite,
    }))
}

fn show_chosen(headers: &mut HeaderMap, chosen: Option<&UploadChecksum>) {
    if let Some(chosen) = chosen {
        headers::set(
            headers,
            "x-amz-checksum-algorithm",
            checksum::name(chosen.algorithm),
        );
        headers::set(headers, "x-amz-checksum-type", kind_of(chosen).name());
    }
}

fn kind_of(chosen: &UploadChecksum) -> Kind {
    if chosen.composite {
        Kind::Composite
    } else {
        Kind::FullObject
    }
}

pub(crate) async fn create(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let checksum = chosen(&call.headers)?;
    let new = write::new(&call).await?;
    let create = CreateUpload {
        encrypt: new.encrypt,
        bucket: call.bucket()?.clone(),
        key: call.key()?.clone(),
        properties: new.properties,
        checksum,
    };
    let upload = call.s3.store.create_upload(&new.grant, create).await?;
    let mut document = root("InitiateMultipartUploadResult");
    document
        .leaf("Bucket", call.bucket()?.as_str())
        .leaf("Key", call.key()?.as_str())
        .leaf("UploadId", &upload.id.to_string());
    let mut response = answer::xml(document);
    show_chosen(response.headers_mut(), upload.checksum.as_ref());
    sse::show(response.headers_mut(), upload.encryption.as_ref());
    Ok(response)
}

/// The entity tag of a part.
fn part_tag(part: &Part) -> String {
    let md5 = part.digests.get(DigestAlgorithm::Md5);
    md5.map(Digest::hex).unwrap_or_default()
}

/// Refuses a part with a checksum of another algorithm than its upload was made with, and one without
/// where the whole's is made of those of the parts.
fn check_algorithm(
    chosen: &UploadChecksum,
    declared: Option<DigestAlgorithm>,
) -> Result<(), S3Error> {
    if declared == Some(chosen.algorithm) || declared.is_none() && !chosen.composite {
        return Ok(());
    }
    let lower = |algorithm| checksum::name(algorithm).to_ascii_lowercase();
    Err(S3Error::invalid(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        lower(chosen.algorithm),
        declared.map_or_else(|| "null".to_owned(), lower),
    )))
}

pub(crate) async fn part(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    write::check_length(&call)?;
    let number = part_number(&call)?;
    let grant = call.on_object(Action::WriteObject).await?;
    let to = upload_key(&call).await?;
    let upload = call.s3.store.upload(&grant, &to).await?;
    let (encryption, chosen) = (upload.encryption, upload.checksum);
    if let Some(chosen) = &chosen {
        check_algorithm(chosen, call.declared.algorithm())?;
    }
    let key_of_client = sse::key_of_part(&call, encryption.as_ref())?;
    let part = UploadPart {
        only_new: false,
        key_of_client,
        to,
        number,
        checks: checks(&call),
    };
    let body = write::bounded(call.take_body()?);
    let part = call.s3.store.upload_part(&grant, part, body).await?;
    let mut response = answer::empty();
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", part_tag(&part))) {
        headers.insert(ETAG, tag);
    }
    let chosen = chosen.map(|chosen| chosen.algorithm);
    let shown = call.declared.algorithm().or(chosen);
    let shown = shown.and_then(|algorithm| part.digests.get(algorithm));
    if let Some(digest) = shown {
        headers::set(
            headers,
            checksum::header(digest.algorithm),
            &checksum::base64(digest),
        );
    }
    sse::show(headers, encryption.as_ref());
    Ok(response)
}

pub(crate) async fn part_copy(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let number = part_number(&call)?;
    call.refuse_body().await?;
    let grant = call.on_object(Action::WriteObject).await?;
    let store = &call.s3.store;
    store.bucket_settings(call.bucket()?).await?;
    let range = source::range(&call.headers)?;
    let readable = source::readable(&call, range).await?;
    let to = upload_key(&call).await?;
    if let Some(ByteRange::Inclusive { last, .. }) = range {
        source::reaches(&call, &readable, last).await?;
    }
    let upload = store.upload(&grant, &to).await?;
    let (encryption, chosen) = (upload.encryption, upload.checksum);
    let key_of_client = sse::key_of_part(&call, encryption.as_ref())?;
    let copy = trestle_store::CopyPart {
        to,
        number,
        source: readable.source.clone(),
        key_of_client,
    };
    let copied = store.upload_part_copy(&readable.grant, &grant, copy).await;
    let (part, from) = match copied {
        Ok(copied) => copied,
        Err(error) => return Err(source::failed(&call, &readable.source, error).await),
    };
    let mut document = root("CopyPartResult");
    document
        .leaf("ETag", &format!("\"{}\"", part_tag(&part)))
        .leaf("LastModified", &iso_time(part.modified));
    if let Some(digest) = chosen.and_then(|chosen| part.digests.get(chosen.algorithm)) {
        document.leaf(
            checksum::element(digest.algorithm),
            &checksum::base64(digest),
        );
    }
    let mut response = answer::xml(document);
    let headers = response.headers_mut();
    sse::show(headers, encryption.as_ref());
    if !from.null_version {
        headers::set(headers, "x-amz-copy-source-version-id", &version_id(&from));
    }
    Ok(response)
}

pub(crate) async fn parts(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let limit = number(&call.parameters, "max-parts", PAGE_MAX)?;
    let after = number(&call.parameters, "part-number-marker", usize::MAX)?;
    let after = match call.parameters.get("part-number-marker") {
        None | Some("") => 0,
        Some(_) => u32::try_from(after).unwrap_or(u32::MAX),
    };
    let grant = call.on_object(Action::ListParts).await?;
    let key = upload_key(&call).await?;
    let listing = call.s3.store.list_parts(&grant, &key, after, limit).await?;
    let mut document = root("ListPartsResult");
    document
        .leaf("Bucket", key.bucket.as_str())
        .leaf("Key", key.key.as_str())
        .leaf("UploadId", &key.upload.to_string());
    let owner = listing.upload.owner.account.as_str();
    listing::owner(&mut document, "Initiator", owner);
    listing::owner(&mut document, "Owner", owner);
    let class = listing
        .upload
        .properties
        .storage_class
        .as_deref()
        .unwrap_or("STANDARD");
    document
        .leaf("StorageClass", class)
        .leaf("PartNumberMarker", &after.to_string());
    let last = listing.parts.last().map_or(after, |part| part.number);
    document.leaf(
        "NextPartNumberMarker",
        &listing.next.unwrap_or(last).to_string(),
    );
    document.leaf("MaxParts", &limit.to_string()).leaf(
        "IsTruncated",
        if listing.next.is_some() {
            "true"
        } else {
            "false"
        },
    );
    let chosen = listing.upload.checksum.as_ref();
    if let Some(chosen) = chosen {
        document
            .leaf("ChecksumAlgorithm", checksum::name(chosen.algorithm))
            .leaf("ChecksumType", kind_of(chosen).name());
    }
    for part in &listing.parts {
        document
            .open("Part")
            .leaf("PartNumber", &part.number.to_string())
            .leaf("LastModified", &iso_time(part.modified))
            .leaf("ETag", &format!("\"{}\"", part_tag(part)))
            .leaf("Size", &part.length.to_string());
        if let Some(digest) = chosen.and_then(|chosen| part.digests.get(chosen.algorithm)) {
            document.leaf(
                checksum::element(digest.algorithm),
                &checksum::base64(digest),
            );
        }
        document.close();
    }
    Ok(answer::xml(document))
}

/// What the whole is expected to have, by the headers of a completion. A checksum of checksums may
/// come without the number of parts, which the list of parts has.
fn expected(
    call: &Call<'_>,
    chosen: Option<&UploadChecksum>,
    parts: usize,
) -> Result<Option<Checksum>, S3Error> {
    checksum::single(&call.headers)?;
    let name = "x-amz-checksum-type";
    if let (Some(kind), Some(chosen)) = (headers::text(&call.headers, name)?, chosen)
        && Kind::parse(kind)? != kind_of(chosen)
    {
        let message = format!(
            "The upload was created using the {} checksum mode. The complete request must use the \
             same checksum mode.",
            kind_of(chosen).name()
        );
        return Err(S3Error::invalid(message));
    }
    let composite = chosen.is_some_and(|chosen| chosen.composite);
    let counted = u32::try_from(parts).ok().filter(|_| composite);
    for (algorithm, _, header) in checksum::ALGORITHMS {
        let Some(text) = headers::text(&call.headers, header)? else {
            continue;
        };
        let (text, parts) = match text.split_once('-') {
            Some((text, parts)) => {
                let wrong = || S3Error::invalid(format!("Value for {header} header is invalid."));
                (text, Some(parts.parse().map_err(|_| wrong())?))
            }
            None => (text, counted),
        };
        return Ok(Some(Checksum {
            digest: checksum::value(algorithm, text)?,
            composite_of: parts,
        }));
    }
    Ok(None)
}

/// How long the whole is to be.
fn expected_length(headers: &HeaderMap) -> Result<Option<u64>, S3Error> {
    let name = "x-amz-mp-object-size";
    let Some(text) = headers::text(headers, name)? else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        let below = text.parse::<i64>().is_ok();
        let wrong = if below { "less than zero" } else { "invalid" };
        S3Error::invalid(format!("Value for {name} header is {wrong}: '{text}'"))
    })
}

/// Whether a part came with a checksum of the client's choice. Who may not list the parts is not
/// told, and has to send what such an upload needs.
async fn has_checksums(call: &Call<'_>, to: &UploadKey) -> Result<bool, S3Error> {
    let Ok(grant) = call.on_object(Action::ListParts).await else {
        return Ok(true);
    };
    let always = [DigestAlgorithm::Md5, DigestAlgorithm::Crc64Nvme];
    let mut after = 0;
    loop {
        let store = &call.s3.store;
        let listing = store.list_parts(&grant, to, after, PAGE_MAX).await?;
        let mut digests = listing.parts.iter().flat_map(|part| part.digests.iter());
        if digests.any(|digest| !always.contains(&digest.algorithm)) {
            return Ok(true);
        }
        match listing.next {
            None => return Ok(false),
            Some(next) => after = next,
        }
    }
}

/// Refuses a completion with another key of the client than the parts came with, and one without it
/// when the upload or its parts have a checksum that the client chose.
async fn check_key(
    call: &Call<'_>,
    grant: &Grant,
    to: &UploadKey,
) -> Result<Option<UploadChecksum>, S3Error> {
    let upload = match call.s3.store.upload(grant, to).await {
        Ok(upload) => upload,
        // One that was completed before is answered as it was.
        Err(error) if error.kind() == ErrorKind::NotFound(Noun::Upload) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let key = sse::key_of_part(call, upload.encryption.as_ref())?;
    let of_client = matches!(upload.encryption, Some(Encryption::Customer { .. }));
    if key.is_some() || of_client && (upload.checksum.is_some() || has_checksums(call, to).await?) {
        sse::check(upload.encryption.as_ref(), key.as_ref())?;
    }
    Ok(upload.checksum)
}

pub(crate) async fn complete(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let condition = write::write_condition(&call.headers)?;
    let grant = call.on_object(Action::WriteObject).await?;
    let upload = upload_key(&call).await?;
    let chosen = check_key(&call, &grant, &upload).await?;
    let expected_length = expected_length(&call.headers)?;
    let mut parts: Vec<CompletePart> = Vec::new();
    for part in document::complete(&call.document().await?)? {
        if let (Some(chosen), Some(found)) = (&chosen, &part.checksum)
            && found.algorithm != chosen.algorithm
        {
            let message = format!(
                "The {} you specified for part {} did not match what we received.",
                checksum::name(found.algorithm).to_ascii_lowercase(),
                part.number
            );
            return Err(S3Error::new(Code::BadDigest, message));
        }
        let invalid = || {
            S3Error::from(trestle_core::Error::new(
                ErrorKind::InvalidPart {
                    number: part.number,
                },
                "no MD5",
            ))
        };
        let md5 = md5(&part.etag).ok_or_else(invalid)?;
        // Of a part that is named again, as by a client that sent it again, the last counts: as of
        // one that was sent again.
        if parts.last().is_some_and(|last| last.number == part.number) {
            parts.pop();
        }
        parts.push(CompletePart {
            number: part.number,
            expected: std::iter::once(md5).chain(part.checksum.clone()).collect(),
        });
    }
    let expected_checksum = expected(&call, chosen.as_ref(), parts.len())?;
    let complete = CompleteUpload {
        upload,
        parts,
        part_bytes_min: PART_BYTES_MIN,
        expected_length,
        expected_checksum,
        precondition: condition.clone(),
        tag_of: etag,
    };
    let outcome = match call.s3.store.complete_upload(&grant, complete).await {
        Ok(outcome) => outcome,
        Err(error) if error.kind() == ErrorKind::IncompleteBody => {
            let message = "The upload is not of the size that x-amz-mp-object-size says.";
            return Err(S3Error::invalid(message));
        }
        Err(error) => return Err(write::failed(&call, &condition, error).await),
    };
    let mut document = root("CompleteMultipartUploadResult");
    let (bucket, key) = (call.bucket()?.as_str(), call.key()?.as_str());
    document
        .leaf("Location", &call.url(key)?)
        .leaf("Bucket", bucket)
        .leaf("Key", key)
        .leaf("ETag", &format!("\"{}\"", etag(&outcome.object)));
    if let Some((digest, kind, text)) = object::checksum_of(&outcome.object) {
        document.leaf(checksum::element(digest.algorithm), &text);
        document.leaf("ChecksumType", kind.name());
    }
    let mut response = answer::xml(document);
    set_version(response.headers_mut(), &outcome.object);
    sse::show(response.headers_mut(), outcome.object.encryption.as_ref());
    Ok(response)
}

/// The digest that a part's entity tag is.
fn md5(tag: &str) -> Option<Digest> {
    let hex = |at: usize| u8::from_str_radix(tag.get(at..at + 2)?, 16).ok();
    let value: Option<Vec<u8>> = (0..32).step_by(2).map(hex).collect();
    let value = value.filter(|_| tag.len() == 32)?;
    Some(Digest {
        algorithm: DigestAlgorithm::Md5,
        value,
    })
}

pub(crate) async fn abort(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let grant = call.on_object(Action::AbortUpload).await?;
    let key = upload_key(&call).await?;
    call.s3.store.abort_upload(&grant, &key).await?;
    Ok(answer::no_content())
}

pub(crate) async fn list(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let common = Common::new(&call.parameters, "max-uploads")?;
    let grant = call.on_bucket(Action::ListUploads).await?;
    let text = |name| {
        call.parameters
            .get(name)
            .filter(|text: &&str| !text.is_empty())
    };
    let key_marker = text("key-marker").map(str::to_owned);
    let upload_marker = match text("upload-id-marker").filter(|_| key_marker.is_some()) {
        None => None,
        Some(text) => {
            let wrong = || S3Error::argument("upload-id-marker", text, "Invalid uploadId marker");
            Some(UploadId(call::id(text).ok_or_else(wrong)?))
        }
    };
    let list = ListUploads {
        bucket: call.bucket()?.clone(),
        prefix: common.prefix.clone(),
        delimiter: common.delimiter.clone(),
        key_marker,
        upload_marker,
        limit: common.limit,
    };
    let listing = call.s3.store.list_uploads(&grant, &list).await?;
    Ok(answer::xml(uploads(&list, &common, &listing)))
}

fn uploads(list: &ListUploads, common: &Common, listing: &UploadListing) -> XmlWriter {
    let mut document = XmlWriter::new();
    document.open_with("ListMultipartUploadsResult", &[("xmlns", NAMESPACE)]);
    document.leaf("Bucket", list.bucket.as_str()).leaf(
        "KeyMarker",
        &common.name(list.key_marker.as_deref().unwrap_or_default()),
    );
    let marker = list
        .upload_marker
        .map(|id| id.to_string())
        .unwrap_or_default();
    document.leaf("UploadIdMarker", &marker);
    if let Some((key, upload)) = &listing.next {
        document.leaf("NextKeyMarker", &common.name(key));
        document.leaf_if(
            "NextUploadIdMarker",
            upload.map(|id| id.to_string()).as_deref(),
        );
    }
    document.leaf("Prefix", &common.name(&common.prefix));
    listing::page(&mut document, common, listing.next.is_some(), "MaxUploads");
    for item in &listing.items {
        match item {
            UploadItem::Upload(upload) => {
                let owner = upload.owner.account.as_str();
                document
                    .open("Upload")
                    .leaf("Key", &common.name(upload.key.as_str()))
                    .leaf("UploadId", &upload.id.to_string());
                listing::owner(&mut document, "Initiator", owner);
                listing::owner(&mut document, "Owner", owner);
                let class = upload
                    .properties
                    .storage_class
                    .as_deref()
                    .unwrap_or("STANDARD");
                document
                    .leaf("StorageClass", class)
                    .leaf("Initiated", &iso_time(upload.created));
                if let Some(chosen) = &upload.checksum {
                    document
                        .leaf("ChecksumAlgorithm", checksum::name(chosen.algorithm))
                        .leaf("ChecksumType", kind_of(chosen).name());
                }
                document.close();
            }
            UploadItem::Prefix(prefix) => {
                document
                    .open("CommonPrefixes")
                    .leaf("Prefix", &common.name(prefix))
                    .close();
            }
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_parts_compose_or_do_not() {
        let read = |list: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in list {
                map.insert(*name, value.parse().unwrap());
            }
            chosen(&map)
                .map(|c| c.map(|c| c.composite))
                .map_err(|error| error.code())
        };
        let algorithm = |name| ("x-amz-checksum-algorithm", name);
        let kind = |name| ("x-amz-checksum-type", name);
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[algorithm("SHA256")]), Ok(Some(true)));
        assert_eq!(read(&[algorithm("CRC64NVME")]), Ok(Some(false)));
        assert_eq!(
            read(&[algorithm("CRC32"), kind("FULL_OBJECT")]),
            Ok(Some(false))
        );
        for bad in [
            &[kind("COMPOSITE")][..],
            &[algorithm("SHA1"), kind("FULL_OBJECT")],
            &[algorithm("CRC64NVME"), kind("COMPOSITE")],
            &[algorithm("CRC32"), kind("HALF")],
        ] {
            assert_eq!(read(bad), Err(Code::InvalidRequest));
        }
        assert_eq!(
            read(&[algorithm("sha1"), kind("composite")]),
            Ok(Some(true))
        );
        assert!(
            md5(&"0".repeat(32)).is_some() && md5("0").is_none() && md5(&"z".repeat(32)).is_none()
        );
    }
    #[test]
    fn a_part_has_the_checksum_of_its_upload() {
        use DigestAlgorithm::{Crc32, Sha1};
        let check = |composite, declared| {
            let algorithm = Crc32;
            let chosen = UploadChecksum {
                algorithm,
                composite,
            };
            check_algorithm(&chosen, declared).map_err(|error| error.message().to_owned())
        };
        assert_eq!(check(true, Some(Crc32)), Ok(()));
        assert_eq!(check(false, None), Ok(()));
        let other = check(false, Some(Sha1)).unwrap_err();
        assert!(
            other.contains("Type: crc32,") && other.ends_with("Type: sha1"),
            "{other}"
        );
        assert!(check(true, None).unwrap_err().ends_with("Type: null"));
    }

    #[test]
    fn the_length_of_the_whole_is_a_number() {
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("x-amz-mp-object-size"),
                HeaderValue::from_str(text).unwrap(),
            )]);
            expected_length(&headers).map_err(|error| error.message().to_owned())
        };
        assert_eq!(read("23"), Ok(Some(23)));
        assert!(read("-1").unwrap_err().contains("less than zero"));
        assert!(read("x").unwrap_err().contains("invalid"));
    }
}
