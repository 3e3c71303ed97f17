//! The nodes of a watched job that has several.
//!
//! AWS Batch ends such a job when its main node ends, and does nothing when another one dies:
//! <https://docs.aws.amazon.com/batch/latest/userguide/job-lifecycle.html>. So the nodes are described together with
//! their job, and the failure of one of them is told as the job's.

use crate::batch::job::Job;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// How many there are; 0 for a job of one container, and before it was described.
    count: usize,
    running: Option<Running>,
    /// The node that failed first while the job runs.
    failed: Option<Job>,
}

/// The attempt of the job that runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Running {
    attempts_before: usize,
    since: Option<i64>,
}

impl Nodes {
    /// How many of them are to be described: the main node, which says how the job ended, and all while it runs.
    pub fn described(&self) -> usize {
        if self.running.is_some() { self.count } else { self.count.min(1) }
    }

    /// Notes what the job is like. Returns the node whose failure ends it: it was found in an earlier answer, and its
    /// job runs on in the same attempt.
    pub fn note_job(&mut self, job: &Job) -> Option<Job> {
        let running =
            (job.status == "RUNNING").then_some(Running { attempts_before: job.attempts.len(), since: job.started_at });
        if self.running != running {
            self.failed = None;
        }
        (self.count, self.running) = (job.nodes, running);
        self.failed.clone()
    }

    /// Notes what the main node is like. Its end is the job's, and stops the others: none of them has failed then.
    pub fn note_main(&mut self, main: &Job) {
        if main.has_ended() {
            self.failed = None;
        }
    }

    /// Notes what another node is like. Until it begins again it is described as an earlier attempt of it ended.
    pub fn note_node(&mut self, node: &Job) {
        let Some(running) = self.running.filter(|_| node.status == "FAILED") else { return };
        let ended_before = node.stopped_at.zip(running.since).is_some_and(|(stopped, since)| stopped < since);
        let is_counted = node.attempts.is_empty() || node.attempts.len() > running.attempts_before;
        let is_first = self.failed.as_ref().is_none_or(|known| known.stopped_at > node.stopped_at);
        if !ended_before && is_counted && is_first {
            self.failed = Some(node.clone());
        }
    }
}
