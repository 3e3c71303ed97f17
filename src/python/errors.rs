//! The core's errors as exceptions of `covalent_awsbatch_plugin.errors`.

use pyo3::exceptions::PyFileNotFoundError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Error, Kind};

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        Python::attach(|py| exception(py, &error).unwrap_or_else(|failure| failure))
    }
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let class = match error.kind() {
        Kind::NotFound => return Ok(PyFileNotFoundError::new_err(error.to_string())),
        Kind::Settings => "SettingsError",
        Kind::Access => "AccessError",
        Kind::Throttled | Kind::Ambiguous | Kind::Garbled | Kind::Damaged | Kind::Refused => "ServiceError",
        Kind::Result => "ResultError",
    };
    let details = PyDict::new(py);
    let named = [
        ("operation", error.operation()),
        ("subject", error.subject()),
        ("code", error.code()),
        ("request_id", error.request_id()),
        ("endpoint", error.endpoint()),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            details.set_item(name, value)?;
        }
    }
    if let Some(why) = error.no_credentials() {
        details.set_item("found", &why.found)?;
        details.set_item("fix", &why.fix)?;
        details.set_item("providers", &why.providers)?;
    }
    if error.was_skipped() {
        details.set_item("asked", false)?;
    }
    let class = py.import("covalent_awsbatch_plugin.errors")?.getattr(class)?;
    Ok(PyErr::from_value(class.call((error.to_string(),), Some(&details))?))
}
