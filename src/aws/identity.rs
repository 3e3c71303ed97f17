//! The caller's identity, fetched once per set of credentials and not per task.

use std::sync::Arc;

use super::single_flight::SingleFlight;
use crate::error::{Error, Result};

/// The caller, as `GetCallerIdentity` describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Twelve digits.
    pub account: String,
    /// ARN of the user or assumed role.
    pub arn: String,
    /// Unique id of the user or role session.
    pub user_id: String,
}

impl Identity {
    /// The AWS partition: `aws`, `aws-cn`, `aws-us-gov` …
    #[must_use]
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).filter(|partition| !partition.is_empty()).unwrap_or("aws")
    }

    /// The ARN of a role of this account; an ARN is passed through.
    #[must_use]
    pub fn role_arn(&self, name_or_arn: &str) -> String {
        if name_or_arn.starts_with("arn:") {
            return name_or_arn.to_owned();
        }
        let name = name_or_arn.trim_start_matches('/');
        format!("arn:{}:iam::{}:role/{name}", self.partition(), self.account)
    }
}

/// Fetches the identity once; cheap to clone, and all clones share it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The Security Token Service.
    pub(crate) sts: aws_sdk_sts::Client,
    identity: Arc<SingleFlight<Identity>>,
}

impl Caller {
    /// The caller that this client signs as. Sends nothing.
    #[must_use]
    pub fn new(sts: aws_sdk_sts::Client) -> Self {
        Self { sts, identity: Arc::default() }
    }

    /// The identity, if it was fetched.
    #[must_use]
    pub fn known(&self) -> Option<&Identity> {
        self.identity.get()
    }

    /// The identity. A failure is not cached: the next task tries again.
    pub async fn identity(&self) -> Result<&Identity> {
        let fetch = || async {
            let answer = self
                .sts
                .get_caller_identity()
                .send()
                .await
                .map_err(|error| Error::from_sdk("sts:GetCallerIdentity", "the caller", error))?;
            Ok(Identity {
                account: answer.account.unwrap_or_default(),
                arn: answer.arn.unwrap_or_default(),
                user_id: answer.user_id.unwrap_or_default(),
            })
        };
        self.identity.get_or_make(fetch).await
    }
}

#[cfg(test)]
mod tests {
    use super::Identity;

    fn caller(arn: &str) -> Identity {
        Identity { account: "123456789012".into(), arn: arn.into(), user_id: String::new() }
    }

    #[test]
    fn a_role_lives_in_the_callers_partition() {
        let caller = caller("arn:aws-us-gov:sts::123456789012:assumed-role/ci/session");
        assert_eq!(caller.role_arn("path/Job"), "arn:aws-us-gov:iam::123456789012:role/path/Job");
        assert_eq!(caller.role_arn("/Job"), "arn:aws-us-gov:iam::123456789012:role/Job");
    }

    #[test]
    fn an_arn_is_left_alone() {
        let arn = "arn:aws:iam::210987654321:role/Other";
        assert_eq!(caller("arn:aws:iam::123456789012:user/me").role_arn(arn), arn);
    }
}
