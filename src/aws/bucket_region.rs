//! Buckets in another region than the queue: S3 names the region in its answer, and later requests go there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_s3::config::endpoint::Params;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::endpoint::EndpointResolverParams;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextMut, InterceptorContext,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::retry::ErrorKind;

use super::sdk_error::BUCKET_REGION;

/// Header that is added to an answer with the bucket's region, so that the retry classifiers recognise it.
const REGION_LEARNED_HEADER: &str = "x-covalent-awsbatch-learned";
/// Length of a region's name at most.
const MAX_REGION_CHARS: usize = 40;

/// Regions of buckets, as S3 has named them in its answers.
#[derive(Clone, Debug, Default)]
pub struct BucketRegions(Arc<Mutex<HashMap<String, String>>>);

impl BucketRegions {
    fn known(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for BucketRegions {
    fn name(&self) -> &'static str {
        "BucketRegions"
    }

    fn read_before_attempt(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let params = config.load::<EndpointResolverParams>().and_then(EndpointResolverParams::get::<Params>);
        let Some((params, bucket)) = params.and_then(|params| Some((params, params.bucket()?))) else { return Ok(()) };
        let Some(region) = self.known().get(bucket).cloned() else { return Ok(()) };
        if params.region() != Some(&region) {
            // The SDK derives host and signature from these.
            let params = with_region(params, region)?;
            config.interceptor_state().store_put(EndpointResolverParams::new(params));
        }
        Ok(())
    }

    fn modify_before_attempt_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let params = config.load::<EndpointResolverParams>().and_then(EndpointResolverParams::get::<Params>);
        let Some((params, bucket)) = params.and_then(|params| Some((params, params.bucket()?))) else { return Ok(()) };
        let Some(answer) = context.response_mut() else { return Ok(()) };
        if let Some(region) = redirect_region(answer).filter(|region| params.region() != Some(region)) {
            tracing::info!("the bucket {bucket} is in {region}, and is asked for there");
            self.known().insert(bucket.to_owned(), region);
            answer.headers_mut().insert(REGION_LEARNED_HEADER, "yes");
        }
        Ok(())
    }
}

/// The region that S3 names in the answer for a bucket of another region.
fn redirect_region(answer: &HttpResponse) -> Option<String> {
    if !matches!(answer.status().as_u16(), 301 | 307 | 400) {
        return None;
    }
    let region = answer.headers().get(BUCKET_REGION).map(str::to_owned).or_else(|| {
        let body = String::from_utf8_lossy(answer.body().bytes()?);
        Some(body.split_once("<Region>")?.1.split_once("</Region>")?.0.to_owned())
    })?;
    // It becomes a part of the host's name, so it must not contain anything else.
    let fits = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    (!region.is_empty() && region.len() <= MAX_REGION_CHARS && region.chars().all(fits)).then_some(region)
}

/// Endpoint parameters with another region.
fn with_region(params: &Params, region: String) -> Result<Params, BoxError> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let params = Params::builder()
        .set_bucket(owned(params.bucket()))
        .region(region)
        .set_use_fips(params.use_fips())
        .set_use_dual_stack(params.use_dual_stack())
        .set_endpoint(owned(params.endpoint()))
        .set_force_path_style(params.force_path_style())
        .set_accelerate(params.accelerate())
        .set_use_global_endpoint(params.use_global_endpoint())
        .set_use_object_lambda_endpoint(params.use_object_lambda_endpoint())
        .set_key(owned(params.key()))
        .set_prefix(owned(params.prefix()))
        .set_copy_source(owned(params.copy_source()))
        .set_disable_access_points(params.disable_access_points())
        .set_disable_multi_region_access_points(params.disable_multi_region_access_points())
        .set_use_arn_region(params.use_arn_region())
        .set_use_s3_express_control_endpoint(params.use_s3_express_control_endpoint())
        .set_disable_s3_express_session_auth(params.disable_s3_express_session_auth());
    Ok(params.build()?)
}

/// Whether the answer named the bucket's region, which means that the call was not executed.
#[must_use]
pub fn has_learned_region(context: &InterceptorContext) -> bool {
    context.response().is_some_and(|answer| answer.headers().contains_key(REGION_LEARNED_HEADER))
}

/// Retries a call at once after its bucket's region was learned.
#[derive(Clone, Copy, Debug)]
pub struct RetryInBucketRegion;

impl ClassifyRetry for RetryInBucketRegion {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        if has_learned_region(context) {
            RetryAction::retryable_error_with_explicit_delay(ErrorKind::TransientError, Duration::ZERO)
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "in its region"
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_types::body::SdkBody;

    use super::*;
    use crate::aws::clients::Clients;

    /// S3 with a bucket in Ireland; records the hosts of the requests.
    #[derive(Clone, Debug, Default)]
    struct Ireland(Arc<Mutex<Vec<String>>>);

    impl HttpConnector for Ireland {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let host = request.uri().split('/').nth(2).unwrap().to_owned();
            let there = host.contains(".eu-west-1.");
            assert_eq!(there, request.headers().get("authorization").unwrap().contains("/eu-west-1/s3/"));
            self.0.lock().unwrap().push(host);
            let mut answer = HttpResponse::new(if there { 200 } else { 301 }.try_into().unwrap(), SdkBody::empty());
            answer.headers_mut().insert(BUCKET_REGION, "eu-west-1");
            HttpConnectorFuture::ready(Ok(answer))
        }
    }

    #[tokio::test]
    async fn host_and_signature_are_those_of_the_buckets_region() {
        let ireland = Ireland::default();
        let connector = SharedHttpConnector::new(ireland.clone());
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "tests")))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        let clients = Clients::new(&config);
        for bucket in ["one", "one", "other"] {
            assert!(clients.s3.get_object().bucket(bucket).key("key").send().await.is_ok());
        }
        let hosts =
            ["one.s3.us-east-1", "one.s3.eu-west-1", "one.s3.eu-west-1", "other.s3.us-east-1", "other.s3.eu-west-1"];
        let hosts = hosts.map(|host| format!("{host}.amazonaws.com"));
        assert_eq!(*ireland.0.lock().unwrap(), hosts);
    }

    fn found(status: u16, header: Option<&'static str>, body: &'static str) -> Option<String> {
        let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        if let Some(region) = header {
            answer.headers_mut().insert(BUCKET_REGION, region);
        }
        redirect_region(&answer)
    }

    #[test]
    fn s3_tells_a_region_in_a_header_or_in_its_words() {
        let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        assert_eq!(found(301, Some("eu-west-1"), ""), Some("eu-west-1".into()));
        assert_eq!(found(400, None, malformed), Some("eu-west-1".into()));
        assert_eq!(found(301, None, "<Error><Code>PermanentRedirect</Code></Error>"), None);
        assert_eq!(found(200, Some("eu-west-1"), ""), None);
        for region in ["", "evil.example/", "EU", "x@y"] {
            assert_eq!(found(301, Some(region), ""), None, "{region}");
        }
    }
}
