//! The images of the Containerfile, built as a user builds them and run as a runtime runs them.
//!
//! No registry is asked: both stages begin with a Debian that was made here, and the compiler of the first hands over
//! the program that these tests have anyway.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn ok(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Images and containers of one test; they go with it.
struct Images(TempDir);

impl Images {
    /// With a Debian, and a builder on top of it.
    fn new() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        let images = Self(folder);
        let debian = root().join(".tools/debian.tar");
        assert!(debian.is_file(), "`make setup` makes {}", debian.display());
        let base = images.line(&["from", "scratch"]);
        images.line(&["add", "--quiet", &base, debian.to_str().unwrap(), "/"]);
        images.line(&["commit", "--quiet", &base, "localhost/debian"]);

        let given = images.0.path().join("given");
        fs::create_dir(&given).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_authcanary"), given.join("authcanary")).unwrap();
        fs::write(given.join("sources"), sources().join("\n")).unwrap();
        let cargo = root().join("tests/live/container/cargo");
        let add = |what: &Path, to| {
            images.line(&["add", "--quiet", &base, what.to_str().unwrap(), to]);
        };
        add(&given, "/given");
        add(&cargo, "/usr/local/bin/cargo");
        images.line(&["commit", "--quiet", "--rm", &base, "localhost/builder"]);
        images
    }

    fn buildah(&self, arguments: &[&str]) -> Output {
        // Copies of whole file systems where the kernel has nothing better.
        let has_overlay = fs::read_to_string("/proc/filesystems").unwrap();
        let driver = match has_overlay.contains("overlay") {
            true => "overlay",
            false => "vfs",
        };
        let path = |name| self.0.path().join(name);
        Command::new("buildah")
            .arg("--root")
            .arg(path("root"))
            .arg("--runroot")
            .arg(path("run"))
            .args(["--storage-driver", driver])
            .args(arguments)
            .env("TMPDIR", path("tmp"))
            .current_dir(root())
            .output()
            .expect("buildah is installed: package buildah")
    }

    fn line(&self, arguments: &[&str]) -> String {
        ok(&self.buildah(arguments)).trim().to_owned()
    }

    fn build(&self, target: &str) -> Image {
        // A name without a registry could be an alias of one.
        let name = &format!("localhost/{target}");
        self.line(&[
            "build",
            "--isolation=chroot",
            "--network=host",
            "--format=docker",
            "--build-arg=BUILDER=localhost/builder",
            "--build-arg=BASE=localhost/debian",
            "--build-arg=PROFILE=dev",
            "--target",
            target,
            "--tag",
            name,
            "--file=Containerfile",
            ".",
        ]);
        let described = self.line(&["inspect", "--type=image", name]);
        let described: Value = serde_json::from_str(&described).unwrap();
        let container = self.line(&["from", name]);
        Image {
            config: described["Docker"]["config"].clone(),
            root: PathBuf::from(self.line(&["mount", &container])),
        }
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        // What is mounted cannot be removed.
        self.buildah(&["rm", "--all"]);
    }
}

/// Files of ours that the compiler reads: the sources, and what they include. What only tests include is left out.
fn sources() -> Vec<String> {
    let include = Regex::new(r#"include_(?:str|bytes)!\("([^"]+)"\)"#).unwrap();
    let mut found: Vec<String> = ["Cargo.toml", "Cargo.lock"].map(str::to_owned).to_vec();
    for file in ["src", "templates", "docs/runbooks"]
        .into_iter()
        .flat_map(files)
    {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        for included in include.captures_iter(&text) {
            let path = root().join(Path::new(&file).with_file_name(&included[1]));
            let path = path.canonicalize().unwrap();
            let path = path.strip_prefix(root().canonicalize().unwrap()).unwrap();
            if !path.starts_with("tests") {
                found.push(path.display().to_string());
            }
        }
        found.push(file);
    }
    found
}

fn files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .map(|name| format!("{folder}/{name}"))
        .flat_map(|path| match root().join(&path).is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// An image whose files are mounted.
struct Image {
    config: Value,
    root: PathBuf,
}

impl Image {
    fn words(&self, key: &str) -> Vec<String> {
        let words = self.config[key].as_array().into_iter().flatten();
        words
            .map(|word| word.as_str().unwrap().to_owned())
            .collect()
    }

    /// A command in it, with the user, the volume and the environment of the image.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .arg(root().join("tests/live/container/inside.sh"))
            .arg(&self.root)
            .arg(self.config["User"].as_str().unwrap())
            .arg("/var/lib/authcanary")
            .args(words)
            .env_clear()
            .stdin(Stdio::null());
        for variable in self.words("Env") {
            let (name, value) = variable.split_once('=').unwrap();
            command.env(name, value);
        }
        command
    }

    /// The program as a runtime starts it.
    fn start(&self, arguments: &[&str]) -> Command {
        let entry = self.words("Entrypoint");
        let words = entry.iter().map(String::as_str).chain(arguments.to_vec());
        self.command(&words.collect::<Vec<_>>())
    }

    fn has(&self, program: &str) -> bool {
        self.root.join(program).exists()
    }
}

/// A process that goes with the test. What is started first in a process table of its own takes all else with it.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs until a line holds `words`, and gives the lines up to it.
pub(crate) fn until(process: &mut Running, words: &str) -> Vec<String> {
    let output = BufReader::new(process.0.stdout.take().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    let mut lines = Vec::new();
    while !lines
        .last()
        .is_some_and(|line: &String| line.contains(words))
    {
        match told.recv_timeout(PATIENCE) {
            Ok(line) => lines.push(line),
            Err(error) => panic!("no line with {words} ({error}): {lines:#?}"),
        }
    }
    lines
}

#[test]
fn both_images_are_built_and_run_with_a_read_only_root() {
    let images = Images::new();

    let grid = images.build("grid");
    assert!(grid.has("usr/bin/authcanary") && !grid.has("usr/bin/chromium"));
    let version = ok(&grid.start(&["--version"]).output().unwrap());
    assert_eq!(
        version.trim(),
        concat!("authcanary ", env!("CARGO_PKG_VERSION"))
    );

    let image = images.build("browser");
    assert_eq!(image.words("Cmd"), ["serve"]);
    assert_eq!(
        image.config["Volumes"]["/var/lib/authcanary"],
        serde_json::json!({})
    );
    is_confined(&image);
    signs_in(&image);
    is_healthy_when_it_serves(&image);
}

/// The test is worth something only if nothing can be written, and nobody there is root.
#[track_caller]
fn is_confined(image: &Image) {
    let script = "id -u; cat /proc/1/comm; touch /var/lib/authcanary/x /tmp/x && echo both; \
                  touch /etc/x /usr/x 2>/dev/null || echo neither; grep CapBnd /proc/self/status";
    let seen = ok(&image.command(&["sh", "-c", script]).output().unwrap());
    let lines: Vec<&str> = seen.split_whitespace().collect();
    let none = "0000000000000000";
    assert_eq!(lines, ["8420", "sh", "both", "neither", "CapBnd:", none]);
}

/// The demo, its browser with a sandbox of its own as far as the kernel gives users namespaces.
fn signs_in(image: &Image) {
    let namespaces = image.command(&["unshare", "--user", "true"]).output();
    let mut words = vec!["demo", "--listen", "127.0.0.1:0"];
    if !namespaces.unwrap().status.success() {
        words.push("--no-sandbox");
    }
    let mut demo = image.start(&words);
    let mut demo = Running(demo.stdout(Stdio::piped()).spawn().unwrap());
    // A busy machine may be too slow for some.
    until(&mut demo, " ok ");
}

/// What the health check asks, and that a stop of the container reaches the daemon.
fn is_healthy_when_it_serves(image: &Image) {
    let health = image.config["Healthcheck"]["Test"].as_array().unwrap();
    assert_eq!(health[0], "CMD");
    let check = health[1..].iter().map(|word| word.as_str().unwrap());
    let check = check.collect::<Vec<_>>().join(" ");
    // No port is fixed here, so the check is told where to ask.
    let script = format!(
        r#"
printf 'version: 1\nlocation: here\nlisten: 127.0.0.1:0\nprobes: []\nstore: {{path: /var/lib/authcanary}}\n' > /tmp/a.yaml
{check} && exit 1
"$@" -c /tmp/a.yaml serve 2> /tmp/log & daemon=$!
until grep -q 'serving on' /tmp/log; do kill -0 $daemon || exit 2; sleep 0.1; done
export AUTHCANARY_URL=$(sed -n 's/.*serving on \([^ ]*\).*/\1/p' /tmp/log)
{check} || exit 3
kill -TERM $daemon
wait $daemon
"#
    );
    let entry = image.words("Entrypoint");
    let mut words = vec!["sh", "-c", &script, "sh"];
    words.extend(entry.iter().map(String::as_str));
    let output = image
        .command(&words)
        .env("AUTHCANARY_URL", "http://127.0.0.1:1")
        .output();
    assert_eq!(ok(&output.unwrap()).trim(), "alive");
}
