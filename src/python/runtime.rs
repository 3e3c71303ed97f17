//! The tokio runtime under the extension module: one a process, built anew after a `fork()`.

use std::cell::OnceCell;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::process;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};

use crate::error::Error;

/// The runtime, and the process whose threads it has.
static RUNTIME: Mutex<Option<(u32, Runtime)>> = Mutex::new(None);

/// A handle of this process's runtime.
pub fn handle() -> PyResult<Handle> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = process::id();
    if let Some((owner, runtime)) = &*slot
        && *owner == pid
    {
        return Ok(runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread().thread_name("covalent-awsbatch").enable_all().build()?;
    let handle = runtime.handle().clone();
    // Dropping a runtime joins its threads, and those of the parent process are not here.
    mem::forget(slot.replace((pid, runtime)));
    Ok(handle)
}

/// Ends the runtime without waiting for what is still under way.
#[pyfunction]
pub fn shut_down() {
    let runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).take();
    match runtime {
        Some((owner, runtime)) if owner == process::id() => runtime.shutdown_background(),
        other => mem::forget(other),
    }
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
        // `awaitable` has just built the runtime, so there is one, or the process is short of threads.
        handle().expect("the runtime exists").spawn(future)
    }

    fn spawn_blocking<F>(function: F) -> Self::JoinHandle
    where
        F: FnOnce() + Send + 'static,
    {
        handle().expect("the runtime exists").spawn_blocking(function)
    }
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
