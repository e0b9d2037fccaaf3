//! What holds whatever happens.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const EVERYONE: [Who; 5] = [PROD, STAGING, SANDBOX, OTHER, OTHER_STAGING];

/// For some rounds, which of the probes fail and which cannot be judged, and how many of their runs in eight.
#[derive(Debug, Clone)]
struct Spell {
    rounds: usize,
    fails: u8,
    unknowns: u8,
    of_eight: u8,
}

fn spells() -> impl Strategy<Value = Vec<Spell>> {
    let spell = (1_usize..60, any::<u8>(), any::<u8>(), 0_u8..9, any::<u8>()).prop_map(
        |(rounds, fails, unknowns, of_eight, calm)| Spell {
            rounds,
            // Half of the time all is well, and mostly it is not our fault.
            fails: if calm % 2 == 0 { 0 } else { fails },
            unknowns: if calm % 8 == 1 { unknowns } else { 0 },
            of_eight,
        },
    );
    prop::collection::vec(spell, 1..12)
}

/// Two days of good runs, the spells, and two days of good runs. Probes run every five minutes, some of them at one
/// instant.
fn runs(spells: &[Spell]) -> Vec<Observation> {
    let calm = Spell {
        rounds: 2 * 288,
        fails: 0,
        unknowns: 0,
        of_eight: 0,
    };
    let mut runs = Vec::new();
    let mut round = 0_i64;
    let all = std::iter::once(&calm)
        .chain(spells)
        .chain(std::iter::once(&calm));
    for spell in all {
        for index in 0..spell.rounds {
            for (place, &who) in EVERYONE.iter().enumerate() {
                let second = round * 300 + 100 * (place as i64 % 3);
                let is_hit = (index * 5 + place * 3) % 8 < usize::from(spell.of_eight);
                runs.push(if is_hit && spell.fails & 1 << place != 0 {
                    bad(who, second)
                } else if is_hit && spell.unknowns & 1 << place != 0 {
                    unknown(who, second)
                } else {
                    good(who, second)
                });
            }
            round += 1;
        }
    }
    runs.sort_by_key(|run| run.at);
    runs
}

fn play(
    runs: &[Observation],
    mut before: impl FnMut(usize, &mut Detector, &mut Vec<Change>),
) -> Vec<Change> {
    let mut detector = Detector::new();
    let mut changes = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        before(index, &mut detector, &mut changes);
        changes.extend(detector.observe(run));
    }
    changes.extend(detector.tick(runs.last().unwrap().at));
    changes
}

fn plain(runs: &[Observation]) -> Vec<Change> {
    play(runs, |_, _, _| {})
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_at_any_point_changes_nothing(spells in spells(), points in prop::collection::vec(any::<prop::sample::Index>(), 1..10)) {
        let runs = runs(&spells);
        let points: Vec<usize> = points.iter().map(|point| point.index(runs.len())).collect();
        let restarted = play(&runs, |index, detector, _| {
            if points.contains(&index) {
                let state = serde_json::to_vec(detector).unwrap();
                let read: Detector = serde_json::from_slice(&state).unwrap();
                assert_eq!(&read, detector);
                *detector = read;
            }
        });
        prop_assert_eq!(restarted, plain(&runs));
    }

    #[test]
    fn the_order_of_runs_of_one_instant_does_not_matter(spells in spells(), keys in prop::collection::vec(any::<u32>(), 7)) {
        let runs = runs(&spells);
        let mut shuffled: Vec<(usize, Observation)> = runs.iter().cloned().enumerate().collect();
        shuffled.sort_by_key(|(index, run)| (run.at, keys[index % keys.len()].wrapping_mul(*index as u32)));
        let shuffled: Vec<Observation> = shuffled.into_iter().map(|(_, run)| run).collect();
        prop_assert_eq!(plain(&shuffled), plain(&runs));
    }

    #[test]
    fn how_often_the_clock_is_looked_at_does_not_matter(spells in spells(), every in 1_usize..9, ahead in 0_i64..100) {
        let runs = runs(&spells);
        let ticked = play(&runs, |index, detector, changes| {
            let Some(last) = index.checked_sub(1).filter(|_| index % every == 0) else { return };
            let now = runs[last].at + jiff::SignedDuration::from_secs(ahead);
            if now < runs[index].at {
                changes.extend(detector.tick(now));
            }
        });
        prop_assert_eq!(ticked, plain(&runs));
    }

    #[test]
    fn every_page_has_a_reason_and_an_end(spells in spells()) {
        let runs = runs(&spells);
        let changes = plain(&runs);
        let mut open: BTreeMap<&Fingerprint, bool> = BTreeMap::new();
        for change in &changes {
            let incident = &change.incident;
            let was_open = open.get(&incident.fingerprint).copied();
            match change.what {
                What::Opened => {
                    prop_assert_eq!(was_open, None);
                    let figures = &incident.figures;
                    prop_assert!(figures.bad >= 2 && figures.nats >= figures.needed, "{}", incident.reason());
                    prop_assert!(figures.rate() > figures.baseline);
                    prop_assert!(incident.started_at < incident.fired_at);
                    prop_assert!(incident.members.iter().any(|member| member.is_bad));
                    prop_assert_eq!(change.at, incident.fired_at);
                }
                What::Reopened => prop_assert_eq!(was_open, Some(false)),
                What::Widened | What::Updated | What::Resolved => prop_assert_eq!(was_open, Some(true)),
            }
            open.insert(&incident.fingerprint, change.what != What::Resolved);
        }
        // Two days of good runs stand at the end.
        prop_assert!(open.values().all(|is_open| !is_open), "{:#?}", changes.last());
    }
}
