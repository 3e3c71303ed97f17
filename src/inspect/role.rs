//! An IAM role and its trust policy.

use serde::Serialize;

use crate::aws::clients::Clients;
use crate::error::{Error, Result};

/// A role as `GetRole` returns it.
#[derive(Debug, Serialize)]
pub struct Role {
    /// Its ARN, including the path, which a session's ARN lacks.
    pub arn: String,
    /// The trust policy: JSON, percent-encoded as IAM has it.
    pub trust: String,
}

/// Looks a role of this account up by its name, without path; `None` if there is none.
pub async fn look_up(clients: &Clients, name: &str) -> Result<Option<Role>> {
    let answer = clients
        .iam
        .get_role()
        .role_name(name)
        .send()
        .await
        .map_err(|error| Error::from_sdk("iam:GetRole", format!("role {name}"), error));
    match answer {
        Err(error) if error.code() == Some("NoSuchEntity") => Ok(None),
        answer => Ok(answer?
            .role
            .map(|role| Role { arn: role.arn, trust: role.assume_role_policy_document.unwrap_or_default() })),
    }
}
