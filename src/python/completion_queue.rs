//! The completion queue: outcomes of the core's futures for asyncio.
//!
//! One thread at a time delivers all queued completions together. With a thread per completion, hundreds would wait for
//! the GIL and wake the event loop one by one.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use tokio::runtime::Handle;

/// Completions per callback, so that the event loop runs other callbacks in between: one may be a result of some
/// megabytes.
const MAX_PER_CALLBACK: usize = 8;

/// Completions that are not delivered yet.
#[derive(Default)]
pub struct CompletionQueue(Mutex<State>);

#[derive(Default)]
struct State {
    undelivered: Vec<Completion>,
    /// Whether a thread delivers. It checks the queue again before it ends.
    delivering: bool,
}

/// The outcome of a future, and the asyncio future that waits for it.
pub struct Completion {
    pub waiter: Waiter,
    pub value: Value,
}

/// Converts an outcome to an object, in the loop's thread. It is dropped instead if the asyncio future was cancelled.
pub type Value = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// An asyncio future, which may only be used in its loop's thread.
pub struct Waiter {
    pub event_loop: Py<PyAny>,
    pub future: Py<PyAny>,
}

impl CompletionQueue {
    /// Queues a completion and starts its delivery.
    pub fn push(self: &Arc<Self>, runtime: &Handle, completion: Completion) {
        let mut state = self.state();
        state.undelivered.push(completion);
        let delivering = mem::replace(&mut state.delivering, true);
        drop(state);
        if delivering {
            return;
        }
        let queue = self.clone();
        // On a blocking thread, since waiting for the GIL may take long.
        let deliver = move || runtime.spawn_blocking(move || Python::attach(|py| queue.deliver(py)));
        if catch_unwind(AssertUnwindSafe(deliver)).is_err() {
            // No thread can be started.
            Python::attach(|py| self.deliver(py));
        }
    }

    fn deliver(&self, py: Python<'_>) {
        while let Some(completions) = self.take() {
            // There is usually one loop.
            let mut by_loop: Vec<(Py<PyAny>, VecDeque<Completion>)> = Vec::new();
            for completion in completions {
                let event_loop = &completion.waiter.event_loop;
                if let Some((_, completions)) = by_loop.iter_mut().find(|(known, _)| known.is(event_loop)) {
                    completions.push_back(completion);
                } else {
                    by_loop.push((event_loop.clone_ref(py), VecDeque::from([completion])));
                }
            }
            for (event_loop, completions) in by_loop {
                let callback = Callback { event_loop: event_loop.clone_ref(py), completions: Mutex::new(completions) };
                // Fails if the loop is closed; then nothing waits.
                let _ = event_loop.call_method1(py, pyo3::intern!(py, "call_soon_threadsafe"), (callback,));
            }
        }
    }

    fn take(&self) -> Option<Vec<Completion>> {
        let mut state = self.state();
        if state.undelivered.is_empty() {
            state.delivering = false;
            return None;
        }
        Some(mem::take(&mut state.undelivered))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The exception for a panic of the core.
pub fn core_panicked_error() -> PyErr {
    PyRuntimeError::new_err("the core panicked, which is a bug of this package: standard error says where")
}

/// Sets the results of one loop's futures, in its thread.
#[pyclass(frozen)]
struct Callback {
    event_loop: Py<PyAny>,
    completions: Mutex<VecDeque<Completion>>,
}

impl Callback {
    fn completions(&self) -> MutexGuard<'_, VecDeque<Completion>> {
        self.completions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Callback {
    fn __call__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let mut interrupt = None;
        for _ in 0..MAX_PER_CALLBACK {
            let Some(completion) = slf.get().completions().pop_front() else { break };
            // Neither a failure to set one nor Ctrl-C may keep the others from being set.
            match completion.set(py) {
                Err(error) if error.is_instance_of::<PyException>(py) => error.write_unraisable(py, None),
                set => interrupt = interrupt.or(set.err()),
            }
        }
        if !slf.get().completions().is_empty() {
            slf.get().event_loop.call_method1(py, pyo3::intern!(py, "call_soon"), (slf,))?;
        }
        interrupt.map_or(Ok(()), Err)
    }
}

impl Completion {
    fn set(self, py: Python<'_>) -> PyResult<()> {
        let future = self.waiter.future.bind(py);
        if future.call_method0(pyo3::intern!(py, "done"))?.is_truthy()? {
            return Ok(()); // cancelled meanwhile
        }
        match catch_unwind(AssertUnwindSafe(|| (self.value)(py))).unwrap_or_else(|_| Err(core_panicked_error())) {
            Ok(value) => future.call_method1(pyo3::intern!(py, "set_result"), (value,))?,
            Err(error) => future.call_method1(pyo3::intern!(py, "set_exception"), (error,))?,
        };
        Ok(())
    }
}
