//! Binary files over S3 for the pickler and the unpickler. They block without the GIL.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pyo3::exceptions::{PyEOFError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PySlice, PyString};
use tokio::sync::watch;

use super::awaitable::awaitable;
use super::runtime::{OwningProcess, block_on, handle};
use crate::error::Error;
use crate::s3::download::Download;
use crate::s3::hashing::{HashAlgorithm, Hasher};
use crate::s3::upload::Upload;

/// Bytes of a buffer that are copied at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

#[pyclass(frozen, module = "covalent_awsbatch_plugin._core")]
pub struct Reader {
    owner: OwningProcess,
    size: u64,
    metadata: HashMap<String, String>,
    /// Bytes that are still to be read.
    left: AtomicU64,
    state: Mutex<ReaderState>,
}

struct ReaderState {
    /// `None` while the next piece is fetched, and after that was interrupted.
    download: Option<Download>,
    piece: Bytes,
    /// Of what was read; `None` if nobody asked for it.
    hasher: Option<Hasher>,
}

impl Reader {
    pub fn new(download: Download, hash_algorithm: Option<HashAlgorithm>) -> Self {
        let size = download.size();
        let metadata = download.metadata().clone();
        let state = Mutex::new(ReaderState {
            download: Some(download),
            piece: Bytes::new(),
            hasher: hash_algorithm.map(Hasher::new),
        });
        Self { owner: OwningProcess::current(), size, metadata, left: size.into(), state }
    }

    fn count(&self, read: usize) {
        self.left.fetch_sub(read as u64, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, ReaderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReaderState {
    /// Fetches the next piece if `piece` is empty. Returns false at the end of the object.
    fn refill(&mut self) -> PyResult<bool> {
        while self.piece.is_empty() {
            let mut download = self.download.take().ok_or_else(read_interrupted_error)?;
            let (download, piece) = block_on(async move {
                let piece = download.next().await;
                Ok((download, piece))
            })?;
            self.download = Some(download);
            match piece? {
                Some(piece) => self.piece = piece,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Takes up to `wanted` bytes of `piece`, and adds them to the hash.
    fn take(&mut self, wanted: usize) -> Bytes {
        let taken = self.piece.split_to(wanted.min(self.piece.len()));
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&taken);
        }
        taken
    }

    /// Fills the buffer, which must not be longer than the rest of the object.
    fn fill(&mut self, mut buffer: &mut [u8]) -> PyResult<()> {
        while !buffer.is_empty() {
            if !self.refill()? {
                return Err(PyEOFError::new_err("the object is shorter than it said"));
            }
            let taken = self.take(buffer.len());
            let (filled, rest) = buffer.split_at_mut(taken.len());
            filled.copy_from_slice(&taken);
            buffer = rest;
        }
        Ok(())
    }
}

#[pymethods]
impl Reader {
    #[getter]
    fn size(&self) -> u64 {
        self.size
    }

    #[getter]
    fn metadata(&self) -> HashMap<String, String> {
        self.metadata.clone()
    }

    #[pyo3(signature = (size=-1, /))]
    fn read<'py>(&self, py: Python<'py>, size: isize) -> PyResult<Bound<'py, PyBytes>> {
        self.owner.check()?;
        let left = usize::try_from(self.left.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let length = usize::try_from(size).unwrap_or(usize::MAX).min(left);
        // Read directly into the returned object, so that a large one is in memory only once.
        let data = PyBytes::new_with(py, length, |buffer| py.detach(|| self.state().fill(buffer)))?;
        self.count(length);
        Ok(data)
    }

    #[pyo3(signature = (size, /))]
    fn read_text<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyAny>> {
        self.owner.check()?;
        let text = py.detach(|| -> PyResult<Option<Bytes>> {
            let mut state = self.state();
            state.refill()?;
            let is_text = state.piece.get(..size).is_some_and(|piece| str::from_utf8(piece).is_ok());
            Ok(is_text.then(|| state.take(size)))
        })?;
        match text {
            Some(text) => {
                self.count(size);
                Ok(PyString::from_bytes(py, &text)?.into_any())
            }
            None => Ok(self.read(py, isize::try_from(size).unwrap_or(isize::MAX))?.into_any()),
        }
    }

    fn readline<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.owner.check()?;
        let line = py.detach(|| -> PyResult<Vec<u8>> {
            let mut state = self.state();
            let mut line = Vec::new();
            while state.refill()? {
                let end = state.piece.iter().position(|byte| *byte == b'\n');
                line.extend_from_slice(&state.take(end.map_or(usize::MAX, |end| end + 1)));
                if end.is_some() {
                    break;
                }
            }
            Ok(line)
        })?;
        self.count(line.len());
        Ok(PyBytes::new(py, &line))
    }

    fn digest(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.owner.check()?;
        Ok(py.detach(|| self.state().hasher.take()).map(Hasher::finish))
    }
}

#[pyclass(frozen, module = "covalent_awsbatch_plugin._core")]
pub struct Writer {
    owner: OwningProcess,
    /// `None` after the upload was finished or aborted.
    upload: Mutex<Option<Upload>>,
    /// Whether writes have to stop, also one that is blocked in another thread.
    stopped: watch::Sender<bool>,
    /// Of what was written; `None` if nobody asked for it.
    hasher: Mutex<Option<Hasher>>,
}

impl Writer {
    pub fn new(upload: Upload, hash_algorithm: Option<HashAlgorithm>) -> Self {
        Self {
            owner: OwningProcess::current(),
            upload: Mutex::new(Some(upload)),
            stopped: watch::Sender::new(false),
            hasher: Mutex::new(hash_algorithm.map(Hasher::new)),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Upload>> {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hasher(&self) -> MutexGuard<'_, Option<Hasher>> {
        self.hasher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> PyResult<Upload> {
        self.owner.check()?;
        self.slot().take().ok_or_else(upload_closed_error)
    }

    fn write_bytes(&self, mut data: &[u8]) -> PyResult<()> {
        self.owner.check()?;
        let mut slot = self.slot();
        if let Some(hasher) = &mut *self.hasher() {
            hasher.update(data);
        }
        while !data.is_empty() {
            if *self.stopped.borrow() {
                abort_upload(&mut slot)?;
            }
            let upload = slot.as_mut().ok_or_else(upload_closed_error)?;
            data = &data[upload.fill(data)..];
            if !data.is_empty() {
                let sent = |mut upload: Upload| async move {
                    upload.send_part().await?;
                    Ok(upload)
                };
                *slot = Some(self.unless_stopped(sent(slot.take().ok_or_else(upload_closed_error)?))?);
            }
        }
        Ok(())
    }

    /// Waits for a step of the upload. If it is stopped, interrupted or fails, the upload is dropped, which aborts it.
    fn unless_stopped<T: Send + 'static>(
        &self,
        step: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> PyResult<T> {
        let mut stopped = self.stopped.subscribe();
        let outcome = block_on(async move {
            tokio::select! {
                outcome = step => outcome.map(Some),
                _ = stopped.wait_for(|stopped| *stopped) => Ok(None),
            }
        })?;
        outcome.ok_or_else(upload_closed_error)
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
        // Any other buffer, such as a NumPy array's, in chunks: the stable ABI of Python 3.10 has no buffer protocol.
        let view = py.import("builtins")?.call_method1("memoryview", (data,))?.call_method1("cast", ("B",))?;
        let length = view.len()?;
        for from in (0..length).step_by(CHUNK_BYTES) {
            let to = (from + CHUNK_BYTES).min(length);
            let slice = PySlice::new(py, from.cast_signed(), to.cast_signed(), 1);
            let piece = view.get_item(slice)?.call_method0("tobytes")?;
            let piece = piece.cast::<PyBytes>()?.as_bytes();
            py.detach(|| self.write_bytes(piece))?;
        }
        Ok(length)
    }

    #[pyo3(signature = (text, /))]
    fn write_text(&self, py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<usize> {
        let bytes = text.to_str()?.as_bytes();
        py.detach(|| self.write_bytes(bytes))?;
        Ok(bytes.len())
    }

    fn digest(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.owner.check()?;
        Ok(py.detach(|| self.hasher().take()).map(Hasher::finish))
    }

    fn reserve(&self, py: Python<'_>) -> PyResult<()> {
        self.owner.check()?;
        py.detach(|| {
            let mut slot = self.slot();
            let mut upload = slot.take().ok_or_else(upload_closed_error)?;
            let reserved = async move {
                upload.reserve().await;
                Ok(upload)
            };
            *slot = Some(self.unless_stopped(reserved)?);
            Ok(())
        })
    }

    fn stop(&self) {
        self.stopped.send_replace(true);
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.unless_stopped(self.take()?.finish()))
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let runtime = handle()?;
        // A writer in another thread holds the lock and may need the GIL.
        let upload = py.detach(|| self.take())?;
        // Without a running loop the awaitable cannot be created; the upload is then aborted by a task of the runtime.
        let _entered = runtime.enter();
        awaitable(py, upload.finish())
    }

    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        self.owner.check()?;
        self.stop();
        py.detach(|| abort_upload(&mut self.slot()))
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
        if !self.owner.is_current() {
            return mem::forget(self.slot().take()); // the parent process owns the upload
        }
        let Ok(runtime) = handle() else { return };
        // Dropping an unfinished upload spawns its abort.
        let _entered = runtime.enter();
        drop(self.slot().take());
    }
}

/// Drops an unfinished upload, which spawns its abort.
fn abort_upload(slot: &mut Option<Upload>) -> PyResult<()> {
    let runtime = handle()?;
    let _entered = runtime.enter();
    drop(slot.take());
    Ok(())
}

fn read_interrupted_error() -> PyErr {
    PyValueError::new_err("reading this object was given up half way")
}

fn upload_closed_error() -> PyErr {
    PyValueError::new_err("this upload is finished or was aborted")
}
