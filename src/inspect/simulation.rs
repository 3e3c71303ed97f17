//! Simulates whether IAM allows a call.

use std::collections::BTreeMap;

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};

use crate::aws::clients::Clients;
use crate::error::{Error, Result};

/// Whether a user or role may do each of `actions` to `resource`, by its own policies and its boundary.
///
/// `None` if that depends on a condition whose value only the call itself has, such as the caller's address. Resource
/// policies, such as a bucket's, are not considered.
pub async fn simulate(
    clients: &Clients,
    principal: &str,
    actions: Vec<String>,
    resource: &str,
) -> Result<BTreeMap<String, Option<bool>>> {
    // A policy may allow to pass a role to this service only.
    let passed_to = ContextEntry::builder()
        .context_key_name("iam:PassedToService")
        .context_key_type(ContextKeyTypeEnum::String)
        .context_key_values("ecs-tasks.amazonaws.com")
        .build();
    let mut pages = clients
        .iam
        .simulate_principal_policy()
        .policy_source_arn(principal)
        .set_action_names(Some(actions))
        .resource_arns(resource)
        .context_entries(passed_to)
        .into_paginator()
        .send();
    let mut allowed = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page
            .map_err(|error| Error::from_sdk("iam:SimulatePrincipalPolicy", format!("principal {principal}"), error))?;
        for result in page.evaluation_results() {
            let yes = result.eval_decision() == &PolicyEvaluationDecisionType::Allowed;
            let depends = !yes && !result.missing_context_values().is_empty();
            allowed.insert(result.eval_action_name().to_owned(), (!depends).then_some(yes));
        }
    }
    Ok(allowed)
}
