//! Exposes the core's futures as asyncio awaitables.

use std::future::Future;
use std::sync::Arc;
use std::thread;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::completion_queue::{Completion, CompletionQueue, Value, Waiter, core_panicked_error};
use super::runtime;
use crate::error::Error;

/// Spawns a future and returns an awaitable of the running asyncio loop. Cancelling the awaitable drops the future.
///
/// # Errors
/// No loop runs in this thread, or the interpreter is about to exit.
pub fn awaitable<'py, T>(
    py: Python<'py>,
    future: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>>
where
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    static GET_RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

    let (runtime, completions) = runtime::runtime_and_queue()?;
    let event_loop = GET_RUNNING_LOOP.import(py, "asyncio", "get_running_loop")?.call0()?;
    let awaited = event_loop.call_method0(pyo3::intern!(py, "create_future"))?;
    let completer = Completer {
        completions,
        runtime: runtime.clone(),
        waiter: Some(Waiter { event_loop: event_loop.unbind(), future: awaited.clone().unbind() }),
    };
    let task = runtime.spawn(async move {
        let outcome = future.await;
        completer.complete(|py| outcome?.into_py_any(py));
    });
    awaited.call_method1(pyo3::intern!(py, "add_done_callback"), (Abort(task.abort_handle()),))?;
    Ok(awaited)
}

/// Completes an asyncio future, also if the core panics.
struct Completer {
    completions: Arc<CompletionQueue>,
    runtime: Handle,
    waiter: Option<Waiter>,
}

impl Completer {
    fn complete(mut self, value: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static) {
        self.push(Box::new(value));
    }

    fn push(&mut self, value: Value) {
        if let Some(waiter) = self.waiter.take() {
            self.completions.push(&self.runtime, Completion { waiter, value });
        }
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        if thread::panicking() {
            self.push(Box::new(|_| Err(core_panicked_error())));
        }
    }
}

/// Done callback of an asyncio future: aborts the core's task if it still runs.
#[pyclass(frozen)]
struct Abort(AbortHandle);

#[pymethods]
impl Abort {
    fn __call__(&self, _awaited: &Bound<'_, PyAny>) {
        self.0.abort();
    }
}
