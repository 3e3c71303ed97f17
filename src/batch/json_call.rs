//! Calls of AWS Batch whose request, or whose answer, is JSON of ours and not a structure of the SDK.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_batch::client::customize::CustomizableOperation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use serde_json::Value;

/// Sends this JSON in place of what the SDK makes of the call's arguments. It is put there before the request is signed.
pub fn with_body<T, E, B>(call: CustomizableOperation<T, E, B>, body: &Value) -> CustomizableOperation<T, E, B> {
    let body = Bytes::from(body.to_string());
    call.mutate_request(move |request| {
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body.clone());
    })
}

/// An answer's JSON as it came, fields that the SDK leaves out included. An interceptor of one call.
#[derive(Clone, Debug, Default)]
pub struct Answer(Arc<Mutex<Bytes>>);

impl Answer {
    /// The answer to the call that is over; null if there was none, or no JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::from_slice(&body).unwrap_or_default()
    }
}

#[dyn_dispatch_hint]
impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "Answer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(body) = context.response().body().bytes() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Bytes::copy_from_slice(body);
        }
        Ok(())
    }
}
