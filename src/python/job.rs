//! A job as Python sees it.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::batch::job::{Attempt, Job};
use crate::batch::outcome::{self, JobContext};
use crate::batch::waiting;

#[pyclass(frozen, name = "Job", module = "covalent_awsbatch_plugin._core")]
pub struct PyJob(pub Job);

#[pymethods]
impl PyJob {
    #[getter]
    fn id(&self) -> &str {
        &self.0.id
    }

    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    #[getter]
    fn queue(&self) -> &str {
        &self.0.queue
    }

    #[getter]
    fn status(&self) -> &str {
        &self.0.status
    }

    #[getter]
    fn status_reason(&self) -> Option<&str> {
        self.0.status_reason.as_deref()
    }

    #[getter]
    fn meaning(&self) -> Option<&'static str> {
        waiting::meaning(&self.0.status, self.0.status_reason.as_deref())
    }

    #[getter]
    fn state_meaning(&self) -> Option<&'static str> {
        waiting::state_meaning(&self.0.status, self.0.has_dependencies)
    }

    #[getter]
    fn container_reason(&self) -> Option<&str> {
        self.0.container_reason.as_deref()
    }

    #[getter]
    fn exit_code(&self) -> Option<i32> {
        self.0.exit_code
    }

    #[getter]
    fn log_stream(&self) -> Option<&str> {
        self.0.log_stream.as_deref()
    }

    #[getter]
    fn attempt_log_streams(&self) -> Vec<Option<&str>> {
        self.0.attempts.iter().map(|attempt| attempt.log_stream.as_deref()).collect()
    }

    #[getter]
    fn ended_attempts<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let to_dict = |attempt: &Attempt| {
            let dict = PyDict::new(py);
            dict.set_item("started_at", attempt.started_at)?;
            dict.set_item("stopped_at", attempt.stopped_at)?;
            dict.set_item("exit_code", attempt.exit_code)?;
            dict.set_item("reason", attempt.container_reason.as_deref().or(attempt.status_reason.as_deref()))?;
            Ok(dict)
        };
        self.0.attempts.iter().map(to_dict).collect()
    }

    #[getter]
    fn vcpus(&self) -> Option<f64> {
        self.0.vcpus
    }

    #[getter]
    fn memory_mib(&self) -> Option<f64> {
        self.0.memory_mib
    }

    #[getter]
    fn gpus(&self) -> Option<f64> {
        self.0.gpus
    }

    #[getter]
    fn is_fargate(&self) -> bool {
        self.0.is_fargate
    }

    #[getter]
    fn pod(&self) -> Option<&str> {
        self.0.pod.as_deref()
    }

    #[getter]
    fn nodes(&self) -> usize {
        self.0.nodes
    }

    #[getter]
    fn failed_node(&self) -> Option<Self> {
        self.0.failed_node.as_deref().cloned().map(Self)
    }

    #[getter]
    fn unstarted_node(&self) -> Option<Self> {
        self.0.unstarted_node.as_deref().cloned().map(Self)
    }

    #[getter]
    fn image(&self) -> Option<&str> {
        self.0.image.as_deref()
    }

    #[getter]
    fn attempts(&self) -> usize {
        self.0.attempts.len()
    }

    #[getter]
    fn allowed_attempts(&self) -> Option<i32> {
        self.0.allowed_attempts
    }

    #[getter]
    fn previous_job(&self) -> Option<&str> {
        self.0.previous_job.as_deref()
    }

    #[getter]
    fn created_at(&self) -> Option<i64> {
        self.0.created_at
    }

    #[getter]
    fn started_at(&self) -> Option<i64> {
        self.0.started_at
    }

    #[getter]
    fn stopped_at(&self) -> Option<i64> {
        self.0.stopped_at
    }

    #[getter]
    fn console(&self) -> Option<String> {
        self.0.console()
    }

    #[getter]
    fn cause(&self) -> &'static str {
        outcome::cause(&self.0).as_str()
    }

    #[pyo3(signature = (memory, time_limit, dispatcher=None))]
    fn sentence(&self, memory: f64, time_limit: u32, dispatcher: Option<&str>) -> String {
        outcome::sentence(&self.0, JobContext { memory, time_limit, dispatcher })
    }

    fn __repr__(&self) -> String {
        format!("Job(id='{}', status='{}')", self.0.id, self.0.status)
    }
}
