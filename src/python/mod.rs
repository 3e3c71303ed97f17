//! The extension module `covalent_awsbatch_plugin._core`: adapts the core to Python and does nothing else.
//!
//! Uses all of the core, and is the only place that knows `PyO3`.

mod awaitable;
mod client;
mod completion_queue;
mod connection;
mod errors;
mod inspector;
mod job;
mod runtime;
mod streams;
mod values;

use std::fs::File;
use std::path::PathBuf;

use log::LevelFilter;
use pyo3::prelude::*;
use pyo3_log::{Caching, Logger};

use crate::archive;
use crate::batch::fields;
use crate::batch::outcome::CANCEL_REASON;
use crate::batch::submission::ABANDONED_REASON;

/// What of a JSON object does not fit a structure of AWS's model of Batch's API.
#[pyfunction]
fn field_problem(structure: &str, fields: &str) -> Option<String> {
    match serde_json::from_str(fields) {
        Ok(fields) => fields::problem(structure, &fields),
        Err(error) => Some(error.to_string()),
    }
}

/// Unpacks a file of packages below a directory.
#[pyfunction]
fn unpack(py: Python<'_>, file: PathBuf, directory: PathBuf) -> PyResult<()> {
    py.detach(move || Ok(archive::unpack(File::open(file)?, &directory)?))
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    // The SDK's log records are left out: they may show the output of a credential process or the content of a file.
    // The core's errors contain what matters.
    let logger = Logger::new(py, Caching::LoggersAndLevels)?
        .filter(LevelFilter::Off)
        .filter_target("covalent_awsbatch_plugin".to_owned(), LevelFilter::Debug);
    // Fails in a second interpreter of this process, where the logger is installed already.
    let _ = logger.install();

    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("ABANDONED_REASON", ABANDONED_REASON)?;
    module.add("CANCEL_REASON", CANCEL_REASON)?;
    module.add_function(pyo3::wrap_pyfunction!(field_problem, module)?)?;
    module.add_function(pyo3::wrap_pyfunction!(unpack, module)?)?;
    module.add_class::<client::Client>()?;
    module.add_class::<inspector::Inspector>()?;
    module.add_class::<job::PyJob>()?;
    module.add_class::<streams::Reader>()?;
    module.add_class::<streams::Writer>()?;
    // A thread that logs while the interpreter is finalized would crash the process.
    module.add_function(pyo3::wrap_pyfunction!(runtime::shut_down, module)?)?;
    // The exit function of `concurrent.futures` joins its threads. It is registered in the same way, and the last
    // registered function is called first.
    py.import("concurrent.futures.thread")?;
    if let Some(register) = py.import("threading")?.getattr_opt("_register_atexit")? {
        register.call1((pyo3::wrap_pyfunction!(runtime::notify_exiting, module)?,))?;
    }
    py.import("atexit")?.call_method1("register", (module.getattr("shut_down")?,))?;
    Ok(())
}
