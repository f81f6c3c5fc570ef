//! One object to there, from there, or within the server.
//!
//! A large upload is a resumable one, whose URL is kept until it is done, so that the next run goes
//! on with it. A download goes to a file beside its target, which the next run goes on with while
//! the object is the same, and which takes the target's name when it is whole.

use crate::Result;
use crate::api::{Client, drain};
use crate::connection::{expect, problem, text};
use crate::name::{Place, Remote};
use crate::progress::Progress;
use bytes::Bytes;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, HeaderName, IF_RANGE, RANGE};
use http::{Method, StatusCode};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use trestle_core::{DigestAlgorithm, Hasher};
use trestle_host::{File, Host, OpenMode};
use trestle_http::{Body, incoming};

/// From this size on an upload is a resumable one.
const RESUMABLE_BYTES: u64 = 32 << 20;
/// Bytes that are read of a file at once.
const READ_BYTES: u64 = 1 << 20;
/// Tries of a transfer that breaks off, without any progress between.
const TRIES: u32 = 5;
const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");

/// A transfer that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// Bytes of the object; none when they stayed within the server.
    pub bytes: Option<u64>,
}

/// Copies one object.
///
/// # Errors
/// Why it could not be copied.
pub async fn copy(
    client: &Client,
    host: &Host,
    (from, to): (&Place, &Place),
    progress: &Arc<Progress>,
) -> Result<Done> {
    let bytes = match (from, to) {
        (Place::Local(path), Place::Remote(remote)) => {
            Some(upload(client, host, (path, remote), progress).await?)
        }
        (Place::Remote(remote), Place::Local(path)) => {
            Some(download(client, host, (remote, path), progress).await?)
        }
        (Place::Remote(from), Place::Remote(to)) => {
            client
                .copy(from, to)
                .await
                .map_err(|error| format!("{from}: {error}"))?;
            None
        }
        (Place::Local(_), Place::Local(_)) => {
            return Err("one of the two is at the server: //bucket/key".to_owned());
        }
    };
    Ok(Done {
        from: from.to_string(),
        to: to.to_string(),
        bytes,
    })
}

fn at_path(path: &Path) -> impl Fn(std::io::Error) -> String + '_ {
    move |error| format!("{}: {error}", path.display())
}

/// The media types of what people store most; others are bytes.
fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("txt" | "md" | "log") => "text/plain; charset=utf-8",
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("csv") => "text/csv",
        Some("js" | "mjs") => "text/javascript",
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("pdf") => "application/pdf",
        Some("zip") => "application/zip",
        Some("gz" | "tgz") => "application/gzip",
        Some("tar") => "application/x-tar",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("svg") => "image/svg+xml",
        Some("webp") => "image/webp",
        Some("mp4") => "video/mp4",
        Some("mp3") => "audio/mpeg",
        _ => "application/octet-stream",
    }
}

/// The bytes of a file from an offset on, counted as they are taken.
fn body(file: &Arc<dyn File>, from: u64, length: u64, progress: &Arc<Progress>) -> Body {
    let (file, progress) = (file.clone(), progress.clone());
    let pieces = futures::stream::unfold(
        (file, progress, from),
        move |(file, progress, at)| async move {
            let now = READ_BYTES.min(length.saturating_sub(at));
            if now == 0 {
                return None;
            }
            let mut piece = vec![0; usize::try_from(now).unwrap_or_default()];
            let read = file.read_at(&mut piece, at).map_err(|error| {
                trestle_core::Error::new(trestle_core::ErrorKind::Internal, error.to_string())
            });
            progress.add(now);
            let at = if read.is_ok() { at + now } else { length };
            Some((read.map(|()| Bytes::from(piece)), (file, progress, at)))
        },
    );
    Body::stream(length.saturating_sub(from), pieces)
}

async fn upload(
    client: &Client,
    host: &Host,
    (path, remote): (&Path, &Remote),
    progress: &Arc<Progress>,
) -> Result<u64> {
    let file = host
        .disk
        .open(path, OpenMode::Read)
        .map_err(at_path(path))?;
    let length = file.len().map_err(at_path(path))?;
    if length >= RESUMABLE_BYTES {
        resumable(client, host, (path, remote), &file, progress).await?;
        return Ok(length);
    }
    let headers = [(CONTENT_TYPE, media_type(path).to_owned())];
    let whole = || Ok(body(&file, 0, length, progress));
    let reply = client
        .send(&Method::PUT, &remote.path(), &headers, &whole)
        .await?;
    let successes = [StatusCode::CREATED, StatusCode::NO_CONTENT];
    let reply = expect(reply, &successes)
        .await
        .map_err(|error| format!("{remote}: {error}"))?;
    drain(reply).await?;
    Ok(length)
}

/// Where the URL of an upload is kept: a file whose name is a digest of what is uploaded.
fn kept(client: &Client, path: &Path, remote: &Remote, length: u64) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = match variable("XDG_STATE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(variable("HOME")?).join(".local/state"),
    };
    let modified = std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()?;
    let whole = std::fs::canonicalize(path).ok()?;
    let mut hasher = Hasher::new(&[DigestAlgorithm::Sha256]);
    let text = format!(
        "{}\0{remote}\0{}\0{length}\0{modified:?}",
        client.name,
        whole.display()
    );
    hasher.update(text.as_bytes());
    let digest = hasher.finish().get(DigestAlgorithm::Sha256)?.hex();
    Some(folder.join("trestle/uploads").join(digest))
}

fn read_small(host: &Host, path: &Path) -> Option<String> {
    let file = host.disk.open(path, OpenMode::Read).ok()?;
    let length = usize::try_from(file.len().ok()?)
        .ok()
        .filter(|length| *length <= 8192)?;
    let mut bytes = vec![0; length];
    file.read_at(&mut bytes, 0).ok()?;
    String::from_utf8(bytes).ok()
}

fn write_small(host: &Host, path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        host.disk.create_dir_all(folder)?;
    }
    match host.disk.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    host.disk
        .open(path, OpenMode::CreateNew)?
        .write_at(text.as_bytes(), 0)
}

fn tus() -> (HeaderName, String) {
    (TUS_RESUMABLE, "1.0.0".to_owned())
}

/// How much of an upload is there; none when the server knows nothing of it.
async fn offset(client: &Client, target: &str) -> Result<Option<u64>> {
    let reply = client.ask(&Method::HEAD, target, &[tus()]).await?;
    if reply.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let reply = expect(reply, &[StatusCode::OK]).await?;
    let offset = text(reply.headers(), UPLOAD_OFFSET.as_str()).and_then(|text| text.parse().ok());
    drain(reply).await?;
    offset
        .map(Some)
        .ok_or_else(|| "the server does not say how much it has".to_owned())
}

async fn begin(client: &Client, path: &Path, remote: &Remote, length: u64) -> Result<String> {
    use base64::Engine as _;
    let media_type = base64::engine::general_purpose::STANDARD.encode(media_type(path));
    let headers = [
        tus(),
        (UPLOAD_LENGTH, length.to_string()),
        (UPLOAD_METADATA, format!("filetype {media_type}")),
    ];
    let reply = client.ask(&Method::POST, &remote.path(), &headers).await?;
    let reply = expect(reply, &[StatusCode::CREATED]).await;
    let reply = reply.map_err(|error| format!("{remote}: {error}"))?;
    let location = text(reply.headers(), "location").map(str::to_owned);
    drain(reply).await?;
    location.ok_or_else(|| "the server does not say where the upload is".to_owned())
}

async fn resumable(
    client: &Client,
    host: &Host,
    (path, remote): (&Path, &Remote),
    file: &Arc<dyn File>,
    progress: &Arc<Progress>,
) -> Result<()> {
    let length = file.len().map_err(at_path(path))?;
    let kept = kept(client, path, remote, length);
    let known = kept.as_deref().and_then(|kept| read_small(host, kept));
    let mut at = None;
    let mut target = String::new();
    if let Some(known) = known {
        at = offset(client, &known).await?.filter(|at| *at < length);
        target = known;
    }
    let mut at = match at {
        Some(at) => at,
        None => {
            target = begin(client, path, remote, length).await?;
            if let Some(kept) = &kept {
                // Without it the next run begins anew, which is no harm but time.
                let _lost = write_small(host, kept, &target);
            }
            0
        }
    };
    progress.add(at);
    let mut tries = 0;
    while at < length {
        let headers = [
            tus(),
            (UPLOAD_OFFSET, at.to_string()),
            (CONTENT_TYPE, "application/offset+octet-stream".to_owned()),
        ];
        let rest = || Ok(body(file, at, length, progress));
        let sent = client.send(&Method::PATCH, &target, &headers, &rest).await;
        let failed = match sent {
            Ok(reply) if reply.status() == StatusCode::NO_CONTENT => {
                drain(reply).await?;
                break;
            }
            Ok(reply)
                if reply.status().is_client_error()
                    && reply.status() != StatusCode::LOCKED
                    && reply.status() != StatusCode::CONFLICT
                    && reply.status() != StatusCode::BAD_REQUEST =>
            {
                return Err(format!("{remote}: {}", problem(reply).await));
            }
            Ok(reply) => problem(reply).await,
            Err(error) => error,
        };
        tries += 1;
        if tries >= TRIES {
            return Err(format!(
                "{remote}: {failed}; the next run goes on where it broke off"
            ));
        }
        tokio::time::sleep(Duration::from_secs(1 << tries)).await;
        let Ok(Some(now)) = offset(client, &target).await else {
            continue;
        };
        if now > at {
            tries = 0;
        }
        at = now;
    }
    if let Some(kept) = kept {
        let _lost = host.disk.remove(&kept);
    }
    Ok(())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    path.with_file_name(format!("{}{ending}", name.unwrap_or_default()))
}

async fn download(
    client: &Client,
    host: &Host,
    (remote, path): (&Remote, &Path),
    progress: &Arc<Progress>,
) -> Result<u64> {
    let (part, tag) = (beside(path, ".part"), beside(path, ".part-etag"));
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        host.disk.create_dir_all(folder).map_err(at_path(folder))?;
    }
    let mut tries = 0;
    loop {
        match receive(client, host, remote, (&part, &tag), progress).await {
            Ok(length) => {
                host.disk.rename(&part, path).map_err(at_path(path))?;
                let _gone = host.disk.remove(&tag);
                return Ok(length);
            }
            Err((error, again)) => {
                tries += 1;
                if !again || tries >= TRIES {
                    return Err(format!("{remote}: {error}"));
                }
                tokio::time::sleep(Duration::from_secs(1 << tries)).await;
            }
        }
    }
}

/// Receives what is missing of a file; whether it is worth another try when it fails.
async fn receive(
    client: &Client,
    host: &Host,
    remote: &Remote,
    (part, tag): (&Path, &Path),
    progress: &Arc<Progress>,
) -> std::result::Result<u64, (String, bool)> {
    let broken = |error: String| (error, true);
    let local = |error: std::io::Error| (format!("{}: {error}", part.display()), false);
    let present = host.disk.open(part, OpenMode::ReadWrite).ok();
    let known = read_small(host, tag);
    let mut headers = Vec::new();
    if let (Some(present), Some(known)) = (&present, &known) {
        let length = present.len().map_err(local)?;
        if length > 0 {
            headers.push((RANGE, format!("bytes={length}-")));
            headers.push((IF_RANGE, known.clone()));
        }
    }
    let reply = client
        .ask(&Method::GET, &remote.path(), &headers)
        .await
        .map_err(broken)?;
    let status = reply.status();
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        // All of it is there, or of another object: it is asked for anew to be sure.
        let _gone = host.disk.remove(part);
        return Err((problem(reply).await, true));
    }
    if status != StatusCode::OK && status != StatusCode::PARTIAL_CONTENT {
        return Err((problem(reply).await, status.is_server_error()));
    }
    let (file, mut at) = match present {
        Some(file) if status == StatusCode::PARTIAL_CONTENT => {
            let length = file.len().map_err(local)?;
            (file, length)
        }
        _ => {
            let _gone = host.disk.remove(part);
            (host.disk.open(part, OpenMode::CreateNew).map_err(local)?, 0)
        }
    };
    if let Some(etag) = text(reply.headers(), "etag") {
        write_small(host, tag, etag).map_err(local)?;
    }
    progress.add(at);
    let mut pieces = incoming(reply.into_body());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| {
            progress.take_back(at);
            broken(error.to_string())
        })?;
        file.write_at(&piece, at).map_err(local)?;
        at += piece.len() as u64;
        progress.add(piece.len() as u64);
    }
    file.sync_data().map_err(local)?;
    Ok(at)
}
