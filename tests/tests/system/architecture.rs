//! The arrows of the house: who may know whom. `core` is pure and alone, SQL is the store's, HTTP is its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn cargo(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(folder).args(arguments).env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
    command.output().expect("cargo runs")
}

/// The names of the crates that a package needs to run, itself included.
fn tree(package: &str, features: &[&str]) -> BTreeSet<String> {
    let mut arguments = vec!["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    arguments.extend(["--target", "all", "--package", package]);
    arguments.extend(features);
    let output = cargo(&root(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).expect("UTF-8");
    output.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Every Rust file below a folder or at a path, with its text.
fn sources(path: &str) -> Vec<(PathBuf, String)> {
    let mut waiting = vec![root().join(path)];
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            found.push((path, text));
        }
    }
    assert!(!found.is_empty(), "there is nothing at {path}");
    found
}

/// Checks that no code below a path says any of these words; comments may.
#[track_caller]
fn never(path: &str, words: &[&str]) {
    for (file, text) in sources(path) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in words {
                let place = format!("{}:{}", file.display(), number + 1);
                assert!(!code.contains(word), "{place} says `{word}`, which is not for {path}: {line}");
            }
        }
    }
}

const SQL: [&str; 7] = ["sqlx::", "use sqlx", "SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "params!"];

#[test]
fn the_core_knows_none_of_ours_and_nothing_that_waits() {
    for features in [&[][..], &["--no-default-features"]] {
        let tree = tree("flagbearer", features);
        assert!(tree.contains("serde_json"), "{tree:?}");
        let ours = tree.iter().filter(|name| name.starts_with("flagbearer")).collect::<Vec<_>>();
        assert_eq!(ours, ["flagbearer"]);
        for name in ["tokio", "sqlx", "axum", "hyper", "reqwest", "async-std", "mio", "socket2"] {
            assert!(!tree.contains(name), "the core needs {name}");
        }
    }
    never("core/src", &["async fn", ".await"]);
}

#[test]
fn the_core_without_crypto_has_no_cryptographic_library() {
    let tree = tree("flagbearer", &["--no-default-features"]);
    for name in ["aws-lc-rs", "aws-lc-sys", "ring", "rsa", "p256", "ed25519-dalek"] {
        assert!(!tree.contains(name), "{name} is needed");
    }
}

#[test]
fn sql_is_the_stores_alone() {
    for path in ["server/src/http", "server/src/issuer", "server/src/control", "server/src/cli", "server/src/server.rs"] {
        never(path, &SQL);
    }
}

#[test]
fn the_store_the_issuer_and_control_know_no_http() {
    for path in ["server/src/store", "server/src/issuer", "server/src/control"] {
        never(path, &["axum", "tower", "crate::http", "StatusCode"]);
    }
    never("server/src/store", &["crate::issuer", "crate::control"]);
    never("server/src/issuer", &["crate::control"]);
}

#[test]
fn statuses_are_decided_where_http_is() {
    for path in ["server/src/error.rs", "server/src/server.rs"] {
        never(path, &["StatusCode"]);
    }
}

#[test]
fn time_comes_from_the_one_clock() {
    for (file, text) in sources("server/src") {
        if !file.ends_with("clock.rs") {
            assert!(!text.contains("SystemTime") && !text.contains("now_utc"), "{} asks for the time", file.display());
        }
    }
    never("server/src/store", &["CURRENT_TIMESTAMP", "NOW()", "now()::", "datetime('now", "strftime", "unixepoch"]);
}

#[test]
fn bindings_know_the_core_alone() {
    let bindings = std::fs::read_dir(root().join("bindings")).expect("the bindings");
    let mut seen = 0;
    for binding in bindings {
        let manifest = binding.expect("an entry").path().join("Cargo.toml");
        let Ok(manifest) = std::fs::read_to_string(manifest) else { continue };
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = ")).expect("a name").trim_matches('"');
        let ours: Vec<String> = tree(name, &[]).into_iter().filter(|found| found.starts_with("flagbearer")).collect();
        assert!(ours.iter().all(|found| found == "flagbearer" || found == name), "{name} needs {ours:?}");
        assert!(!tree(name, &[]).iter().any(|found| ["sqlx", "axum", "reqwest"].contains(&found.as_str())));
        seen += 1;
    }
    assert_ne!(seen, 0);
}

#[test]
fn there_is_one_cryptographic_library() {
    for package in ["flagbearer", "flagbearer-server", "flagbearer-node", "flagbearer-python", "flagbearer-mobile"] {
        let tree = tree(package, &[]);
        assert!(tree.contains("aws-lc-rs"), "{package}");
        for name in ["ring", "openssl", "openssl-sys", "native-tls", "rsa", "p256", "ed25519-dalek", "boring"] {
            assert!(!tree.contains(name), "{package} needs {name} beside aws-lc-rs");
        }
    }
}

#[test]
fn the_core_forbids_what_is_unsafe_and_what_may_panic() {
    let map = std::fs::read_to_string(root().join("core/src/lib.rs")).expect("the core's map");
    for lint in ["forbid(unsafe_code)", "clippy::unwrap_used", "clippy::expect_used", "clippy::panic"] {
        assert!(map.contains(lint), "the core's lib.rs does not set {lint}");
    }
}

/// Runs clippy as over the core, with its configuration and the workspace's lints, over a throwaway crate; answers whether
/// it passed, and what was said.
fn gate(name: &str, source: &str) -> (bool, String) {
    let folder = std::env::temp_dir().join(format!("flagbearer_gate_{}_{name}", std::process::id()));
    std::fs::create_dir_all(folder.join("src")).expect("a temporary folder");
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).expect("the workspace's manifest");
    let lints = &workspace[workspace.find("[workspace.lints").expect("the workspace's lints")..];
    let lints = &lints[..lints.find("[profile").expect("the profiles, which follow them")];
    let package = "[package]\nname = \"gate\"\nversion = \"0.0.0\"\nedition = \"2024\"";
    let manifest = format!("{package}\n\n[lints]\nworkspace = true\n\n[workspace]\n\n{lints}");
    std::fs::write(folder.join("Cargo.toml"), manifest).expect("it is written");
    std::fs::copy(root().join("core/clippy.toml"), folder.join("clippy.toml")).expect("it is copied");
    std::fs::write(folder.join("src/lib.rs"), source).expect("it is written");
    let output = cargo(&folder, &["clippy", "--offline", "--quiet", "--target-dir", "target"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    std::fs::remove_dir_all(&folder).expect("it is removed");
    (output.status.success(), said)
}

#[test]
fn the_purity_gate_catches_what_is_not_pure() {
    let (passed, said) = gate("pure", "pub fn later(now: i64) -> i64 {\n    now + 1\n}");
    assert!(passed, "pure code does not pass: {said}");
    let core = std::fs::read_to_string(root().join("core/Cargo.toml")).expect("the core's manifest");
    assert!(core.contains("[lints]\nworkspace = true"), "the core takes the workspace's lints");
    for (name, snippet) in [
        ("clock", "pub fn impure() -> bool { std::time::SystemTime::now().elapsed().is_ok() }"),
        ("instant", "pub fn impure() -> bool { std::time::Instant::now().elapsed().is_zero() }"),
        ("variables", "pub fn impure() -> bool { std::env::var(\"HOME\").is_ok() }"),
        ("files", "pub fn impure() -> bool { std::fs::read(\"/dev/null\").is_ok() }"),
        ("sockets", "pub fn impure() -> bool { std::net::TcpStream::connect(\"127.0.0.1:1\").is_ok() }"),
        ("threads", "pub fn impure() { std::thread::spawn(|| ()); }"),
        ("programs", "pub fn impure() -> bool { std::process::Command::new(\"true\").spawn().is_ok() }"),
    ] {
        let (passed, said) = gate(name, snippet);
        assert!(!passed && said.contains("disallowed"), "{name} passed the gate: {said}");
    }
}

/// Runs the `bindings/version` of a folder; answers whether it succeeded, and what it complained of.
fn version(root: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(root.join("bindings/version")).args(arguments).output().expect("python3 is installed");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn everything_that_is_published_has_the_version_of_the_workspace() {
    assert_eq!(version(&root(), &["--check"]), (true, String::new()));
}

#[test]
fn one_command_gives_everything_another_version() {
    let copy = std::env::temp_dir().join(format!("flagbearer_version_{}", std::process::id()));
    let script = std::fs::read_to_string(root().join("bindings/version")).expect("the script");
    let places: Vec<&str> =
        script.lines().filter_map(|line| Some(line.strip_prefix("    \"")?.split_once("\": ")?.0)).collect();
    assert!(places.contains(&"Cargo.toml") && places.contains(&"bindings/node/package.json"), "{places:?}");
    for place in places.iter().chain(&["bindings/version"]) {
        let file = copy.join(place);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("it is made");
        std::fs::copy(root().join(place), file).expect("it is copied");
    }

    assert_eq!(version(&copy, &["--write", "9.8.7"]), (true, String::new()));
    assert_eq!(version(&copy, &["--check"]), (true, String::new()));
    for place in &places {
        let text = std::fs::read_to_string(copy.join(place)).expect("it is there");
        assert!(text.contains("9.8.7"), "{place}");
        std::fs::copy(root().join(place), copy.join(place)).expect("it is copied");
        let (agreed, complaint) = version(&copy, &["--check"]);
        assert!(!agreed && complaint.contains(if *place == "Cargo.toml" { "Cargo.lock" } else { place }), "{complaint}");
        std::fs::write(copy.join(place), text).expect("it is written");
    }
    let (written, complaint) = version(&copy, &["--write", "v1"]);
    assert!(!written && complaint.contains("usage"), "{complaint}");
    std::fs::remove_dir_all(copy).expect("it is removed");
}
