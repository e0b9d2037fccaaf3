//! How records look on disk: they carry their version and decode alone. JSON, and for what there is a lot of a byte with
//! the version and plain values after it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Error;
use super::block::Kept;
use super::rollup::{self, Level, Rollup};
use crate::probe::{Probe, ProbeId};
use crate::run::{RUN_VERSION, Run, RunId, Verdict};
use crate::taxonomy::{Class, Outcome, Stage};

/// A run that is about to start. Stays in the store until the run replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    pub version: u16,
    pub id: RunId,
    pub probe: ProbeId,
    pub provider: String,
    pub environment: String,
    pub location: String,
    /// When it was due; absent for runs that a person asked for.
    pub scheduled_at: Option<Timestamp>,
    pub started_at: Timestamp,
}

impl Intent {
    /// Of a run of `probe` that starts at `started_at`.
    pub fn new(
        probe: &Probe,
        id: RunId,
        location: &str,
        scheduled_at: Option<Timestamp>,
        started_at: Timestamp,
    ) -> Self {
        Self {
            version: RUN_VERSION,
            id,
            probe: probe.id.clone(),
            provider: probe.provider.clone(),
            environment: probe.environment.clone(),
            location: location.to_owned(),
            scheduled_at,
            started_at,
        }
    }

    /// The record of a run that did not come to its end; `now` is not its end where the process died.
    pub fn cut_off(self, why: &str, now: Timestamp) -> Run {
        let noticed = now.duration_since(self.started_at);
        let detail = format!("cut off: {why}; noticed {noticed:#} after its start");
        self.unknown(Class::Internal, detail)
    }

    /// The record of a run that was not judged, by our own fault.
    pub fn unknown(self, class: Class, detail: String) -> Run {
        Run {
            version: RUN_VERSION,
            id: self.id,
            probe: self.probe,
            provider: self.provider,
            environment: self.environment,
            location: self.location,
            scheduled_at: self.scheduled_at,
            started_at: self.started_at,
            duration_ms: 0,
            outcome: Outcome::Unknown,
            verdict: Some(Verdict {
                stage: Stage::Monitor,
                class,
                cause: class.cause(),
                action: class.action(),
                detail,
                rule: None,
                raw: None,
            }),
            steps: Vec::new(),
            warnings: Vec::new(),
            evidence: None,
        }
    }
}

/// A run in short, as the index by probe keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    pub id: RunId,
    pub started_at: Timestamp,
    pub duration_ms: u64,
    pub outcome: Outcome,
    /// Without the raw answer, the detail cut to a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// Characters of a verdict's detail that the index keeps.
const DETAIL_CHARS: usize = 300;

fn in_short(verdict: &Verdict) -> Verdict {
    Verdict {
        detail: verdict.detail.chars().take(DETAIL_CHARS).collect(),
        rule: verdict.rule.clone(),
        raw: None,
        ..*verdict
    }
}

/// A finished run on its way to the disk.
pub(super) struct Finished {
    pub(super) key: [u8; 16],
    pub(super) index_key: Vec<u8>,
    pub(super) brief: Vec<u8>,
    /// Without evidence.
    pub(super) run: Run,
    /// What was seen, as JSON, until it is written.
    pub(super) evidence: Option<Vec<u8>>,
    /// Where that lies in the evidence of its hour, once it is written.
    pub(super) evidence_at: Option<u64>,
    /// What the run adds to the rollups.
    pub(super) rollup: Rollup,
}

impl Finished {
    pub(super) fn of(run: &Run) -> Self {
        let key = key_of(run.id);
        let evidence = run.evidence.as_ref().map(encode);
        let run = without_evidence(run);
        Self {
            key,
            index_key: record_key(&run.probe, key),
            brief: encode(&Brief::of(&run)),
            evidence,
            evidence_at: None,
            rollup: Rollup::of(&run),
            run,
        }
    }

    /// Key of the rollup that counts the run.
    pub(super) fn rollup_key(&self, level: Level) -> Vec<u8> {
        rollup::key(level.floor(rollup::second_of(&self.run)), &self.run.probe)
    }

    /// The record of the run.
    pub(super) fn record(&self) -> Vec<u8> {
        encode(&Stored {
            version: STORED_VERSION,
            evidence: self.evidence_at,
            run: Cow::Borrowed(&self.run),
        })
    }
}

impl Brief {
    /// Of a whole run.
    pub(super) fn of(run: &Run) -> Self {
        Self {
            id: run.id,
            started_at: run.started_at,
            duration_ms: run.duration_ms,
            outcome: run.outcome,
            verdict: run.verdict.as_ref().map(in_short),
        }
    }
}

/// Version of the record of a run. The first was the run itself, with the number of its own at the same place.
const STORED_VERSION: u16 = 2;

/// The record of a run that is not packed yet.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    version: u16,
    /// Place in the evidence of its hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<u64>,
    run: Cow<'a, Run>,
}

/// Reads the record of a run, of any version.
pub(super) fn decode_run(key: &[u8], bytes: &[u8]) -> Result<Kept, Error> {
    #[derive(Deserialize)]
    struct Version {
        version: u16,
    }
    if decode::<Version>(key, bytes)?.version < STORED_VERSION {
        let run = decode(key, bytes)?;
        return Ok(Kept {
            run,
            evidence: None,
        });
    }
    let stored: Stored<'_> = decode(key, bytes)?;
    Ok(Kept {
        run: stored.run.into_owned(),
        evidence: stored.evidence,
    })
}

fn without_evidence(run: &Run) -> Run {
    let evidence = None;
    // Field by field, so that the evidence is not copied only to be dropped.
    Run {
        version: run.version,
        id: run.id,
        probe: run.probe.clone(),
        provider: run.provider.clone(),
        environment: run.environment.clone(),
        location: run.location.clone(),
        scheduled_at: run.scheduled_at.map(whole_ms),
        started_at: whole_ms(run.started_at),
        duration_ms: run.duration_ms,
        outcome: run.outcome,
        verdict: run.verdict.clone(),
        steps: run.steps.clone(),
        warnings: run.warnings.clone(),
        evidence,
    }
}

/// Packed runs keep no finer parts of their times, and a run should not change with its place.
fn whole_ms(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// Run ids sort by time, byte for byte.
pub(super) fn key_of(id: RunId) -> [u8; 16] {
    id.0.into_bytes()
}

/// The smallest id of a run made at `at` or later.
pub(super) fn first_key_at(at: Timestamp) -> [u8; 16] {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
    let mut key = [0; 16];
    key[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    key
}

/// Key in the index by probe. Names hold no NUL, so that no probe's entries lie among another's.
pub(super) fn record_key(probe: &ProbeId, run: [u8; 16]) -> Vec<u8> {
    [probe.as_str().as_bytes(), &[0], &run].concat()
}

pub(super) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("records have string keys and no fallible parts")
}

pub(super) fn decode<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|source| Error::Record {
        id: name_of(key),
        source,
    })
}

/// Version of what [`encode_small`] writes. The first was JSON.
const SMALL_VERSION: u8 = 2;

/// In a third of the bytes that JSON takes: for what there is a lot of.
pub(super) fn encode_small<T: Serialize>(record: &T) -> Vec<u8> {
    let version = vec![SMALL_VERSION];
    postcard::to_extend(record, version).expect("records are plain values of known length")
}

/// Reads what [`encode_small`] wrote, or JSON of before.
pub(super) fn decode_small<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, Error> {
    match bytes.split_first() {
        Some((&SMALL_VERSION, values)) => {
            postcard::from_bytes(values).map_err(|fault| Error::Record {
                id: name_of(key),
                source: serde::de::Error::custom(fault),
            })
        }
        Some((&version, _)) if version.is_ascii_control() => Err(Error::RecordVersion {
            id: name_of(key),
            version: version.into(),
        }),
        _ => decode(key, bytes),
    }
}

fn name_of(key: &[u8]) -> String {
    Uuid::from_slice(key).map_or_else(|_| format!("{key:02x?}"), |id| id.to_string())
}
