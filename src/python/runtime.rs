//! The tokio runtime of the extension module: one per process, created again after a `fork()`.

use std::future::Future;
use std::mem;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use super::completion_queue::{CompletionQueue, core_panicked_error};
use crate::aws::detached;
use crate::error::Error;

/// How long shutdown waits for threads that block, such as in a host name look-up.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a blocking wait checks for Ctrl-C.
const SIGNAL_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long shutdown waits for detached tasks.
const DETACHED_TIMEOUT: Duration = Duration::from_secs(5);

/// The process that owns the runtime's threads, and the runtime until it is shut down.
static RUNTIME: Mutex<Option<(u32, Option<Running>)>> = Mutex::new(None);

/// Whether the interpreter is about to exit and joins its threads.
static EXITING: AtomicBool = AtomicBool::new(false);

/// A runtime and its completion queue.
struct Running {
    runtime: Runtime,
    completions: Arc<CompletionQueue>,
}

/// The process that owns an object: connections and threads do not survive a `fork()` into the child.
#[derive(Clone, Copy)]
pub struct OwningProcess(u32);

impl OwningProcess {
    /// This process.
    pub fn current() -> Self {
        Self(process::id())
    }

    /// Whether the current process is the owner.
    pub fn is_current(self) -> bool {
        self.0 == process::id()
    }

    /// # Errors
    /// The current process was forked after the object was created.
    pub fn check(self) -> PyResult<()> {
        if self.is_current() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "this client was made before a fork() and its connections stayed with the parent process; make a new one",
        ))
    }
}

/// The handle of this process's runtime.
pub fn handle() -> PyResult<Handle> {
    Ok(runtime_and_queue()?.0)
}

/// The handle of this process's runtime, and its completion queue.
pub fn runtime_and_queue() -> PyResult<(Handle, Arc<CompletionQueue>)> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = process::id();
    match &*slot {
        Some((owner, Some(running))) if *owner == pid => {
            return Ok((running.runtime.handle().clone(), running.completions.clone()));
        }
        Some((owner, None)) if *owner == pid => {
            return Err(exiting_error());
        }
        _ => {}
    }
    if slot.is_some() {
        detached::reset_after_fork();
    }
    let runtime = Builder::new_multi_thread().thread_name("covalent-awsbatch").enable_all().build()?;
    let handle = runtime.handle().clone();
    let completions = Arc::<CompletionQueue>::default();
    // Not dropped: that would join the parent's threads, which do not exist in a forked process.
    mem::forget(slot.replace((pid, Some(Running { runtime, completions: completions.clone() }))));
    Ok((handle, completions))
}

/// Ends blocking waits soon: the interpreter joins its threads before it calls `atexit` functions.
#[pyfunction]
pub fn notify_exiting() {
    EXITING.store(true, Ordering::Relaxed);
}

/// Shuts the runtime down: drops its tasks and joins its threads.
///
/// A thread may be delivering a result to Python, and would crash if the interpreter was finalized meanwhile. Waits
/// without the GIL, which that thread needs.
#[pyfunction]
pub fn shut_down(py: Python<'_>) {
    let handle = match &*RUNTIME.lock().unwrap_or_else(PoisonError::into_inner) {
        Some((owner, Some(running))) if *owner == process::id() => Some(running.runtime.handle().clone()),
        _ => None,
    };
    if let Some(handle) = handle {
        // Most detached tasks take one call. A lost network, a long queue or a second Ctrl-C must not block the exit.
        let end = Instant::now() + DETACHED_TIMEOUT;
        let done =
            || handle.block_on(async { tokio::time::timeout(SIGNAL_CHECK_INTERVAL, detached::wait_for_all()).await });
        while py.detach(done).is_err() && Instant::now() < end && py.check_signals().is_ok() {}
    }
    py.detach(|| {
        let pid = process::id();
        let previous = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).replace((pid, None));
        match previous {
            Some((owner, Some(running))) if owner == pid => running.runtime.shutdown_timeout(SHUTDOWN_TIMEOUT),
            other => mem::forget(other),
        }
    });
}

/// Waits for a future without the GIL, on a thread that is not the runtime's own. Ctrl-C and the exit of the
/// interpreter end the wait and drop the future.
///
/// # Errors
/// Those of the future, what a signal handler raises, or that the interpreter is about to exit.
pub fn block_on<T: Send + 'static>(future: impl Future<Output = Result<T, Error>> + Send + 'static) -> PyResult<T> {
    let runtime = handle()?;
    let (reply, answer) = mpsc::channel();
    // Spawned, since a runtime that shuts down drops its own tasks, but makes futures on other threads panic.
    let task = runtime.spawn(async move {
        let _ = reply.send(future.await);
    });
    let mut left = None;
    let why = loop {
        match answer.recv_timeout(SIGNAL_CHECK_INTERVAL) {
            Ok(outcome) => return Ok(outcome?),
            // The runtime was shut down, or else the task has panicked.
            Err(RecvTimeoutError::Disconnected) => return Err(handle().err().unwrap_or_else(core_panicked_error)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(interrupt) = Python::try_attach(|py| py.check_signals().err()).flatten() {
            break interrupt;
        }
        if EXITING.load(Ordering::Relaxed) && *left.get_or_insert_with(Instant::now) + DETACHED_TIMEOUT < Instant::now()
        {
            break exiting_error();
        }
    };
    task.abort();
    // Waits for the drop of the future, which may start a detached task, such as the abort of an upload.
    let _entered = runtime.enter();
    drop(answer.recv_timeout(SHUTDOWN_TIMEOUT));
    Err(why)
}

fn exiting_error() -> PyErr {
    PyRuntimeError::new_err("the interpreter is about to exit")
}
