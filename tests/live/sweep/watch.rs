//! Looks, as long as a daemon works, at the files it has open to others for a moment, and at its processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crate::canary::Canary;

/// Larger ones are caches of the browser that came with it.
const LARGEST_BYTES: u64 = 4 << 20;

/// A thread that looks again and again.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

#[derive(Default)]
struct Seen {
    files: BTreeMap<(PathBuf, SystemTime, u64), Vec<u8>>,
    arguments: BTreeSet<Vec<u8>>,
    /// Of the processes that the daemon and its commands started; theirs is where the secrets come from.
    environments: BTreeSet<Vec<u8>>,
}

impl Watch {
    pub(crate) fn start(canary: &Canary) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (folder, stopped) = (canary.tmp(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !stopped.load(Ordering::Relaxed) {
                seen.look_at_files(&folder);
                for _ in 0..4 {
                    seen.look_at_processes(&folder);
                    std::thread::park_timeout(Duration::from_millis(50));
                }
            }
            seen
        });
        Self { stop, thread }
    }

    /// Everything that was there at any moment.
    pub(crate) fn end(self) -> Vec<(String, Vec<u8>)> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().expect("the watch did not panic");
        let has = |name: &str| {
            seen.arguments
                .iter()
                .any(|line| line.windows(name.len()).any(|part| part == name.as_bytes()))
        };
        assert!(
            has("chromedriver") && has("--type=renderer"),
            "no browser was seen"
        );
        assert!(!seen.files.is_empty() && !seen.environments.is_empty());
        let files = seen
            .files
            .into_iter()
            .map(|((path, ..), bytes)| (format!("for a moment in {}", path.display()), bytes));
        let arguments = seen
            .arguments
            .into_iter()
            .map(|bytes| ("arguments of a process".to_owned(), bytes));
        let environments = seen
            .environments
            .into_iter()
            .map(|bytes| ("environment of a process".to_owned(), bytes));
        files.chain(arguments).chain(environments).collect()
    }
}

impl Seen {
    fn look_at_files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(about) = fs::symlink_metadata(&path) else {
                continue;
            };
            if about.is_dir() {
                self.look_at_files(&path);
            } else if about.is_file() && about.len() <= LARGEST_BYTES {
                let Ok(changed) = about.modified() else {
                    continue;
                };
                let entry = self.files.entry((path.clone(), changed, about.len()));
                entry.or_insert_with(|| fs::read(&path).unwrap_or_default());
            }
        }
    }

    fn look_at_processes(&mut self, folder: &Path) {
        let mark = folder.display().to_string();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let (environment, arguments) = (read("environ"), read("cmdline"));
            let holds = |bytes: &[u8]| {
                bytes
                    .windows(mark.len())
                    .any(|part| part == mark.as_bytes())
            };
            if !holds(&environment) && !holds(&arguments) {
                continue;
            }
            let is_ours = arguments
                .split(|&byte| byte == 0)
                .next()
                .is_some_and(|name| name.ends_with(b"/authcanary"));
            self.arguments.insert(arguments);
            if !is_ours {
                self.environments.insert(environment);
            }
        }
    }
}
