//! Runs of one probe, packed: column by column, so that values of a kind lie together, then compressed. A block carries
//! its version and decodes alone.
//!
//! What is random in the ids cannot be compressed. It stands in front, so that a run is found by its id without
//! unpacking anything: version, number of runs, the ten random bytes of each id, then the rest as zstd.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::probe::ProbeId;
use crate::run::{RUN_VERSION, Run, RunId, StepRecord, Verdict, Warning};
use crate::taxonomy::Outcome;

/// Version of a block.
const VERSION: u8 = 1;

/// How hard to press: a block is written once, and read for years.
const LEVEL: i32 = 12;

/// Bytes of an id that are random (RFC 9562 section 5.7: all but the time).
const RANDOM: usize = 10;

/// Bytes before the ids: the version, and how many runs there are.
const HEAD: usize = 5;

/// No block unpacks to more: what does is no block.
const MOST_BYTES: usize = 256 << 20;

/// Outcomes by their number in a block.
const OUTCOMES: [Outcome; 4] = [
    Outcome::Ok,
    Outcome::Degraded,
    Outcome::Failed,
    Outcome::Unknown,
];

/// A run as it is kept: without its evidence, but with the place where that lies.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) run: Run,
    /// Offset in the evidence of the run's hour.
    pub(super) evidence: Option<u64>,
}

/// What a block could not be read for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("it ends too early")]
    Short,
    #[error("its version is {0}")]
    Version(u8),
    #[error("it cannot be unpacked")]
    Unpack(#[from] std::io::Error),
    #[error("its columns cannot be read")]
    Columns(#[from] postcard::Error),
    #[error("its columns do not fit together")]
    Uneven,
    #[error("a part of it cannot be read")]
    Rest(#[from] serde_json::Error),
}

/// Everything but the random part of the ids, a column each. Whole numbers take a byte where they are small, so columns
/// hold differences: from the one before, or from the smallest.
#[derive(Default, Serialize, Deserialize)]
struct Columns {
    probe: String,
    /// Provider, environment, location; each run has the place of its own in here.
    names: Vec<[String; 3]>,
    name: Vec<u16>,
    /// Milliseconds since the epoch in the first id, then since the one before.
    made: Vec<u64>,
    /// Milliseconds from the making of the id.
    started: Vec<i64>,
    scheduled: Vec<Option<i64>>,
    duration: Lowest,
    outcome: Vec<u8>,
    /// Sequences of steps, each with the name of its stage and its outcome; each run has the place of its own in here.
    shapes: Vec<Vec<(String, u8)>>,
    shape: Vec<u16>,
    /// How long each step took: for each shape, for each of its steps, the runs of that shape.
    steps: Vec<Vec<Lowest>>,
    /// From the one before.
    evidence: Vec<Option<i64>>,
    /// What few runs have, as JSON beside the place of the run.
    rest: Vec<(u32, String)>,
}

/// Numbers as differences from the smallest of them.
#[derive(Default, Serialize, Deserialize)]
struct Lowest {
    lowest: u64,
    above: Vec<u64>,
}

impl Lowest {
    fn of(values: Vec<u64>) -> Self {
        let lowest = values.iter().copied().min().unwrap_or(0);
        let above = values.into_iter().map(|value| value - lowest).collect();
        Self { lowest, above }
    }

    fn get(&self, place: usize) -> Option<u64> {
        Some(self.lowest.saturating_add(*self.above.get(place)?))
    }
}

/// What few runs have.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Rest {
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
    /// Where it is not today's.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u16>,
}

/// Packs runs of one probe, which come by id. At most 65,535.
pub(super) fn pack(runs: &[Kept]) -> Vec<u8> {
    let count = u32::try_from(runs.len()).expect("a block holds few runs");
    let mut bytes = vec![VERSION];
    bytes.extend(count.to_le_bytes());
    for kept in runs {
        bytes.extend(&kept.run.id.0.as_bytes()[16 - RANDOM..]);
    }
    let columns = postcard::to_stdvec(&columns(runs)).expect("columns are plain values");
    let packed = zstd::bulk::compress(&columns, LEVEL).expect("memory is there to compress in");
    bytes.extend(packed);
    bytes
}

fn columns(runs: &[Kept]) -> Columns {
    let mut columns = Columns::default();
    let mut durations = Vec::new();
    let mut steps: Vec<Vec<Vec<u64>>> = Vec::new();
    let (mut made_before, mut evidence_before) = (0, 0);
    for (place, kept) in runs.iter().enumerate() {
        let Run {
            version,
            id,
            probe,
            provider,
            environment,
            location,
            scheduled_at,
            started_at,
            duration_ms,
            outcome,
            verdict,
            steps: taken,
            warnings,
            evidence: _,
        } = &kept.run;
        let made = made_ms(*id);
        let since = |at: Timestamp| at.as_millisecond() - made.cast_signed();
        if place == 0 {
            probe.as_str().clone_into(&mut columns.probe);
        }
        let names = [provider, environment, location].map(Clone::clone);
        columns.name.push(place_in(&mut columns.names, names));
        columns.made.push(made.saturating_sub(made_before));
        made_before = made;
        columns.started.push(since(*started_at));
        columns.scheduled.push(scheduled_at.map(since));
        durations.push(*duration_ms);
        columns.outcome.push(number_of(*outcome));
        let shape = taken
            .iter()
            .map(|step| (step.stage.to_string(), number_of(step.outcome)));
        let shape = place_in(&mut columns.shapes, shape.collect());
        columns.shape.push(shape);
        steps.resize_with(columns.shapes.len(), || vec![Vec::new(); taken.len()]);
        for (column, step) in steps[usize::from(shape)].iter_mut().zip(taken) {
            column.push(step.duration_ms);
        }
        columns.evidence.push(kept.evidence.map(|offset| {
            let offset = offset.cast_signed();
            let from_before = offset - evidence_before;
            evidence_before = offset;
            from_before
        }));
        let rest = Rest {
            verdict: verdict.clone(),
            warnings: warnings.clone(),
            version: Some(*version).filter(|version| *version != RUN_VERSION),
        };
        if rest.verdict.is_some() || !rest.warnings.is_empty() || rest.version.is_some() {
            let json = serde_json::to_string(&rest).expect("records have string keys");
            let place = u32::try_from(place).expect("a block holds few runs");
            columns.rest.push((place, json));
        }
    }
    columns.duration = Lowest::of(durations);
    columns.steps = steps
        .into_iter()
        .map(|shape| shape.into_iter().map(Lowest::of).collect())
        .collect();
    columns
}

/// Unpacks the runs of a block, by id.
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<Kept>, Fault> {
    let (random, packed) = parts(bytes)?;
    let columns = zstd::bulk::decompress(packed, size_of_unpacked(packed)?)?;
    let columns: Columns = postcard::from_bytes(&columns)?;
    let mut rest = columns.rest.iter().peekable();
    // How many runs of each shape have come by.
    let mut seen = vec![0; columns.shapes.len()];
    let (mut made, mut evidence) = (0_u64, 0_i64);
    let mut runs = Vec::with_capacity(random.len() / RANDOM);
    for (place, random) in random.chunks_exact(RANDOM).enumerate() {
        made = made.saturating_add(*at(&columns.made, place)?);
        let since = |ms: i64| Timestamp::from_millisecond(made.cast_signed().saturating_add(ms));
        let since = |ms| since(ms).map_err(|_| Fault::Uneven);
        let [provider, environment, location] =
            at(&columns.names, usize::from(*at(&columns.name, place)?))?.clone();
        let shape = usize::from(*at(&columns.shape, place)?);
        let nth = at(&seen, shape).copied()?;
        seen[shape] += 1;
        let mut steps = Vec::new();
        for ((stage, outcome), durations) in at(&columns.shapes, shape)?
            .iter()
            .zip(at(&columns.steps, shape)?)
        {
            steps.push(StepRecord {
                stage: stage.parse().map_err(|_| Fault::Uneven)?,
                outcome: outcome_of(*outcome)?,
                duration_ms: durations.get(nth).ok_or(Fault::Uneven)?,
            });
        }
        let offset = match at(&columns.evidence, place)? {
            Some(from_before) => {
                evidence = evidence.saturating_add(*from_before);
                u64::try_from(evidence).ok()
            }
            None => None,
        };
        let Rest {
            verdict,
            warnings,
            version,
        } = match rest.next_if(|(of, _)| usize::try_from(*of) == Ok(place)) {
            Some((_, json)) => serde_json::from_str(json)?,
            None => Rest::default(),
        };
        let run = Run {
            version: version.unwrap_or(RUN_VERSION),
            id: id_of(made, random),
            probe: ProbeId::recorded(columns.probe.as_str()),
            provider,
            environment,
            location,
            scheduled_at: at(&columns.scheduled, place)?.map(since).transpose()?,
            started_at: since(*at(&columns.started, place)?)?,
            duration_ms: columns.duration.get(place).ok_or(Fault::Uneven)?,
            outcome: outcome_of(*at(&columns.outcome, place)?)?,
            verdict,
            steps,
            warnings,
            evidence: None,
        };
        runs.push(Kept {
            run,
            evidence: offset,
        });
    }
    Ok(runs)
}

/// Whether a run is in the block, without unpacking it.
pub(super) fn holds(bytes: &[u8], id: RunId) -> Result<bool, Fault> {
    let wanted = &id.0.as_bytes()[16 - RANDOM..];
    let (random, _) = parts(bytes)?;
    Ok(random.chunks_exact(RANDOM).any(|random| random == wanted))
}

/// Bytes from the start of a block of so many runs that tell which runs are in it.
pub(super) fn head_bytes(runs: u32) -> usize {
    HEAD + usize::try_from(runs).unwrap_or(usize::MAX / RANDOM) * RANDOM
}

/// The random parts of the ids, and what is compressed.
fn parts(bytes: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(Fault::Short)?;
    let [version, count @ ..] = *head;
    if version != VERSION {
        return Err(Fault::Version(version));
    }
    let count = usize::try_from(u32::from_le_bytes(count)).map_err(|_| Fault::Uneven)?;
    rest.split_at_checked(count.saturating_mul(RANDOM))
        .ok_or(Fault::Short)
}

fn size_of_unpacked(packed: &[u8]) -> Result<usize, Fault> {
    let size = zstd::bulk::Decompressor::upper_bound(packed).unwrap_or(MOST_BYTES);
    Ok(size.min(MOST_BYTES))
}

fn at<T>(column: &[T], place: usize) -> Result<&T, Fault> {
    column.get(place).ok_or(Fault::Uneven)
}

fn place_in<T: PartialEq>(known: &mut Vec<T>, value: T) -> u16 {
    let place = known.iter().position(|known| *known == value);
    let place = place.unwrap_or_else(|| {
        known.push(value);
        known.len() - 1
    });
    u16::try_from(place).expect("a block holds few runs")
}

fn number_of(outcome: Outcome) -> u8 {
    let place = OUTCOMES.iter().position(|known| *known == outcome);
    let place = place.expect("all outcomes are listed");
    u8::try_from(place).expect("there are four")
}

fn outcome_of(number: u8) -> Result<Outcome, Fault> {
    at(&OUTCOMES, usize::from(number)).copied()
}

/// The first 48 bits of an id: milliseconds since the epoch.
pub(super) fn made_ms(id: RunId) -> u64 {
    let bytes = id.0.as_bytes();
    bytes[..16 - RANDOM]
        .iter()
        .fold(0, |ms, byte| ms << 8 | u64::from(*byte))
}

fn id_of(made_ms: u64, random: &[u8]) -> RunId {
    let mut bytes = [0; 16];
    bytes[..16 - RANDOM].copy_from_slice(&made_ms.to_be_bytes()[8 - (16 - RANDOM)..]);
    bytes[16 - RANDOM..].copy_from_slice(random);
    RunId(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::taxonomy::{Class, Stage};

    fn any_run() -> impl Strategy<Value = Kept> {
        let steps = proptest::collection::vec((0_usize..23, 0_usize..4, 0_u64..100_000), 0..5);
        (
            (any::<u64>(), 0_i64..2_000_000_000_000, any::<[u8; 10]>()),
            (
                -5000_i64..100_000,
                proptest::option::of(-100_000_i64..100_000),
            ),
            (0_u64..10_000_000, 0_usize..4, steps),
            ("[a-c]", proptest::option::of(0_u64..1_000_000_000_000)),
            (any::<bool>(), any::<bool>(), 1_u16..3),
        )
            .prop_map(
                |(
                    (_, made, random),
                    (started, scheduled),
                    (duration_ms, outcome, steps),
                    (name, evidence),
                    (verdict, warned, version),
                )| {
                    let at = |ms| Timestamp::from_millisecond(made + 1_000_000 + ms).unwrap();
                    let class = Class::InvalidClient;
                    let steps = steps
                        .into_iter()
                        .map(|(stage, outcome, duration_ms)| StepRecord {
                            stage: Stage::all().nth(stage).unwrap(),
                            outcome: OUTCOMES[outcome],
                            duration_ms,
                        });
                    let run = Run {
                        version,
                        id: id_of(made.cast_unsigned(), &random),
                        probe: ProbeId::new("acme", "prod", None),
                        provider: "acme".to_owned(),
                        environment: "prod".to_owned(),
                        location: name,
                        scheduled_at: scheduled.map(at),
                        started_at: at(started),
                        duration_ms,
                        outcome: OUTCOMES[outcome],
                        verdict: verdict.then(|| Verdict {
                            stage: Stage::Login,
                            class,
                            cause: class.cause(),
                            action: class.action(),
                            detail: "why".to_owned(),
                            rule: None,
                            raw: None,
                        }),
                        steps: steps.collect(),
                        warnings: if warned {
                            vec![Warning {
                                stage: Stage::Jwks,
                                class,
                                detail: "odd".to_owned(),
                            }]
                        } else {
                            vec![]
                        },
                        evidence: None,
                    };
                    Kept { run, evidence }
                },
            )
    }

    fn json(runs: &[Kept]) -> Vec<(String, Option<u64>)> {
        let json = |kept: &Kept| (serde_json::to_string(&kept.run).unwrap(), kept.evidence);
        runs.iter().map(json).collect()
    }

    proptest! {
        #[test]
        fn what_is_unpacked_is_what_was_packed(mut runs in proptest::collection::vec(any_run(), 0..40)) {
            runs.sort_by_key(|kept| kept.run.id);
            let block = pack(&runs);
            prop_assert_eq!(json(&unpack(&block).unwrap()), json(&runs));
            for kept in &runs {
                prop_assert!(holds(&block[..head_bytes(runs.len() as u32)], kept.run.id).unwrap());
            }
            let other = RunId(Uuid::from_bytes([0x5a; 16]));
            prop_assert!(!holds(&block, other).unwrap());
        }

        #[test]
        fn what_is_no_block_is_refused(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            runs in proptest::collection::vec(any_run(), 1..5),
            flip in any::<proptest::sample::Index>(),
            cut in any::<proptest::sample::Index>(),
        ) {
            let _ = unpack(&bytes);
            bytes.insert(0, VERSION);
            let _ = unpack(&bytes);
            let mut block = pack(&runs);
            prop_assert!(unpack(&block[..cut.index(block.len())]).is_err());
            let place = flip.index(block.len());
            block[place] ^= 0x10;
            let _ = unpack(&block);
        }
    }

    /// The figure that the store promises: a good run of a whole sign-in takes few bytes.
    #[test]
    fn a_good_run_packs_into_few_bytes() {
        let stages = [
            (Stage::Discovery, 40),
            (Stage::Jwks, 30),
            (Stage::Authorize, 300),
            (Stage::Login, 700),
            (Stage::Callback, 60),
            (Stage::TokenExchange, 90),
            (Stage::IdToken, 2),
            (Stage::Userinfo, 45),
            (Stage::Refresh, 80),
            (Stage::Logout, 150),
        ];
        let mut noise = 1_u64;
        let mut below = |end: u64| {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (noise >> 33) % end
        };
        let runs: Vec<Kept> = (0..288_u64)
            .map(|n| {
                let made = 1_780_000_000_000 + n * 300_000 + below(8);
                let random: Vec<u8> = (0..10).map(|_| below(256) as u8).collect();
                let at = |ms: u64| Timestamp::from_millisecond(ms.cast_signed()).unwrap();
                let steps: Vec<StepRecord> = stages
                    .iter()
                    .map(|(stage, typical)| StepRecord {
                        stage: *stage,
                        outcome: Outcome::Ok,
                        duration_ms: typical * (85 + below(15) + below(15)) / 100 + below(4),
                    })
                    .collect();
                let run = Run {
                    version: RUN_VERSION,
                    id: id_of(made, &random),
                    probe: ProbeId::new("keycloak", "prod", None),
                    provider: "keycloak".to_owned(),
                    environment: "prod".to_owned(),
                    location: "fra1".to_owned(),
                    scheduled_at: Some(at(1_780_000_000_000 + n * 300_000)),
                    started_at: at(made + below(3)),
                    duration_ms: steps.iter().map(|step| step.duration_ms).sum::<u64>() + below(20),
                    outcome: Outcome::Ok,
                    verdict: None,
                    steps,
                    warnings: vec![],
                    evidence: None,
                };
                Kept {
                    run,
                    evidence: Some(n * 90_000 + below(50_000)),
                }
            })
            .collect();
        let bytes = pack(&runs).len() / runs.len();
        println!("{bytes} bytes a run");
        assert!(bytes <= 40, "{bytes} bytes a run");
    }
}
