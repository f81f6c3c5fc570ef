//! Who uses which data segment: streams that run, finished ones that wait for their commit, and
//! segments that take the next stream.
//!
//! A segment that nobody uses, and whose last commit the index holds, is described by the index
//! alone: only then may the sweep and the removal of dead segments touch it.

use crate::blocks::{ALIGN, Place, Run};
use crate::codec::crc64;
use crate::committer::Poison;
use crate::format::FORMAT_VERSION;
use crate::headroom::Headroom;
use crate::layout::Layout;
use crate::space::{Event, Freed};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;
use trestle_core::{Error, ErrorKind, Result, Sequence};
use trestle_engine::locks::Mutex;
use trestle_engine::{Body, Commit, Token, Write};
use trestle_host::{File, Host, OpenMode};

const MAGIC: [u8; 8] = *b"TRSTDAT1";

/// Idle segments that stay open.
const IDLE_OPEN_MAX: usize = 64;

/// A data segment that takes streams, one at a time.
pub(crate) struct OpenSegment {
    pub(crate) id: u64,
    pub(crate) file: Arc<dyn File>,
    pub(crate) end: u64,
}

/// Where a stream lies, trailers and all.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) segment: u64,
    pub(crate) bytes: Range<u64>,
}

impl Span {
    fn holds(&self, run: &Run) -> bool {
        run.place == Place::Data && run.segment == self.segment && self.bytes.contains(&run.offset)
    }
}

/// The use of a segment in this run.
#[derive(Default)]
struct Use {
    /// Streams and tokens.
    holders: usize,
    /// The last commit that named one of its streams.
    committed: Sequence,
}

#[derive(Default)]
struct State {
    idle: Vec<OpenSegment>,
    /// More idle segments, closed: id and end.
    parked: Vec<(u64, u64)>,
    uses: BTreeMap<u64, Use>,
    live: HashMap<Token, Span>,
    /// Tokens of commits in the group that is being written.
    taken: Vec<(Token, Span)>,
}

impl State {
    fn let_go(&mut self, segment: u64) {
        if let Some(used) = self.uses.get_mut(&segment) {
            used.holders = used.holders.saturating_sub(1);
        }
    }
}

/// The data segments of this run. Those of earlier runs are only read.
pub(crate) struct Streams {
    pub(crate) host: Host,
    layout: Layout,
    store: [u8; 16],
    pub(crate) poison: Arc<Poison>,
    next_segment: AtomicU64,
    next_token: AtomicU64,
    /// A segment takes no further stream beyond this length.
    segment_bytes: u64,
    /// Commits up to here may name segments of earlier runs.
    recovered: Sequence,
    state: Mutex<State>,
    /// To the keeper, which ends when nobody else can tell it anything.
    events: mpsc::WeakUnboundedSender<Event>,
    pub(crate) headroom: Arc<Headroom>,
}

impl Streams {
    pub(crate) fn open(
        host: &Host,
        layout: &Layout,
        store: [u8; 16],
        segment_bytes: u64,
        recovered: Sequence,
        events: mpsc::WeakUnboundedSender<Event>,
        headroom: Arc<Headroom>,
    ) -> Result<Self> {
        let newest = layout.data_segments(host)?.last().copied().unwrap_or(0);
        Ok(Streams {
            host: host.clone(),
            layout: layout.clone(),
            store,
            poison: Arc::default(),
            next_segment: AtomicU64::new(newest + 1),
            next_token: AtomicU64::new(0),
            segment_bytes,
            recovered,
            state: Mutex::default(),
            events,
            headroom,
        })
    }

    /// A segment for a stream, in use from now on; none when one has to be made.
    pub(crate) fn take_idle(&self) -> Option<OpenSegment> {
        let mut state = self.state.lock();
        let segment = state.idle.pop()?;
        state.uses.entry(segment.id).or_default().holders += 1;
        Some(segment)
    }

    /// Opens or makes a segment for a stream, in use from now on. Blocks.
    pub(crate) fn open_segment(&self) -> Result<OpenSegment> {
        let mut state = self.state.lock();
        let Some((id, end)) = state.parked.pop() else {
            drop(state);
            return self.make_segment();
        };
        state.uses.entry(id).or_default().holders += 1;
        drop(state);
        let opened = self
            .layout
            .open(&self.host, (Place::Data, id), OpenMode::ReadWrite);
        match opened {
            Ok(file) => Ok(OpenSegment { id, file, end }),
            Err(error) => {
                self.state.lock().let_go(id);
                Err(error.into())
            }
        }
    }

    fn make_segment(&self) -> Result<OpenSegment> {
        let id = self.next_segment.fetch_add(1, Ordering::Relaxed);
        let mut header = Vec::with_capacity(ALIGN as usize);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&self.store);
        header.extend_from_slice(&id.to_be_bytes());
        let checksum = crc64(&header);
        header.extend_from_slice(&checksum.to_be_bytes());
        header.resize(ALIGN as usize, 0);
        let holders = Use {
            holders: 1,
            committed: Sequence(0),
        };
        self.state.lock().uses.insert(id, holders);
        let created = self.layout.create_data_segment(&self.host, id, &header);
        match self.poison_if_unsynced(created) {
            Ok(file) => Ok(OpenSegment {
                id,
                file,
                end: ALIGN,
            }),
            Err(error) => {
                self.state.lock().let_go(id);
                Err(error)
            }
        }
    }

    /// Passes on the outcome of a write. Only a failed sync is beyond repair: a failed write harms
    /// its stream alone.
    pub(crate) fn poison_if_unsynced<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| {
            if error.kind() == ErrorKind::Unavailable {
                self.poison.set();
            }
        })
    }

    /// A stream has finished: its segment may take the next one, and the token holds its bytes.
    pub(crate) fn finished(&self, segment: OpenSegment, span: Span) -> Token {
        let token = Token(self.next_token.fetch_add(1, Ordering::Relaxed));
        let mut state = self.state.lock();
        state.live.insert(token, span);
        self.give_back(&mut state, segment);
        token
    }

    /// A stream was given up: frees what it wrote.
    pub(crate) fn broken_off(&self, segment: OpenSegment, span: Span) {
        let mut state = self.state.lock();
        state.let_go(segment.id);
        self.give_back(&mut state, segment);
        drop(state);
        self.free(span);
    }

    fn give_back(&self, state: &mut State, segment: OpenSegment) {
        if segment.end >= self.segment_bytes {
            return;
        }
        if state.idle.len() < IDLE_OPEN_MAX {
            state.idle.push(segment);
        } else {
            state.parked.push((segment.id, segment.end));
        }
    }

    /// Gives up bytes that no reader ever saw.
    fn free(&self, span: Span) {
        let freed = Freed {
            segment: span.segment,
            bytes: span.bytes,
        };
        let event = Event::Freed {
            pin: Weak::new(),
            extents: vec![freed],
        };
        // Without a keeper the store is closing; the next start sweeps.
        let _gone = self.events.upgrade().map(|events| events.send(event));
    }

    /// Ends a token that nobody will name; one that was taken is left alone.
    pub(crate) fn abandon(&self, token: Token) {
        let mut state = self.state.lock();
        let Some(span) = state.live.remove(&token) else {
            return;
        };
        state.let_go(span.segment);
        drop(state);
        self.free(span);
    }

    /// Fails with `Conflict` unless every token is live, and with `InvalidInput` when a row is to
    /// have an extent of another stream.
    pub(crate) fn check(&self, commit: &Commit) -> Result<()> {
        let state = self.state.lock();
        let live = |token| state.live.get(token);
        let spans: Option<Vec<&Span>> = commit.tokens.iter().map(live).collect();
        let spans = spans.ok_or_else(|| {
            Error::new(
                ErrorKind::Conflict,
                "a stream's durability token has expired",
            )
        })?;
        for write in &commit.writes {
            if let Write::Put {
                body: Some(Body::Streamed(extent)),
                ..
            } = write
            {
                let run = Run::from_handle(&extent.handle)?;
                if !spans.iter().any(|span| span.holds(&run)) {
                    return Err(Error::invalid(
                        "an extent is of none of the commit's tokens",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Takes tokens for a commit of the group that is being formed.
    pub(crate) fn take(&self, tokens: &[Token]) {
        let mut state = self.state.lock();
        for token in tokens {
            if let Some(entry) = state.live.remove_entry(token) {
                state.taken.push(entry);
            }
        }
    }

    /// The group up to `sequence` is durable: its tokens have ended.
    pub(crate) fn spend(&self, sequence: Sequence) {
        let mut state = self.state.lock();
        for (_, span) in std::mem::take(&mut state.taken) {
            state.let_go(span.segment);
            state.uses.entry(span.segment).or_default().committed = sequence;
        }
    }

    /// The group was not written: its tokens live on.
    pub(crate) fn restore(&self) {
        let mut state = self.state.lock();
        let taken = std::mem::take(&mut state.taken);
        state.live.extend(taken);
    }

    /// Whether the index at `base` says all about a segment.
    pub(crate) fn is_settled(&self, segment: u64, base: Sequence) -> bool {
        let state = self.state.lock();
        let idle = state.idle.iter().any(|idle| idle.id == segment)
            || state.parked.iter().any(|(id, _)| *id == segment);
        !idle && is_unused(&state, segment, base, self.recovered)
    }

    /// Takes a segment out of use for good, when the index at `base` says all about it.
    pub(crate) fn retire(&self, segment: u64, base: Sequence) -> bool {
        let mut state = self.state.lock();
        if !is_unused(&state, segment, base, self.recovered) {
            return false;
        }
        state.idle.retain(|idle| idle.id != segment);
        state.parked.retain(|(id, _)| *id != segment);
        state.uses.remove(&segment);
        true
    }
}

fn is_unused(state: &State, segment: u64, base: Sequence, recovered: Sequence) -> bool {
    if trestle_engine::canary::active(trestle_engine::canary::Canary::SweepRunningStreams) {
        return true;
    }
    base >= recovered
        && state
            .uses
            .get(&segment)
            .is_none_or(|used| used.holders == 0 && used.committed <= base)
}
