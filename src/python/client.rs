//! `Client`: the core's operations as awaitables.

use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::awaitable::awaitable;
use super::connection::Connection;
use super::inspector::{Inspector, to_json};
use super::job::PyJob;
use super::runtime::{OwningProcess, block_on, handle};
use super::streams::{Reader, Writer};
use super::values::{PyBlob, PyJobState, PyListedJob, PyListedObject, PyStoredResult, PySubmitted};
use crate::aws::detached;
use crate::aws::settings;
use crate::batch::listing;
use crate::batch::logs;
use crate::batch::platform::Platform;
use crate::batch::queue::{self, Demand};
use crate::batch::request::JobRequest;
use crate::batch::watcher::Watch;
use crate::ecr::push::PushRequest;
use crate::ecr::{self, base, image, push};
use crate::s3::download::{self, Download};
use crate::s3::hashing::HashAlgorithm;
use crate::s3::listing as objects;
use crate::s3::storage::BucketRequirements;
use crate::s3::upload::Upload;
use crate::s3::{cleanup, shared};

#[pyclass(frozen, module = "covalent_awsbatch_plugin._core")]
pub struct Client {
    connection: Connection,
    owner: OwningProcess,
}

impl Client {
    /// The connection, unless the parent process owns it.
    fn connection(&self) -> PyResult<Connection> {
        self.owner.check()?;
        Ok(self.connection.clone())
    }
}

#[pymethods]
impl Client {
    #[new]
    fn new(settings: &str) -> PyResult<Self> {
        Ok(Self { connection: Connection::new(settings::from_json(settings)?), owner: OwningProcess::current() })
    }

    fn for_bucket(&self, owner: String, kms_key_id: String) -> Self {
        let requirements = BucketRequirements { bucket_owner: owner, kms_key_id };
        Self { connection: self.connection.for_bucket(requirements), owner: self.owner }
    }

    fn inspector(&self) -> PyResult<Inspector> {
        Ok(Inspector(self.connection()?))
    }

    fn identity<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move {
            let session = connection.session().await?;
            let identity = session.clients.caller.identity().await?.clone();
            Ok(HashMap::from([("Account", identity.account), ("Arn", identity.arn), ("UserId", identity.user_id)]))
        })
    }

    fn submit<'py>(&self, py: Python<'py>, request: &str) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        let request: JobRequest = settings::from_json(request)?;
        awaitable(
            py,
            async move { connection.session().await?.submitter.clone().submit(request).await.map(PySubmitted) },
        )
    }

    fn spare(&self, name: String) -> PyResult<()> {
        // Without a session nothing was submitted yet.
        if let Some(session) = self.connection()?.existing_session() {
            session.submitter.spare(name);
        }
        Ok(())
    }

    fn end_of<'py>(&self, py: Python<'py>, job_id: String, poll: f64, runnable: f64) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        let watch = Watch { poll_interval: settings::seconds(poll)?, runnable_timeout: settings::seconds(runnable)? };
        awaitable(py, async move { connection.session().await?.watcher.end_of(&job_id, watch).await.map(PyJob) })
    }

    fn states<'py>(&self, py: Python<'py>, job_ids: Vec<String>) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move {
            let states = connection.session().await?.watcher.states.of(&job_ids);
            Ok(states.into_iter().map(|(id, state)| (id, PyJobState(state))).collect::<HashMap<_, _>>())
        })
    }

    fn describe<'py>(&self, py: Python<'py>, job_id: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move {
            let jobs = connection.session().await?.jobs.describe(&[job_id]).await?;
            Ok(jobs.into_iter().next().map(PyJob))
        })
    }

    fn describe_all<'py>(&self, py: Python<'py>, job_ids: Vec<String>) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move {
            let jobs = connection.session().await?.jobs.describe_all(&job_ids).await?;
            Ok(jobs.into_iter().map(|job| (job.id.clone(), PyJob(job))).collect::<HashMap<_, _>>())
        })
    }

    fn list_jobs<'py>(&self, py: Python<'py>, queue: String, prefix: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move {
            let jobs = listing::list(&connection.session().await?.clients, &queue, &prefix).await?;
            Ok(jobs.into_iter().map(PyListedJob).collect::<Vec<_>>())
        })
    }

    fn terminate<'py>(&self, py: Python<'py>, job_id: String, reason: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        // Detached: the job must be terminated even if the caller's event loop ends before.
        let ending = {
            let _entered = handle()?.enter();
            detached::run(
                async move { connection.session().await?.jobs.terminate(&job_id, &reason).await },
                |outcome| async move {
                    if let Err(error) = outcome {
                        tracing::warn!("{error}");
                    }
                },
            )
        };
        awaitable(py, ending)
    }

    fn queue_problems<'py>(
        &self,
        py: Python<'py>,
        queue: String,
        vcpu: f64,
        platform: &str,
        shares: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        let platform = Platform::named(platform).unwrap_or_default();
        awaitable(py, async move {
            queue::problems(&connection.session().await?.clients, &queue, Demand { vcpu, platform, shares }).await
        })
    }

    fn queue_platform<'py>(&self, py: Python<'py>, queue: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move { Ok(connection.session().await?.platforms.of(&queue).await.map(Platform::name)) })
    }

    fn stored_result<'py>(&self, py: Python<'py>, bucket: String, key: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move {
            let (session, storage) = (connection.session().await?, connection.storage().await?);
            Ok(PyStoredResult(session.envelopes.fetch(&storage, &bucket, &key).await?))
        })
    }

    fn printed<'py>(&self, py: Python<'py>, bucket: String, key: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move {
            let (session, storage) = (connection.session().await?, connection.storage().await?);
            let printed = session.envelopes.printed(&storage, &bucket, &key).await?;
            Ok(printed.map(|printed| (printed.stdout, printed.stderr, printed.traceback, printed.exception)))
        })
    }

    fn read<'py>(&self, py: Python<'py>, bucket: String, key: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move { Ok(PyBlob(download::read(connection.storage().await?, &bucket, &key).await?)) })
    }

    fn delete<'py>(&self, py: Python<'py>, bucket: String, keys: Vec<String>) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move { cleanup::delete(&connection.storage().await?, &bucket, &keys).await })
    }

    fn list_objects<'py>(&self, py: Python<'py>, bucket: String, prefix: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move {
            let found = objects::list(&connection.storage().await?, &bucket, &prefix).await?;
            Ok(found.into_iter().map(PyListedObject).collect::<Vec<_>>())
        })
    }

    fn metadata<'py>(&self, py: Python<'py>, bucket: String, keys: Vec<String>) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move { objects::metadata(&connection.storage().await?, &bucket, keys).await })
    }

    fn count_objects<'py>(&self, py: Python<'py>, bucket: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move { objects::count(&connection.storage().await?, &bucket).await })
    }

    fn keep<'py>(&self, py: Python<'py>, bucket: String, key: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move { shared::keep(&connection.storage().await?, &bucket, &key).await })
    }

    fn log_tail<'py>(&self, py: Python<'py>, group: String, stream: String, lines: i32) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move { logs::tail(&connection.session().await?.clients, &group, &stream, lines).await })
    }

    fn log_lines<'py>(
        &self,
        py: Python<'py>,
        group: String,
        streams: Vec<String>,
        start: i64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move {
            let lines = logs::since(&connection.session().await?.clients, &group, &streams, start).await?;
            Ok(lines.into_iter().map(|line| (line.id, line.stream, line.at, line.text)).collect::<Vec<_>>())
        })
    }

    fn image_problem<'py>(&self, py: Python<'py>, image: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move { image::problem(&connection.session().await?.clients, &image).await })
    }

    fn find_image<'py>(&self, py: Python<'py>, repository: String, tag: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move { connection.repository(&repository).await?.find(&tag).await })
    }

    fn base_image<'py>(&self, py: Python<'py>, image: String, architecture: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move {
            to_json(&base::read(&connection.session().await?.clients, &image, &architecture).await?)
        })
    }

    fn push_image<'py>(&self, py: Python<'py>, request: &str) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        let request: PushRequest = settings::from_json(request)?;
        awaitable(py, async move {
            let base = base::Repository::of(&connection.session().await?.clients, &request.base)?;
            push::push(connection.repository(&request.repository).await?, base, request).await
        })
    }

    fn list_images<'py>(&self, py: Python<'py>, repository: String, prefix: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move {
            to_json(&ecr::listing::list(&connection.repository(&repository).await?, &prefix).await?)
        })
    }

    fn delete_images<'py>(
        &self,
        py: Python<'py>,
        repository: String,
        digests: Vec<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection()?;
        awaitable(py, async move { ecr::listing::delete(&connection.repository(&repository).await?, &digests).await })
    }

    #[pyo3(signature = (bucket, key, hash_algorithm=None))]
    fn reader(&self, py: Python<'_>, bucket: String, key: String, hash_algorithm: Option<&str>) -> PyResult<Reader> {
        let connection = self.connection()?;
        let hash_algorithm = hash_algorithm.map(hash_algorithm_named).transpose()?;
        let open = async move { Download::open(connection.storage().await?, &bucket, &key).await };
        let download = py.detach(|| block_on(open))?;
        Ok(Reader::new(download, hash_algorithm))
    }

    #[pyo3(signature = (bucket, key, metadata=None, hash_algorithm=None, *, shared=false))]
    fn writer(
        &self,
        py: Python<'_>,
        bucket: &str,
        key: &str,
        metadata: Option<HashMap<String, String>>,
        hash_algorithm: Option<&str>,
        shared: bool,
    ) -> PyResult<Writer> {
        let connection = self.connection()?;
        let hash_algorithm = hash_algorithm.map(hash_algorithm_named).transpose()?;
        let storage = py.detach(|| block_on(async move { connection.storage().await }))?;
        Ok(Writer::new(Upload::new(storage, bucket, key, metadata.unwrap_or_default(), shared), hash_algorithm))
    }
}

fn hash_algorithm_named(name: &str) -> PyResult<HashAlgorithm> {
    HashAlgorithm::named(name)
        .ok_or_else(|| PyValueError::new_err(format!("there is no hash algorithm {name:?}: blake3 or sha256")))
}
