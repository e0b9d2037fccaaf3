//! Good runs of a whole sign-in, one after the other, of many probes in turn.

use std::fmt::Write as _;
use std::time::Duration;

use authcanary::probe::ProbeId;
use authcanary::run::{Evidence, RUN_VERSION, Run, RunId, StepRecord};
use authcanary::taxonomy::{Outcome, Stage};
use jiff::Timestamp;

/// Steps, and how many milliseconds each takes more or less.
const STEPS: [(Stage, u64); 10] = [
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

/// Without an end.
pub(crate) struct Load {
    probes: usize,
    gap: Duration,
    first: Timestamp,
    next: usize,
    noise: u64,
}

impl Load {
    /// Each probe runs `every` so often, from `first` on.
    pub(crate) fn new(probes: usize, every: Duration, first: Timestamp) -> Self {
        Self {
            probes,
            gap: every / u32::try_from(probes).unwrap(),
            first,
            next: 0,
            noise: 1,
        }
    }

    /// What a daemon is told of these probes, none of which is ever due.
    pub(crate) fn probe_file(probes: usize) -> String {
        let mut file = "version: 1\nprovider: generic\nflow: client_credentials\ncron: 0 0 29 2 *\n\
                        issuer: http://127.0.0.1:9\nclient: {id: canary, secret: {env: BENCH_SECRET}}\nenvironments:\n"
            .to_owned();
        for n in 0..probes {
            let _ = writeln!(file, "  environment-{n}: {{}}");
        }
        file
    }

    fn below(&mut self, end: u64) -> u64 {
        self.noise = self
            .noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 33) % end
    }
}

impl Iterator for Load {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let due = self.first + self.gap * u32::try_from(self.next).unwrap();
        let environment = format!("environment-{}", self.next % self.probes);
        self.next += 1;
        let after = |ms: u64| due + Duration::from_millis(ms);
        let made = after(self.below(8));
        let steps: Vec<StepRecord> = STEPS
            .iter()
            .map(|&(stage, typical)| StepRecord {
                stage,
                outcome: Outcome::Ok,
                duration_ms: typical * (85 + self.below(15) + self.below(15)) / 100 + self.below(4),
            })
            .collect();
        let random: Vec<u8> = (0..10).map(|_| self.below(256).to_le_bytes()[0]).collect();
        let made_ms = made.as_millisecond().cast_unsigned();
        let id = uuid::Builder::from_unix_timestamp_millis(made_ms, random[..].try_into().unwrap());
        let seen: String = (0..20 + self.below(200))
            .map(|n| char::from(b'a' + (n * 7 % 26).to_le_bytes()[0]))
            .collect();
        Some(Run {
            version: RUN_VERSION,
            id: RunId(id.into_uuid()),
            probe: ProbeId::new("generic", &environment, None),
            provider: "generic".to_owned(),
            environment,
            location: "fra1".to_owned(),
            scheduled_at: Some(due),
            started_at: made + Duration::from_millis(self.below(3)),
            duration_ms: steps.iter().map(|step| step.duration_ms).sum::<u64>() + self.below(20),
            outcome: Outcome::Ok,
            verdict: None,
            steps,
            warnings: vec![],
            // Something, so that runs have a place of evidence as they do in life.
            evidence: Some(Evidence {
                saved: Some(seen),
                ..Evidence::default()
            }),
        })
    }
}
