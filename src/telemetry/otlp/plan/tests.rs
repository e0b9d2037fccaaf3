use std::collections::BTreeMap;

use super::*;

const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

fn read(file: Option<&Settings>, variables: &[(&str, &str)]) -> Result<Plans, OtlpError> {
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    plan(file, |name| variables.get(name).cloned())
}

fn file(endpoint: &str) -> Settings {
    Settings {
        endpoint: Some(endpoint.parse().unwrap()),
        ..Settings::default()
    }
}

/// Signals with their addresses.
fn addresses(plans: &Plans) -> Vec<(&'static str, String)> {
    let plans = plans.signals.iter();
    plans
        .map(|plan| (plan.signal.as_str(), plan.endpoint.to_string()))
        .collect()
}

fn headers(plan: &Plan) -> Vec<(String, String)> {
    let headers = plan.headers.iter();
    headers
        .map(|header| {
            let value = match &header.value {
                Value::Known(secret) => secret.expose().to_owned(),
                Value::Kept(reference) => reference.to_string(),
            };
            (header.name.to_string(), value)
        })
        .collect()
}

#[test]
fn without_a_collector_nothing_is_sent() {
    assert_eq!(addresses(&read(None, &[]).unwrap()), []);
    let section_without_address = read(Some(&Settings::default()), &[]).unwrap();
    assert_eq!(addresses(&section_without_address), []);
}

#[test]
fn paths_follow_the_protocol() {
    for (base, expected) in [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp", "https://c/otlp/v1/traces"),
        ("https://c/otlp/", "https://c/otlp/v1/traces"),
    ] {
        let plans = read(Some(&file(base)), &[]).unwrap();
        assert_eq!(addresses(&plans)[0], ("traces", expected.to_owned()));
        assert_eq!(plans.signals.len(), 3);
    }
    let grpc = Settings {
        protocol: Some(Protocol::Grpc),
        ..file("http://c:4317")
    };
    let plans = read(Some(&grpc), &[]).unwrap();
    assert_eq!(addresses(&plans)[2], ("logs", "http://c:4317/".to_owned()));
}

#[test]
fn the_environment_alone_is_enough() {
    let plans = read(
        None,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://own/as/it/is"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/client.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/client.key"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b, other=c"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-own=d"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "7"),
        ],
    )
    .unwrap();
    let expected = [
        ("traces", "http://own/as/it/is"),
        ("metrics", "http://all:4318/v1/metrics"),
        ("logs", "http://all:4318/"),
    ];
    assert_eq!(
        addresses(&plans),
        expected.map(|(signal, address)| (signal, address.to_owned()))
    );
    let [traces, metrics, logs] = plans.signals.as_slice() else {
        panic!("three signals");
    };
    assert_eq!(logs.protocol, Protocol::Grpc);
    assert_eq!(traces.timeout, Duration::from_millis(2500));
    assert!(traces.gzip);
    assert_eq!(traces.ca_file.as_deref().unwrap(), "/ca.pem");
    assert_eq!(
        traces.client.as_ref().unwrap().key,
        SecretRef::File("/client.key".into())
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(headers(traces), [pair("x-key", "a b"), pair("other", "c")]);
    assert_eq!(headers(metrics), [pair("x-own", "d")]);
    assert_eq!((traces.queue, logs.queue), (7, QUEUE));
    assert_eq!(plans.notices, [""; 0]);
}

#[test]
fn only_signals_with_an_address_are_sent() {
    let variables = [("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m/")];
    let plans = read(None, &variables).unwrap();
    assert_eq!(addresses(&plans), [("metrics", "http://m/".to_owned())]);
}

#[test]
fn the_file_wins_over_the_environment() {
    let settings = Settings {
        protocol: Some(Protocol::HttpProtobuf),
        headers: [
            ("X-Key", TextOrSecret::Secret(SecretRef::Env("KEY".into()))),
            ("x-team", TextOrSecret::Text("identity".into())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
        timeout: Some(Duration::from_secs(3)),
        gzip: Some(false),
        signals: Some(vec![Signal::Traces]),
        ..file("http://file:4318")
    };
    let plans = read(
        Some(&settings),
        &[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other/"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=theirs,more=yes"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_METRICS_EXPORTER", "otlp"),
        ],
    )
    .unwrap();
    let expected = [("traces", "http://file:4318/v1/traces".to_owned())];
    assert_eq!(addresses(&plans), expected);
    let plan = &plans.signals[0];
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [
        pair("x-key", "environment variable KEY"),
        pair("x-team", "identity"),
        pair("more", "yes"),
    ];
    assert_eq!(headers(plan), expected);
    assert_eq!((plan.timeout, plan.gzip), (Duration::from_secs(3), false));
}

#[test]
fn signals_can_be_switched_off() {
    let sent = |variable, value| {
        let plans = read(Some(&file("http://c/")), &[(variable, value)]).unwrap();
        plans
            .signals
            .iter()
            .map(|plan| plan.signal)
            .collect::<Vec<_>>()
    };
    let (all, none) = (Signal::ALL.to_vec(), Vec::new());
    let without_logs = vec![Signal::Traces, Signal::Metrics];
    assert_eq!(sent("OTEL_SDK_DISABLED", "true"), none);
    assert_eq!(sent("OTEL_SDK_DISABLED", "false"), all);
    assert_eq!(sent("OTEL_LOGS_EXPORTER", "none"), without_logs);
    assert_eq!(sent("OTEL_LOGS_EXPORTER", "console"), without_logs);
    assert_eq!(sent("OTEL_LOGS_EXPORTER", "console,otlp"), all);
}

#[test]
fn grpc_takes_an_address_without_a_scheme() {
    let address = |insecure| {
        let plans = read(
            None,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ("OTEL_EXPORTER_OTLP_INSECURE", insecure),
            ],
        );
        addresses(&plans.unwrap())[0].1.clone()
    };
    assert_eq!(address("true"), "http://collector:4317/");
    assert_eq!(address("false"), "https://collector:4317/");
}

#[test]
fn addresses_that_are_none_stop_the_start_and_other_values_are_passed_over() {
    for address in ["collector:4318", "ftp://collector", "", "http://", "::"] {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", address)];
        let read = read(None, &variables);
        assert!(read.is_err() || address.is_empty(), "{address}");
    }
    let plans = read(
        Some(&file("http://c/")),
        &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret-without-a-name"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/lonely.key"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "many"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            (TEMPORALITY, "both"),
        ],
    )
    .unwrap();
    let plan = &plans.signals[0];
    assert_eq!(plan.protocol, Protocol::HttpProtobuf);
    assert_eq!((plan.timeout, plan.gzip), (TIMEOUT, false));
    assert!(plan.client.is_none());
    assert_eq!((plan.queue, plans.sampled), (QUEUE, 1.0));
    assert_eq!(plans.temporality, Temporality::Cumulative);
    assert_eq!(plans.notices.len(), 9, "{:#?}", plans.notices);
    assert!(!plans.notices.concat().contains("secret-without-a-name"));
}

#[test]
fn words_of_variables_may_be_written_either_way() {
    for (word, expected) in [
        ("Cumulative", Temporality::Cumulative),
        ("DELTA", Temporality::Delta),
        ("lowmemory", Temporality::LowMemory),
    ] {
        let plans = read(None, &[(TEMPORALITY, word)]).unwrap();
        assert_eq!(plans.temporality, expected, "{word}");
        assert_eq!(plans.notices, [""; 0]);
    }
    let plans = read(
        Some(&file("http://c/")),
        &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "gRPC"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
            ("OTEL_TRACES_SAMPLER", "ParentBased_Always_Off"),
            ("OTEL_LOGS_EXPORTER", "OTLP"),
            ("OTEL_METRICS_EXPORTER", "None"),
        ],
    )
    .unwrap();
    let signals: Vec<Signal> = plans.signals.iter().map(|plan| plan.signal).collect();
    assert_eq!(signals, [Signal::Traces, Signal::Logs]);
    let plan = &plans.signals[0];
    assert_eq!((plan.protocol, plan.gzip), (Protocol::Grpc, true));
    assert_eq!(plans.sampled, 0.0);
    assert_eq!(plans.notices, [""; 0]);
}

#[test]
fn samplers_keep_their_share() {
    let sampled = |sampler, share| {
        let variables = [
            ("OTEL_TRACES_SAMPLER", sampler),
            ("OTEL_TRACES_SAMPLER_ARG", share),
        ];
        read(None, &variables).unwrap().sampled
    };
    assert_eq!(sampled("always_on", "0.5"), 1.0);
    assert_eq!(sampled("always_off", "0.5"), 0.0);
    assert_eq!(sampled("traceidratio", "0.25"), 0.25);
    assert_eq!(sampled("parentbased_traceidratio", "0.25"), 0.25);
    assert_eq!(sampled("traceidratio", "7"), 1.0);
    // Spread evenly, as random bits are.
    let traces = (0..4000_u64).map(|n| {
        let mut trace = [0xff; 16];
        let bits = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        trace[8..].copy_from_slice(&bits.rotate_left(8).to_be_bytes());
        trace
    });
    let kept = |share| {
        traces
            .clone()
            .filter(|trace| is_sampled(share, *trace))
            .count()
    };
    assert_eq!((kept(0.0), kept(1.0)), (0, 4000));
    assert!((990..1010).contains(&kept(0.25)), "{}", kept(0.25));
}
