//! What holds whatever happens.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::probe::AlertRule;

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

    #[test]
    fn a_long_silence_is_as_if_each_missing_run_had_been_counted(silence in silences()) {
        same_as_counted(&silence);
    }
}

/// What a probe is used to when it joins an incident is that of the hour in which it joins.
#[test]
fn a_silence_over_the_turn_of_an_hour_is_as_if_each_missing_run_had_been_counted() {
    same_as_counted(&Silence {
        paces_s: vec![600, 420, 2],
        rounds: 52,
        every_nth: 30,
        objective: None,
        is_off: false,
        lasts_s: 2042,
    });
}

fn same_as_counted(silence: &Silence) {
    let (mut over, mut counted) = (silence.before(), silence.before());
    assert_eq!(&over, &counted);
    let until = silence.last() + silence.lasts_s;
    let mut changes = Vec::new();
    // Whoever looks so often finds hardly a run missing each time.
    for second in (silence.last()..until).step_by(silence.least_s() as usize) {
        changes.extend(counted.tick(at(second)));
    }
    changes.extend(counted.tick(at(until)));
    assert_eq!(over.tick(at(until)), changes);
    assert_eq!(&over, &counted);
    for run in silence.after() {
        assert_eq!(over.observe(&run), counted.observe(&run));
    }
    assert_eq!(over, counted);
}

/// Some probes of different pace that fall silent together, after runs of which every so many-th could not be judged.
#[derive(Debug, Clone)]
struct Silence {
    paces_s: Vec<u64>,
    rounds: usize,
    every_nth: usize,
    objective: Option<f64>,
    is_off: bool,
    lasts_s: i64,
}

fn silences() -> impl Strategy<Value = Silence> {
    let pace = prop::sample::select(vec![1_u64, 2, 7, 30, 60, 90, 420, 600]);
    let objective = prop::sample::select(vec![None, None, None, Some(40.0)]);
    (
        prop::collection::vec(pace, 1..4),
        1_usize..60,
        2_usize..40,
        objective,
        any::<bool>(),
        60_i64..1500,
    )
        .prop_map(|(paces_s, rounds, every_nth, objective, is_off, slots)| {
            let least = paces_s.iter().min().copied().unwrap() as i64;
            Silence {
                paces_s,
                rounds,
                every_nth,
                objective,
                is_off,
                lasts_s: slots * least,
            }
        })
}

impl Silence {
    fn least_s(&self) -> u64 {
        self.paces_s.iter().min().copied().unwrap()
    }

    fn run(&self, place: usize, round: usize, is_good: bool) -> Observation {
        let (who, pace) = (EVERYONE[place], self.paces_s[place]);
        let second = (round as u64 * pace) as i64 + place as i64;
        Observation {
            interval: Duration::from_secs(pace),
            ..if is_good {
                good(who, second)
            } else {
                unknown(who, second)
            }
        }
    }

    /// All runs before the silence, each probe at its own pace up to the same time.
    fn runs(&self) -> Vec<Observation> {
        let most = self.paces_s.iter().max().copied().unwrap() * self.rounds as u64;
        let mut runs: Vec<Observation> = self
            .paces_s
            .iter()
            .enumerate()
            .flat_map(|(place, pace)| {
                // The newest thousand are enough of the fastest.
                let rounds = (most / pace) as usize;
                let all = rounds.saturating_sub(1000)..rounds;
                all.map(move |round| self.run(place, round, round % self.every_nth != 1))
            })
            .collect();
        runs.sort_by_key(|run| run.at);
        runs
    }

    fn last(&self) -> i64 {
        let runs = self.runs();
        runs.last()
            .map_or(0, |run| run.at.as_second() - 1_800_000_000)
    }

    fn before(&self) -> Detector {
        let rules = Rules {
            monitor: AlertRule {
                objective: self.objective,
                ..AlertRule::default()
            },
            ..Rules::default()
        };
        let off = Rules {
            monitor: AlertRule {
                off: true,
                ..AlertRule::default()
            },
            ..Rules::default()
        };
        let mut detector = Detector::new();
        let id = |who: Who| ProbeId::new(who.0, who.1, None);
        let first = if self.is_off { off } else { rules };
        detector.configure([(&id(EVERYONE[0]), first), (&id(EVERYONE[1]), rules)]);
        for run in self.runs() {
            detector.observe(&run);
        }
        detector.tick(at(self.last()));
        detector
    }

    /// Good runs once the silence is over.
    fn after(&self) -> Vec<Observation> {
        let from = self.last() + self.lasts_s + 1;
        let mut runs: Vec<Observation> = (0..self.paces_s.len())
            .flat_map(|place| (0..20).map(move |round| (place, round)))
            .map(|(place, round)| {
                let run = self.run(place, round, true);
                let at = run.at + jiff::SignedDuration::from_secs(from);
                Observation { at, ..run }
            })
            .collect();
        runs.sort_by_key(|run| run.at);
        runs
    }
}
