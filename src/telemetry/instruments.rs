//! Name, help and kind of every figure, in one table.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

/// Seconds; a browser journey takes one to a few, a run may last minutes.
const RUN_BUCKETS: [f64; 13] = [
    0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0,
];
/// Seconds; from a request within a data centre to a login page that hangs.
const STEP_BUCKETS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0,
];
/// Seconds.
const LATENESS_BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

macro_rules! instruments {
    ($($field:ident: $type:ty = $make:ident $name:literal, $unit:literal, $help:literal $(, $buckets:expr)?;)*) => {
        /// One of each.
        pub(super) struct Instruments {
            $(pub(super) $field: $type,)*
        }

        impl Instruments {
            pub(super) fn new(meter: &Meter) -> Self {
                Self {
                    $($field: meter.$make($name).with_description($help).with_unit($unit)
                        $(.with_boundaries($buckets.to_vec()))?
                        .build(),)*
                }
            }
        }
    };
}

instruments! {
    runs: Counter<u64> = u64_counter "authcanary_runs_total", "{run}",
        "Finished runs by outcome.";
    failures: Counter<u64> = u64_counter "authcanary_failures_total", "{run}",
        "Runs that failed or could not be judged, by the verdict's stage, class and cause.";
    run_duration: Histogram<f64> = f64_histogram "authcanary_run_duration_seconds", "s",
        "Duration of whole runs.", RUN_BUCKETS;
    step_duration: Histogram<f64> = f64_histogram "authcanary_step_duration_seconds", "s",
        "Duration of the steps of runs.", STEP_BUCKETS;
    last_run: Gauge<f64> = f64_gauge "authcanary_last_run_timestamp_seconds", "s",
        "When the last run ended.";
    last_success: Gauge<f64> = f64_gauge "authcanary_last_success_timestamp_seconds", "s",
        "When the last run ended that passed, with or without warnings.";
    expiry: Gauge<f64> = f64_gauge "authcanary_expiry_timestamp_seconds", "s",
        "When something that the sign-in depends on expires; of several, the first.";
    clock_offset: Gauge<f64> = f64_gauge "authcanary_clock_offset_seconds", "s",
        "Clock of the provider minus ours, as last seen.";
    start_lateness: Histogram<f64> = f64_histogram "authcanary_start_lateness_seconds", "s",
        "Delay between the time a run was due and its start.", LATENESS_BUCKETS;
    browser_sessions: Gauge<u64> = u64_gauge "authcanary_browser_sessions", "{session}",
        "Browser sessions in use.";
    store_bytes: Gauge<u64> = u64_gauge "authcanary_store_bytes", "By",
        "Size of the store on disk.";
    store_quarantined: Gauge<u64> = u64_gauge "authcanary_store_quarantined", "1",
        "Whether the store could not be read at the start and an empty one took its place.";
    config_last_reload_successful: Gauge<u64> = u64_gauge "authcanary_config_last_reload_successful", "1",
        "Whether the last configuration was taken over.";
    otlp_lost: Counter<u64> = u64_counter "authcanary_otlp_lost_total", "1",
        "Spans, log records and rounds of figures that did not reach the collector.";
    build_info: Gauge<u64> = u64_gauge "authcanary_build_info", "1",
        "Version of this program; the value is always 1.";
}
