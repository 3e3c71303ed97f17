//! Completions of the core's futures, on their way to asyncio.
//!
//! One thread at a time delivers them, all that are there at once. A thread for each completion would be hundreds that wait
//! for the GIL and wake the event loop one by one.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use tokio::runtime::Handle;

/// Completions that a loop takes before it goes on with what else it has: one may be a result of some megabytes.
const AT_ONCE: usize = 8;

/// Completions that have not been delivered.
#[derive(Default)]
pub struct CompletionQueue(Mutex<State>);

#[derive(Default)]
struct State {
    undelivered: Vec<Completion>,
    /// Whether a thread delivers. It looks again before it ends.
    delivering: bool,
}

/// What came of a future of the core, and who waits for it.
pub struct Completion {
    pub waiter: Waiter,
    pub value: Value,
}

/// Makes an outcome an object, in the loop's thread and only if somebody still waits: what nobody waits for is dropped.
pub type Value = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// A future of asyncio that is waited for. It may be touched in its loop's thread only.
pub struct Waiter {
    pub event_loop: Py<PyAny>,
    pub future: Py<PyAny>,
}

impl CompletionQueue {
    /// Adds one, and has it delivered soon.
    pub fn push(self: &Arc<Self>, runtime: &Handle, completion: Completion) {
        let mut state = self.state();
        state.undelivered.push(completion);
        let delivering = mem::replace(&mut state.delivering, true);
        drop(state);
        if delivering {
            return;
        }
        let queue = self.clone();
        // Not on a thread of the runtime, since the GIL may be long in coming.
        let deliver = move || runtime.spawn_blocking(move || Python::attach(|py| queue.deliver(py)));
        if catch_unwind(AssertUnwindSafe(deliver)).is_err() {
            // The process has no thread left.
            Python::attach(|py| self.deliver(py));
        }
    }

    fn deliver(&self, py: Python<'_>) {
        while let Some(completions) = self.take() {
            // Mostly there is one loop.
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
                // A loop that is closed has nobody who waits.
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

/// What Python reads where the core has panicked.
pub fn panicked() -> PyErr {
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
        for _ in 0..AT_ONCE {
            let Some(completion) = slf.get().completions().pop_front() else { break };
            // One that cannot be set must not keep the others waiting, nor may Ctrl-C.
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
        match catch_unwind(AssertUnwindSafe(|| (self.value)(py))).unwrap_or_else(|_| Err(panicked())) {
            Ok(value) => future.call_method1(pyo3::intern!(py, "set_result"), (value,))?,
            Err(error) => future.call_method1(pyo3::intern!(py, "set_exception"), (error,))?,
        };
        Ok(())
    }
}
