//! Reads jobs' logs: the end of one, for failures that the runner could not report, and what is new in many.

use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsError;

use crate::aws::clients::Clients;
use crate::error::{Error, Result};

/// `FilterLogEvents` takes this many streams a call.
pub const STREAMS_PER_CALL: usize = 100;
/// Pages of up to 1 MB that one look reads at most; the next look goes on after them.
const MAX_PAGES: usize = 5;

/// A line of a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// Identifies it among all lines of the group.
    pub id: String,
    /// Its log stream.
    pub stream: String,
    /// When it was written, in milliseconds since 1970.
    pub at: i64,
    /// The line, without its end.
    pub text: String,
}

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

/// The lines of up to [`STREAMS_PER_CALL`] streams since a time in milliseconds, those of each stream oldest first.
///
/// No more than five pages of them, whatever the streams hold. A group or a stream that is not there (yet) has none.
pub async fn since(clients: &Clients, group: &str, streams: &[String], start: i64) -> Result<Vec<LogLine>> {
    let mut lines = Vec::new();
    let mut next = None;
    for _ in 0..MAX_PAGES {
        let request = clients.logs.filter_log_events().log_group_name(group).start_time(start);
        let request = request.set_log_stream_names(Some(streams.to_vec())).set_next_token(next);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error)
                if error.as_service_error().is_some_and(FilterLogEventsError::is_resource_not_found_exception) =>
            {
                break;
            }
            Err(error) => return Err(Error::from_sdk("logs:FilterLogEvents", format!("log group {group}"), error)),
        };
        lines.extend(answer.events().iter().map(|event| LogLine {
            id: event.event_id().unwrap_or_default().to_owned(),
            stream: event.log_stream_name().unwrap_or_default().to_owned(),
            at: event.timestamp().unwrap_or_default(),
            text: event.message().unwrap_or_default().to_owned(),
        }));
        next = answer.next_token().map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    Ok(lines)
}
