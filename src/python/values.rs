//! What the client's operations return, as Python sees it.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::streams::Reader;
use crate::batch::listing::ListedJob;
use crate::batch::submission::Submitted;
use crate::batch::watcher::states::JobState;
use crate::envelope::{Envelope, StoredResult};
use crate::s3::listing::ListedObject;

/// A submitted job for Python: its id. Dropped before the conversion, the job is terminated, unless it is spared.
pub struct PySubmitted(pub Submitted);

impl<'py> IntoPyObject<'py> for PySubmitted {
    type Target = PyString;
    type Output = Bound<'py, PyString>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        Ok(PyString::new(py, &self.0.take()))
    }
}

/// Bytes for Python.
pub struct PyBlob(pub Vec<u8>);

impl<'py> IntoPyObject<'py> for PyBlob {
    type Target = PyBytes;
    type Output = Bound<'py, PyBytes>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        Ok(PyBytes::new(py, &self.0))
    }
}

/// A listed job for Python: a dict.
pub struct PyListedJob(pub ListedJob);

impl<'py> IntoPyObject<'py> for PyListedJob {
    type Target = PyDict;
    type Output = Bound<'py, PyDict>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let job = PyDict::new(py);
        job.set_item("id", self.0.id)?;
        job.set_item("name", self.0.name)?;
        job.set_item("status", self.0.status)?;
        job.set_item("status_reason", self.0.status_reason)?;
        job.set_item("created_at", self.0.created_at)?;
        job.set_item("started_at", self.0.started_at)?;
        job.set_item("stopped_at", self.0.stopped_at)?;
        Ok(job)
    }
}

/// The state of a job for Python: a dict.
pub struct PyJobState(pub JobState);

impl<'py> IntoPyObject<'py> for PyJobState {
    type Target = PyDict;
    type Output = Bound<'py, PyDict>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let state = PyDict::new(py);
        state.set_item("meaning", self.0.meaning())?;
        state.set_item("status", self.0.status)?;
        state.set_item("reason", self.0.reason)?;
        state.set_item("log_stream", self.0.log_stream)?;
        state.set_item("attempts", self.0.attempts)?;
        state.set_item("waiting_nodes", self.0.waiting_nodes)?;
        Ok(state)
    }
}

/// An object for Python: a dict.
pub struct PyListedObject(pub ListedObject);

impl<'py> IntoPyObject<'py> for PyListedObject {
    type Target = PyDict;
    type Output = Bound<'py, PyDict>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let object = PyDict::new(py);
        object.set_item("key", self.0.key)?;
        object.set_item("size", self.0.size)?;
        object.set_item("modified_at", self.0.modified_at)?;
        object.set_item("metadata", self.0.metadata)?;
        Ok(object)
    }
}

/// The open reader of a bare pickle up to this size is passed on. A larger one is closed and opened again when it is
/// read, since its first pieces would stay in memory meanwhile.
const MAX_REUSED_READER_BYTES: u64 = 1024 * 1024;

/// A stored result for Python: a dict whose `format` says what it is, or `None` if there is none.
pub struct PyStoredResult(pub StoredResult);

impl<'py> IntoPyObject<'py> for PyStoredResult {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let dict = PyDict::new(py);
        match self.0 {
            StoredResult::Missing => return Ok(py.None().into_bound(py)),
            StoredResult::BarePickle(download, signature) => {
                dict.set_item("format", 1)?;
                dict.set_item("signature", signature.as_str())?;
                dict.set_item("size", download.size())?;
                let reader = (download.size() <= MAX_REUSED_READER_BYTES)
                    .then(|| Bound::new(py, Reader::new(*download, None)))
                    .transpose()?;
                dict.set_item("reader", reader)?;
            }
            StoredResult::Envelope(envelope, signature) => {
                dict.set_item("signature", signature.as_str())?;
                fill(&dict, &envelope)?;
            }
        }
        Ok(dict.into_any())
    }
}

fn fill(dict: &Bound<'_, PyDict>, envelope: &Envelope) -> PyResult<()> {
    let py = dict.py();
    dict.set_item("format", 2)?;
    dict.set_item("status", &envelope.status)?;
    dict.set_item("output", envelope.output.as_ref().map(|output| PyBytes::new(py, output)))?;
    dict.set_item("output_blake3", &envelope.output_blake3)?;
    dict.set_item("output_sha256", &envelope.output_sha256)?;
    dict.set_item("stdout", &envelope.stdout)?;
    dict.set_item("stderr", &envelope.stderr)?;
    dict.set_item("traceback", &envelope.traceback)?;
    dict.set_item("exception", &envelope.exception)?;
    dict.set_item("python", &envelope.python)?;
    dict.set_item("cloudpickle", &envelope.cloudpickle)?;
    dict.set_item("covalent", &envelope.covalent)?;
    dict.set_item("started_at", envelope.started_at)?;
    dict.set_item("finished_at", envelope.finished_at)?;
    dict.set_item("peak_rss_bytes", envelope.peak_rss_bytes)?;
    dict.set_item("job_id", &envelope.job_id)?;
    dict.set_item("attempt", envelope.attempt)?;
    Ok(())
}
