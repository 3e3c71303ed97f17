//! `Inspector`: the doctor's look-ups. Results are JSON, because they are only displayed.

use pyo3::prelude::*;
use serde::Serialize;

use super::awaitable::awaitable;
use super::connection::Connection;
use crate::batch::queue;
use crate::error::{Error, Kind, Result};
use crate::inspect::{bucket, clock, encryption, image, log_group, role, simulation};

#[pyclass(frozen, module = "covalent_awsbatch_plugin._core")]
pub struct Inspector(pub(super) Connection);

#[pymethods]
impl Inspector {
    fn clock_skew<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.0.clone();
        awaitable(py, async move { clock::skew(&connection.session().await?.clients).await })
    }

    fn bucket<'py>(&self, py: Python<'py>, bucket: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.0.clone();
        awaitable(py, async move { to_json(&bucket::look_up(&connection.storage().await?, &bucket).await?) })
    }

    fn encryption<'py>(&self, py: Python<'py>, bucket: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.0.clone();
        awaitable(py, async move { to_json(&encryption::look_up(&connection.storage().await?, &bucket).await?) })
    }

    fn queue<'py>(&self, py: Python<'py>, queue: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.0.clone();
        awaitable(py, async move { to_json(&queue::look_up(&connection.session().await?.clients, &queue).await?) })
    }

    fn environments<'py>(&self, py: Python<'py>, arns: Vec<String>) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.0.clone();
        awaitable(py, async move { to_json(&queue::environments(&connection.session().await?.clients, arns).await?) })
    }

    fn role<'py>(&self, py: Python<'py>, name: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.0.clone();
        awaitable(py, async move { to_json(&role::look_up(&connection.session().await?.clients, &name).await?) })
    }

    fn simulate<'py>(
        &self,
        py: Python<'py>,
        principal: String,
        actions: Vec<String>,
        resource: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.0.clone();
        awaitable(py, async move {
            to_json(&simulation::simulate(&connection.session().await?.clients, &principal, actions, &resource).await?)
        })
    }

    fn log_group<'py>(&self, py: Python<'py>, name: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.0.clone();
        awaitable(py, async move { to_json(&log_group::look_up(&connection.session().await?.clients, &name).await?) })
    }

    fn image<'py>(&self, py: Python<'py>, image: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.0.clone();
        awaitable(py, async move { to_json(&image::look_up(&connection.session().await?.clients, &image).await?) })
    }

    fn image_manifest<'py>(&self, py: Python<'py>, image: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.0.clone();
        awaitable(py, async move { to_json(&image::manifest(&connection.session().await?.clients, &image).await?) })
    }

    fn image_part<'py>(&self, py: Python<'py>, image: String, digest: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.0.clone();
        awaitable(
            py,
            async move { to_json(&image::part_url(&connection.session().await?.clients, &image, &digest).await?) },
        )
    }
}

pub(super) fn to_json(answer: &impl Serialize) -> Result<String> {
    serde_json::to_string(answer).map_err(|error| Error::with_source(Kind::Garbled, "cannot pass the answer on", error))
}
