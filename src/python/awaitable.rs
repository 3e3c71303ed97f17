//! Futures of the core as awaitables of asyncio.
//!
//! What came of them is told to Python by one thread at a time, which tells everything that is there. A thread for each
//! outcome would be hundreds that wait for the GIL and wake the event loop one by one.

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::runtime;
use crate::error::Error;

/// Outcomes that a loop is told of before it goes on with what else there is: one may be a result of some megabytes.
const AT_ONCE: usize = 8;

/// An awaitable of the running asyncio loop for a future of the core. Cancelling it drops the future.
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

    let (runtime, outcomes) = runtime::current()?;
    let event_loop = GET_RUNNING_LOOP.import(py, "asyncio", "get_running_loop")?.call0()?;
    let awaited = event_loop.call_method0(pyo3::intern!(py, "create_future"))?;
    let promise = Promise {
        outcomes,
        runtime: runtime.clone(),
        asker: Some(Asker { event_loop: event_loop.unbind(), awaited: awaited.clone().unbind() }),
    };
    let task = runtime.spawn(async move {
        let outcome = future.await;
        promise.keep(|py| outcome?.into_py_any(py));
    });
    awaited.call_method1(pyo3::intern!(py, "add_done_callback"), (Abandon(task.abort_handle()),))?;
    Ok(awaited)
}

/// Outcomes that Python has not been told of.
#[derive(Default)]
pub struct Outcomes(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    outcomes: Vec<Outcome>,
    /// Whether a thread is at it. It looks again before it goes.
    told: bool,
}

struct Outcome {
    asker: Asker,
    value: Value,
}

/// Makes an outcome an object, in the loop's thread and only if somebody still waits: what is not told is dropped.
type Value = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// Who waits: a future of asyncio, which may be touched in its loop's thread only.
struct Asker {
    event_loop: Py<PyAny>,
    awaited: Py<PyAny>,
}

impl Outcomes {
    fn add(self: &Arc<Self>, runtime: &Handle, outcome: Outcome) {
        let mut waiting = self.waiting();
        waiting.outcomes.push(outcome);
        let told = mem::replace(&mut waiting.told, true);
        drop(waiting);
        if told {
            return;
        }
        let outcomes = self.clone();
        // Not on a thread of the runtime, since the GIL may be long in coming.
        let teller = move || runtime.spawn_blocking(move || Python::attach(|py| outcomes.tell(py)));
        if catch_unwind(AssertUnwindSafe(teller)).is_err() {
            // The process has no thread left.
            Python::attach(|py| self.tell(py));
        }
    }

    fn tell(&self, py: Python<'_>) {
        while let Some(outcomes) = self.next() {
            // Mostly there is one loop.
            let mut letters: Vec<(Py<PyAny>, VecDeque<Outcome>)> = Vec::new();
            for outcome in outcomes {
                match letters.iter_mut().find(|(event_loop, _)| event_loop.is(&outcome.asker.event_loop)) {
                    Some((_, outcomes)) => outcomes.push_back(outcome),
                    None => letters.push((outcome.asker.event_loop.clone_ref(py), VecDeque::from([outcome]))),
                }
            }
            for (event_loop, outcomes) in letters {
                let letter = Letter { event_loop: event_loop.clone_ref(py), outcomes: Mutex::new(outcomes) };
                // A loop that is closed has nobody who waits.
                let _ = event_loop.call_method1(py, pyo3::intern!(py, "call_soon_threadsafe"), (letter,));
            }
        }
    }

    fn next(&self) -> Option<Vec<Outcome>> {
        let mut waiting = self.waiting();
        if waiting.outcomes.is_empty() {
            waiting.told = false;
            return None;
        }
        Some(mem::take(&mut waiting.outcomes))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To tell somebody of an outcome, also if there will be none because the core panics.
struct Promise {
    outcomes: Arc<Outcomes>,
    runtime: Handle,
    asker: Option<Asker>,
}

impl Promise {
    fn keep(mut self, value: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static) {
        self.tell(Box::new(value));
    }

    fn tell(&mut self, value: Value) {
        if let Some(asker) = self.asker.take() {
            self.outcomes.add(&self.runtime, Outcome { asker, value });
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if thread::panicking() {
            self.tell(Box::new(|_| Err(panicked())));
        }
    }
}

/// What Python reads where the core has panicked.
pub(super) fn panicked() -> PyErr {
    PyRuntimeError::new_err("the core panicked, which is a bug of this package: standard error says where")
}

/// Outcomes for one loop, on the way to its thread.
#[pyclass(frozen)]
struct Letter {
    event_loop: Py<PyAny>,
    outcomes: Mutex<VecDeque<Outcome>>,
}

impl Letter {
    fn outcomes(&self) -> MutexGuard<'_, VecDeque<Outcome>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Letter {
    fn __call__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let mut interrupt = None;
        for _ in 0..AT_ONCE {
            let Some(outcome) = slf.get().outcomes().pop_front() else { break };
            // One that cannot be told must not keep the others waiting, nor may Ctrl-C.
            match outcome.tell(py) {
                Err(error) if error.is_instance_of::<PyException>(py) => error.write_unraisable(py, None),
                told => interrupt = interrupt.or(told.err()),
            }
        }
        if !slf.get().outcomes().is_empty() {
            slf.get().event_loop.call_method1(py, pyo3::intern!(py, "call_soon"), (slf,))?;
        }
        interrupt.map_or(Ok(()), Err)
    }
}

impl Outcome {
    fn tell(self, py: Python<'_>) -> PyResult<()> {
        let awaited = self.asker.awaited.bind(py);
        if awaited.call_method0(pyo3::intern!(py, "done"))?.is_truthy()? {
            return Ok(()); // cancelled meanwhile
        }
        match catch_unwind(AssertUnwindSafe(|| (self.value)(py))).unwrap_or_else(|_| Err(panicked())) {
            Ok(value) => awaited.call_method1(pyo3::intern!(py, "set_result"), (value,))?,
            Err(error) => awaited.call_method1(pyo3::intern!(py, "set_exception"), (error,))?,
        };
        Ok(())
    }
}

/// Called when a future of asyncio is over: nobody waits for the core's any more.
#[pyclass(frozen)]
struct Abandon(AbortHandle);

#[pymethods]
impl Abandon {
    fn __call__(&self, _awaited: &Bound<'_, PyAny>) {
        self.0.abort();
    }
}
