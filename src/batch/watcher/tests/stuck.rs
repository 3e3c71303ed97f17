//! States before RUNNING that do not end.

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

/// Polls a job once a minute. Returns the outcome and when, or nothing after a day.
async fn outcome(script: Script) -> Option<(Job, Duration)> {
    let mut actor = Actor::new(script.watcher().jobs.clone(), States::default());
    let (subscription, mut answer) =
        Subscription::new("a", Watch { poll_interval: POLL, runnable_timeout: Duration::ZERO });
    actor.add(subscription);
    let start = Instant::now();
    while start.elapsed() < 24 * 60 * MINUTE {
        actor.sweep().await;
        if let Ok(job) = answer.try_recv() {
            return Some((job.unwrap(), start.elapsed()));
        }
        sleep(MINUTE).await;
    }
    None
}

fn minutes(elapsed: Duration) -> u64 {
    (elapsed.as_secs() + 30) / 60
}

#[tokio::test(start_paused = true)]
async fn a_job_that_stays_in_a_state_before_running_is_given_up() {
    for (status, limit) in [("SUBMITTED", 120), ("PENDING", 120), ("STARTING", 180)] {
        let (job, elapsed) = outcome(Script::default().job("a", &[(status, 0)])).await.unwrap();
        assert_eq!(job.status, status);
        assert_eq!(minutes(elapsed), limit, "{status}");
        assert_eq!(job.stuck_seconds, Some(elapsed.as_secs()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_wait_for_ever_is_not_stuck() {
    assert_eq!(outcome(Script::default().job("a", &[("RUNNABLE", 0)])).await, None);
    assert_eq!(outcome(Script::default().job("a", &[("RUNNING", 0)])).await, None);
    for waits in [json!({ "dependsOn": [{ "jobId": "other" }] }), json!({ "arrayProperties": { "size": 2 } })] {
        assert_eq!(outcome(Script::default().job("a", &[("PENDING", 0)]).fields("a", waits)).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn each_state_and_each_attempt_has_its_own_time() {
    let states =
        [("SUBMITTED", 0), ("PENDING", 7000), ("RUNNABLE", 14_000), ("STARTING", 30_000), ("STARTING+1", 40_000)];
    let (job, elapsed) = outcome(Script::default().job("a", &states)).await.unwrap();
    assert_eq!((job.status.as_str(), job.attempts.len()), ("STARTING", 1));
    assert_eq!(elapsed.as_secs().div_ceil(60), (40_000 + 3 * 3600_u64).div_ceil(60));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_submitted_long_ago_has_waited_as_long() {
    let since = |minutes: i64| json!({ "createdAt": NOW - minutes * 60_000 });
    let script = |status, created| Script::default().job("a", &[(status, 0)]).fields("a", since(created));
    let (job, elapsed) = outcome(script("SUBMITTED", 121)).await.unwrap();
    assert_eq!((elapsed, job.stuck_seconds), (Duration::ZERO, Some(121 * 60)));
    // Of other states, when it was submitted says nothing; nor does a time that has not come yet.
    for (status, created, limit) in [("SUBMITTED", 60, 60), ("STARTING", 10_000, 180), ("SUBMITTED", -60, 120)] {
        let (_, elapsed) = outcome(script(status, created)).await.unwrap();
        assert_eq!(minutes(elapsed), limit, "{status} {created}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_starts_at_last_is_well() {
    let states = [("SUBMITTED", 0), ("STARTING", 7000), ("RUNNING", 17_000), ("SUCCEEDED", 17_100)];
    let (job, _) = outcome(Script::default().job("a", &states)).await.unwrap();
    assert_eq!((job.status.as_str(), job.stuck_seconds), ("SUCCEEDED", None));
}
