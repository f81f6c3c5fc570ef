//! Tasks: a thread of one's own for a long-lived worker, and a pool for calls that may block.

use futures::future::BoxFuture;

/// A call that may block.
pub type BlockingCall = Box<dyn FnOnce() + Send>;

/// Where work runs.
pub trait Spawn: Send + Sync {
    /// Runs a worker for as long as it lasts, where it may block: a thread of its own on a real
    /// machine, a task of the one executor on a simulated one.
    ///
    /// # Errors
    /// When the system has no thread left.
    fn worker(&self, name: &str, work: BoxFuture<'static, ()>) -> std::io::Result<()>;

    /// Runs a call that may block, away from the asynchronous threads. The returned future ends
    /// after the call has run; dropping it does not cancel the call.
    fn blocking(&self, call: BlockingCall) -> BoxFuture<'static, ()>;
}

/// Threads of this process; `blocking` needs a Tokio runtime.
#[derive(Debug)]
pub struct ThreadSpawn;

impl Spawn for ThreadSpawn {
    fn worker(&self, name: &str, work: BoxFuture<'static, ()>) -> std::io::Result<()> {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || futures::executor::block_on(work))
            .map(drop)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn blocking(&self, call: BlockingCall) -> BoxFuture<'static, ()> {
        let task = tokio::task::spawn_blocking(call);
        Box::pin(async move {
            // A panic in the call was already reported by the panic hook; its sender side is gone,
            // which is what the waiting caller sees.
            let _ended = task.await;
        })
    }
}
