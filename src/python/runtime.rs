//! The tokio runtime under the extension module: one a process, built anew after a `fork()`.

use std::cell::OnceCell;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::process;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};

use crate::errands;
use crate::error::Error;

/// How long the interpreter's end waits for threads that do not end, such as one that looks up a host's name.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long it waits for what was begun and has to be finished.
const PATIENCE_FOR_ERRANDS: Duration = Duration::from_secs(5);

/// The process that the runtime's threads belong to, and the runtime itself until it was ended.
static RUNTIME: Mutex<Option<(u32, Option<Runtime>)>> = Mutex::new(None);

/// A handle of this process's runtime.
pub fn handle() -> PyResult<Handle> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = process::id();
    match &*slot {
        Some((owner, Some(runtime))) if *owner == pid => return Ok(runtime.handle().clone()),
        Some((owner, None)) if *owner == pid => {
            return Err(PyRuntimeError::new_err("the interpreter is about to exit"));
        }
        _ => {}
    }
    let runtime = Builder::new_multi_thread().thread_name("covalent-awsbatch").enable_all().build()?;
    let handle = runtime.handle().clone();
    // Dropping a runtime joins its threads, and those of the parent process are not here.
    mem::forget(slot.replace((pid, Some(runtime))));
    Ok(handle)
}

/// Ends the runtime: what is under way is dropped, and its threads end.
///
/// They may be just handing a result over to Python. An interpreter that goes away beneath them takes the process down,
/// so they are waited for, and not while holding the GIL that they want.
#[pyfunction]
pub fn shut_down(py: Python<'_>) {
    py.detach(|| {
        let handle = match &*RUNTIME.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((owner, Some(runtime))) if *owner == process::id() => Some(runtime.handle().clone()),
            _ => None,
        };
        if let Some(handle) = handle {
            // No errand takes longer than a call and its retries; a network that is gone must not hold the exit up.
            let _ = handle.block_on(async { tokio::time::timeout(PATIENCE_FOR_ERRANDS, errands::all_done()).await });
        }
        let pid = process::id();
        let before = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).replace((pid, None));
        match before {
            Some((owner, Some(runtime))) if owner == pid => runtime.shutdown_timeout(PATIENCE),
            other => mem::forget(other),
        }
    });
}

/// An awaitable of the running asyncio loop for a future of the core. Cancelling it drops the future.
pub fn awaitable<'py, T>(
    py: Python<'py>,
    future: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>>
where
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    handle()?;
    generic::future_into_py::<ProcessRuntime, _, T>(py, async move { Ok(future.await?) })
}

/// Runs a future to its end on the calling thread, which must not be the runtime's own.
pub fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> PyResult<T> {
    Ok(handle()?.block_on(future)?)
}

struct ProcessRuntime;

tokio::task_local! {
    static LOCALS: OnceCell<TaskLocals>;
}

impl generic::Runtime for ProcessRuntime {
    type JoinError = JoinError;
    type JoinHandle = JoinHandle<()>;

    fn spawn<F>(future: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        current().spawn(future)
    }

    fn spawn_blocking<F>(function: F) -> Self::JoinHandle
    where
        F: FnOnce() + Send + 'static,
    {
        current().spawn_blocking(function)
    }
}

/// The runtime that the calling task runs in: when that has been ended it drops what is spawned, as it should.
fn current() -> Handle {
    // A Python thread is in none, but then `awaitable` has just built one, or the process is short of threads.
    Handle::try_current().unwrap_or_else(|_| handle().expect("the runtime exists"))
}

impl ContextExt for ProcessRuntime {
    fn scope<F, R>(locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(LOCALS.scope(OnceCell::from(locals), future))
    }

    fn get_task_locals() -> Option<TaskLocals> {
        LOCALS.try_with(|locals| locals.get().cloned()).ok().flatten()
    }
}
