//! Segment files that are open for reading.

use crate::blocks::{Place, Segment};
use crate::layout::Layout;
use std::collections::BTreeMap;
use std::sync::Arc;
use trestle_core::{Error, Result};
use trestle_engine::locks::Mutex;
use trestle_host::{File, Host, OpenMode};

/// How many stay open.
const OPEN_FILES_MAX: usize = 256;

/// A cache of open files; shared by readers and by who removes segments.
pub(crate) struct Files {
    host: Host,
    layout: Layout,
    open: Mutex<BTreeMap<Segment, Arc<dyn File>>>,
}

impl Files {
    pub(crate) fn new(host: &Host, layout: &Layout) -> Self {
        Files {
            host: host.clone(),
            layout: layout.clone(),
            open: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, segment: Segment) -> Result<Arc<dyn File>> {
        if let Some(file) = self.open.lock().get(&segment) {
            return Ok(file.clone());
        }
        let opened = self.layout.open(&self.host, segment, OpenMode::Read);
        let file = opened.map_err(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            if missing {
                Error::corrupt(format!("segment {:016x} is missing", segment.1)).with_source(error)
            } else {
                Error::from(error)
            }
        })?;
        let mut open = self.open.lock();
        if open.len() >= OPEN_FILES_MAX {
            open.pop_first();
        }
        open.insert(segment, file.clone());
        Ok(file)
    }

    /// Closes a log segment that nobody can read any more.
    pub(crate) fn forget(&self, segment: u64) {
        self.open.lock().remove(&(Place::Log, segment));
    }

    /// Removes a segment that nobody can read any more.
    pub(crate) fn remove(&self, segment: Segment) -> Result<()> {
        self.open.lock().remove(&segment);
        self.layout.remove(&self.host, segment)
    }
}
