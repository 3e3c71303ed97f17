//! Time-outs of calls.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;

/// How long a connection may take; a proxy or a VPN is slower than the SDK's own 3.1 s.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may deliver nothing before the request is retried.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// How long an attempt may take until its answer is complete, before it is retried. The read timeout alone does not
/// bound an answer that arrives byte by byte.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a call that carries a part of an object, 16 MiB or more.
const TRANSFER_TIMEOUT: Duration = Duration::from_hours(2);
/// How long a call with all its attempts may take where a person waits for it.
const INTERACTIVE_TIMEOUT: Duration = Duration::from_secs(9);

/// The time-outs of a task's calls.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build()
}

/// The time-outs of a command's calls: an answer that never completes takes no longer than one that never begins.
pub(crate) fn interactive_timeouts() -> TimeoutConfig {
    timeouts().to_builder().operation_timeout(INTERACTIVE_TIMEOUT).build()
}

/// The time-outs of an S3 call that takes as long as its content, or as long as S3 takes to assemble parts: several
/// minutes, by its reference. `throughput` bounds a transfer that does not progress.
pub(crate) fn transfer_timeouts() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder().timeout_config(long_timeouts())
}

/// The same for ECR, whose calls carry parts of layers.
pub(crate) fn layer_timeouts() -> aws_sdk_ecr::config::Builder {
    aws_sdk_ecr::Config::builder().timeout_config(long_timeouts())
}

fn long_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(TRANSFER_TIMEOUT).build()
}
