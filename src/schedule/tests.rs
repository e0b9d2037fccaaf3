use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn id(name: &str) -> ProbeId {
    ProbeId::new("acme", name, None)
}

fn cron(pattern: &str, zone: &str) -> Cadence {
    Cadence::Cron {
        pattern: pattern.to_owned(),
        timezone: TimeZone::get(zone).unwrap(),
    }
}

/// All starts in `from..until` (UTC), as minutes since `from`.
fn starts(pattern: &str, zone: &str, from: &str, hours: i64) -> Vec<i64> {
    let cadence = cron(pattern, zone);
    let from: Timestamp = from.parse().unwrap();
    let until = from + SignedDuration::from_hours(hours);
    let mut at = from - SignedDuration::from_secs(1);
    let mut all = Vec::new();
    while let Some(next) = next_start(&id("prod"), &cadence, at).filter(|next| *next < until) {
        assert!(next > at, "{next} does not come after {at}");
        all.push(next.duration_since(from).as_secs() / 60);
        at = next;
    }
    all
}

// In UTC: Berlin leaves out 02:00-03:00 at 01:00Z and repeats it at 01:00Z; New York the same at 07:00Z and 06:00Z;
// Lord Howe leaves out 02:00-02:30 at 15:30Z and repeats 01:30-02:00 at 15:00Z.
const SPRING: [(&str, &str); 3] = [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
];
const AUTUMN: [(&str, &str, i64); 3] = [
    ("Europe/Berlin", "2026-10-25T01:00:00Z", 60),
    ("America/New_York", "2026-11-01T06:00:00Z", 60),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z", 30),
];

fn hours_before(instant: &str, hours: i64) -> String {
    (instant.parse::<Timestamp>().unwrap() - SignedDuration::from_hours(hours)).to_string()
}

#[test]
fn every_five_minutes_stays_so_through_both_changes() {
    let changes = SPRING
        .iter()
        .copied()
        .chain(AUTUMN.iter().map(|(zone, at, _)| (*zone, *at)));
    for (zone, at) in changes {
        let all = starts("*/5 * * * *", zone, &hours_before(at, 3), 6);
        let expected: Vec<i64> = (0..6 * 12).map(|n| n * 5).collect();
        assert_eq!(all, expected, "{zone}");
    }
}

#[test]
fn hourly_neither_doubles_nor_drifts() {
    for (zone, at) in &SPRING[..2] {
        assert_eq!(
            starts("0 * * * *", zone, &hours_before(at, 2), 4),
            [0, 60, 120, 180]
        );
    }
    for (zone, at, _) in &AUTUMN[..2] {
        assert_eq!(
            starts("0 * * * *", zone, &hours_before(at, 2), 4),
            [0, 60, 120, 180]
        );
    }
    // Half an hour is left out: 02:00 does not exist and runs at 02:30.
    assert_eq!(
        starts("0 * * * *", SPRING[2].0, &hours_before(SPRING[2].1, 1), 3),
        [0, 60, 90, 150]
    );
}

#[test]
fn a_time_in_the_gap_runs_once_right_after_it() {
    for (zone, at) in SPRING {
        for pattern in [
            "15 2 * * *",
            "10,20 2 * * *",
            "5 1,2 * * *",
            "*/10 2 * * *",
            "0 15 2 * * *",
        ] {
            let all = starts(pattern, zone, at, 1);
            assert_eq!(all.first(), Some(&0), "{pattern} in {zone}");
            assert!(
                all.windows(2).all(|pair| pair[0] < pair[1]),
                "{pattern} in {zone}: {all:?}"
            );
        }
        // Once a day, on the day of the change too, and back at its own time the day after.
        let days = starts("15 2 * * *", zone, at, 49);
        let shift = if zone == "Australia/Lord_Howe" {
            15
        } else {
            45
        };
        assert_eq!(days, [0, 24 * 60 - shift, 48 * 60 - shift], "{zone}");
    }
}

#[test]
fn a_listed_time_in_the_fold_runs_once_the_first_time() {
    for (zone, at, width) in AUTUMN {
        // The wall clock shows the same times for `width` minutes before and after `at`.
        let local = TimeZone::get(zone)
            .unwrap()
            .to_datetime(at.parse().unwrap());
        let pattern = format!("{} {} * * *", local.minute() + 15, local.hour());
        let all = starts(&pattern, zone, &hours_before(at, 2), 26);
        let first = 120 - width + 15;
        assert_eq!(
            all,
            [first, first + 24 * 60 + width][..all.len()],
            "{pattern} in {zone}"
        );
    }
}

#[test]
fn after_the_change_the_wall_clock_time_holds() {
    let at_eight = starts("0 8 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 72);
    assert_eq!(at_eight, [7 * 60, (24 + 6) * 60, (48 + 6) * 60]);
}

#[test]
fn a_pattern_that_never_matches_has_no_start() {
    let never = cron("0 0 30 2 *", "UTC");
    assert_eq!(next_start(&id("prod"), &never, Timestamp::UNIX_EPOCH), None);
}

#[test]
fn two_thousand_probes_spread_over_their_minute() {
    let minute = Cadence::Every(Duration::from_secs(60));
    let mut per_second: HashMap<i64, u32> = HashMap::new();
    for n in 0..2000 {
        let next = next_start(&id(&format!("probe-{n}")), &minute, Timestamp::UNIX_EPOCH).unwrap();
        *per_second.entry(next.as_second() % 60).or_default() += 1;
    }
    assert_eq!(per_second.len(), 60);
    assert!(
        per_second.values().all(|count| (12..60).contains(count)),
        "{per_second:?}"
    );
}

#[test]
fn phases_are_those_of_earlier_versions() {
    let at = next_start(
        &id("prod"),
        &Cadence::Every(Duration::from_secs(300)),
        Timestamp::UNIX_EPOCH,
    );
    insta::assert_snapshot!(at.unwrap(), @"1970-01-01T00:01:19.395Z");
}

#[test]
fn late_is_not_missed_until_the_limit() {
    let due = Timestamp::UNIX_EPOCH;
    assert!(!is_missed(due, due + MISSED_AFTER));
    assert!(is_missed(
        due,
        due + MISSED_AFTER + SignedDuration::from_millis(1)
    ));
    assert!(!is_missed(due, due - MISSED_AFTER * 2));
}

#[test]
fn only_a_clock_that_was_set_has_jumped() {
    let start = Timestamp::UNIX_EPOCH;
    let second = Duration::from_secs(1);
    let jump = |wall_s| clock_jump(start, start + SignedDuration::from_secs(wall_s), second);
    assert_eq!(jump(1), None);
    assert_eq!(jump(3), None);
    assert_eq!(jump(3601), Some(SignedDuration::from_hours(1)));
    assert_eq!(jump(-3599), Some(SignedDuration::from_hours(-1)));
    // The daemon itself was held up: both clocks went on.
    let later = start + SignedDuration::from_secs(90);
    assert_eq!(clock_jump(start, later, Duration::from_secs(90)), None);
}

#[test]
fn a_clock_set_back_brings_starts_near_and_one_set_forward_drops_none() {
    let every = Cadence::Every(Duration::from_secs(60));
    let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
    let planned = next_start(&id("prod"), &every, now);
    let replanned = |now| replan(&id("prod"), &every, planned, now);
    let earlier = now - SignedDuration::from_hours(1);
    assert_eq!(replanned(earlier), next_start(&id("prod"), &every, earlier));
    assert_eq!(replanned(now + SignedDuration::from_hours(1)), planned);
    assert_eq!(replanned(now), planned);
}

proptest! {
    #[test]
    fn intervals_are_equal_and_do_not_depend_on_when_one_asks(
        name in "[a-z]{1,12}", seconds in 1_u64..100_000, now_ms in 0_i64..4_000_000_000_000, ask in 0.0_f64..1.0,
    ) {
        let every = Cadence::Every(Duration::from_secs(seconds));
        let now = Timestamp::from_millisecond(now_ms).unwrap();
        let first = next_start(&id(&name), &every, now).unwrap();
        prop_assert!(first > now);
        let second = next_start(&id(&name), &every, first).unwrap();
        prop_assert_eq!(second.duration_since(first), SignedDuration::from_secs(i64::try_from(seconds).unwrap()));
        let between = first.as_millisecond() as f64 + ask * seconds as f64 * 999.0;
        let between = Timestamp::from_millisecond(between as i64).unwrap();
        prop_assert_eq!(next_start(&id(&name), &every, between), Some(second));
    }

    #[test]
    fn cron_goes_forward_and_loses_no_day(
        minute in 0..60, hour in 0..24, zone in 0..3_usize, now_s in 1_700_000_000_i64..1_900_000_000,
    ) {
        let cadence = cron(&format!("{minute} {hour} * * *"), SPRING[zone].0);
        let now = Timestamp::from_second(now_s).unwrap();
        let first = next_start(&id("prod"), &cadence, now).unwrap();
        let second = next_start(&id("prod"), &cadence, first).unwrap();
        prop_assert!(first > now);
        let hours = second.duration_since(first).as_secs() as f64 / 3600.0;
        prop_assert!((22.0..=26.0).contains(&hours), "{} then {}", first, second);
    }
}
