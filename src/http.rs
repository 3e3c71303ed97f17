//! The HTTP client under all services: one connection pool, the company's certificates and proxy.
//!
//! The SDK's default client reads neither `AWS_CA_BUNDLE` nor, for every version, the proxy variables; people behind a
//! company proxy have both through the AWS CLI.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::error::{Error, Kind, Result};

/// Connect and read timeout.
type Timeouts = (Option<Duration>, Option<Duration>);

/// Builds the client for `endpoint_url` (empty: AWS itself).
///
/// Reads `AWS_CA_BUNDLE` (a PEM file that replaces the system's certificates, as in the AWS CLI) and `HTTPS_PROXY`,
/// `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` in either case. An endpoint on this machine is never reached through a proxy.
pub fn client(endpoint_url: &str) -> Result<SharedHttpClient> {
    let context = TlsContext::builder()
        .with_trust_store(trust_store()?)
        .build()
        .map_err(|error| Error::with_source(Kind::Settings, "cannot set up TLS", error))?;
    let proxy = if is_loopback(endpoint_url) { ProxyConfig::disabled() } else { ProxyConfig::from_env() };
    // A connector is a connection pool; the SDK asks for one at every request, keyed by its timeouts.
    let pools: Mutex<HashMap<Timeouts, SharedHttpConnector>> = Mutex::default();
    Ok(http_client_fn(move |settings, components| {
        let mut pools = pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        pools
            .entry((settings.connect_timeout(), settings.read_timeout()))
            .or_insert_with(|| {
                let mut builder = Connector::builder()
                    .connector_settings(settings.clone())
                    .proxy_config(proxy.clone())
                    .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                    .tls_context(context.clone());
                builder.set_sleep_impl(components.sleep_impl());
                SharedHttpConnector::new(builder.build())
            })
            .clone()
    }))
}

fn trust_store() -> Result<TrustStore> {
    let Some(path) = env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) else {
        return Ok(TrustStore::default());
    };
    let unusable = |why: String| {
        Error::new(
            Kind::Settings,
            format!(
                "AWS_CA_BUNDLE names {}, which {why}; point it at a PEM file of certificates or unset it",
                path.display()
            ),
        )
    };
    let pem = fs::read(&path).map_err(|error| unusable(format!("cannot be read ({error})")))?;
    // Checked here since the TLS layer panics on what it cannot parse.
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => {}
        Ok(_) => return Err(unusable("holds no certificate".into())),
        Err(error) => return Err(unusable(format!("is not valid PEM ({error})"))),
    }
    Ok(TrustStore::empty().with_pem_certificate(pem))
}

fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_endpoints_are_recognised() {
        for url in ["http://127.0.0.1:5000", "http://localhost/", "http://[::1]:80/x", "http://127.1.2.3"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["", "https://batch.eu-west-1.amazonaws.com", "http://10.0.0.1:5000", "http://localhost.example"] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
