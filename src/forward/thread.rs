//! A thread with a runtime of its own, which serves until it is ended.

use std::io;
use std::thread::JoinHandle;

use futures_util::future::{Either, select};

/// Serves on a thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Serving {
    /// Closing it ends the thread.
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Serving {
    /// Starts a thread of this name, which makes the future and runs it.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start<F>(name: &str, serve: impl FnOnce() -> F + Send + 'static) -> io::Result<Self>
    where
        F: Future<Output = io::Result<()>>,
    {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let result = runtime.block_on(async {
                let serving = std::pin::pin!(serve());
                match select(stopped, serving).await {
                    Either::Left(_) => Ok(()),
                    Either::Right((result, _)) => result,
                }
            });
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
            result
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Ends it, and says how it went.
    ///
    /// # Errors
    /// When it ended by itself with an error, or by a panic.
    pub fn end(&mut self) -> io::Result<()> {
        drop(self.stop.take());
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the forwarder's thread has panicked")),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Whoever wants to know asks for it.
        let _ = self.end();
    }
}
