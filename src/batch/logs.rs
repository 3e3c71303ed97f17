//! Reads the end of a job's log, for failures that the runner could not report.

use crate::aws::clients::Clients;
use crate::error::{Error, Result};

/// The last `lines` lines of a log stream, oldest first.
pub async fn tail(clients: &Clients, group: &str, stream: &str, lines: i32) -> Result<Vec<String>> {
    let answer = clients
        .logs
        .get_log_events()
        .log_group_name(group)
        .log_stream_name(stream)
        .start_from_head(false)
        .limit(lines)
        .send()
        .await
        .map_err(|error| Error::from_sdk("logs:GetLogEvents", format!("log stream {group}/{stream}"), error))?;
    Ok(answer.events().iter().filter_map(|event| event.message()).map(str::to_owned).collect())
}
