//! Submitting a job once.
//!
//! `SubmitJob` takes no client token, so the SDK's own retries would make a second job whenever an answer is lost. Here
//! the job's name is the key: what runs under it already is adopted, and after a failure that leaves the outcome open,
//! the name is looked up before another try.

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
use crate::aws::retry::{self, OnlyForTheClock};
use crate::aws::single_flight::SingleFlight;
use crate::envelope::signature::Signatures;
use crate::error::{Error, Kind, Result};

/// How long submission goes on after AWS first did not answer before it gives up.
const PATIENCE: Duration = Duration::from_mins(5);
/// First pause between tries; it doubles up to `LONGEST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// How long a job definition that AWS has registered may be unknown to it.
const SETTLING: Duration = Duration::from_secs(15);
/// Pauses before each look for a job that was, or may have been, just submitted: AWS may not show it at once.
const LOOKS: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// Jobs to remember, some tens of megabytes; a family that was forgotten is merely looked up again.
const NAMES: usize = 100_000;
/// Said of a job that came to exist when nobody wanted it any more.
const ABANDONED: &str = "The task that submitted this job was cancelled before it knew the job's id";

/// Jobs that are known by name, a family at a time: those found when its first task came, and those submitted since.
/// A family is a dispatch; in each queue it is one of its own.
#[derive(Debug, Default)]
pub struct Names {
    families: Mutex<Families>,
    /// How many names there are in all of them, roughly.
    count: AtomicUsize,
}

/// By queue and family.
type Families = HashMap<(String, String), Arc<SingleFlight<Family>>>;

/// Ids by job name, newest last.
type Family = Mutex<HashMap<String, Vec<String>>>;

impl Names {
    fn cell(&self, request: &JobRequest) -> Arc<SingleFlight<Family>> {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        if families.len() + self.count.load(Ordering::Relaxed) >= NAMES {
            families.clear();
            self.count.store(0, Ordering::Relaxed);
        }
        families.entry((request.queue().to_owned(), request.family().to_owned())).or_default().clone()
    }
}

/// Submits jobs, and knows those that were submitted.
#[derive(Debug)]
pub struct Submitter {
    clients: Arc<Clients>,
    jobs: Arc<Jobs>,
    definitions: Definitions,
    signatures: Arc<Signatures>,
    names: Names,
}

impl Submitter {
    /// One that knows of no job yet.
    #[must_use]
    pub fn new(clients: Arc<Clients>, jobs: Arc<Jobs>, signatures: Arc<Signatures>) -> Self {
        let definitions = Definitions::new(clients.clone());
        Self { clients, jobs, definitions, signatures, names: Names::default() }
    }

    /// Submits the job and returns its id: exactly one live job of its name comes to exist, whatever happens to the answers.
    ///
    /// Dropping the future stops a submission that still waits for its turn. One under way goes on, and a job that it makes
    /// is then terminated.
    pub async fn submit(self: Arc<Self>, request: JobRequest) -> Result<Submitted> {
        // Lives as long as somebody waits for the job.
        let interest = Arc::new(());
        let wanted = Arc::downgrade(&interest);
        let submission = async move {
            let id = self.adopt_or_submit(&request, &wanted).await?;
            Ok(Submitted { id: Some(id), jobs: self.jobs.clone(), runtime: Handle::current() })
        };
        let submitted = detached::run(submission, |_| async {}).await;
        drop(interest);
        submitted
    }

    async fn adopt_or_submit(&self, request: &JobRequest, wanted: &Weak<()>) -> Result<String> {
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
        let id = self.submit_new(request, &known.iter().map(String::as_str).collect(), wanted).await?;
        self.names.count.fetch_add(1, Ordering::Relaxed);
        let mut names = family.lock().unwrap_or_else(PoisonError::into_inner);
        names.entry(request.name().to_owned()).or_default().push(id.clone());
        Ok(id)
    }

    /// What already runs or ran in a family, from before this process or from another one: one call a family.
    async fn find_family(&self, request: &JobRequest) -> Result<Family> {
        let clients = &*self.clients;
        match retry::retry_transient(PATIENCE, || find(clients, request.queue(), request.family())).await {
            Ok(names) => {
                self.names.count.fetch_add(names.len(), Ordering::Relaxed);
                Ok(Mutex::new(names))
            }
            // An IAM policy written for the public plugin lacks this right.
            Err(error) if error.kind() == Kind::Access && error.code().is_some() => {
                tracing::warn!("{error}; a job that is left from before would not be found");
                Ok(Family::default())
            }
            Err(error) if error.kind() == Kind::Refused => Err(explained(clients, request, error).await),
            Err(error) => Err(error),
        }
    }

    async fn newest_live(&self, ids: &[String]) -> Result<Option<String>> {
        let Some(newest) = ids.last() else { return Ok(None) };
        let ids = std::slice::from_ref(newest);
        // A job that was submitted a moment ago, by a process that has died since, may be listed and not yet be described.
        for pause in [None].into_iter().chain(LOOKS.map(Some)) {
            if let Some(pause) = pause {
                sleep(pause).await;
            }
            let found = retry::while_throttled(|| self.jobs.describe(ids)).await?;
            if let Some(job) = found.into_iter().find(|job| !job.status.is_empty()) {
                return Ok((!job.has_ended()).then_some(job.id));
            }
        }
        Ok(None)
    }

    /// Submits under a name of which `known` are the ids that are not this submission's.
    async fn submit_new(&self, request: &JobRequest, known: &HashSet<&str>, wanted: &Weak<()>) -> Result<String> {
        let clients = &*self.clients;
        let start = Instant::now();
        let mut unanswered_since = None;
        let mut pause = FIRST_PAUSE;
        let mut unknown_since = None;
        loop {
            let definition = self.definitions.find_or_register(request.definition()).await?;
            clients.turn().await;
            if wanted.strong_count() == 0 {
                return Err(Error::new(Kind::Refused, format!("nobody wants job {} any more", request.name())));
            }
            let error = match try_once(clients, request, &definition).await {
                Ok(id) => return Ok(id),
                Err(error) => error,
            };
            let end = match error.kind() {
                // The revision was deregistered since it was found: look for another one. Or it was registered a moment ago, and
                // not all of AWS knows.
                Kind::Refused
                    if speaks_of_definition(&error)
                        && unknown_since.is_none_or(|since: Instant| since.elapsed() < SETTLING) =>
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
                Kind::Ambiguous | Kind::Garbled => *unanswered_since.get_or_insert_with(Instant::now) + PATIENCE,
                Kind::Refused => return Err(explained(clients, request, error).await),
                _ => return Err(error),
            };
            // Also where patience ends: a job that nobody knows of would go on.
            let may_be_there = error.kind() != Kind::Throttled && !error.never_arrived();
            if may_be_there && let Some(id) = find_after(&error, clients, request, known).await? {
                tracing::info!("job {} had been submitted after all, as {id}", request.name());
                return Ok(id);
            }
            if Instant::now() + pause > end {
                return Err(error);
            }
            tracing::info!("{error}; trying again");
            if !may_be_there {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// A job that somebody wanted, until somebody has taken its id. Dropped before, it is terminated.
#[derive(Debug)]
pub struct Submitted {
    id: Option<String>,
    jobs: Arc<Jobs>,
    runtime: Handle,
}

impl Submitted {
    /// The id, to someone who from now on sees to the job.
    #[must_use]
    pub fn take(mut self) -> String {
        self.id.take().unwrap_or_default()
    }
}

impl Drop for Submitted {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let jobs = self.jobs.clone();
        let _entered = self.runtime.enter();
        drop(detached::run(
            async move {
                if let Err(error) = jobs.terminate(&id, ABANDONED).await {
                    tracing::warn!("job {id} goes on although its task was cancelled: {error}");
                }
            },
            |()| async {},
        ));
    }
}

/// Looks for the job of a submission whose answer was lost. If that fails too, nobody knows: better no second try.
async fn find_after(
    lost: &Error,
    clients: &Clients,
    request: &JobRequest,
    known: &HashSet<&str>,
) -> Result<Option<String>> {
    let (name, queue) = (request.name(), request.queue());
    for pause in LOOKS {
        sleep(pause).await;
        if let Some(id) = look(lost, clients, name, queue, known).await? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

async fn look(
    lost: &Error,
    clients: &Clients,
    name: &str,
    queue: &str,
    known: &HashSet<&str>,
) -> Result<Option<String>> {
    let mut found = retry::retry_transient(PATIENCE, || find(clients, queue, name)).await.map_err(|error| {
        Error::with_source(
            error.kind(),
            format!(
                "{lost}; whether job {name} runs in queue {queue} is unknown, since it could not be looked up: look for \
                 it there before you run the task again"
            ),
            error,
        )
    })?;
    let ids = found.remove(name).unwrap_or_default();
    Ok(ids.into_iter().rfind(|id| !known.contains(id.as_str())))
}

/// Adds to a refusal what is wrong with the queue, if anything is and AWS lets us look.
async fn explained(clients: &Clients, request: &JobRequest, error: Error) -> Error {
    match queue::problems(clients, request.queue(), request.into()).await {
        Ok(problems) if !problems.is_empty() => error.with_advice(&problems.join("; ")),
        _ => error,
    }
}

async fn try_once(clients: &Clients, request: &JobRequest, definition: &str) -> Result<String> {
    let call = clients.batch.submit_job().customize().config_override(
        aws_sdk_batch::Config::builder()
            .retry_config(retry::task_retries())
            .retry_classifier(OnlyForTheClock::<SubmitJobError>::new()),
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

/// Ids by name of the jobs in a queue whose names begin with this, in whatever state; newest last.
async fn find(clients: &Clients, queue: &str, prefix: &str) -> Result<HashMap<String, Vec<String>>> {
    Ok(listing::ids_by_name(listing::list(clients, queue, prefix).await?))
}

fn speaks_of_definition(error: &Error) -> bool {
    let text = error.to_string();
    text.to_ascii_lowercase().contains("job definition") || text.contains("JobDefinition")
}
