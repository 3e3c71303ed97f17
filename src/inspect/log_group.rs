//! Whether a log group exists.

use serde::Serialize;

use crate::aws::clients::Clients;
use crate::error::{Error, Result};

/// A log group as `DescribeLogGroups` returns it.
#[derive(Debug, Serialize)]
pub struct LogGroup {
    /// Days after which lines are deleted; `None` for never.
    pub retention_days: Option<i32>,
}

/// Looks a log group up; `None` if there is none.
pub async fn look_up(clients: &Clients, name: &str) -> Result<Option<LogGroup>> {
    // Results are sorted, so the group itself comes before others with its name as prefix.
    let answer = clients
        .logs
        .describe_log_groups()
        .log_group_name_prefix(name)
        .limit(1)
        .send()
        .await
        .map_err(|error| Error::from_sdk("logs:DescribeLogGroups", format!("log group {name}"), error))?;
    let group = answer.log_groups().iter().find(|group| group.log_group_name() == Some(name));
    Ok(group.map(|group| LogGroup { retention_days: group.retention_in_days() }))
}
