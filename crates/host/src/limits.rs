//! What the operating system lets this process have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit of open files as far as this process may, and returns it.
pub fn open_files_max() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where raising is not allowed, what is in force counts.
    let _refused = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
