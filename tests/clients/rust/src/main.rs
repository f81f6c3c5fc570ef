//! The SDK of AWS for Rust: objects with its default checksums, conditions, parts, pages, versions,
//! copies, presigned requests.

use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete,
    ObjectIdentifier, Tag, Tagging, VersioningConfiguration,
};
use aws_sdk_s3::{Client, Error};
use std::io::{Read as _, Write as _};
use std::time::Duration;

const BUCKET: &str = "from-rust";
const PART: usize = 5 << 20;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn client() -> Client {
    let keys = Credentials::new(
        setting("TRESTLE_ACCESS_KEY"),
        setting("TRESTLE_SECRET_KEY"),
        None,
        None,
        "tests",
    );
    let http = aws_smithy_http_client::Builder::new().build_http();
    let settings = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(setting("TRESTLE_URL"))
        .region(Region::new("us-east-1"))
        .credentials_provider(keys)
        .force_path_style(true)
        .http_client(http)
        .build();
    Client::from_conf(settings)
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn code<T: std::fmt::Debug, E: Into<Error>>(refused: Result<T, E>) -> String {
    let error: Error = refused.expect_err("it was not refused").into();
    error.code().unwrap_or_default().to_owned()
}

#[tokio::main]
async fn main() -> Outcome {
    println!("= aws-sdk-s3 {}", aws_sdk_s3::meta::PKG_VERSION);
    let s3 = client();
    s3.create_bucket().bucket(BUCKET).send().await?;
    objects(&s3).await?;
    parts(&s3).await?;
    pages(&s3).await?;
    versions(&s3).await?;
    presigned(&s3).await?;
    println!("done");
    Ok(())
}

async fn objects(s3: &Client) -> Outcome {
    let (key, body) = ("a b/ü+", noise(300_000));
    let put = s3
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .body(ByteStream::from(body.clone()))
        .content_type("text/plain")
        .metadata("colour", "red")
        .send()
        .await?;
    assert!(
        put.checksum_crc32().is_some(),
        "the SDK's own checksum is answered"
    );
    let got = s3.get_object().bucket(BUCKET).key(key).send().await?;
    assert_eq!(
        got.metadata()
            .and_then(|all| all.get("colour"))
            .map(String::as_str),
        Some("red")
    );
    assert_eq!(got.content_type(), Some("text/plain"));
    assert_eq!(got.body.collect().await?.to_vec(), body);
    for algorithm in [
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha256,
        ChecksumAlgorithm::Sha1,
    ] {
        let put = s3
            .put_object()
            .bucket(BUCKET)
            .key("summed")
            .checksum_algorithm(algorithm);
        put.body(ByteStream::from_static(b"summed")).send().await?;
        let got = s3.get_object().bucket(BUCKET).key("summed").send().await?;
        assert_eq!(got.body.collect().await?.to_vec(), b"summed");
    }
    let again = s3.put_object().bucket(BUCKET).key(key).if_none_match("*");
    let again = again.body(ByteStream::from_static(b"x")).send().await;
    assert_eq!(code(again), "PreconditionFailed");
    let tag = put.e_tag().unwrap_or_default();
    let same = s3
        .get_object()
        .bucket(BUCKET)
        .key(key)
        .if_match(tag)
        .range("bytes=10-19");
    let same = same.send().await?;
    assert_eq!(same.content_range(), Some("bytes 10-19/300000"));
    assert_eq!(
        code(s3.get_object().bucket(BUCKET).key("none").send().await),
        "NoSuchKey"
    );
    assert_eq!(
        code(s3.head_object().bucket(BUCKET).key("none").send().await),
        "NotFound"
    );
    let copied = s3.copy_object().bucket(BUCKET).key("copy");
    copied
        .copy_source(format!("{BUCKET}/a%20b/%C3%BC%2B"))
        .send()
        .await?;
    let tags = Tagging::builder()
        .tag_set(Tag::builder().key("k").value("v w").build()?)
        .build()?;
    s3.put_object_tagging()
        .bucket(BUCKET)
        .key("copy")
        .tagging(tags)
        .send()
        .await?;
    let tags = s3
        .get_object_tagging()
        .bucket(BUCKET)
        .key("copy")
        .send()
        .await?;
    assert_eq!(tags.tag_set().first().map(Tag::value), Some("v w"));
    Ok(())
}

async fn parts(s3: &Client) -> Outcome {
    let whole = noise(2 * PART + 12_345);
    let begun = s3.create_multipart_upload().bucket(BUCKET).key("parts");
    let begun = begun
        .checksum_algorithm(ChecksumAlgorithm::Crc32C)
        .send()
        .await?;
    let upload = begun.upload_id().unwrap_or_default();
    let mut done = CompletedMultipartUpload::builder();
    for (number, part) in (1..).zip(whole.chunks(PART)) {
        let sent = s3
            .upload_part()
            .bucket(BUCKET)
            .key("parts")
            .upload_id(upload)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32C)
            .body(ByteStream::from(part.to_vec()))
            .send()
            .await?;
        let part = CompletedPart::builder().part_number(number);
        let part = part
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32_c(sent.checksum_crc32_c);
        done = done.parts(part.build());
    }
    let listed = s3
        .list_parts()
        .bucket(BUCKET)
        .key("parts")
        .upload_id(upload)
        .send()
        .await?;
    assert_eq!(listed.parts().len(), 3);
    let complete = s3
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("parts")
        .upload_id(upload);
    let complete = complete.multipart_upload(done.build()).send().await?;
    assert!(
        complete.e_tag().is_some_and(|tag| tag.ends_with("-3\"")),
        "{complete:?}"
    );
    let second = s3
        .get_object()
        .bucket(BUCKET)
        .key("parts")
        .part_number(2)
        .send()
        .await?;
    assert_eq!(second.parts_count(), Some(3));
    assert_eq!(second.body.collect().await?.to_vec(), whole[PART..2 * PART]);
    let got = s3.get_object().bucket(BUCKET).key("parts").send().await?;
    assert_eq!(got.body.collect().await?.to_vec(), whole);
    Ok(())
}

async fn pages(s3: &Client) -> Outcome {
    for number in 0..25 {
        let put = s3.put_object().bucket(BUCKET).key(format!("many/{number}"));
        put.body(ByteStream::from_static(b"one")).send().await?;
    }
    let mut keys = Vec::new();
    let list = s3.list_objects_v2().bucket(BUCKET).prefix("many/");
    let mut pages = list.into_paginator().page_size(10).send();
    while let Some(page) = pages.next().await {
        let page = page?;
        keys.extend(
            page.contents()
                .iter()
                .filter_map(|one| one.key().map(str::to_owned)),
        );
    }
    assert_eq!(keys.len(), 25);
    let mut delete = Delete::builder();
    for key in keys {
        delete = delete.objects(ObjectIdentifier::builder().key(key).build()?);
    }
    let told = s3
        .delete_objects()
        .bucket(BUCKET)
        .delete(delete.build()?)
        .send()
        .await?;
    assert_eq!((told.deleted().len(), told.errors().len()), (25, 0));
    Ok(())
}

async fn versions(s3: &Client) -> Outcome {
    let on = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    s3.put_bucket_versioning()
        .bucket(BUCKET)
        .versioning_configuration(on)
        .send()
        .await?;
    let second = s3
        .put_object()
        .bucket(BUCKET)
        .key("copy")
        .body(ByteStream::from_static(b"second"));
    let second = second.send().await?;
    s3.delete_object().bucket(BUCKET).key("copy").send().await?;
    assert_eq!(
        code(s3.get_object().bucket(BUCKET).key("copy").send().await),
        "NoSuchKey"
    );
    let old = s3
        .get_object()
        .bucket(BUCKET)
        .key("copy")
        .set_version_id(second.version_id);
    assert_eq!(old.send().await?.body.collect().await?.to_vec(), b"second");
    let listed = s3
        .list_object_versions()
        .bucket(BUCKET)
        .prefix("copy")
        .send()
        .await?;
    assert_eq!(
        (listed.versions().len(), listed.delete_markers().len()),
        (2, 1)
    );
    Ok(())
}

/// What was signed, sent by no SDK at all.
async fn presigned(s3: &Client) -> Outcome {
    let valid = PresigningConfig::expires_in(Duration::from_secs(60))?;
    let get = s3
        .get_object()
        .bucket(BUCKET)
        .key("a b/ü+")
        .presigned(valid)
        .await?;
    let rest = get.uri().strip_prefix("http://").unwrap_or_default();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut stream = std::net::TcpStream::connect(host)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    assert!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&answer[..200])
    );
    assert!(answer.ends_with(&noise(300_000)));
    Ok(())
}
