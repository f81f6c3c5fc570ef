//! One executor for everything: workers take turns, in order, on one thread.

use futures::future::BoxFuture;
use futures::task::noop_waker;
use parking_lot::Mutex;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use trestle_host::{BlockingCall, Spawn};

/// Rounds without an end that count as a deadlock.
const ROUNDS_MAX: usize = 1_000_000;

/// A deterministic `Spawn`.
#[derive(Default)]
pub struct SimSpawn {
    workers: Mutex<Vec<Worker>>,
    /// The name of workers that get no turn.
    held: Mutex<Option<&'static str>>,
}

/// A worker, by its name.
struct Worker(String, BoxFuture<'static, ()>);

impl std::fmt::Debug for SimSpawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimSpawn")
    }
}

impl SimSpawn {
    /// Runs `work` and the workers by turns until it ends; None when it never would.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let waker = noop_waker();
        let mut context = Context::from_waker(&waker);
        for _ in 0..ROUNDS_MAX {
            if let Poll::Ready(value) = work.as_mut().poll(&mut context) {
                return Some(value);
            }
            self.turn(&mut context);
        }
        None
    }

    fn turn(&self, context: &mut Context<'_>) {
        let workers = std::mem::take(&mut *self.workers.lock());
        let mut living = Vec::new();
        let held = *self.held.lock();
        for Worker(name, mut work) in workers {
            if held == Some(name.as_str()) || work.as_mut().poll(context).is_pending() {
                living.push(Worker(name, work));
            }
        }
        let mut workers = self.workers.lock();
        living.append(&mut workers);
        *workers = living;
    }

    /// Gives workers of this name no turn from now on: their work takes as long as one likes.
    pub fn hold(&self, name: Option<&'static str>) {
        *self.held.lock() = name;
    }

    /// Lets every worker that can end do so.
    pub fn settle(&self) {
        let waker = noop_waker();
        for _ in 0..100 {
            self.turn(&mut Context::from_waker(&waker));
        }
    }

    /// The process is gone, and all its workers with it.
    pub fn kill(&self) {
        let workers = std::mem::take(&mut *self.workers.lock());
        drop(workers);
    }
}

impl Spawn for SimSpawn {
    fn worker(&self, name: &str, work: BoxFuture<'static, ()>) -> io::Result<()> {
        self.workers.lock().push(Worker(name.to_owned(), work));
        Ok(())
    }

    fn blocking(&self, call: BlockingCall) -> BoxFuture<'static, ()> {
        call();
        Box::pin(std::future::ready(()))
    }
}
