//! How long a call may take.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;

/// How long a connection may take; a proxy or a VPN is slower than the SDK's own 3.1 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long AWS may be silent before the request is tried again.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a call may take until its answer is there as a whole, after which it is tried again. An answer that trickles in
/// is not silence.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// The same where a part of an object, of 16 MiB or more, goes with the call.
const TRANSFER_TIMEOUT: Duration = Duration::from_hours(2);
/// How long a call may take with all its attempts where a person waits for it.
const BRIEF_TIMEOUT: Duration = Duration::from_secs(9);

/// What bounds every call.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build()
}

/// The same for a command: an answer that begins and does not end is no longer waited for than one that does not begin.
pub(crate) fn brief_timeouts() -> TimeoutConfig {
    timeouts().to_builder().operation_timeout(BRIEF_TIMEOUT).build()
}

/// For a call of S3 that takes as long as its content, or as S3 takes to put parts together: several minutes, by its
/// reference. The content has to move along, and then S3 may not be silent for long.
pub(crate) fn transfer_timeouts() -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TRANSFER_TIMEOUT).build();
    aws_sdk_s3::Config::builder().timeout_config(timeouts)
}
