//! Whether the files of a configuration are still those that were read.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::read::{found_by, read_bytes};
use super::yaml;

/// What the file system says about a file: a write, a replacement and a link that was turned all change it.
type Mark = (u64, u64, i64, i64);

/// The files that a configuration is made of at a moment, each with its state; `None` for one that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(BTreeMap<PathBuf, Option<Mark>>);

impl Stamp {
    /// The state of the file at `path` and of all that it names. Reads the daemon file and looks at the others; a
    /// daemon file that cannot be understood stands alone.
    pub fn of(path: &Path) -> Self {
        let mut files = vec![path.to_owned()];
        let bytes = read_bytes(path).ok();
        let document = bytes.and_then(|bytes| yaml::read(&bytes, &mut Vec::new()));
        let patterns = document
            .as_ref()
            .and_then(|document| document.value.get("probes")?.as_array());
        for pattern in patterns.into_iter().flatten().filter_map(|it| it.as_str()) {
            files.extend(found_by(path, pattern).unwrap_or_default());
        }
        let marked = files.into_iter().map(|file| {
            let mark = mark(&file);
            (file, mark)
        });
        Self(marked.collect())
    }
}

fn mark(file: &Path) -> Option<Mark> {
    let about = fs::metadata(file).ok()?;
    Some((about.ino(), about.len(), about.mtime(), about.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_shows() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("authcanary.yaml");
        let probe = folder.path().join("probes/a.yaml");
        fs::create_dir(folder.path().join("probes")).unwrap();
        fs::write(&main, "version: 1\nprobes: [probes/*.yaml]\n").unwrap();
        fs::write(&probe, "version: 1\n").unwrap();
        let mut seen = vec![Stamp::of(&main)];
        assert_eq!(Stamp::of(&main), seen[0]);
        let mut changed = |what: &str| {
            let now = Stamp::of(&main);
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        fs::write(&probe, "version: 1\nprovider: x\n").unwrap();
        changed("a file written");
        let new = folder.path().join("new");
        fs::write(&new, "version: 1\nprovider: y\n").unwrap();
        fs::rename(&new, &probe).unwrap();
        changed("a file replaced by one of the same length");
        fs::write(folder.path().join("probes/b.yaml"), "").unwrap();
        changed("a file more");
        fs::remove_file(&probe).unwrap();
        changed("a file less");
        fs::write(&main, "probes: [").unwrap();
        changed("a daemon file that is broken");
        fs::remove_file(&main).unwrap();
        changed("no daemon file");
    }
}
