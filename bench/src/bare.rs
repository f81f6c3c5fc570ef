//! The ceiling: a hyper server that does only what cannot be left out. PUT appends the body to one
//! file in groups with one fdatasync each; GET reads from the page cache and verifies a CRC.
//!
//! It has no keys, no metadata, no recovery, no authentication, no log, and verifies no framing.

use crate::Result;
use crate::arguments::Arguments;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use rustix::io::ReadWriteFlags;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};

/// Bodies beyond this are streamed into a file of their own.
const SMALL: u64 = 128 << 10;
/// Bytes of one read.
const PIECE: usize = 256 << 10;

/// A fixed body, or pieces of a file with their checksums.
enum Out {
    Fixed(Bytes),
    Pieces { content: Arc<Content>, next: usize },
}

/// The one content of a size, which every GET of that size is answered with.
struct Content {
    file: File,
    length: usize,
    checksums: Vec<u64>,
}

impl Content {
    fn make(folder: &Path, length: usize) -> Result<Self> {
        let path = folder.join(format!("content-{length}"));
        let bytes = trestle_tests::tree::noise(1, length);
        std::fs::write(&path, &bytes)?;
        let crc = |piece: &[u8]| checksum(CrcAlgorithm::Crc32Iscsi, piece);
        let checksums = bytes.chunks(PIECE).map(crc).collect();
        Ok(Content {
            file: File::open(path)?,
            length,
            checksums,
        })
    }

    fn piece(&self, number: usize) -> std::io::Result<Bytes> {
        let at = number * PIECE;
        let mut buffer = vec![0; PIECE.min(self.length - at)];
        let mut filled = 0;
        while filled < buffer.len() {
            let mut slices = [IoSliceMut::new(&mut buffer[filled..])];
            let place = (at + filled) as u64;
            filled +=
                match rustix::io::preadv2(&self.file, &mut slices, place, ReadWriteFlags::NOWAIT) {
                    // The system has taken the page back since it was last read.
                    Err(rustix::io::Errno::AGAIN) => {
                        self.file.read_exact_at(&mut buffer[filled..], place)?;
                        buffer.len() - filled
                    }
                    count => count?,
                };
        }
        if self.checksums.get(number) != Some(&checksum(CrcAlgorithm::Crc32Iscsi, &buffer)) {
            return Err(std::io::Error::other("a checksum differs"));
        }
        Ok(buffer.into())
    }
}

impl Body for Out {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match &mut *self {
            Out::Fixed(bytes) if bytes.is_empty() => None,
            Out::Fixed(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Out::Pieces { content, next } if *next < content.checksums.len() => {
                *next += 1;
                Some(content.piece(*next - 1).map(Frame::data))
            }
            Out::Pieces { .. } => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Out::Fixed(bytes) => bytes.len() as u64,
            Out::Pieces { content, next } => content.length.saturating_sub(next * PIECE) as u64,
        })
    }
}

type Append = (Bytes, oneshot::Sender<()>);

struct Server {
    folder: std::path::PathBuf,
    appends: mpsc::UnboundedSender<Append>,
    contents: Vec<Arc<Content>>,
}

/// Appends what waits, as one write and one sync, and answers.
fn append_groups(file: &File, mut waiting: mpsc::UnboundedReceiver<Append>) -> Result<()> {
    let (mut offset, mut allocated) = (0u64, 0u64);
    while let Some((first, done)) = waiting.blocking_recv() {
        let (mut group, mut answers) = (first.to_vec(), vec![done]);
        while let Ok((body, done)) = waiting.try_recv() {
            group.extend_from_slice(&body);
            answers.push(done);
        }
        let end = offset + group.len() as u64;
        if end > allocated {
            let step = 8 << 20;
            let flags = rustix::fs::FallocateFlags::empty();
            rustix::fs::fallocate(file, flags, allocated, end - allocated + step)?;
            allocated = end + step;
        }
        file.write_all_at(&group, offset)?;
        file.sync_data()?;
        offset = end;
        for answer in answers {
            // Whoever asked may be gone.
            let _gone = answer.send(());
        }
    }
    Ok(())
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Out>> {
        let mut response = Response::new(Out::Fixed(Bytes::new()));
        if request.method() == Method::PUT {
            self.put(request.into_body()).await?;
            *response.status_mut() = StatusCode::CREATED;
            return Ok(response);
        }
        // `/rest/b/{tag}-{size}/…`
        let size = request
            .uri()
            .path()
            .split(['-', '/'])
            .nth(4)
            .and_then(|part| part.parse().ok());
        let content = self
            .contents
            .iter()
            .find(|content| Some(content.length) == size);
        let content = content.ok_or("no such size")?.clone();
        *response.body_mut() = if content.checksums.len() == 1 {
            Out::Fixed(content.piece(0)?)
        } else {
            Out::Pieces { content, next: 0 }
        };
        Ok(response)
    }

    async fn put(&self, mut body: Incoming) -> Result<()> {
        let large = body.size_hint().exact().is_none_or(|length| length > SMALL);
        let mut whole = Vec::new();
        let mut file = None;
        let mut offset = 0;
        while let Some(frame) =
            std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        {
            let Ok(piece) = frame?.into_data() else {
                continue;
            };
            whole.extend_from_slice(&piece);
            if large && whole.len() >= 512 << 10 {
                let file = match &file {
                    Some(file) => file,
                    None => file.insert(self.fresh()?),
                };
                file.write_all_at(&whole, offset)?;
                offset += whole.len() as u64;
                whole.clear();
            }
        }
        if let Some(file) = file {
            file.write_all_at(&whole, offset)?;
            tokio::task::spawn_blocking(move || file.sync_data()).await??;
            whole.clear();
        }
        let (done, waits) = oneshot::channel();
        self.appends.send((whole.into(), done))?;
        Ok(waits.await?)
    }

    fn fresh(&self) -> Result<File> {
        let path = self.folder.join("stream");
        let file = File::create(&path)?;
        std::fs::remove_file(path)?;
        Ok(file)
    }
}

/// The bare server's process.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = std::path::PathBuf::from(arguments.text("folder", ".")?);
    let contents = crate::throughput::SIZES
        .iter()
        .map(|size| Content::make(&folder, *size).map(Arc::new))
        .collect::<Result<Vec<_>>>()?;
    let file = File::create(folder.join("log"))?;
    let (appends, waiting) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        if let Err(error) = append_groups(&file, waiting) {
            eprintln!("bare: {error}");
            std::process::exit(1);
        }
    });
    let server = Arc::new(Server {
        folder,
        appends,
        contents,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let server = server.clone();
            tokio::spawn(async move {
                let answer = |request| {
                    let server = server.clone();
                    async move {
                        server
                            .answer(request)
                            .await
                            .map_err(|error| error.to_string())
                    }
                };
                // A client that goes away ends its connection.
                let _ended = hyper::server::conn::http1::Builder::new()
                    .serve_connection(
                        hyper_util::rt::TokioIo::new(stream),
                        hyper::service::service_fn(answer),
                    )
                    .await;
            });
        }
    })
}
