//! The embedded engine behind the two ports.

use crate::blocks::Run;
use crate::committer::{Message, Poison, Request, commit_bytes_max, unavailable};
use crate::data;
use crate::files::Files;
use crate::index::Index;
use crate::space::Event;
use crate::streams::Streams;
use crate::view::CurrentView;
use bytes::Bytes;
use futures::future::BoxFuture;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc, oneshot};
use trestle_core::{Error, ErrorKind, Result, Sequence};
use trestle_engine::data::{READ_BYTES_MAX, ROWS_BYTES_MAX};
use trestle_engine::meta::COMMIT_BYTES_MAX;
use trestle_engine::{
    BodyRef, Commit, Committed, Data, DataWriter, Engine, Meta, MetaRead, Redundancy, Token,
};
use trestle_host::{File, Host};

/// An open store.
pub(crate) struct Embedded {
    pub(crate) host: Host,
    pub(crate) view: Arc<CurrentView>,
    pub(crate) inbox: mpsc::Sender<Message>,
    /// To the keeper.
    pub(crate) events: mpsc::UnboundedSender<Event>,
    /// Ends when all workers have: nothing is ever sent.
    pub(crate) workers: AsyncMutex<mpsc::Receiver<Infallible>>,
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) poison: Arc<Poison>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) files: Arc<Files>,
    pub(crate) body_bytes_max: usize,
    /// The index, when no checkpointer has it.
    pub(crate) _index: Option<Index>,
    /// Held for as long as the engine lives.
    pub(crate) _lock: Arc<dyn File>,
}

impl Embedded {
    pub(crate) fn ports(self) -> Engine {
        let engine = Arc::new(self);
        Engine {
            meta: engine.clone(),
            data: engine,
            pins: Arc::default(),
        }
    }

    async fn read_run(&self, body: &BodyRef, range: Range<u64>) -> Result<Bytes> {
        if range.end.saturating_sub(range.start) > READ_BYTES_MAX {
            return Err(Error::invalid("a read of more than its limit"));
        }
        let run = Run::from_handle(&body.handle)?;
        let file = self.files.get((run.place, run.segment))?;
        run.read(&self.host, file, range).await
    }
}

impl Meta for Embedded {
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn MetaRead>>> {
        let view: Box<dyn MetaRead> = Box::new(self.view.read().clone());
        Box::pin(std::future::ready(Ok(view)))
    }

    fn sequence(&self) -> Sequence {
        self.view.read().sequence
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed>> {
        Box::pin(async move {
            let bytes = commit_bytes_max(&commit);
            if bytes > 2 * COMMIT_BYTES_MAX {
                return Err(Error::new(ErrorKind::TooLarge, "a commit is too large"));
            }
            let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
            let permit = self
                .in_flight
                .clone()
                .acquire_many_owned(permits)
                .await
                .map_err(|_| unavailable())?;
            let (reply, answer) = oneshot::channel();
            let request = Request {
                commit,
                reply,
                _permit: permit,
            };
            self.inbox
                .send(Message::Commit(request))
                .await
                .map_err(|_| unavailable())?;
            answer.await.unwrap_or_else(|_| Err(unavailable()))
        })
    }

    fn writable(&self) -> Result<()> {
        self.poison.check()
    }

    fn tidy(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.inbox
                .send(Message::Tidy(reply))
                .await
                .map_err(|_| unavailable())?;
            answer.await.unwrap_or_else(|_| Err(unavailable()))?;
            let (reply, answer) = oneshot::channel();
            self.events
                .send(Event::Tidy(reply))
                .map_err(|_| unavailable())?;
            answer.await.unwrap_or_else(|_| Err(unavailable()))
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.inbox
                .send(Message::Close(reply))
                .await
                .map_err(|_| unavailable())?;
            let outcome = answer.await.unwrap_or_else(|_| Err(unavailable()));
            // A keeper that has gone needs not be told.
            let _gone = self.events.send(Event::Close);
            // The index is closed by then, too: a process that ends now interrupts nothing.
            let None = self.workers.lock().await.recv().await;
            outcome
        })
    }
}

impl Data for Embedded {
    fn write(&self, rows: Bytes) -> BoxFuture<'_, Result<Box<dyn DataWriter>>> {
        Box::pin(async move {
            if rows.len() > ROWS_BYTES_MAX {
                return Err(Error::invalid("the keys of a stream's rows are too long"));
            }
            data::writer(&self.streams, rows).await
        })
    }

    fn read_body<'a>(
        &'a self,
        body: &'a BodyRef,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(self.read_run(body, range))
    }

    fn redundancy(&self) -> Redundancy {
        Redundancy {
            copies: 1,
            infrastructures: 1,
        }
    }

    fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    fn abandon(&self, token: Token) {
        self.streams.abandon(token);
    }
}
