//! That no file of `tests/vectors`, and no list in one, is left out by the runners beside this file.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

/// What holds no cases: the flags that speed is measured with, and what `tokens.json` is written with.
const NO_CASES: [&str; 2] = ["fixture-30.json", "private_keys"];

/// The files of a folder whose names end so, each with its text; without this one.
#[allow(clippy::disallowed_methods, reason = "the vectors and their runners are files; the crate itself reads none")]
fn files(folder: &str, suffix: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap()).filter_map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        let text = || fs::read_to_string(entry.path()).unwrap();
        (name.ends_with(suffix) && !file!().ends_with(&name)).then(|| (name, text()))
    });
    files.collect()
}

#[test]
fn every_list_of_the_vectors_is_asked_for_by_a_runner() {
    let runners = files("tests", ".rs");
    let vectors = files("../tests/vectors", ".json");
    assert!(vectors.len() > 10);
    for (name, text) in vectors {
        let members: Map<String, Value> = serde_json::from_str(&text).unwrap();
        for (list, _) in members.iter().filter(|(_, value)| value.is_array() || value.is_object()) {
            let asked = runners.iter().any(|(_, runner)| runner.contains(&name) && runner.contains(&format!("\"{list}\"")));
            let no_cases = NO_CASES.iter().any(|member| member == &name || member == list);
            assert!(asked != no_cases, "`{list}` of {name} is run by nobody, or named as no cases and run");
        }
    }
}
