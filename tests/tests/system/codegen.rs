//! `flagbearer codegen`: the files are those that stand in tests/codegen, where each language's own tests compile and read them.

use std::process::Output;

use flagbearer::flag_set::FlagSet;
use flagbearer_tests::{ADMIN_KEY, Engine, TestServer, binary};
use serde_json::json;
use tokio::process::Command;

/// What the command wrote for Rust, compiled.
#[allow(clippy::all, dead_code)]
mod generated {
    include!("../../codegen/flags.rs");
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/codegen");

/// Runs `flagbearer codegen` with these arguments.
async fn codegen(server: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.env("FLAGBEARER_SERVER", server).env("FLAGBEARER_API_KEY", ADMIN_KEY).arg("codegen").args(arguments);
    command.output().await.expect("the command runs")
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn each_language_gets_the_file_that_stands_here() {
    let from = format!("{FOLDER}/flags.json");
    for (language, suffix) in [("typescript", "ts"), ("python", "py"), ("kotlin", "kt"), ("swift", "swift"), ("rust", "rs")]
    {
        let file = format!("{FOLDER}/flags.{suffix}");
        let mut arguments = vec![language, "--from", &from, "--output", &file, "--check"];
        if language == "kotlin" {
            arguments.extend(["--package", "dev.flagbearer.generated"]);
        }
        let output = codegen("http://127.0.0.1:1", &arguments).await;
        assert!(output.status.success(), "{language}: {}", said(&output.stderr));
    }
}

#[test]
fn an_accessor_answers_the_flag_or_the_default_that_it_was_generated_with() {
    let (empty, full) = (
        FlagSet::of_claim("{}").expect("a claim"),
        FlagSet::of_claim(r#"{"new_ai_model":{"t":"b","v":true},"ai.token-limit":{"t":"i","v":7}}"#).expect("a claim"),
    );
    let defaults = generated::Flags(&empty);
    assert_eq!((defaults.new_ai_model(), defaults.class(), defaults.ai_token_limit()), (false, true, -(1 << 53) + 1));
    assert_eq!(defaults.prompt_variant(), "it's \"${5}\"\n\\ and\u{2028}more");
    let config = json!({ "models": ["a", "it's"], "deep": { "on": true, "none": null } });
    assert_eq!(defaults.model_config().to_json(), config);
    assert_eq!((&*defaults.ui_theme_f6x(), &*defaults.ui_theme_f7x()), ("light", "dark"));
    assert_eq!((defaults.property(), defaults.int(), &*defaults.direction()), (true, 3, "\u{202e}turned\u{2066}"));
    assert_eq!(defaults.prototype().to_json(), json!({ "__proto__": { "on": true } }));
    let flags = generated::Flags(&full);
    assert_eq!((flags.new_ai_model(), flags.ai_token_limit()), (true, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_fails_when_code_and_server_disagree_and_says_where() {
    let server = TestServer::start(Engine::Sqlite).await;
    let admin = server.admin();
    let flag = json!({ "key": "dark_mode", "type": "boolean", "default_value": false, "tags": ["web"] });
    admin.post("/v1/flags", flag).await.ok();
    admin.flag("limit", "integer", json!(5)).await;
    let folder = std::env::temp_dir().join(format!("flagbearer-codegen-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("flags.ts");
    let write = ["typescript", "--tag", "web", "--output", file.to_str().expect("a path")];
    let check = [&write[..], &["--check"]].concat();

    let missing = codegen(&server.url, &check).await;
    assert!(said(&missing.stderr).ends_with("(FILE_UNREADABLE)\n"), "{}", said(&missing.stderr));
    let written = codegen(&server.url, &write).await;
    assert!(said(&written.stdout).starts_with("1 flag written to "), "{}", said(&written.stderr));
    let source = std::fs::read_to_string(&file).expect("the file");
    assert!(source.contains("get darkMode(): boolean") && !source.contains("limit"), "{source}");
    assert!(codegen(&server.url, &check).await.status.success());

    admin.patch("/v1/flags/dark_mode", json!({ "default_value": true })).await.ok();
    let refused = codegen(&server.url, &check).await;
    let error = said(&refused.stderr);
    assert!(!refused.status.success() && error.contains("(CODE_OUT_OF_DATE)"), "{error}");
    assert!(error.contains("+ return this.#set.getBooleanFlag('dark_mode', true)"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), source, "a check writes nothing");
    std::fs::remove_dir_all(&folder).expect("the folder goes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flag_of_a_server_has_its_accessor_however_many_there_are() {
    let server = TestServer::start(Engine::Sqlite).await;
    let admin = server.admin();
    // Two pages, and one more.
    let numbers = 1..=401;
    for number in numbers.clone() {
        admin.flag(&format!("flag_{number}"), "integer", json!(number)).await;
    }
    let written = codegen(&server.url, &["typescript"]).await;
    assert!(written.status.success(), "{}", said(&written.stderr));
    let source = said(&written.stdout);
    for number in numbers.clone() {
        let accessor =
            format!("get flag{number}(): number {{\n    return this.#set.getIntegerFlag('flag_{number}', {number})");
        assert!(source.contains(&accessor), "flag_{number}");
    }
    assert_eq!(source.matches("  get ").count(), numbers.count());
}

#[tokio::test]
async fn what_are_no_flags_or_not_all_of_them_is_refused() {
    let file = std::env::temp_dir().join(format!("flagbearer-export-{}.json", std::process::id()));
    let path = file.to_str().expect("a path");
    for (export, code) in [
        ("no JSON", "EXPORT_INVALID"),
        ("[]", "EXPORT_INVALID"),
        (r#"{"data":[{"key":"a"}],"next_cursor":null}"#, "EXPORT_INVALID"),
        (r#"{"data":[],"next_cursor":"a"}"#, "EXPORT_INCOMPLETE"),
    ] {
        std::fs::write(&file, export).expect("a file");
        let refused = codegen("http://127.0.0.1:1", &["swift", "--from", path]).await;
        assert!(said(&refused.stderr).contains(&format!("({code})")), "{export}: {}", said(&refused.stderr));
    }
    std::fs::remove_file(&file).expect("the file goes");
    let refused = codegen("http://127.0.0.1:1", &["rust", "--from", path, "--package", "a"]).await;
    assert!(said(&refused.stderr).contains("(OPTION_POINTLESS)"));
}

#[tokio::test]
async fn a_package_is_written_as_kotlin_takes_it() {
    let from = format!("{FOLDER}/flags.json");
    let kotlin = async |package| codegen("http://127.0.0.1:1", &["kotlin", "--from", &from, "--package", package]).await;
    assert!(said(&kotlin("in.co.example").await.stdout).contains("\npackage `in`.co.example\n"));
    for package in ["", "a..b", "a b", "a\nimport b", "1a", "a-b", "ä"] {
        assert!(said(&kotlin(package).await.stderr).contains("like `com.example.app`"), "{package}");
    }
}
