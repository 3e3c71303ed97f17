//! The tokio runtime under the extension module: one a process, built anew after a `fork()`.

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

use super::completion_queue::{CompletionQueue, panicked};
use crate::aws::detached;
use crate::error::Error;

/// How long the interpreter's end waits for threads that do not end, such as one that looks up a host's name.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often whoever waits looks for Ctrl-C.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// How long it waits for what was begun and has to be finished.
const PATIENCE_FOR_DETACHED: Duration = Duration::from_secs(5);

/// The process that the runtime's threads belong to, and the runtime itself until it was ended.
static RUNTIME: Mutex<Option<(u32, Option<Running>)>> = Mutex::new(None);

/// Whether the interpreter waits for its threads to end.
static EXITING: AtomicBool = AtomicBool::new(false);

/// A runtime, and the completions that it has for Python.
struct Running {
    runtime: Runtime,
    completions: Arc<CompletionQueue>,
}

/// The process that made something, whose connections and threads stay with it at a `fork()`.
#[derive(Clone, Copy)]
pub struct Owner(u32);

impl Owner {
    /// This process.
    pub fn here() -> Self {
        Self(process::id())
    }

    /// Whether this is still the process.
    pub fn is_here(self) -> bool {
        self.0 == process::id()
    }

    /// # Errors
    /// This is a process that was forked since.
    pub fn check(self) -> PyResult<()> {
        if self.is_here() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "this client was made before a fork() and its connections stayed with the parent process; make a new one",
        ))
    }
}

/// A handle of this process's runtime.
pub fn handle() -> PyResult<Handle> {
    Ok(current()?.0)
}

/// The same, and the queue for what it has for Python.
pub fn current() -> PyResult<(Handle, Arc<CompletionQueue>)> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = process::id();
    match &*slot {
        Some((owner, Some(running))) if *owner == pid => {
            return Ok((running.runtime.handle().clone(), running.completions.clone()));
        }
        Some((owner, None)) if *owner == pid => {
            return Err(exiting());
        }
        _ => {}
    }
    if slot.is_some() {
        detached::reset_after_fork();
    }
    let runtime = Builder::new_multi_thread().thread_name("covalent-awsbatch").enable_all().build()?;
    let handle = runtime.handle().clone();
    let completions = Arc::<CompletionQueue>::default();
    // Dropping a runtime joins its threads, and those of the parent process are not here.
    mem::forget(slot.replace((pid, Some(Running { runtime, completions: completions.clone() }))));
    Ok((handle, completions))
}

/// Has waits end soon: the interpreter is about to wait for its threads, which comes before all that is registered at `atexit`.
#[pyfunction]
pub fn about_to_exit() {
    EXITING.store(true, Ordering::Relaxed);
}

/// Ends the runtime: what is under way is dropped, and its threads end.
///
/// They may be just handing a result over to Python. An interpreter that goes away beneath them takes the process down,
/// so they are waited for, and not while holding the GIL that they want.
#[pyfunction]
pub fn shut_down(py: Python<'_>) {
    let handle = match &*RUNTIME.lock().unwrap_or_else(PoisonError::into_inner) {
        Some((owner, Some(running))) if *owner == process::id() => Some(running.runtime.handle().clone()),
        _ => None,
    };
    if let Some(handle) = handle {
        // Most detached tasks take one call; a network that is gone, a long queue or whoever presses Ctrl-C again must not wait for more.
        let end = Instant::now() + PATIENCE_FOR_DETACHED;
        let done = || handle.block_on(async { tokio::time::timeout(SIGNAL_CHECK, detached::wait_for_all()).await });
        while py.detach(done).is_err() && Instant::now() < end && py.check_signals().is_ok() {}
    }
    py.detach(|| {
        let pid = process::id();
        let before = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).replace((pid, None));
        match before {
            Some((owner, Some(running))) if owner == pid => running.runtime.shutdown_timeout(PATIENCE),
            other => mem::forget(other),
        }
    });
}

/// Waits for a future without the GIL, on a thread that is not the runtime's own. Ctrl-C ends the wait and drops the future,
/// and so does the end of the interpreter, which waits for its threads.
///
/// # Errors
/// Those of the future, what the handler of a signal raises, or that the interpreter is about to exit.
pub fn block_on<T: Send + 'static>(future: impl Future<Output = Result<T, Error>> + Send + 'static) -> PyResult<T> {
    let runtime = handle()?;
    let (reply, answer) = mpsc::channel();
    // On the runtime, since a runtime that is ended panics beneath futures of other threads, and drops its own.
    let task = runtime.spawn(async move {
        let _ = reply.send(future.await);
    });
    let mut left = None;
    let why = loop {
        match answer.recv_timeout(SIGNAL_CHECK) {
            Ok(outcome) => return Ok(outcome?),
            // Dropped with the runtime, or else it has panicked.
            Err(RecvTimeoutError::Disconnected) => return Err(handle().err().unwrap_or_else(panicked)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(interrupt) = Python::try_attach(|py| py.check_signals().err()).flatten() {
            break interrupt;
        }
        if EXITING.load(Ordering::Relaxed)
            && *left.get_or_insert_with(Instant::now) + PATIENCE_FOR_DETACHED < Instant::now()
        {
            break exiting();
        }
    };
    task.abort();
    // Until the future is dropped: what that begins, such as the abort of an upload, is waited for at the process's end.
    let _entered = runtime.enter();
    drop(answer.recv_timeout(PATIENCE));
    Err(why)
}

fn exiting() -> PyErr {
    PyRuntimeError::new_err("the interpreter is about to exit")
}
