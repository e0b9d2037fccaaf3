//! Who sends telemetry, as OpenTelemetry describes the source of it.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_semantic_conventions::attribute::{
    HOST_NAME, SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION,
};

/// The daemon at `location`. `OTEL_RESOURCE_ATTRIBUTES` adds to it and may replace what stands here;
/// `OTEL_SERVICE_NAME` has the last word on the name.
pub(super) fn resource(location: &str) -> Resource {
    let host = nix::unistd::gethostname().ok();
    let host = host.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes([
            KeyValue::new(SERVICE_NAME, "authcanary"),
            KeyValue::new(SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
            // The same after a restart, so that a series goes on.
            KeyValue::new(SERVICE_INSTANCE_ID, format!("{host}/{location}")),
            KeyValue::new(HOST_NAME, host),
            KeyValue::new("authcanary.location", location.to_owned()),
        ])
        .with_detector(Box::new(EnvResourceDetector::new()));
    if let Some(name) = std::env::var("OTEL_SERVICE_NAME")
        .ok()
        .filter(|name| !name.is_empty())
    {
        resource = resource.with_service_name(name);
    }
    resource.build()
}
