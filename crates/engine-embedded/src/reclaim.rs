//! Moves what still lives out of a log segment, a batch at a time, so that the segment can go.
//!
//! A moved row keeps its value and revision; only its bytes are written again, by a commit of their
//! own. The committer looks at each row once more: one that was changed meanwhile stays as it is.

use crate::blocks::{Place, Run};
use crate::committer::Message;
use crate::files::Files;
use crate::format::{
    GROUP_HEADER_BYTES, GROUPS_START, GroupHeader, GroupKind, decode_entries, entry_bytes_max,
    read_group,
};
use crate::log::find_header;
use crate::phase::{self, Phase};
use crate::view::CurrentView;
use bytes::Bytes;
use std::collections::VecDeque;
use tokio::sync::{mpsc, oneshot};
use trestle_core::{Error, ErrorKind, Result};

/// Bytes moved at once: as long as a group with that many takes, other commits wait.
const BATCH_BYTES: usize = 512 << 10;
/// Bytes of the log that are read at once, with one group more.
const READ_BYTES: u64 = 1 << 20;
/// Largest group that is read: one commit more than a group takes.
const GROUP_BYTES_MAX: u32 = 64 << 20;

/// A row whose bytes are to be written again.
pub(crate) struct Moved {
    pub(crate) key: Bytes,
    /// Where its bytes were found.
    pub(crate) run: Run,
    pub(crate) bytes: Bytes,
    /// Length of its value.
    pub(crate) value_bytes: usize,
}

impl Moved {
    /// Upper bound of what it adds to a group; a row's value is not longer than a commit's.
    pub(crate) fn group_bytes_max(&self) -> usize {
        entry_bytes_max(self.key.len(), self.value_bytes, self.bytes.len())
    }
}

/// The walk through one segment.
pub(crate) struct Move {
    segment: u64,
    nonce: Option<u64>,
    offset: u64,
    /// Found in groups that were read, and not yet moved.
    found: VecDeque<Moved>,
    found_bytes: usize,
    /// Answers with what became of the batch that was sent last.
    sent: Option<oneshot::Receiver<Result<()>>>,
}

impl Move {
    pub(crate) fn new(segment: u64) -> Self {
        Move {
            segment,
            nonce: None,
            offset: GROUPS_START,
            found: VecDeque::new(),
            found_bytes: 0,
            sent: None,
        }
    }

    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }

    /// Reads on until a batch is full, and hands it to the committer when that has written the one
    /// before: one is read while the other is written. None when the segment has been gone through.
    ///
    /// # Errors
    /// `Corrupt` when a group is not whole; `NoSpace`; `Unavailable`.
    pub(crate) async fn step(
        &mut self,
        files: &Files,
        view: &CurrentView,
        committer: &mpsc::Sender<Message>,
    ) -> Result<Option<()>> {
        let until = self.offset + READ_BYTES;
        let mut ended = false;
        while self.found_bytes < BATCH_BYTES && self.offset < until && !ended {
            ended = self.read_group(files, view)?.is_none();
        }
        if let Some(sent) = self.sent.take() {
            sent.await.map_err(|_| closed())??;
        }
        if self.found.is_empty() {
            return Ok((!ended).then_some(()));
        }
        let (reply, answer) = oneshot::channel();
        committer
            .send(Message::Move(self.batch(), reply))
            .await
            .map_err(|_| closed())?;
        self.sent = Some(answer);
        Ok(Some(()))
    }

    /// What is moved next.
    fn batch(&mut self) -> Vec<Moved> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES
            && let Some(moved) = self.found.pop_front()
        {
            bytes += moved.bytes.len();
            batch.push(moved);
        }
        self.found_bytes -= bytes;
        batch
    }

    fn read_group(&mut self, files: &Files, view: &CurrentView) -> Result<Option<()>> {
        let _inside = phase::inside(Phase::Move);
        let file = files.get((Place::Log, self.segment))?;
        let nonce = match self.nonce {
            Some(nonce) => nonce,
            None => match find_header(&*file)? {
                Some((_, header)) => header.nonce,
                None => return Err(self.damaged()),
            },
        };
        self.nonce = Some(nonce);
        let offset = self.offset;
        if offset + GROUP_HEADER_BYTES as u64 > file.len()? {
            return Ok(None);
        }
        let mut bytes = vec![0; GROUP_HEADER_BYTES];
        file.read_at(&mut bytes, offset)?;
        let header = GroupHeader::decode(&bytes, nonce)
            .map(|(header, _)| header)
            .filter(|header| header.payload_bytes <= GROUP_BYTES_MAX);
        // What an interrupted run left at the end of its segment holds nothing that lives.
        let Some(header) = header else {
            return Ok(None);
        };
        bytes.resize(GROUP_HEADER_BYTES + header.payload_bytes as usize, 0);
        file.read_at(&mut bytes, offset)?;
        let Some(group) = read_group(&bytes, self.segment, nonce) else {
            return Ok(None);
        };
        self.offset += header.group_bytes();
        if header.kind == GroupKind::Commits {
            let entries = decode_entries(group.payload, self.segment, offset)
                .ok_or_else(|| self.damaged())?;
            let view = view.read().clone();
            for entry in entries {
                let Some((value_bytes, run, bytes)) = entry
                    .put
                    .and_then(|put| Some((put.value.len(), put.body?, put.attached?)))
                else {
                    continue;
                };
                let row = view.get(entry.key)?;
                if row.and_then(|row| row.body).as_ref() == Some(&run) {
                    self.found_bytes += bytes.len();
                    self.found.push_back(Moved {
                        key: Bytes::copy_from_slice(entry.key),
                        run,
                        bytes: Bytes::copy_from_slice(bytes),
                        value_bytes,
                    });
                }
            }
        }
        Ok(Some(()))
    }

    fn damaged(&self) -> Error {
        Error::corrupt(format!("log segment {:016x} is damaged", self.segment))
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the store is closed")
}
