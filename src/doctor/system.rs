//! What browsers need of the machine: memory, shared memory, room for profiles, processes, files, fonts.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Check, install, size};
use crate::browser::Settings;
use crate::machine;

/// What a browser with a page takes, in bytes.
const SESSION_BYTES: u64 = 400 << 20;

/// Shared memory that the page of a browser may take, in bytes.
const SHARED_BYTES: u64 = 128 << 20;

/// Processes and threads of a browser with a page.
const SESSION_TASKS: u64 = 150;

/// What a browser's profile takes, in bytes.
const PROFILE_BYTES: u64 = 100 << 20;

/// Open files of the daemon itself, with room to spare.
const FILES: u64 = 1024;

pub(super) fn checks(browser: &Settings) -> Vec<Check> {
    let sessions = browser.max_sessions.max(1) as u64;
    let mut checks = vec![open_files(machine::limit("Max open files"))];
    if browser.url.is_some() {
        return checks;
    }
    checks.push(memory(machine::memory_bytes(), sessions));
    if !browser.is_firefox() {
        checks.push(shared_memory(
            machine::size_bytes(Path::new("/dev/shm")),
            browser,
            sessions,
        ));
    }
    checks.push(tasks(machine::tasks_left(), sessions));
    checks.push(temporary_folder(&std::env::temp_dir(), sessions));
    checks.push(fonts(&font_folders()));
    checks
}

fn memory(left: Option<u64>, sessions: u64) -> Check {
    let Some(left) = left else {
        return Check::skipped("memory", "the system does not tell");
    };
    let needed = sessions * SESSION_BYTES;
    let found = format!(
        "{} left, and {sessions} browsers take about {}",
        size(left),
        size(needed)
    );
    if left >= needed {
        return Check::ok("memory", found);
    }
    let fitting = left / SESSION_BYTES;
    match fitting {
        0 => Check::fault(
            "memory",
            found,
            "give the machine or container more memory: free -m",
        ),
        fitting => Check::warning(
            "memory",
            found,
            format!("write `browser: {{max_sessions: {fitting}}}`, or give it more memory"),
        ),
    }
}

fn shared_memory(total: Option<u64>, browser: &Settings, sessions: u64) -> Check {
    const NAME: &str = "shared memory";
    if browser
        .args
        .iter()
        .any(|arg| arg == "--disable-dev-shm-usage")
    {
        return Check::ok(NAME, "not used, by --disable-dev-shm-usage");
    }
    let mend = "mount -o remount,size=1G /dev/shm; of a container: --shm-size=1g; or write `browser: {args: [\"--disable-dev-shm-usage\"]}`";
    match total {
        None => Check::warning(NAME, "/dev/shm is not there: pages may crash", mend),
        Some(total) if total < sessions * SHARED_BYTES => Check::warning(
            NAME,
            format!("/dev/shm has {}: large pages crash", size(total)),
            mend,
        ),
        Some(total) => Check::ok(NAME, format!("/dev/shm has {}", size(total))),
    }
}

fn tasks(left: Option<u64>, sessions: u64) -> Check {
    let needed = sessions * SESSION_TASKS;
    match left {
        Some(left) if left < needed => Check::warning(
            "processes",
            format!("{left} more may be started, and {sessions} browsers take about {needed}"),
            "systemd: TasksMax=infinity; of a container: --pids-limit=-1",
        ),
        Some(left) => Check::ok("processes", format!("{left} more may be started")),
        None => Check::ok("processes", "no limit"),
    }
}

fn open_files(limit: Option<u64>) -> Check {
    match limit {
        Some(limit) if limit < FILES => Check::warning(
            "open files",
            format!("at most {limit}, and a busy daemon needs {FILES}"),
            "ulimit -n 4096; systemd: LimitNOFILE=4096",
        ),
        Some(u64::MAX) => Check::ok("open files", "no limit"),
        Some(limit) => Check::ok("open files", format!("at most {limit}")),
        None => Check::skipped("open files", "the system does not tell"),
    }
}

fn temporary_folder(folder: &Path, sessions: u64) -> Check {
    const NAME: &str = "temporary files";
    if let Err(error) = tempfile::tempfile_in(folder) {
        let found = format!("nothing can be written to {}: {error}", folder.display());
        return Check::fault(
            NAME,
            found,
            "name a folder that this user may write to in TMPDIR",
        );
    }
    let room = machine::room_bytes(folder).unwrap_or(u64::MAX);
    let found = format!("{} has {} left", folder.display(), size(room));
    if room < sessions * PROFILE_BYTES {
        return Check::warning(
            NAME,
            format!("{found}: browsers keep their profiles there"),
            format!(
                "df -h {}; make room, or name another folder in TMPDIR",
                folder.display()
            ),
        );
    }
    Check::ok(NAME, found)
}

fn font_folders() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let own = home
        .iter()
        .flat_map(|home| [home.join(".fonts"), home.join(".local/share/fonts")]);
    ["/usr/share/fonts", "/usr/local/share/fonts"]
        .map(PathBuf::from)
        .into_iter()
        .chain(own)
        .collect()
}

fn fonts(folders: &[PathBuf]) -> Check {
    match folders.iter().any(|folder| has_font(folder, 4)) {
        true => Check::ok("fonts", "there are some"),
        false => Check::warning(
            "fonts",
            "none: screenshots show boxes in place of letters",
            install("fonts-dejavu-core", "dejavu-sans-fonts", "font-dejavu"),
        ),
    }
}

/// Whether a folder, or one below it, holds a font.
fn has_font(folder: &Path, depth: u32) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        let kind = path
            .extension()
            .and_then(|kind| kind.to_str())
            .unwrap_or_default();
        ["ttf", "otf", "ttc", "pfb"].contains(&kind)
            || (depth > 0 && path.is_dir() && has_font(&path, depth - 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn check(judged: &Check, level: Level, words: &str) {
        assert_eq!(judged.level, level, "{judged:?}");
        let text = format!(
            "{} {}",
            judged.found,
            judged.mend.as_deref().unwrap_or_default()
        );
        assert!(text.contains(words), "{text}");
    }

    #[test]
    fn memory_is_held_against_the_number_of_browsers() {
        check(
            &memory(Some(4 << 30), 2),
            Level::Ok,
            "2 browsers take about 800 MiB",
        );
        check(
            &memory(Some(900 << 20), 4),
            Level::Warning,
            "max_sessions: 2",
        );
        check(&memory(Some(100 << 20), 1), Level::Fault, "more memory");
        check(&memory(None, 1), Level::Skipped, "");
    }

    #[test]
    fn shared_memory_of_a_container_is_too_small() {
        let usual = Settings::default();
        check(
            &shared_memory(Some(64 << 20), &usual, 2),
            Level::Warning,
            "--shm-size=1g",
        );
        check(
            &shared_memory(Some(1 << 30), &usual, 2),
            Level::Ok,
            "1024 MiB",
        );
        let without = Settings {
            args: vec!["--disable-dev-shm-usage".to_owned()],
            ..usual
        };
        check(
            &shared_memory(Some(64 << 20), &without, 2),
            Level::Ok,
            "not used",
        );
    }

    #[test]
    fn limits_say_how_to_raise_them() {
        check(&open_files(Some(256)), Level::Warning, "LimitNOFILE");
        check(&open_files(Some(20_000)), Level::Ok, "20000");
        check(&tasks(Some(100), 2), Level::Warning, "TasksMax");
        check(&tasks(None, 2), Level::Ok, "no limit");
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_written_to() {
        let folder = tempfile::tempdir().unwrap();
        check(
            &temporary_folder(&folder.path().join("none"), 1),
            Level::Fault,
            "TMPDIR",
        );
    }

    #[test]
    fn fonts_are_found_in_folders_of_folders() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        check(&fonts(&folders), Level::Warning, "boxes");
        let deep = folder.path().join("truetype/dejavu");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("a.ttf"), "").unwrap();
        check(&fonts(&folders), Level::Ok, "");
    }
}
