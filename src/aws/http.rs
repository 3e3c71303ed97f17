//! The HTTP client of all services: one connection pool, custom certificates and proxies.
//!
//! The SDK's default client reads neither `AWS_CA_BUNDLE` nor, for every version, the proxy variables; people behind a
//! company proxy have both through the AWS CLI.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_ecr::config::SharedAsyncSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::intermediary::RequestTarget;
use super::throughput;
use super::timeouts::{CONNECT_TIMEOUT, READ_TIMEOUT};
use super::wait_budget::WaitBudget;
use crate::error::{Error, Kind, Result};

/// The metadata services of EC2 and EKS by IPv6.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)];

/// Connect and read timeout.
type Timeouts = (Option<Duration>, Option<Duration>);

/// Builds the client.
///
/// Reads `AWS_CA_BUNDLE` (a PEM file that replaces the system's certificates, as in the AWS CLI) and `HTTPS_PROXY`,
/// `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` in either case. This machine is never reached through a proxy.
///
/// With a budget, waiting for hosts that do not answer is bounded; a command's client has one.
pub fn client(budget: Option<Arc<WaitBudget>>) -> Result<SharedHttpClient> {
    let context = tls()?;
    let proxies = Arc::new(Matcher::from_env());
    // A connector is a connection pool; the SDK asks for one at every request, keyed by its timeouts.
    let pools: Mutex<HashMap<Timeouts, SharedHttpConnector>> = Mutex::default();
    Ok(http_client_fn(move |settings, components| {
        let mut pools = pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let timeouts = (settings.connect_timeout(), settings.read_timeout());
        pools
            .entry(timeouts)
            .or_insert_with(|| {
                let (direct, via_proxy) = connectors(&context, timeouts.0, components.sleep_impl().as_ref());
                SharedHttpConnector::new(Routes {
                    direct,
                    proxied: via_proxy,
                    proxies: proxies.clone(),
                    read_timeout: timeouts.1,
                    budget: budget.clone(),
                    only_aws: true,
                })
            })
            .clone()
    }))
}

/// A connection pool for requests to others than AWS, with the same certificates and proxies.
pub(crate) fn connector(sleep: Option<&SharedAsyncSleep>) -> Result<SharedHttpConnector> {
    let (direct, proxied) = connectors(&tls()?, Some(CONNECT_TIMEOUT), sleep);
    Ok(SharedHttpConnector::new(Routes {
        direct,
        proxied,
        proxies: Arc::new(Matcher::from_env()),
        read_timeout: Some(READ_TIMEOUT),
        budget: None,
        only_aws: false,
    }))
}

fn tls() -> Result<TlsContext> {
    TlsContext::builder()
        .with_trust_store(trust_store()?)
        .build()
        .map_err(|error| Error::with_source(Kind::Settings, "cannot set up TLS", error))
}

/// A direct connector, and one that goes through the proxy.
fn connectors(
    context: &TlsContext,
    connect_timeout: Option<Duration>,
    sleep: Option<&SharedAsyncSleep>,
) -> (SharedHttpConnector, SharedHttpConnector) {
    // The SDK's own read timeout counts the time that it takes to send a body.
    let mut connecting = HttpConnectorSettings::builder();
    connecting.set_connect_timeout(connect_timeout);
    let connecting = connecting.build();
    let pool = |proxy| {
        let mut builder = Connector::builder()
            .connector_settings(connecting.clone())
            .proxy_config(proxy)
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context.clone());
        builder.set_sleep_impl(sleep.cloned());
        SharedHttpConnector::new(builder.build())
    };
    (pool(ProxyConfig::disabled()), pool(ProxyConfig::from_env()))
}

/// Chooses between a direct connection and the proxy for each request: the metadata services that give credentials to
/// an instance or a container must not be called through a proxy, whatever the endpoint is.
#[derive(Debug)]
struct Routes {
    direct: SharedHttpConnector,
    proxied: SharedHttpConnector,
    proxies: Arc<Matcher>,
    /// How long a server may take to begin its answer.
    read_timeout: Option<Duration>,
    budget: Option<Arc<WaitBudget>>,
    /// Whether an answer that is not AWS's is an error.
    only_aws: bool,
}

impl HttpConnector for Routes {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().to_owned();
        let direct = is_local(&uri);
        let target = RequestTarget::of(&request, (!direct).then_some(&*self.proxies));
        let sent = throughput::count_body(&mut request);
        let call = if direct { self.direct.call(request) } else { self.proxied.call(request) };
        let (read_timeout, only_aws) = (self.read_timeout, self.only_aws);
        // Most machines have no metadata service; the SDK's own short time-out bounds that call.
        let budget = self.budget.clone().filter(|_| !is_metadata(&host(&uri)));
        HttpConnectorFuture::new(async move {
            let answer = throughput::await_answer(call, &sent, read_timeout);
            let outcome = match budget {
                Some(budget) => budget.bounded(&target, answer).await,
                None => answer.await,
            };
            if only_aws { target.verify(outcome) } else { outcome }
        })
    }
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
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(format!("is not valid PEM ({error})")))?;
    if certificates.is_empty() {
        return Err(unusable("holds no certificate".into()));
    }
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        let number = index + 1;
        roots
            .add(certificate)
            .map_err(|error| unusable(format!("has an unusable certificate, no. {number} ({error})")))?;
    }
    Ok(TrustStore::empty().with_pem_certificate(pem))
}

/// Whether a URL is on this machine: a loopback address, or a link-local one of the metadata services.
pub(crate) fn is_local(url: &str) -> bool {
    is_loopback(url) || is_metadata(&host(url))
}

/// Whether a URL is on this machine, and none of the metadata services.
pub(crate) fn is_loopback(url: &str) -> bool {
    let host = host(url);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether an address is one of the metadata services of EC2, ECS and EKS.
fn is_metadata(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_link_local(),
        Ok(IpAddr::V6(address)) => METADATA_V6.contains(&address),
        Err(_) => false,
    }
}

/// The host of a URL.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host.to_owned()
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn what_is_on_this_machine_is_recognised() {
        for url in ["http://127.0.0.1:5000", "http://localhost/", "http://[::1]:80/x", "http://127.1.2.3"] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "http://169.254.169.254/latest",
            "http://169.254.170.2/x",
            "http://[fd00:ec2::254]",
            "http://[fd00:ec2::23]/",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in ["", "https://batch.eu-west-1.amazonaws.com", "http://10.0.0.1:5000", "http://localhost.example"] {
            assert!(!is_local(url), "{url}");
        }
    }
}
