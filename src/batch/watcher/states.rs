//! What is known of the watched jobs, for whoever shows it while they run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::job::Job;
use crate::batch::waiting;

/// The state of a job that has not ended, when it was last described.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JobState {
    /// `SUBMITTED` … `RUNNING`.
    pub status: String,
    /// Why AWS says that it waits.
    pub reason: Option<String>,
    /// Log stream of its newest attempt.
    pub log_stream: Option<String>,
    /// How many of its attempts have ended.
    pub attempts: usize,
    /// Which of its nodes have not begun although it runs, as a clause.
    pub waiting_nodes: Option<String>,
}

impl JobState {
    /// What the reason means and what to do; `None` where that is not known.
    #[must_use]
    pub fn meaning(&self) -> Option<&'static str> {
        waiting::meaning(&self.status, self.reason.as_deref())
    }

    fn is_of(&self, job: &Job) -> bool {
        self.status == job.status
            && self.reason == job.status_reason
            && self.log_stream == job.log_stream
            && self.attempts == job.attempts.len()
    }
}

/// The states of all watched jobs by id. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct States(Arc<Mutex<HashMap<String, JobState>>>);

impl States {
    /// Those of some jobs that are watched and have been described.
    #[must_use]
    pub fn of(&self, ids: &[String]) -> HashMap<String, JobState> {
        let states = self.lock();
        ids.iter().filter_map(|id| Some((id.clone(), states.get(id)?.clone()))).collect()
    }

    /// Notes what was described.
    pub(super) fn note(&self, jobs: &[Job]) {
        let mut states = self.lock();
        for job in jobs.iter().filter(|job| !job.status.is_empty() && !job.has_ended()) {
            if states.get(&job.id).is_some_and(|state| state.is_of(job)) {
                continue;
            }
            let state = JobState {
                status: job.status.clone(),
                reason: job.status_reason.clone(),
                log_stream: job.log_stream.clone(),
                attempts: job.attempts.len(),
                waiting_nodes: None,
            };
            states.insert(job.id.clone(), state);
        }
    }

    /// Notes which nodes a job that runs waits for.
    pub(super) fn note_waiting_nodes(&self, id: &str, waiting: Option<String>) {
        if let Some(state) = self.lock().get_mut(id) {
            state.waiting_nodes = waiting;
        }
    }

    /// Forgets a job that is not watched any more.
    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, JobState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
