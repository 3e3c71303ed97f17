//! What holds for anything that AWS may answer and anything that may stand in a bucket.

use aws_sdk_batch::types::{AttemptContainerDetail, AttemptDetail, ContainerDetail, JobDetail, JobStatus};
use bytes::Bytes;
use covalent_awsbatch_plugin::batch::job::{Attempt, Job};
use covalent_awsbatch_plugin::batch::outcome::{JobContext, cause, sentence};
use covalent_awsbatch_plugin::envelope::pickle::{PickleError, Value, dict};
use covalent_awsbatch_plugin::envelope::{Envelope, PARTS, PICKLED, printed};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// Text of any kind: what the service says, beginnings of it, nothing, any characters, and a lot of them.
fn text() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 11] = [
        "Cancelled from Covalent",
        "Job attempt duration exceeded timeout",
        "OutOfMemoryError: Container killed due to memory usage",
        "Host EC2 (instance i-0abc) terminated.",
        "Your Spot Task was interrupted.",
        "CannotPullContainerError",
        "CannotInspectContainerError: ",
        "DockerTimeoutError",
        "ECS was unable to assume the role",
        "Essential container in task exited",
        "Task failed to start",
    ];
    prop_oneof![
        Just(String::new()),
        "\\PC{0,40}",
        any::<String>(),
        Just("ä𝄞\u{0}".repeat(100_000)),
        select(&KNOWN[..]).prop_map(str::to_owned),
        (select(&KNOWN[..]), any::<String>()).prop_map(|(known, more)| known.to_owned() + &more),
    ]
}

fn status() -> impl Strategy<Value = String> {
    prop_oneof![
        select(&["FAILED", "SUCCEEDED", "VANISHED", "RUNNABLE", "STARTING"][..]).prop_map(str::to_owned),
        text()
    ]
}

prop_compose! {
    fn attempt_of_a_job()(
        exit_code in any::<Option<i32>>(), container_reason in of(text()), status_reason in of(text()),
        log_stream in of(text()), started_at in any::<Option<i64>>(), stopped_at in any::<Option<i64>>(),
    ) -> Attempt {
        Attempt { exit_code, container_reason, status_reason, log_stream, started_at, stopped_at }
    }
}

prop_compose! {
    fn job()(
        (id, name, queue, status) in (text(), text(), prop_oneof![text(), "arn:aws[a-z-]{0,7}:batch:[a-z0-9-]{0,12}:[:a-z]{0,9}"], status()),
        (status_reason, container_reason, exit_code) in (of(text()), of(text()), any::<Option<i32>>()),
        (log_stream, image, is_terminated) in (of(text()), of(text()), any::<bool>()),
        (created_at, started_at, stopped_at) in any::<(Option<i64>, Option<i64>, Option<i64>)>(),
        (age_ms, has_dependencies, stuck_seconds) in any::<(Option<i64>, bool, Option<u64>)>(),
        attempts in vec(attempt_of_a_job(), 0..12),
    ) -> Job {
        Job {
            id, name, queue, status, status_reason, is_terminated, exit_code, container_reason, log_stream, image, created_at,
            age_ms, has_dependencies, stuck_seconds, started_at, stopped_at, attempts, ..Job::default()
        }
    }
}

prop_compose! {
    fn attempt_detail()(
        container in of((of(text()), of(text()), any::<Option<i32>>())), status_reason in of(text()),
        times in any::<(Option<i64>, Option<i64>)>(),
    ) -> AttemptDetail {
        let container = container.map(|(reason, stream, code)| {
            AttemptContainerDetail::builder().set_reason(reason).set_log_stream_name(stream).set_exit_code(code).build()
        });
        AttemptDetail::builder()
            .set_container(container)
            .set_status_reason(status_reason)
            .set_started_at(times.0)
            .set_stopped_at(times.1)
            .build()
    }
}

prop_compose! {
    fn detail()(
        (id, name, queue) in (of(text()), of(text()), of(text())), status in of(status()), status_reason in of(text()),
        container in of((of(text()), of(text()), any::<Option<i32>>(), of(text()))),
        attempts in of(vec(attempt_detail(), 0..12)), times in any::<(Option<i64>, Option<i64>, Option<i64>)>(),
    ) -> JobDetail {
        let container = container.map(|(reason, stream, code, image)| {
            ContainerDetail::builder()
                .set_reason(reason)
                .set_log_stream_name(stream)
                .set_exit_code(code)
                .set_image(image)
                .build()
        });
        JobDetail::builder()
            .set_job_id(id)
            .set_job_name(name)
            .set_job_queue(queue)
            .set_status(status.map(|status| JobStatus::from(status.as_str())))
            .set_status_reason(status_reason)
            .set_container(container)
            .set_attempts(attempts)
            .set_created_at(times.0)
            .set_started_at(times.1)
            .set_stopped_at(times.2)
            .build()
    }
}

fn explained(job: &Job, context: JobContext<'_>) {
    assert!(!cause(job).as_str().is_empty());
    // A node's id is its job's, `#` and a number.
    let of_job = job.id.rsplit_once('#').map_or(job.id.as_str(), |(id, _)| id);
    assert!(sentence(job, context).contains(of_job), "a sentence names its job");
    let _ = (job.console(), job.has_ended());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_job_has_a_cause_and_a_sentence(job in job(), memory in any::<f64>(), time_limit in any::<u32>(), dispatcher in of(".*")) {
        explained(&job, JobContext { memory, time_limit, dispatcher: dispatcher.as_deref() });
    }

    #[test]
    fn every_answer_of_describe_jobs_is_understood(detail in detail()) {
        let job = Job::from(&detail);
        prop_assert_eq!(job.id.as_str(), detail.job_id().unwrap_or_default());
        prop_assert_eq!(job.exit_code, detail.container().and_then(ContainerDetail::exit_code));
        prop_assert_eq!(job.attempts.len(), detail.attempts().len());
        explained(&job, JobContext { memory: 3.75, time_limit: 300, dispatcher: None });
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..2000)) {
        let bytes = Bytes::from(bytes);
        for format in [PICKLED, PARTS] {
            let _ = Envelope::decode(format, &bytes);
        }
        let _ = printed::decode(&bytes);
    }

    /// Damage to what was an envelope gets further than any bytes do.
    #[test]
    fn a_damaged_envelope_is_decoded_or_refused(
        number in 0..ENVELOPES.len(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<prop::sample::Index>()
    ) {
        let (format, whole) = ENVELOPES[number];
        let mut bytes = whole.to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = Envelope::decode(format, &bytes.into());
        prop_assert!(Envelope::decode(format, &whole[..cut.index(whole.len())].into()).is_err());
    }

    /// What a pickle says cannot be more than it has bytes, but for what is named twice.
    #[test]
    fn a_pickle_describes_no_more_than_it_has_bytes(instructions in vec(plain(), 0..20), gets in 0..500_usize) {
        let bytes = [&b"\x80\x04}(\x8c\x01a\x94"[..], &instructions.concat(), &b"h\x00".repeat(gets), b"u."].concat();
        if let Ok(entries) = dict(&bytes) {
            let length = |value: &Value<'_>| match value { Value::Text(data) | Value::Bytes(data) => data.len(), _ => 0 };
            let described: usize = entries.iter().map(|(key, value)| key.len() + length(value)).sum();
            prop_assert!(described <= bytes.len() + 64 * 1024);
        }
    }

    /// Instructions that refer to code, amid any plain data.
    #[test]
    fn what_refers_to_code_is_refused(before in vec(plain(), 0..20), reference in reference(), after in vec(any::<u8>(), 0..50)) {
        let bytes = [&b"\x80\x04N"[..], &before.concat(), &reference, &after].concat();
        prop_assert!(matches!(dict(&bytes), Err(PickleError::Reference(_))));
        prop_assert!(Envelope::decode(PICKLED, &bytes.into()).is_err());
    }
}

/// What Python wrote. The first one lacks `output`: before protocol 3 of pickle, bytes are a call of a codec.
const ENVELOPES: [(&str, &[u8]); 5] = [
    (PICKLED, include_bytes!("envelopes/protocol-2.pickle")),
    (PICKLED, include_bytes!("envelopes/protocol-3.pickle")),
    (PICKLED, include_bytes!("envelopes/protocol-4.pickle")),
    (PICKLED, include_bytes!("envelopes/protocol-5.pickle")),
    (PARTS, include_bytes!("envelopes/parts")),
];

#[test]
fn what_python_writes_is_read() {
    for (number, (format, content)) in ENVELOPES.into_iter().enumerate() {
        let envelope = Envelope::decode(format, &Bytes::from_static(content)).unwrap();
        assert_eq!(envelope.status, "succeeded");
        let output = (number > 0).then_some(&b"\x00\xff TransportableObject"[..]);
        assert_eq!(envelope.output.as_deref(), output, "{number}");
        assert_eq!(envelope.stdout, "Grüße 🐍\n");
        assert_eq!((envelope.stderr.as_str(), envelope.traceback), ("", None));
        assert_eq!(envelope.finished_at, Some(1_700_000_060.5));
        assert_eq!(envelope.peak_rss_bytes, Some(6_000_000_000));
        assert_eq!(envelope.job_id.as_deref(), Some("0b7c7a2e-0000-4000-8000-000000000001"));
        assert_eq!(envelope.attempt, Some(2));
    }
}

/// An instruction with its argument that leaves plain data behind.
fn plain() -> impl Strategy<Value = Vec<u8>> {
    let short = |opcode: u8| {
        vec(any::<u8>(), 0..20).prop_map(move |data| [&[opcode, u8::try_from(data.len()).unwrap()][..], &data].concat())
    };
    prop_oneof![
        Just(b"N".to_vec()),
        Just(b"\x88".to_vec()),
        Just(b"(".to_vec()),
        Just(b"\x94".to_vec()),
        any::<u8>().prop_map(|number| vec![b'K', number]),
        any::<u32>().prop_map(|number| [&b"J"[..], &number.to_le_bytes()].concat()),
        any::<f64>().prop_map(|number| [&b"G"[..], &number.to_be_bytes()].concat()),
        short(0x8C),
        short(b'C'),
    ]
}

/// An instruction by which the unpickler would reach for something outside of the pickle.
fn reference() -> impl Strategy<Value = Vec<u8>> {
    let line = "[^\n]{0,12}";
    prop_oneof![
        (select(&b"ci"[..]), line, line).prop_map(|(opcode, module, name)| {
            [&[opcode][..], module.as_bytes(), b"\n", name.as_bytes(), b"\n"].concat()
        }),
        Just(vec![0x93]),
        Just(vec![b'Q']),
        line.prop_map(|name| format!("P{name}\n").into_bytes()),
        select(&[0x82_u8, 0x83, 0x84][..]).prop_map(|opcode| vec![opcode, 1, 0, 0, 0]),
    ]
}
