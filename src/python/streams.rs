//! Binary files over S3 for the pickler and the unpickler. They block, without the GIL.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PySlice};

use super::runtime::{awaitable, block_on, handle};
use crate::download::Download;
use crate::upload::Upload;

/// Bytes of a foreign buffer that are copied at once.
const PIECE: usize = 1024 * 1024;

#[pyclass(frozen, module = "covalent_awsbatch_plugin._core")]
pub struct Reader {
    state: Mutex<ReaderState>,
}

struct ReaderState {
    download: Download,
    piece: Bytes,
}

impl Reader {
    pub fn new(download: Download) -> Self {
        Self { state: Mutex::new(ReaderState { download, piece: Bytes::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, ReaderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReaderState {
    /// Makes sure that `piece` is not empty, unless the object has ended.
    fn refill(&mut self) -> PyResult<bool> {
        while self.piece.is_empty() {
            match block_on(self.download.next())? {
                Some(piece) => self.piece = piece,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn take(&mut self, wanted: usize, into: &mut Vec<u8>) {
        let taken = wanted.min(self.piece.len());
        into.extend_from_slice(&self.piece[..taken]);
        self.piece.advance(taken);
    }
}

#[pymethods]
impl Reader {
    #[getter]
    fn size(&self) -> u64 {
        self.state().download.size()
    }

    #[getter]
    fn metadata(&self) -> std::collections::HashMap<String, String> {
        self.state().download.metadata().clone()
    }

    #[pyo3(signature = (size=-1, /))]
    fn read<'py>(&self, py: Python<'py>, size: isize) -> PyResult<Bound<'py, PyBytes>> {
        let wanted = usize::try_from(size).unwrap_or(usize::MAX);
        let data = py.detach(|| -> PyResult<Vec<u8>> {
            let mut state = self.state();
            let mut data = Vec::new();
            while data.len() < wanted && state.refill()? {
                state.take(wanted - data.len(), &mut data);
            }
            Ok(data)
        })?;
        Ok(PyBytes::new(py, &data))
    }

    fn readline<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let line = py.detach(|| -> PyResult<Vec<u8>> {
            let mut state = self.state();
            let mut line = Vec::new();
            while state.refill()? {
                match state.piece.iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        state.take(end + 1, &mut line);
                        break;
                    }
                    None => state.take(usize::MAX, &mut line),
                }
            }
            Ok(line)
        })?;
        Ok(PyBytes::new(py, &line))
    }
}

#[pyclass(frozen, module = "covalent_awsbatch_plugin._core")]
pub struct Writer {
    /// Empty once the upload was finished or aborted.
    upload: Mutex<Option<Upload>>,
}

impl Writer {
    pub fn new(upload: Upload) -> Self {
        Self { upload: Mutex::new(Some(upload)) }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Upload>> {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> PyResult<Upload> {
        self.slot().take().ok_or_else(closed)
    }

    fn write_bytes(&self, mut data: &[u8]) -> PyResult<()> {
        let mut slot = self.slot();
        let upload = slot.as_mut().ok_or_else(closed)?;
        while !data.is_empty() {
            data = &data[upload.fill(data)..];
            if !data.is_empty() {
                block_on(upload.send_part())?;
            }
        }
        Ok(())
    }
}

#[pymethods]
impl Writer {
    #[pyo3(signature = (data, /))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        if let Ok(bytes) = data.cast::<PyBytes>() {
            let bytes = bytes.as_bytes();
            py.detach(|| self.write_bytes(bytes))?;
            return Ok(bytes.len());
        }
        if let Ok(array) = data.cast::<PyByteArray>() {
            let bytes = array.to_vec();
            py.detach(|| self.write_bytes(&bytes))?;
            return Ok(bytes.len());
        }
        // Any other buffer, such as a NumPy array's: in pieces, since the stable ABI of Python 3.10 has no buffers.
        let view = py.import("builtins")?.call_method1("memoryview", (data,))?.call_method1("cast", ("B",))?;
        let length = view.len()?;
        for from in (0..length).step_by(PIECE) {
            let to = (from + PIECE).min(length);
            let slice = PySlice::new(py, from.cast_signed(), to.cast_signed(), 1);
            let piece = view.get_item(slice)?.call_method0("tobytes")?;
            let piece = piece.cast::<PyBytes>()?.as_bytes();
            py.detach(|| self.write_bytes(piece))?;
        }
        Ok(length)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| block_on(self.take()?.finish()))
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let upload = self.take()?;
        awaitable(py, upload.finish())
    }

    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            let runtime = handle()?;
            let _entered = runtime.enter();
            drop(self.slot().take());
            Ok(())
        })
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if kind.is_none() { self.close(py) } else { self.abort(py) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Ok(runtime) = handle() else { return };
        // An unfinished upload is aborted by a task of the runtime.
        let _entered = runtime.enter();
        drop(self.slot().take());
    }
}

fn closed() -> PyErr {
    PyValueError::new_err("this upload is finished or was aborted")
}
