//! How AWS is called: the services' clients with their credentials, HTTP and retries, what bounds a call, and the
//! account's rate limit. [`single_flight`] and [`detached`] are about work that several tasks share or that outlives
//! its caller.
//!
//! Uses [`crate::error`] and nothing else of this crate.

pub mod account_limiter;
pub(crate) mod bucket_region;
pub mod clients;
pub mod credentials;
pub mod credentials_cache;
pub mod detached;
pub mod http;
pub mod identity;
pub(crate) mod intermediary;
pub mod rate_limiter;
pub(crate) mod regions;
pub(crate) mod response_dates;
pub mod retry;
pub(crate) mod sdk_error;
pub mod settings;
pub mod single_flight;
pub(crate) mod skipped_call;
pub(crate) mod throughput;
pub(crate) mod timeout_context;
pub(crate) mod timeouts;
pub mod wait_budget;
