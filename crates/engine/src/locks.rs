//! The locks that threads of an engine share: the usual ones, or with the feature `shuttle` ones at
//! which a test chooses who goes on.
//!
//! Neither is ever held across an input or output of the index, nor while waiting for a task.

#[cfg(not(feature = "shuttle"))]
pub use parking_lot::{Mutex, RwLock};

#[cfg(feature = "shuttle")]
pub use scheduled::{Mutex, RwLock};

#[cfg(feature = "shuttle")]
mod scheduled {
    use shuttle::sync;
    use std::sync::PoisonError;

    /// At which a test chooses who goes on.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// Waits for it.
        pub fn lock(&self) -> sync::MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// At which a test chooses who goes on.
    #[derive(Debug, Default)]
    pub struct RwLock<T>(sync::RwLock<T>);

    impl<T> RwLock<T> {
        /// Unlocked.
        pub fn new(value: T) -> Self {
            RwLock(sync::RwLock::new(value))
        }

        /// Waits for it, beside other readers.
        pub fn read(&self) -> sync::RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        /// Waits for it, alone.
        pub fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
