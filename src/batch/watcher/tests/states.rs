//! What is told of jobs while they are watched.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_job_is_told_of_until_it_ends() {
    let script = Script::default()
        .job("a", &[("RUNNABLE", 0), ("RUNNING", 5), ("SUCCEEDED", 10)])
        .fields("a", json!({"statusReason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none"}));
    let watcher = script.watcher();
    let ids = ["a".to_owned(), "unknown".to_owned()];
    let ended = tokio::spawn({
        let watcher = watcher.clone();
        let watch = Watch { poll_interval: Duration::from_secs(1), runnable_timeout: Duration::ZERO };
        async move { watcher.end_of("a", watch).await }
    });
    sleep(Duration::from_secs(3)).await;
    let state = watcher.states.of(&ids)["a"].clone();
    assert_eq!(state.status, "RUNNABLE");
    assert!(state.meaning().unwrap().contains("more instance types"));
    sleep(Duration::from_secs(4)).await;
    let state = watcher.states.of(&ids)["a"].clone();
    assert_eq!((state.status.as_str(), state.meaning()), ("RUNNING", None));
    ended.await.unwrap().unwrap();
    assert!(watcher.states.of(&ids).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_waits_for_any_more_is_forgotten() {
    let script = Script::default().job("a", &[("RUNNING", 0)]).job("b", &[("RUNNING", 0)]);
    let watcher = script.watcher();
    let watch = Watch { poll_interval: Duration::from_secs(1), runnable_timeout: Duration::ZERO };
    let (given_up, kept) = (tokio::time::timeout(Duration::from_secs(3), watcher.end_of("a", watch)), {
        let watcher = watcher.clone();
        tokio::spawn(async move { watcher.end_of("b", watch).await })
    });
    assert!(given_up.await.is_err());
    sleep(Duration::from_secs(2)).await;
    let told = watcher.states.of(&["a".to_owned(), "b".to_owned()]);
    assert_eq!(told.into_keys().collect::<Vec<_>>(), ["b"]);
    kept.abort();
}
