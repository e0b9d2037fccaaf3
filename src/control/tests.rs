use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn site(host: &str) -> Site {
    Site::of(&format!("https://{host}/").parse().unwrap())
}

/// A run of the provider at `login.<provider>.example` over the public network.
fn sighting(provider: &str, class: Option<Class>, second: i64) -> Sighting {
    Sighting {
        provider: provider.to_owned(),
        site: site(&format!("login.{provider}.example")),
        reach: Reach::Public,
        in_browser: true,
        ended_at: at(second),
        class,
    }
}

/// A look at this machine that found nothing wrong, and nobody to compare with.
fn good() -> Findings {
    Findings {
        rehearsal: Rehearsal::Passed,
        has_route: Some(true),
        memory_bytes: Some(4 << 30),
        disk_bytes: Some(4 << 30),
        ..Findings::default()
    }
}

fn trial(provider: &str, result: Result<Answer, Class>) -> Trial {
    Trial {
        site: site(&format!("login.{provider}.example")),
        providers: vec![provider.to_owned()],
        reach: Reach::Public,
        result,
    }
}

fn named(host: &str, result: Result<Answer, Class>) -> Trial {
    Trial {
        site: site(host),
        providers: vec![],
        reach: Reach::Public,
        result,
    }
}

fn clock(offset_ms: i64) -> Result<Answer, Class> {
    Ok(Answer {
        clock_offset_ms: Some(offset_ms),
    })
}

const UP: Result<Answer, Class> = Ok(Answer {
    clock_offset_ms: None,
});

/// Whose fault a failure of `acme` is, and that the reason has these words.
fn check(class: Class, recent: &[Sighting], findings: &Findings, blame: Blame, words: &str) {
    let failure = sighting("acme", Some(class), 0);
    let judged = judge(&failure, recent, findings);
    assert_eq!(judged.blame, blame, "{class}: {}", judged.reason);
    assert!(judged.reason.contains(words), "{class}: {}", judged.reason);
}

fn with_trials(trials: Vec<Trial>) -> Findings {
    Findings { trials, ..good() }
}

#[test]
fn two_providers_that_fail_at_once_on_a_good_machine_keep_their_failures() {
    use Class::*;
    for class in [
        DnsFailure,
        ConnectRefused,
        ConnectTimeout,
        ConnectionReset,
        TlsHandshake,
        TlsUntrusted,
        TlsExpired,
        RequestTimeout,
        NavigationTimeout,
        ElementNotFound,
        UnexpectedPage,
        CallbackNotReached,
    ] {
        let other = [sighting("other", Some(class), -3)];
        let down = with_trials(vec![trial("other", Err(class))]);
        check(
            class,
            &other,
            &down,
            Blame::Undecided,
            "other failed at the same time",
        );
    }
}

#[test]
fn somebody_who_answers_clears_the_network() {
    use Class::*;
    for class in [
        DnsFailure,
        ConnectRefused,
        ConnectTimeout,
        ConnectionReset,
        TlsHandshake,
        RequestTimeout,
        ProxyError,
    ] {
        let findings = with_trials(vec![trial("down", Err(ConnectTimeout)), trial("other", UP)]);
        check(
            class,
            &[],
            &findings,
            Blame::Theirs,
            "other.example answered",
        );
    }
    // Even where a nameserver is dead, or a route is missed: the way is there.
    let findings = Findings {
        has_route: Some(false),
        ..with_trials(vec![named("www.example.org", UP)])
    };
    check(ConnectTimeout, &[], &findings, Blame::Theirs, "example.org");
}

#[test]
fn a_place_of_the_same_provider_or_site_is_no_witness() {
    let own = with_trials(vec![trial("acme", UP), named("status.acme.example", UP)]);
    check(
        Class::ConnectTimeout,
        &[],
        &own,
        Blame::Undecided,
        "no independent place",
    );
}

#[test]
fn places_that_the_configuration_vouches_for_decide_alone() {
    let findings = with_trials(vec![named("www.example.org", Err(Class::ConnectTimeout))]);
    check(
        Class::ConnectTimeout,
        &[],
        &findings,
        Blame::Ours,
        "example.org (connect_timeout)",
    );
    let refused = with_trials(vec![named("www.example.org", Err(Class::ConnectRefused))]);
    check(
        Class::ConnectRefused,
        &[],
        &refused,
        Blame::Ours,
        "cannot be reached either",
    );
}

#[test]
fn other_providers_decide_only_when_several_are_not_even_reached() {
    let unreached = |class| {
        with_trials(vec![
            trial("one", Err(class)),
            trial("two", Err(Class::ConnectTimeout)),
        ])
    };
    check(
        Class::ConnectTimeout,
        &[],
        &unreached(Class::DnsFailure),
        Blame::Ours,
        "one.example",
    );
    check(
        Class::DnsFailure,
        &[],
        &unreached(Class::DnsFailure),
        Blame::Ours,
        "two.example",
    );
    // One of them was reached, so that the way is there.
    check(
        Class::ConnectTimeout,
        &[],
        &unreached(Class::ConnectRefused),
        Blame::Undecided,
        "",
    );
    check(
        Class::ConnectTimeout,
        &[],
        &unreached(Class::RequestTimeout),
        Blame::Undecided,
        "",
    );
    // The failure itself shows that the way is there.
    check(
        Class::ConnectRefused,
        &[],
        &unreached(Class::DnsFailure),
        Blame::Undecided,
        "",
    );
    let alone = with_trials(vec![trial("one", Err(Class::ConnectTimeout))]);
    check(Class::ConnectTimeout, &[], &alone, Blame::Undecided, "");
}

#[test]
fn a_machine_without_a_network_knows_it() {
    let cut_off = Findings {
        has_route: Some(false),
        ..good()
    };
    check(Class::DnsFailure, &[], &cut_off, Blame::Ours, "no route");
    check(
        Class::ConnectTimeout,
        &[],
        &cut_off,
        Blame::Ours,
        "no route",
    );
    // A provider on this machine needs no route.
    let mut local = sighting("acme", Some(Class::ConnectRefused), 0);
    local.reach = Reach::Loopback;
    assert_eq!(judge(&local, &[], &cut_off).blame, Blame::Undecided);
}

#[test]
fn a_dead_proxy_is_ours_and_a_choosy_one_is_not() {
    let proxied = |answers| Findings {
        proxies: vec![Contact {
            name: "proxy.corp:3128".to_owned(),
            answers,
        }],
        ..good()
    };
    let mut failure = sighting("acme", Some(Class::ProxyError), 0);
    failure.reach = Reach::Proxied;
    let judged = judge(&failure, &[], &proxied(false));
    assert_eq!(judged.blame, Blame::Ours);
    assert!(
        judged.reason.contains("proxy.corp:3128"),
        "{}",
        judged.reason
    );
    assert_eq!(judge(&failure, &[], &proxied(true)).blame, Blame::Undecided);
    // It lets others through.
    let mut other = trial("other", UP);
    other.reach = Reach::Proxied;
    let mut findings = proxied(true);
    findings.trials = vec![other];
    assert_eq!(judge(&failure, &[], &findings).blame, Blame::Theirs);
}

#[test]
fn only_an_answer_over_the_same_way_counts() {
    let mut near = named("192.168.0.7", UP);
    near.reach = Reach::Private;
    check(
        Class::ConnectTimeout,
        &[],
        &with_trials(vec![near]),
        Blame::Undecided,
        "",
    );
    // Whoever reaches the public network reaches the one at hand.
    let mut failure = sighting("acme", Some(Class::ConnectTimeout), 0);
    failure.reach = Reach::Private;
    let far = with_trials(vec![named("www.example.org", UP)]);
    assert_eq!(judge(&failure, &[], &far).blame, Blame::Theirs);
}

#[test]
fn names_are_asked_for_names() {
    let lookup = |resolves| Findings {
        lookups: vec![Lookup {
            name: "example.org".to_owned(),
            resolves,
        }],
        ..good()
    };
    check(
        Class::DnsFailure,
        &[],
        &lookup(true),
        Blame::Theirs,
        "example.org resolves",
    );
    check(
        Class::DnsFailure,
        &[],
        &lookup(false),
        Blame::Ours,
        "example.org",
    );
    let silent = |answers| Findings {
        nameservers: vec![Contact {
            name: "10.0.0.53".to_owned(),
            answers,
        }],
        ..good()
    };
    check(
        Class::DnsFailure,
        &[],
        &silent(false),
        Blame::Ours,
        "no answer from 10.0.0.53",
    );
    check(Class::DnsFailure, &[], &silent(true), Blame::Undecided, "");
    check(
        Class::ConnectTimeout,
        &[],
        &silent(false),
        Blame::Undecided,
        "",
    );
}

#[test]
fn the_clock_is_judged_by_others() {
    let off = |one, two| with_trials(vec![trial("one", clock(one)), trial("two", clock(two))]);
    for class in [
        Class::TlsExpired,
        Class::TokenExpired,
        Class::TokenNotYetValid,
        Class::ClockSkew,
    ] {
        check(
            class,
            &[],
            &off(600_000, 600_400),
            Blame::Ours,
            "600 s behind",
        );
        check(class, &[], &off(-90_000, -90_400), Blame::Ours, "ahead");
        check(class, &[], &off(200, -900), Blame::Theirs, "agrees");
        check(class, &[], &off(0, 600_000), Blame::Undecided, "");
    }
    let vouched = with_trials(vec![named("www.example.org", clock(600_000))]);
    check(Class::TokenExpired, &[], &vouched, Blame::Ours, "behind");
    let one = with_trials(vec![trial("one", clock(600_000))]);
    check(Class::TokenExpired, &[], &one, Blame::Undecided, "");
    let all_expired = with_trials(vec![
        trial("one", Err(Class::TlsExpired)),
        trial("two", Err(Class::TlsExpired)),
    ]);
    check(Class::TlsExpired, &[], &all_expired, Blame::Ours, "clock");
}

#[test]
fn a_machine_that_cannot_sign_in_at_itself_judges_nobody() {
    let failed = |in_browser| Findings {
        rehearsal: Rehearsal::Failed {
            in_browser,
            why: "login: navigation_timeout".to_owned(),
        },
        ..with_trials(vec![trial("up", UP)])
    };
    let other = [sighting("other", Some(Class::UnexpectedPage), -60)];
    for class in [
        Class::NavigationTimeout,
        Class::DnsFailure,
        Class::ElementNotFound,
        Class::ConnectRefused,
    ] {
        check(
            class,
            &other,
            &failed(true),
            Blame::Ours,
            "navigation_timeout",
        );
    }
    // A request that is sent without a browser does not fail because of one.
    let mut failure = sighting("acme", Some(Class::ConnectRefused), 0);
    failure.in_browser = false;
    assert_eq!(judge(&failure, &[], &failed(true)).blame, Blame::Theirs);
    assert_eq!(judge(&failure, &[], &failed(false)).blame, Blame::Ours);
    let slow = Findings {
        rehearsal: Rehearsal::Overdue,
        ..good()
    };
    check(
        Class::NavigationTimeout,
        &other,
        &slow,
        Blame::Ours,
        "overloaded",
    );
    check(
        Class::NavigationTimeout,
        &[],
        &slow,
        Blame::Undecided,
        "not signed in at in time",
    );
    let full = Findings {
        disk_bytes: Some(1 << 20),
        ..good()
    };
    check(
        Class::NavigationTimeout,
        &[],
        &full,
        Blame::Ours,
        "1 MiB left",
    );
    let short = Findings {
        memory_bytes: Some(20 << 20),
        ..good()
    };
    check(
        Class::UnexpectedPage,
        &[],
        &short,
        Blame::Ours,
        "20 MiB of memory",
    );
}

#[test]
fn what_calls_for_a_look() {
    let doubtful =
        |class, recent: &[Sighting]| is_doubtful(&sighting("acme", Some(class), 0), recent);
    for class in [
        Class::DnsFailure,
        Class::ConnectRefused,
        Class::ProxyError,
        Class::TlsExpired,
        Class::ClockSkew,
    ] {
        assert!(doubtful(class, &[]), "{class}");
    }
    // The provider spoke: nothing on this machine makes it say so.
    let together = [sighting("other", Some(Class::ConnectTimeout), 0)];
    for class in [
        Class::InvalidClient,
        Class::ServerError,
        Class::PkceMismatch,
        Class::Internal,
    ] {
        assert!(!doubtful(class, &together), "{class}");
    }
    let page = Class::UnexpectedPage;
    assert!(!doubtful(page, &[]));
    assert!(doubtful(page, &[sighting("other", Some(page), -100)]));
    assert!(
        !doubtful(page, &[sighting("other", Some(page), -400)]),
        "long ago"
    );
    assert!(!doubtful(page, &[sighting("other", None, 0)]), "it passed");
    assert!(!doubtful(
        page,
        &[sighting("other", Some(Class::AccessDenied), 0)]
    ));
    assert!(
        !doubtful(page, &[sighting("acme", Some(page), 0)]),
        "the same provider"
    );
    assert!(!is_doubtful(&sighting("acme", None, 0), &together));
}

#[test]
fn a_site_is_what_one_operator_runs() {
    let check = |url: &str, expected: &str| {
        assert_eq!(Site::of(&url.parse().unwrap()).as_str(), expected, "{url}");
    };
    check("https://login.eu.example.com/tenant", "example.com");
    check("https://sso.example.co.uk", "example.co.uk");
    check("https://example.com:8443/", "example.com");
    check("https://intranet/", "intranet");
    check("http://127.0.0.1:9000/", "127.0.0.1:9000");
    check("tcp://127.0.0.1:9000", "127.0.0.1:9000");
    check("http://localhost:9000/", "localhost:9000");
    check("https://[2001:db8::1]/", "[2001:db8::1]:443");
}

#[test]
fn providers_without_a_name_of_their_own_are_told_apart_by_site() {
    let generic = |host: &str, second| Sighting {
        site: site(host),
        ..sighting("generic", Some(Class::UnexpectedPage), second)
    };
    let failure = generic("sso.one.example", 0);
    assert!(is_doubtful(&failure, &[generic("sso.two.example", 0)]));
    assert!(!is_doubtful(&failure, &[generic("id.one.example", 0)]));
}
