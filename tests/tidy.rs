//! The house rules that the compiler and clippy cannot check. Each rule has a test that shows it a
//! fault.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a file before its tests: near 100 to 150, rarely 400, never more than this.
const LINES_MAX: usize = 450;
/// Longer files, with the reason.
const LONG_FILES: &[&str] = &[];

/// Words that say nothing about what a file is for.
const BANNED_NAMES: &[&str] = &[
    "mod", "util", "utils", "helper", "helpers", "common", "misc", "types", "model", "models",
    "manager", "service", "services",
];

/// What a crate may not depend on: the edges of the architecture.
const BANNED_EDGES: &[(&str, &[&str])] = &[
    ("hub", &["gateway", "control-plane", "hyper", "axum", "sqlx"]),
    ("gateway", &["control-plane", "axum", "sqlx"]),
    // It serves by axum; hyper is what it sends webhooks by.
    ("control-plane", &["gateway"]),
];

/// What the admission core may not name: it decides, and does nothing else.
const BANNED_IN_ADMISSION: &[&str] = &[
    "async ",
    ".await",
    "tokio",
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "std::time",
    "clock::now",
    "clock::boot",
    "now_us()",
    "boot_us()",
    "Instant",
    "SystemTime",
    "tracing",
    "rand::rng",
    "RwLock",
    "Condvar",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the workspace, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    let mut directories = vec![root().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the workspace") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a readable source");
                sources.push((relative(&path), text));
            }
        }
    }
    assert!(sources.len() > 20, "the sources were not found");
    sources
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix(root()).unwrap_or(path).to_owned()
}

/// The lines that are not tests: up to the test module.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]")
}

fn faults_of(path: &Path, text: &str) -> Vec<&'static str> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push("does not open with //!: what it is responsible for, what it must never do");
    }
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if BANNED_NAMES.contains(&stem) {
        faults.push("has a name that says nothing; use a word of the domain");
    }
    let long = stem == "tests" || LONG_FILES.iter().any(|known| path == Path::new(known));
    if code(text).count() > LINES_MAX && !long {
        faults.push("is too long; split it, or add it to LONG_FILES with a reason");
    }
    // This file names what it bans.
    if path == Path::new("tests/tidy.rs") {
        return faults;
    }
    if code(text).any(|line| line.contains("SeqCst") && !is_comment(line)) {
        faults.push("uses SeqCst; use the weakest correct ordering and say why");
    }
    if text.lines().any(|line| line.contains("#[ignore")) {
        faults.push("ignores a test; a test runs or is deleted");
    }
    if path.starts_with("tests") && !path.ends_with("wait.rs") && text.contains("thread::sleep") {
        faults.push("sleeps in a test; use wait_until");
    }
    faults
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn faults_of_admission(text: &str) -> Vec<&'static str> {
    let named =
        |banned: &&&str| code(text).any(|line| !is_comment(line) && line.contains(**banned));
    BANNED_IN_ADMISSION.iter().filter(named).copied().collect()
}

/// Names under `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<&str> {
    let lines = manifest.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next().filter(|name| !name.is_empty()))
        .collect()
}

fn bad_edges<'a>(manifest: &'a str, banned: &[&str]) -> Vec<&'a str> {
    dependencies(manifest).into_iter().filter(|name| banned.contains(name)).collect()
}

#[test]
fn every_source_follows_the_house_rules() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        faults.extend(
            faults_of(&path, &text).iter().map(|fault| format!("{} {fault}", path.display())),
        );
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_admission_core_does_no_io_and_reads_no_clock() {
    let core: Vec<_> = sources()
        .into_iter()
        .filter(|(path, _)| path.to_string_lossy().starts_with("gateway/src/admission"))
        .collect();
    assert!(!core.is_empty(), "the admission core was not found");
    for (path, text) in core {
        let faults = faults_of_admission(&text);
        assert!(faults.is_empty(), "{} names {faults:?}", path.display());
    }
}

#[test]
fn crates_depend_only_along_the_edges_of_the_architecture() {
    for (name, banned) in BANNED_EDGES {
        let manifest =
            fs::read_to_string(root().join(name).join("Cargo.toml")).expect("a manifest");
        assert!(dependencies(&manifest).len() > 3, "{name}: dependencies were not found");
        assert_eq!(bad_edges(&manifest, banned), [""; 0], "of {name}");
    }
}

#[test]
fn the_sample_of_settings_is_current() {
    let printed = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["config", "sample"])
        .output()
        .expect("the binary runs");
    let kept = fs::read_to_string(root().join("ringfence.toml")).expect("the sample");
    let printed = String::from_utf8(printed.stdout).expect("UTF-8");
    assert!(kept == printed, "run: ringfence config sample > ringfence.toml");
}

#[test]
fn each_rule_catches_its_fault() {
    let good = "//! Good.\n";
    let long = format!("{good}{}", "\n".repeat(LINES_MAX));
    let tested = format!("{good}#[cfg(test)]\n{}", "\n".repeat(LINES_MAX));
    let ignored = format!("{good}#[{}]\n", "ignore");
    for (path, text, faults) in [
        ("src/good.rs", good, 0),
        ("src/tested.rs", &tested, 0),
        ("src/silent.rs", "use std::fs;\n", 1),
        ("src/utils.rs", good, 1),
        ("src/a/mod.rs", good, 1),
        ("src/long.rs", &long, 1),
        ("src/strong.rs", "//! x\nlet x = y.load(SeqCst);\n", 1),
        ("src/said.rs", "//! x\n// not SeqCst\n", 0),
        ("tests/lazy.rs", &ignored, 1),
        ("tests/slow.rs", "//! x\nthread::sleep(x);\n", 1),
    ] {
        assert_eq!(faults_of(Path::new(path), text).len(), faults, "{path}");
    }
    assert_eq!(faults_of_admission("//! x\nlet t = Instant::now();\n"), ["Instant"]);
    assert_eq!(faults_of_admission("//! No async, no tokio.\nfn pure() {}\n"), [""; 0]);
    let manifest =
        "[package]\nname = \"x\"\n[dependencies]\naxum.workspace = true\nhub = \"1\"\n[lints]\n";
    assert_eq!(dependencies(manifest), ["axum", "hub"]);
    assert_eq!(bad_edges(manifest, &["axum", "sqlx"]), ["axum"]);
}
