//! Jobs of several nodes.

use super::*;

/// What the record of a job of so many nodes has, by AWS's times: when it began, and when a node ended.
fn nodes(count: u32, started: i64) -> serde_json::Value {
    json!({"nodeProperties": {"numNodes": count, "mainNode": 0, "nodeRangeProperties": []}, "startedAt": started})
}

const LIMITED: Watch = Watch { poll_interval: POLL, runnable_timeout: Duration::from_mins(2) };

fn node(stopped: i64) -> serde_json::Value {
    json!({"stoppedAt": stopped, "nodeDetails": {"nodeIndex": 1, "isMainNode": false}})
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_is_told_within_two_sweeps() {
    let script = Script::default()
        .job("a", &[("RUNNABLE", 0), ("RUNNING", 5)])
        .fields("a", nodes(3, 5_000))
        .job("a#0", &[("RUNNING", 5)])
        .job("a#1", &[("RUNNING", 6)])
        .job("a#2", &[("RUNNING", 6), ("FAILED", 20)])
        .fields("a#2", node(20_000));
    let watcher = script.watcher();
    let start = Instant::now();
    let job = end_of(&watcher, "a").await.unwrap();
    assert!((20..=22).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert_eq!((job.status.as_str(), job.failed_node.map(|node| node.id)), ("RUNNING", Some("a#2".into())));
    let sizes: Vec<usize> = script.calls().into_iter().map(|(_, size)| size).collect();
    assert_eq!(sizes[..6], [1, 2, 2, 2, 2, 4], "all of its nodes in the job's own call, from when it runs");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_stopped_with_the_main_node_has_not_failed() {
    for end in ["SUCCEEDED", "FAILED"] {
        let script = Script::default()
            .job("a", &[("RUNNING", 0), (end, 30)])
            .fields("a", nodes(2, 0))
            .job("a#0", &[("RUNNING", 0), (end, 10)])
            .job("a#1", &[("RUNNING", 0), ("FAILED", 10)])
            .fields("a#1", node(10_000));
        let job = end_of(&script.watcher(), "a").await.unwrap();
        assert_eq!((job.status.as_str(), job.failed_node), (end, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_begin_to_run_is_told_when_its_time_is_over() {
    for (state, then) in [("RUNNABLE", "RUNNABLE"), ("RUNNABLE", "STARTING")] {
        let script = Script::default()
            .job("a", &[("RUNNABLE", 0), ("RUNNING", 5)])
            .fields("a", nodes(3, NOW))
            .job("a#0", &[("RUNNING", 5)])
            .job("a#1", &[(state, 5), (then, 30)])
            .fields("a#1", json!({"statusReason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none"}))
            .job("a#2", &[("STARTING", 5), ("RUNNING", 60)]);
        let watcher = script.watcher();
        let start = Instant::now();
        let job = watcher.end_of("a", LIMITED).await.unwrap();
        assert!((125..=128).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        let node = job.unstarted_node.unwrap();
        assert_eq!((job.status.as_str(), node.id.as_str(), node.status.as_str()), ("RUNNING", "a#1", then));
        assert!(node.status_reason.unwrap().starts_with("CAPACITY"));
        assert_eq!(job.failed_node, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_may_take_for_ever_to_begin_without_a_limit_and_less_than_it_with_one() {
    let script = || {
        Script::default()
            .job("a", &[("RUNNING", 0), ("SUCCEEDED", 1_000)])
            .fields("a", nodes(2, NOW))
            .job("a#0", &[("RUNNING", 0), ("SUCCEEDED", 1_000)])
    };
    let late = script().job("a#1", &[("RUNNABLE", 0), ("RUNNING", 900), ("SUCCEEDED", 1_000)]);
    let quick = script().job("a#1", &[("RUNNABLE", 0), ("STARTING", 100), ("RUNNING", 115), ("SUCCEEDED", 1_000)]);
    assert_eq!(end_of(&late.watcher(), "a").await.unwrap().status, "SUCCEEDED");
    assert_eq!(quick.watcher().end_of("a", LIMITED).await.unwrap().status, "SUCCEEDED");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_node_counts_from_when_the_attempt_began_by_awss_times() {
    let began = NOW - 100_000; // before this server looked
    let submitted = NOW - 500_000;
    let ended = json!([{ "stoppedAt": began - 50_000 }]);
    for (attempts, after) in [(json!([]), 20), (ended, 20), (json!([{ "stoppedAt": began + 1 }]), 120)] {
        let mut job = nodes(2, began);
        let more = json!({"createdAt": submitted, "attempts": attempts});
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let script = Script::default()
            .job("a", &[("RUNNING", 0)])
            .fields("a", job)
            .job("a#0", &[("RUNNING", 0)])
            .job("a#1", &[("FAILED+1", 0)])
            .fields("a#1", node(began - 50_000));
        let start = Instant::now();
        let job = script.watcher().end_of("a", LIMITED).await.unwrap();
        assert!((after..=after + 3).contains(&start.elapsed().as_secs()), "{attempts}: {:?}", start.elapsed());
        assert_eq!(job.unstarted_node.map(|node| node.id), Some("a#1".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn how_an_earlier_attempt_of_a_node_ended_does_not_count() {
    let script = Script::default()
        .job("a", &[("RUNNING", 0), ("RUNNABLE+1", 10), ("RUNNING+1", 20), ("SUCCEEDED+2", 40)])
        .fields("a", nodes(2, 20_000))
        .job("a#0", &[("RUNNING", 0), ("FAILED+1", 10), ("RUNNING+1", 20), ("SUCCEEDED+2", 40)])
        .job("a#1", &[("RUNNING", 0), ("FAILED+1", 11), ("RUNNING+1", 30), ("SUCCEEDED+2", 40)])
        .fields("a#1", node(11_000));
    let job = end_of(&script.watcher(), "a").await.unwrap();
    assert_eq!((job.status.as_str(), job.failed_node), ("SUCCEEDED", None));
}

#[tokio::test(start_paused = true)]
async fn an_ended_job_is_told_with_what_its_main_node_says() {
    let main = json!({"container": {"exitCode": 7, "logStreamName": "s", "image": "i", "reason": "r"}});
    let script = Script::default()
        .job("a", &[("FAILED", 0)])
        .fields("a", nodes(1_000, 0))
        .job("a#0", &[("FAILED", 0)])
        .fields("a#0", main);
    let job = end_of(&script.watcher(), "a").await.unwrap();
    assert_eq!((job.exit_code, job.log_stream.as_deref(), job.image.as_deref()), (Some(7), Some("s"), Some("i")));
    assert_eq!((job.container_reason.as_deref(), job.nodes), (Some("r"), 1_000));
    assert_eq!(script.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_nodes_of_many_jobs_share_calls_of_a_hundred() {
    let mut script = Script::default();
    for n in 0..3 {
        let (name, main) = (n.to_string(), format!("{n}#0"));
        script = script.job(&name, &[("RUNNING", 0), ("SUCCEEDED", 30)]).fields(&name, nodes(40, 0));
        script = script.job(&main, &[("RUNNING", 0), ("SUCCEEDED", 30)]);
    }
    let watcher = script.watcher();
    let ids = ["0", "1", "2"];
    let ends = futures_of(&watcher, &ids);
    assert!(ends.await.iter().all(|job| job.status == "SUCCEEDED"));
    let sizes: Vec<usize> = script.calls().into_iter().map(|(_, size)| size).filter(|size| *size > 6).collect();
    assert_eq!(sizes[..2], [82, 41]);
}

async fn futures_of(watcher: &Arc<Watcher>, ids: &[&'static str]) -> Vec<Job> {
    let mut waits = tokio::task::JoinSet::new();
    for id in ids {
        let (watcher, id) = (watcher.clone(), *id);
        waits.spawn(async move { end_of(&watcher, id).await.unwrap() });
    }
    waits.join_all().await
}

#[tokio::test(start_paused = true)]
async fn nodes_that_have_not_begun_are_told_while_their_job_runs() {
    let script = Script::default()
        .job("a", &[("RUNNING", 0), ("SUCCEEDED", 100)])
        .fields("a", nodes(3, NOW))
        .job("a#0", &[("RUNNING", 0), ("SUCCEEDED", 100)])
        .job("a#1", &[("RUNNABLE", 0), ("RUNNING", 60)])
        .fields("a#1", json!({"statusReason": "none to be had"}))
        .job("a#2", &[("STARTING", 0), ("RUNNING", 30)]);
    let watcher = script.watcher();
    let told = |seconds| {
        let states = watcher.states.clone();
        async move {
            tokio::time::sleep_until(Instant::now() + Duration::from_secs(seconds)).await;
            states.of(&["a".to_owned()]).remove("a").and_then(|state| state.waiting_nodes)
        }
    };
    let looks = async { (told(10).await, told(30).await, told(30).await) };
    let (job, (both, one, none)) = tokio::join!(end_of(&watcher, "a"), looks);
    assert_eq!(job.unwrap().status, "SUCCEEDED");
    assert_eq!(both.as_deref(), Some("2 of 3 nodes have not begun (node 1: RUNNABLE, none to be had)"));
    assert_eq!(one.as_deref(), Some("node 1 has not begun (RUNNABLE, none to be had)"));
    assert_eq!(none, None);
}
