//! Submits a job exactly once.
//!
//! `SubmitJob` takes no client token, so the SDK's own retries would submit a second job whenever an answer is lost.
//! Here the job's name is the idempotency key: a live job of that name is adopted, and after an ambiguous failure the
//! name is looked up before the next attempt.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use aws_sdk_batch::operation::submit_job::SubmitJobError;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::definition::Definitions;
use super::jobs::Jobs;
use super::json_call::with_body;
use super::request::JobRequest;
use super::{listing, queue};
use crate::aws::clients::Clients;
use crate::aws::detached;
use crate::aws::retry::{self, ClockSkewOnly};
use crate::aws::single_flight::SingleFlight;
use crate::envelope::signature::Signatures;
use crate::error::{Error, Kind, Result};

/// How long submission is retried after the first call without an answer.
const UNANSWERED_TIMEOUT: Duration = Duration::from_mins(5);
/// The backoff between attempts doubles from the first to the second.
const INITIAL_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(20);
/// How long `SubmitJob` may not know a new job definition, since AWS is eventually consistent.
const DEFINITION_PROPAGATION: Duration = Duration::from_secs(15);
/// Delays before each look-up of a job that was just submitted, or may have been: AWS may not list it at once.
const LOOKUP_DELAYS: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// Names to keep, some tens of megabytes; families that were dropped are listed again.
const MAX_NAMES: usize = 100_000;
/// Reason of terminating a job whose task was cancelled during its submission. Nobody ever waited for such a job.
pub const ABANDONED_REASON: &str = "The task that submitted this job was cancelled before it knew the job's id";

/// Ids of known jobs by name, in families: those that were listed for the family's first task, and those submitted
/// since. A family is a dispatch in one queue.
#[derive(Debug, Default)]
pub struct JobNames {
    families: Mutex<Families>,
    /// Approximate number of names in all families.
    count: AtomicUsize,
}

/// By queue and family.
type Families = HashMap<(String, String), Arc<SingleFlight<Family>>>;

/// Ids by job name, newest last.
type Family = Mutex<HashMap<String, Vec<String>>>;

impl JobNames {
    fn cell(&self, request: &JobRequest) -> Arc<SingleFlight<Family>> {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        if families.len() + self.count.load(Ordering::Relaxed) >= MAX_NAMES {
            families.clear();
            self.count.store(0, Ordering::Relaxed);
        }
        families.entry((request.queue().to_owned(), request.family().to_owned())).or_default().clone()
    }
}

/// Submits jobs, and remembers their names.
#[derive(Debug)]
pub struct Submitter {
    clients: Arc<Clients>,
    jobs: Arc<Jobs>,
    definitions: Definitions,
    signatures: Arc<Signatures>,
    names: JobNames,
    /// Names of jobs that go on if nobody takes their ids.
    spared: Arc<Mutex<HashSet<String>>>,
}

impl Submitter {
    /// Without known jobs.
    #[must_use]
    pub fn new(clients: Arc<Clients>, jobs: Arc<Jobs>, signatures: Arc<Signatures>) -> Self {
        let definitions = Definitions::new(clients.clone());
        Self { clients, jobs, definitions, signatures, names: JobNames::default(), spared: Arc::default() }
    }

    /// Has the job of this name go on if nobody takes its id. It is then found by its name.
    pub fn spare(&self, name: String) {
        self.spared.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
    }

    /// Submits the job and returns its id: exactly one live job of its name will exist, even if answers are lost.
    ///
    /// Dropping the future stops a submission that still waits for the rate limiter. A call in flight completes, and
    /// its job is then terminated, unless it is spared.
    pub async fn submit(self: Arc<Self>, request: JobRequest) -> Result<Submitted> {
        // Dropped with this future, so that the detached task sees whether the caller still waits.
        let caller = Arc::new(());
        let caller_alive = Arc::downgrade(&caller);
        let submission = async move {
            let id = self.adopt_or_submit(&request, &caller_alive).await?;
            let (jobs, spared) = (self.jobs.clone(), self.spared.clone());
            Ok(Submitted { id: Some(id), name: request.name().to_owned(), jobs, spared, runtime: Handle::current() })
        };
        let submitted = detached::run(submission, |_| async {}).await;
        drop(caller);
        submitted
    }

    async fn adopt_or_submit(&self, request: &JobRequest, caller_alive: &Weak<()>) -> Result<String> {
        let cell = self.names.cell(request);
        let family = cell.get_or_make(|| self.find_family(request)).await?;
        let known = {
            let names = family.lock().unwrap_or_else(PoisonError::into_inner);
            names.get(request.name()).cloned().unwrap_or_default()
        };
        if let Some(live) = self.newest_live(&known).await? {
            tracing::info!("job {} runs already, as {live}: waiting for that one", request.name());
            return Ok(live);
        }
        self.signatures.remember_key(request.environment(), request.image());
        let id = self.submit_new(request, &known.iter().map(String::as_str).collect(), caller_alive).await?;
        self.names.count.fetch_add(1, Ordering::Relaxed);
        let mut names = family.lock().unwrap_or_else(PoisonError::into_inner);
        names.entry(request.name().to_owned()).or_default().push(id.clone());
        Ok(id)
    }

    /// Lists the jobs of a family that earlier or other processes have submitted, once per family.
    async fn find_family(&self, request: &JobRequest) -> Result<Family> {
        let clients = &*self.clients;
        match retry::retry_transient(UNANSWERED_TIMEOUT, || find(clients, request.queue(), request.family())).await {
            Ok(names) => {
                self.names.count.fetch_add(names.len(), Ordering::Relaxed);
                Ok(Mutex::new(names))
            }
            // An IAM policy for the public plugin does not allow `ListJobs`.
            Err(error) if error.kind() == Kind::Access && error.code().is_some() => {
                tracing::warn!("{error}; a job that is left from before would not be found");
                Ok(Family::default())
            }
            Err(error) if error.kind() == Kind::Refused => Err(explain_refusal(clients, request, error).await),
            Err(error) => Err(error),
        }
    }

    async fn newest_live(&self, ids: &[String]) -> Result<Option<String>> {
        let Some(newest) = ids.last() else { return Ok(None) };
        let ids = std::slice::from_ref(newest);
        // A job that was submitted a moment ago by a process that died may be listed before it can be described.
        for pause in [None].into_iter().chain(LOOKUP_DELAYS.map(Some)) {
            if let Some(pause) = pause {
                sleep(pause).await;
            }
            let found = retry::retry_throttled(|| self.jobs.describe(ids)).await?;
            if let Some(job) = found.into_iter().find(|job| !job.status.is_empty()) {
                return Ok((!job.has_ended()).then_some(job.id));
            }
        }
        Ok(None)
    }

    /// Submits a job. `known` are the ids of other jobs with the same name.
    async fn submit_new(&self, request: &JobRequest, known: &HashSet<&str>, caller_alive: &Weak<()>) -> Result<String> {
        let clients = &*self.clients;
        let start = Instant::now();
        let mut unanswered_since = None;
        let mut pause = INITIAL_BACKOFF;
        let mut unknown_since = None;
        loop {
            let definition = match request.revision() {
                Some(revision) => revision.to_owned(),
                None => self.definitions.find_or_register(request.definition()).await?,
            };
            clients.acquire_batch_call().await;
            if caller_alive.strong_count() == 0 {
                return Err(Error::new(Kind::Refused, format!("nobody wants job {} any more", request.name())));
            }
            let error = match submit_once(clients, request, &definition).await {
                Ok(id) => return Ok(id),
                Err(error) => error,
            };
            let end = match error.kind() {
                // Either the revision was deregistered: find or register another one. Or it is new, and `SubmitJob`
                // does not know it yet: wait.
                Kind::Refused
                    if request.revision().is_none()
                        && mentions_definition(&error)
                        && unknown_since.is_none_or(|since: Instant| since.elapsed() < DEFINITION_PROPAGATION) =>
                {
                    if unknown_since.is_none() {
                        self.definitions.forget(&definition);
                        unknown_since = Some(Instant::now());
                    } else {
                        sleep(pause).await;
                    }
                    continue;
                }
                Kind::Throttled => start + retry::THROTTLED_TIMEOUT,
                Kind::Ambiguous | Kind::Garbled => {
                    *unanswered_since.get_or_insert_with(Instant::now) + UNANSWERED_TIMEOUT
                }
                Kind::Refused => return Err(explain_refusal(clients, request, error).await),
                _ => return Err(error),
            };
            // Also after the last attempt: a job whose id is unknown would run unnoticed.
            let may_exist = error.kind() != Kind::Throttled && !error.never_arrived();
            if may_exist && let Some(id) = find_submitted(&error, clients, request, known).await? {
                tracing::info!("job {} had been submitted after all, as {id}", request.name());
                return Ok(id);
            }
            if Instant::now() + pause > end {
                return Err(error);
            }
            tracing::info!("{error}; trying again");
            if !may_exist {
                sleep(pause).await;
                pause = (pause * 2).min(MAX_BACKOFF);
            }
        }
    }
}

/// A submitted job whose id was not taken yet. Dropping it terminates the job, unless it is spared.
#[derive(Debug)]
pub struct Submitted {
    id: Option<String>,
    name: String,
    spared: Arc<Mutex<HashSet<String>>>,
    jobs: Arc<Jobs>,
    runtime: Handle,
}

impl Submitted {
    /// The id, for a caller that takes over the responsibility for the job.
    #[must_use]
    pub fn take(mut self) -> String {
        self.id.take().unwrap_or_default()
    }
}

impl Drop for Submitted {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        if self.spared.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.name) {
            return;
        }
        let jobs = self.jobs.clone();
        let _entered = self.runtime.enter();
        drop(detached::run(
            async move {
                if let Err(error) = jobs.terminate(&id, ABANDONED_REASON).await {
                    tracing::warn!("job {id} goes on although its task was cancelled: {error}");
                }
            },
            |()| async {},
        ));
    }
}

/// Looks up the job of a submission whose answer was lost. If that fails too, it is an error: a second attempt could
/// submit a second job.
async fn find_submitted(
    submit_error: &Error,
    clients: &Clients,
    request: &JobRequest,
    known: &HashSet<&str>,
) -> Result<Option<String>> {
    let (name, queue) = (request.name(), request.queue());
    for pause in LOOKUP_DELAYS {
        sleep(pause).await;
        if let Some(id) = find_new_job(submit_error, clients, name, queue, known).await? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

async fn find_new_job(
    submit_error: &Error,
    clients: &Clients,
    name: &str,
    queue: &str,
    known: &HashSet<&str>,
) -> Result<Option<String>> {
    let mut found = retry::retry_transient(UNANSWERED_TIMEOUT, || find(clients, queue, name)).await.map_err(|error| {
        Error::with_source(
            error.kind(),
            format!(
                "{submit_error}; whether job {name} runs in queue {queue} is unknown, since it could not be looked up: look for \
                 it there before you run the task again"
            ),
            error,
        )
    })?;
    let ids = found.remove(name).unwrap_or_default();
    Ok(ids.into_iter().rfind(|id| !known.contains(id.as_str())))
}

/// Adds the queue's problems to a refusal, if any are found.
async fn explain_refusal(clients: &Clients, request: &JobRequest, error: Error) -> Error {
    match queue::problems(clients, request.queue(), request.into()).await {
        Ok(problems) if !problems.is_empty() => error.with_advice(&problems.join("; ")),
        _ => error,
    }
}

async fn submit_once(clients: &Clients, request: &JobRequest, definition: &str) -> Result<String> {
    let call = clients.batch.submit_job().customize().config_override(
        aws_sdk_batch::Config::builder()
            .retry_config(retry::task_retries())
            .retry_classifier(ClockSkewOnly::<SubmitJobError>::new()),
    );
    let subject = format!("queue {}", request.queue());
    let answer = with_body(call, &request.submission(definition))
        .send()
        .await
        .map_err(|error| clients.batch_error("batch:SubmitJob", &subject, error))?;
    answer.job_id.filter(|id| !id.is_empty()).ok_or_else(|| {
        Error::new(Kind::Garbled, format!("AWS answered batch:SubmitJob on {subject} without a job's id"))
    })
}

/// Ids by name of a queue's jobs with this prefix, in any state; newest last.
async fn find(clients: &Clients, queue: &str, prefix: &str) -> Result<HashMap<String, Vec<String>>> {
    Ok(listing::ids_by_name(listing::list(clients, queue, prefix).await?))
}

fn mentions_definition(error: &Error) -> bool {
    let text = error.to_string();
    text.to_ascii_lowercase().contains("job definition") || text.contains("JobDefinition")
}
