//! What is kept of what was seen: how much of a good run, and, for commands, a folder a run on disk.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::bundle;
use crate::probe::ProbeId;
use crate::run::{Evidence, Run};
use crate::taxonomy::Outcome;

/// Which good runs keep all of their evidence. All others always do.
#[derive(Debug)]
pub struct Sample {
    every: u32,
    good: Mutex<HashMap<ProbeId, u32>>,
}

impl Sample {
    /// One of `every` good runs of a probe, from the first one on; none of them for 0.
    pub fn of(every: u32) -> Self {
        Self {
            every,
            good: Mutex::default(),
        }
    }

    /// Takes from a good run that is none of the sample what would fill the disk and answer no question.
    pub fn thin(&self, run: &mut Run) {
        if run.outcome == Outcome::Ok
            && !self.takes(&run.probe)
            && let Some(evidence) = &mut run.evidence
        {
            thin(evidence);
        }
    }

    fn takes(&self, probe: &ProbeId) -> bool {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        let count = good.entry(probe.clone()).or_default();
        let place = *count;
        *count = (place + 1) % self.every.max(1);
        self.every > 0 && place == 0
    }
}

/// Timings, hops and facts stay.
fn thin(evidence: &mut Evidence) {
    for exchange in &mut evidence.exchanges {
        exchange.request_headers.clear();
        exchange.request_body.clear();
        exchange.response_headers.clear();
        exchange.response_body.clear();
    }
    for hop in &mut evidence.hops {
        hop.response_headers.clear();
    }
    evidence.correlation.clear();
}

/// Where commands leave evidence.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The store's folder where this user may write to it, otherwise one below the folder for temporary files.
    pub fn for_commands(store: &Path) -> Self {
        let folder = Self(store.join("evidence"));
        match make_private(&folder.0) {
            Ok(()) => folder,
            Err(_) => Self(std::env::temp_dir().join("authcanary-evidence")),
        }
    }

    /// Writes what was seen in a run that did not pass, and notes the place in it. Good runs leave nothing here.
    pub fn save(&self, run: &mut Run) -> io::Result<()> {
        let bad = matches!(run.outcome, Outcome::Failed | Outcome::Unknown);
        let Some(evidence) = run.evidence.as_mut().filter(|_| bad) else {
            return Ok(());
        };
        let folder = self.0.join(run.id.to_string());
        make_private(&folder)?;
        evidence.saved = Some(folder.display().to_string());
        let picture = evidence
            .page
            .as_mut()
            .and_then(|page| page.screenshot.take());
        if let Some(png) = picture {
            fs::write(folder.join("screenshot.png"), png)?;
        }
        fs::write(folder.join("run.json"), serde_json::to_vec_pretty(run)?)?;
        let har = serde_json::to_vec_pretty(&bundle::har(run))?;
        fs::write(folder.join("evidence.har"), har)?;
        fs::write(folder.join("evidence.md"), bundle::markdown(run))?;
        fs::write(folder.join("evidence.curl"), bundle::curl(run))
    }
}

/// Pages of a real account are nobody else's business.
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_every_so_many_good_runs_is_kept_whole() {
        let (one, other) = (
            ProbeId::new("op", "prod", None),
            ProbeId::new("op", "staging", None),
        );
        for (every, expected) in [
            (3, [true, false, false, true, false]),
            (1, [true; 5]),
            (0, [false; 5]),
        ] {
            let sample = Sample::of(every);
            assert_eq!(std::array::from_fn(|_| sample.takes(&one)), expected);
            assert_eq!(sample.takes(&other), every > 0, "each probe has its own");
        }
    }

    #[test]
    fn of_the_other_good_runs_timings_and_addresses_stay() {
        let exchange = r#"{"stage":"userinfo","started_at":"2026-01-01T00:00:00Z","method":"GET","url":"https://a/",
            "request_headers":[["a","b"]],"request_body":"x","status":200,"response_headers":[["a","b"]],
            "response_body":"y","response_size_bytes":1,"timings":{"total_us":2},"peer":null,"error":null}"#;
        let evidence = format!(
            r#"{{"exchanges":[{exchange}],
            "hops":[{{"method":"GET","url":"https://a/","status":200,"at_ms":1,"error":null,"response_headers":[["a","b"]]}}]}}"#
        );
        let mut evidence: Evidence = serde_json::from_str(&evidence).unwrap();
        thin(&mut evidence);
        let exchange = &evidence.exchanges[0];
        assert_eq!((exchange.status, exchange.timings.total_us), (Some(200), 2));
        assert_eq!(exchange.url, "https://a/");
        let kept = format!("{}{}", exchange.request_body, exchange.response_body);
        assert_eq!(kept, "");
        assert_eq!(
            [&exchange.request_headers, &exchange.response_headers],
            [&[], &[]]
        );
        assert_eq!(evidence.hops[0].response_headers, []);
    }
}
