//! Which test shows that a class comes of a real fault: a connection that really breaks, a page that really changed, a
//! process that is really killed. Classes of what servers say are not here; those are held by recorded answers.

use std::path::Path;

use authcanary::taxonomy::{Class, Family};

const TRANSPORT: &str = "src/http/tests/transport.rs";
const ENCRYPTION: &str = "src/http/tests/encryption.rs";
const PROVIDER: &str = "tests/live/faults.rs";
const BROWSER: &str = "tests/live/browser.rs";
const JOURNEYS: &str = "tests/live/journeys.rs";

/// Class, file, and the tests there.
#[rustfmt::skip]
const SHOWN: &[(Class, &str, &[&str])] = &[
    (Class::DnsFailure, TRANSPORT, &["a_name_that_does_not_resolve"]),
    (Class::DnsFailure, BROWSER, &["a_provider_that_does_not_answer_is_told_from_a_browser_that_does_not"]),
    (Class::ConnectRefused, TRANSPORT, &["a_closed_port"]),
    (Class::ConnectRefused, BROWSER, &["a_provider_that_does_not_answer_is_told_from_a_browser_that_does_not"]),
    (Class::ConnectTimeout, TRANSPORT, &["a_host_that_does_not_answer_to_connect"]),
    (Class::ConnectionReset, TRANSPORT, &["connections_that_break", "a_connection_dropped_in_the_handshake"]),
    (Class::ConnectionReset, PROVIDER, &["connections_that_break", "pages_that_went_wrong"]),
    (Class::TlsHandshake, TRANSPORT, &["a_server_that_speaks_no_tls"]),
    (Class::TlsHandshake, ENCRYPTION, &["a_peer_without_a_common_protocol"]),
    (Class::TlsExpired, ENCRYPTION, &["bad_certificates_are_named_and_kept"]),
    (Class::TlsUntrusted, ENCRYPTION, &["bad_certificates_are_named_and_kept"]),
    (Class::TlsHostnameMismatch, ENCRYPTION, &["bad_certificates_are_named_and_kept"]),
    (Class::ProxyError, TRANSPORT, &["proxies_that_fail"]),
    (Class::RequestTimeout, TRANSPORT, &["a_server_that_accepts_and_never_answers"]),
    (Class::RequestTimeout, PROVIDER, &["connections_that_break"]),
    (Class::ResponseTooLarge, PROVIDER, &["connections_that_break"]),
    (Class::RedirectLoop, PROVIDER, &["wrong_answers_of_the_endpoints", "pages_that_went_wrong"]),
    (Class::HttpClientError, PROVIDER, &["wrong_answers_of_the_endpoints"]),
    (Class::HttpServerError, PROVIDER, &["wrong_answers_of_the_endpoints", "pages_that_went_wrong"]),
    (Class::BlockedByGateway, PROVIDER, &["wrong_answers_of_the_endpoints", "pages_that_went_wrong"]),
    (Class::ElementNotFound, PROVIDER, &["pages_that_went_wrong"]),
    (Class::UnexpectedPage, PROVIDER, &["pages_that_went_wrong"]),
    (Class::NavigationTimeout, PROVIDER, &["pages_that_went_wrong"]),
    (Class::BotChallenge, PROVIDER, &["pages_that_went_wrong"]),
    (Class::CallbackNotReached, PROVIDER, &["pages_that_went_wrong"]),
    (Class::WebdriverUnavailable, JOURNEYS, &["a_missing_driver_is_our_own_fault"]),
    (Class::WebdriverUnavailable, BROWSER, &["a_driver_killed_in_a_run_is_the_monitors_fault_and_replaced",
        "a_driver_that_hangs_in_a_run_is_the_monitors_fault_and_replaced"]),
    (Class::BrowserCrashed, BROWSER, &["a_browser_killed_in_a_run_is_the_monitors_fault_and_replaced",
        "a_page_whose_process_crashes_is_the_monitors_fault"]),
    (Class::BrowserCrashed, "tests/live/exhaustion.rs",
        &["a_page_that_takes_all_memory_kills_the_browser_and_blames_nobody"]),
    (Class::ConfigInvalid, "tests/live/signin.rs", &["scripts_walk_and_name_the_line_that_no_longer_fits"]),
    (Class::SecretUnavailable, JOURNEYS, &["a_missing_secret_is_our_own_fault"]),
    (Class::Overloaded, BROWSER, &["waiting_for_a_browser_has_an_end"]),
    (Class::Internal, "tests/live/service.rs", &["a_run_that_is_cut_off_by_a_kill_is_closed_as_unknown"]),
];

#[test]
fn every_fault_outside_the_protocol_is_shown_by_a_real_one() {
    for class in Class::all() {
        let real = match class.family() {
            Family::Transport | Family::Browser | Family::Monitor => true,
            Family::Protocol | Family::Response | Family::Security => false,
        };
        let shown = SHOWN.iter().any(|(known, ..)| *known == class);
        assert_eq!(shown, real, "{class}");
    }
    for (class, file, tests) in SHOWN {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let named = text.contains(&format!("Class::{}", pascal(*class)));
        assert!(
            named || text.contains(&class.to_string()),
            "{file} names no {class}"
        );
        for test in *tests {
            let there = text.contains(&format!("fn {test}("));
            assert!(there, "{file} has no {test} for {class}");
        }
    }
}

fn pascal(class: Class) -> String {
    format!("{class:?}")
}
