//! The command line as its users see it: the binary, run against a server.

use std::process::{Output, Stdio};

use flagbearer_server::config::Config;
use flagbearer_server::secret::Secret;
use flagbearer_tests::{ADMIN_KEY, Engine, Reply, TestServer, Upstream, binary, on_both_engines};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What a run printed, and whether it went well.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            error: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// What a run printed that has to go well, and silently so on standard error.
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!((self.code, self.error.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// What a run said that has to fail with this code: one line, and the places below.
    #[track_caller]
    fn refused(self, code: &str) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.out, self.error);
        let first = self.error.lines().next().unwrap_or_default();
        assert!(first.starts_with("flagbearer: ") && first.ends_with(&format!(" ({code})")), "{}", self.error);
        self.error
    }
}

/// A server, and the command line set up for it.
struct Cli {
    server: TestServer,
}

impl Cli {
    async fn start(engine: Engine) -> Self {
        Self { server: TestServer::start(engine).await }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(binary());
        command.env("FLAGBEARER_SERVER", &self.server.url).env("FLAGBEARER_API_KEY", ADMIN_KEY);
        command.args(words(line));
        command
    }

    /// Runs a command, written as in a shell; single quotes group words.
    async fn run(&self, line: &str) -> Ran {
        Ran::of(self.command(line).output().await.expect("the binary runs"))
    }

    async fn json(&self, line: &str) -> Value {
        let out = self.run(&format!("{line} --json")).await.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {error}: {out}"))
    }

    async fn piped(&self, line: &str, input: &str) -> Ran {
        let mut child = self
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut stdin = child.stdin.take().expect("standard input");
        stdin.write_all(input.as_bytes()).await.expect("it reads");
        drop(stdin);
        Ran::of(child.wait_with_output().await.expect("it ends"))
    }
}

fn words(line: &str) -> Vec<String> {
    line.split('\'')
        .enumerate()
        .flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

#[test]
fn words_are_grouped_by_quotes() {
    assert_eq!(words("a 'b c' d"), ["a", "b c", "d"]);
}

on_both_engines! {
    async fn the_sample_gives_the_articles_claim_and_a_second_run_changes_nothing(engine: Engine) {
        let cli = Cli::start(engine).await;
        cli.server.live_in_the_present();
        let first = cli.json("sample").await;
        let application = first["applications"]["production"].as_str().expect("a client id").to_owned();
        assert!(first["created"].as_array().is_some_and(|created| created.len() > 30));

        let admin = cli.server.admin();
        let tokens = admin.session(&application, "kp_abc123", Some("org_xyz789")).await;
        let claim = &tokens["feature_flags"];
        for (key, carried) in [
            ("new_ai_model", json!({ "t": "b", "v": false })),
            ("ai_token_limit", json!({ "t": "i", "v": 1000 })),
            ("prompt_variant", json!({ "t": "s", "v": "control" })),
            ("model_config", json!({ "t": "j", "v": { "temperature": 0.7, "max_tokens": 500 } })),
        ] {
            assert_eq!(claim[key], carried, "{key}");
        }
        let inspected = cli.piped("token inspect - --json", &tokens.to_string()).await.ok();
        let inspected: Value = serde_json::from_str(&inspected).expect("JSON");
        assert_eq!(inspected["claims"]["sub"], "kp_abc123");
        assert_eq!(inspected["claims"]["org_id"], "org_xyz789");
        assert_eq!(inspected["claims"]["permissions"], json!(["reports:view"]));
        assert_eq!(inspected["claims"]["feature_flags"], *claim);

        let before = admin.get("/v1/changes?limit=1").await.ok();
        let second = cli.run("sample").await.ok();
        assert!(second.starts_with("The sample was there already: nothing was changed.\n"), "{second}");
        assert!(second.contains(&application), "{second}");
        assert_eq!(admin.get("/v1/changes?limit=1").await.ok(), before);
    }

    async fn a_webhook_is_made_tested_looked_into_and_given_another_secret(engine: Engine) {
        let allow = |config: &mut Config| config.outbound_allow = vec!["127.0.0.1".parse().expect("an address")];
        let cli = Cli { server: TestServer::start_with(engine, allow).await };
        let receiver = Upstream::start().await;
        receiver.reply("/hook", Reply::Other(200, "text/plain", String::new()));
        let made = cli.run(&format!("webhooks create {}/hook --events flag.created -e staging", receiver.url)).await.ok();
        assert!(made.starts_with("Created a webhook for ") && made.contains("  secret  whsec_"), "{made}");
        let id = cli.json("webhooks list").await["data"][0]["id"].as_str().expect("an id").to_owned();
        let edited = cli.run(&format!("webhooks edit {id} --description ours --unset environment")).await.ok();
        assert!(edited.starts_with(&format!("Changed the webhook {id} (revision ")), "{edited}");
        let shown = cli.json(&format!("webhooks show {id}")).await;
        assert_eq!((&shown["description"], &shown["environment"]), (&json!("ours"), &Value::Null));
        assert_eq!(shown["events"], json!(["flag.created"]));

        cli.json(&format!("webhooks test {id}")).await;
        cli.run("flags create seen --type boolean --default false").await.ok();
        receiver.asked_times("/hook", 2).await;
        let list = cli.json(&format!("webhooks deliveries {id}")).await;
        assert_eq!(list["data"].as_array().map(Vec::len), Some(2));
        let newest = list["data"][0]["id"].as_str().expect("an id").to_owned();
        let table = cli.run(&format!("webhooks deliveries {id}")).await.ok();
        assert!(table.contains(&newest) && table.contains("flag.created"), "{table}");
        let told = cli.json(&format!("webhooks delivery {id} {newest}")).await;
        assert_eq!(told["body"]["data"]["flag"]["key"], "seen");
        cli.run(&format!("webhooks redeliver {id} {newest}")).await.ok();
        receiver.asked_times("/hook", 3).await;

        let rotated = cli.run(&format!("webhooks rotate-secret {id} --emergency")).await.ok();
        assert!(rotated.contains("  secret  whsec_"), "{rotated}");
        cli.run(&format!("webhooks delete {id}")).await.ok();
        cli.run(&format!("webhooks show {id}")).await.refused("WEBHOOK_NOT_FOUND");
        cli.run("webhooks create http://10.0.0.1/hook").await.refused("VALUE_INVALID");
    }

    async fn what_waits_is_listed_shown_talked_about_and_decided(engine: Engine) {
        let cli = Cli::start(engine).await;
        let bob = cli.server.admin().key("administrator", None).await;
        let as_bob = async |line: &str| {
            let mut command = cli.command(line);
            command.env("FLAGBEARER_API_KEY", &bob);
            Ran::of(command.output().await.expect("the binary runs"))
        };
        cli.run("flags create seen --type boolean --default false").await.ok();
        cli.run("environments edit production --approvals true").await.ok();
        let said = cli.run("flags target seen -e production --all --comment launch").await.ok();
        assert!(said.starts_with("Not done yet: pc_") && said.contains("(widened)"), "{said}");
        let list = cli.json("pending list -e production").await;
        let id = list["data"][0]["id"].as_str().expect("an id").to_owned();
        assert!(said.contains(&format!("flagbearer pending approve {id}\n")), "{said}");
        let table = cli.run("pending list").await.ok();
        assert!(table.contains("PUT /v1/flags/seen/environments/production/targeting"), "{table}");
        as_bob(&format!("pending comment {id} 'are you sure?'")).await.ok();
        let shown = cli.json(&format!("pending show {id} --preview")).await;
        assert_eq!((&shown["comments"][0]["text"], &shown["preview"]["effect"]), (&json!("are you sure?"), &json!("widened")));
        cli.run(&format!("pending approve {id}")).await.refused("OWN_CHANGE");
        let made = as_bob(&format!("pending approve {id}")).await.ok();
        assert!(made.starts_with(&format!("Approved {id}, and made the change (revision ")), "{made}");

        for (how, done) in [("reject", "Rejected"), ("withdraw", "Withdrew")] {
            cli.run("flags target seen -e production --none").await.ok();
            let id = cli.json("pending list").await["data"][0]["id"].as_str().expect("an id").to_owned();
            let said = cli.run(&format!("pending {how} {id} --comment 'not now'")).await.ok();
            assert!(said.starts_with(&format!("{done} {id}")), "{said}");
        }
        assert_eq!(cli.run("pending list").await.ok(), "There are none.\n");
        assert_eq!(cli.json("pending list --state rejected").await["data"].as_array().map(Vec::len), Some(1));
    }

    async fn a_command_that_has_to_wait_says_so_and_nothing_else(engine: Engine) {
        let cli = Cli::start(engine).await;
        let bob = cli.server.admin().key("administrator", None).await;
        let as_bob = async |line: &str| {
            let mut command = cli.command(line);
            command.env("FLAGBEARER_API_KEY", &bob);
            Ran::of(command.output().await.expect("the binary runs")).ok()
        };
        cli.run("flags create seen --type boolean --default false").await.ok();
        let application = cli.server.admin().application("production").await;
        cli.run("flags target seen -e production --all").await.ok();
        let widened = cli.json("changes list --limit 1").await["data"][0]["revision"].clone();
        cli.run("environments edit production --approvals true").await.ok();
        let batch = json!({ "writes": [{ "method": "POST", "path": "/v1/flags/seen/archive" }] }).to_string();
        for line in [
            "flags promote seen --from staging --to production".to_owned(),
            format!("changes revert {widened}"),
            "flags override seen false --user alice".to_owned(),
            "flags archive seen".to_owned(),
            "flags delete seen --confirm seen".to_owned(),
            format!("applications edit {application} --projection tags=web"),
            "batch --file -".to_owned(),
        ] {
            let said = cli.piped(&line, &batch).await.ok();
            let id = cli.json("pending list").await["data"][0]["id"].as_str().expect("an id").to_owned();
            let expected =
                format!("Not done yet: {id} waits for a second administrator (narrowed)\n  flagbearer pending approve {id}\n");
            assert_eq!(said, expected, "{line}");
            let foretold = as_bob(&format!("pending approve {id} --preview")).await;
            assert!(foretold.starts_with("Nothing was changed.") && foretold.contains("\nnarrowed\n"), "{foretold}");
            if line.contains("--projection") {
                let row = foretold.lines().find(|row| row.starts_with(&application)).unwrap_or_default();
                assert_eq!(row.split_whitespace().collect::<Vec<_>>()[2..], ["production", "-", "seen", "0"], "{foretold}");
            }
        }
        assert_eq!(cli.json("pending list").await["data"].as_array().map(Vec::len), Some(7));
        let promoted = cli.json("pending list").await["data"][6]["id"].as_str().expect("an id").to_owned();
        as_bob(&format!("pending approve {promoted}")).await;
        assert_eq!(cli.server.admin().value("production", "alice", "", "seen").await, false);
    }

    async fn stale_flags_are_listed_with_why_and_names_are_advised_on(engine: Engine) {
        let cli = Cli::start(engine).await;
        let said = cli.run("flags create limit --type integer --default 1").await.ok();
        assert!(said.starts_with("Created the flag `limit`"), "{said}");
        let codes = said.lines().filter(|line| line.starts_with("advice: ")).filter_map(|line| line.rsplit('(').next());
        assert_eq!(codes.collect::<Vec<_>>(), ["PREFIX_MISSING)", "VAGUE_NAME)", "DESCRIPTION_MISSING)"]);
        let shown = cli.run("flags show limit").await.ok();
        assert_eq!(shown.matches("advice").count(), 3, "{shown}");

        assert_eq!(cli.run("flags list --stale").await.ok(), "There are none.\n");
        cli.server.clock.advance(5 * 24 * 60 * 60);
        let said = cli.run("flags list --stale --stale-after 5").await.ok();
        let row = said.lines().nth(1).unwrap_or_default();
        assert!(row.starts_with("limit  2027-01-15T08:00:00Z  SAME_EVERYWHERE  everybody gets the same value"), "{said}");
        assert_eq!(cli.run("flags list --stale-after 5").await.code, Some(2), "it needs --stale");
        let refused = cli.run("flags delete limit").await.refused("CONFIRMATION_REQUIRED");
        assert!(refused.contains(r#""environment":"production""#), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_has_the_limits_of_the_plans_by_override_and_by_segment_alike() {
    let cli = Cli::start(Engine::Sqlite).await;
    cli.run("sample").await.ok();
    for (organization, limit) in
        [("org_hobby", 500), ("org_xyz789", 1000), ("org_bigcorp", 5000), ("org_internal", 10_000), ("org_pilot", 1000)]
    {
        let answer = cli.json(&format!("evaluate -e production --user u --organization {organization}")).await;
        assert_eq!(answer["flags"]["ai_token_limit"]["value"], limit, "{organization}");
        assert_eq!(answer["flags"]["ai_token_limit_by_plan"]["value"], limit, "{organization}");
        assert_eq!(answer["flags"]["secondn_ai_model"]["value"], organization == "org_pilot");
        assert_eq!(answer["flags"]["snippet-synthesis"]["value"], organization == "org_xyz789");
    }
    let beta = cli.json("evaluate -e staging --user kp_erin345 --organization org_xyz789").await;
    assert_eq!(beta["flags"]["third_ai_model"]["reason"], "USER_OVERRIDE");
    assert_eq!(beta["flags"]["new_ai_model"]["value"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_sample_says_to_try_works_as_it_stands() {
    let cli = Cli::start(Engine::Sqlite).await;
    cli.server.live_in_the_present();
    let said = cli.run("sample").await.ok();
    let program = binary().display().to_string();
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| line.starts_with(&program)).collect();
    assert!(lines.len() >= 6, "{said}");
    for line in lines {
        let output = Command::new("sh")
            .args(["-c", line])
            .env("FLAGBEARER_SERVER", &cli.server.url)
            .env("FLAGBEARER_API_KEY", ADMIN_KEY)
            .output()
            .await
            .expect("a shell");
        let ran = Ran::of(output);
        assert_ne!(ran.ok(), "", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_lives_from_creation_to_deletion() {
    let cli = Cli::start(Engine::Sqlite).await;
    let said = cli.run("flags create new_ai_model --type boolean --default false --tags ai,beta --kind release").await.ok();
    assert!(said.starts_with("Created the flag `new_ai_model`: everybody gets false (revision "), "{said}");
    cli.run("flags edit new_ai_model --description 'the new one' --owner team").await.ok();
    cli.run("flags edit new_ai_model --unset owner").await.ok();
    let flag = cli.json("flags show new_ai_model").await;
    assert_eq!((&flag["description"], &flag["tags"]), (&json!("the new one"), &json!(["ai", "beta"])));

    let said = cli.run("flags target new_ai_model -e production --organization org_x --user u1").await.ok();
    assert!(said.contains("is now for user u1 and organization org_x in production (revision "), "{said}");
    assert!(said.ends_with(": widened\n"), "{said}");
    cli.run("flags target new_ai_model -e production --add-user u2").await.ok();
    cli.run("flags target new_ai_model -e production --remove-user u1").await.ok();
    let setting = cli.json("flags show new_ai_model -e production").await;
    assert_eq!(setting["rules"][0]["audience"]["users"], json!(["u2"]));

    cli.run("flags override new_ai_model false -e production --organization org_a --note 'asked to wait'").await.ok();
    let said = cli.run("flags target new_ai_model -e production --all --comment 'for everybody'").await.ok();
    let expected = ": widened; held out: organization org_a has an override `false` (asked to wait)\n";
    assert!(said.ends_with(expected), "{said}");
    let said = cli.run("flags show new_ai_model").await.ok();
    assert!(said.contains("everybody → true") && said.contains("asked to wait"), "{said}");
    let said = cli.run("flags list -e production").await.ok();
    assert!(said.contains("everybody → true"), "{said}");
    assert!(cli.run("flags list --tag beta").await.ok().contains("new_ai_model"));
    assert_eq!(cli.run("flags list --tag nothing").await.ok(), "There are none.\n");

    let said = cli.run("evaluate -e production --user u --organization org_a --flag new_ai_model").await.ok();
    assert!(said.starts_with("new_ai_model is false (ORGANIZATION_OVERRIDE)\n"), "{said}");
    assert!(said.contains("→ organization"), "{said}");

    cli.run("flags override new_ai_model true --user u3 --expires-at 2030-01-01T00:00:00Z").await.ok();
    assert_eq!(cli.json("flags overrides new_ai_model").await["data"].as_array().map(Vec::len), Some(2));
    cli.run("flags override new_ai_model --user u3 --remove").await.ok();
    cli.run("flags overrides new_ai_model --level organization --remove").await.ok();
    assert_eq!(cli.run("flags overrides new_ai_model").await.ok(), "There are none.\n");

    cli.run("flags archive new_ai_model").await.ok();
    assert!(cli.run("flags list --archived").await.ok().contains("new_ai_model"));
    cli.run("flags restore new_ai_model").await.ok();
    let refused = cli.run("flags delete new_ai_model").await.refused("CONFIRMATION_REQUIRED");
    assert!(refused.contains("\n  on the command line: --confirm new_ai_model"), "{refused}");
    cli.run("flags delete new_ai_model --confirm new_ai_model").await.ok();
    cli.run("flags show new_ai_model").await.refused("FLAG_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_is_killed_and_revived_and_older_tokens_are_made_stale() {
    let cli = Cli::start(Engine::Sqlite).await;
    cli.run("flags create f --type boolean --default true").await.ok();
    let said = cli.run("flags kill f -e production --comment 'it burns'").await.ok();
    assert!(said.starts_with("Killed `f` in production (revision ") && said.ends_with(": narrowed\n"), "{said}");
    assert!(cli.run("flags show f").await.ok().contains("killed: everybody gets the off value"));
    let said = cli.run("flags revive f -e production").await.ok();
    assert!(said.starts_with("Revived `f` in production (revision ") && said.ends_with(": widened\n"), "{said}");
    cli.run("flags revive f -e production").await.refused("KILL_NOT_FOUND");

    let said = cli.run("environments min-revision production").await.ok();
    assert!(said.starts_with("Every older token of `production` is stale now (revision "), "{said}");
    let minimum = async || cli.json("environments show production").await["min_revision"].clone();
    let before = minimum().await;
    cli.run("flags set f -e production --off").await.ok();
    assert_eq!(minimum().await, before, "not urgent");
    let changed = cli.json("flags set f -e production --on --urgent").await;
    assert_eq!(minimum().await, changed["revision"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_json_and_those_of_string_flags_are_words() {
    let cli = Cli::start(Engine::Sqlite).await;
    let created = cli.json("flags create variant --type string --default control").await;
    assert_eq!(created["default_value"], "control");
    let set = cli.json("flags set variant -e staging --value 'few shot'").await;
    assert_eq!(set["setting"]["value"], "few shot");
    // A text that looks like something else is still the text.
    let set = cli.json("flags override variant 42 --user u").await;
    assert_eq!(set["value"], "42");
    let set = cli.json(r#"flags set variant -e staging --value '"in \"quotes\""'"#).await;
    assert_eq!(set["setting"]["value"], "in \"quotes\"");

    cli.run("flags create limit --type integer --default -1").await.ok();
    cli.run("flags set limit -e staging --value one").await.refused("DOCUMENT_MALFORMED");
    let refused = cli.run("flags set limit -e staging --value 1.0").await.refused("VALUE_OUT_OF_RANGE");
    assert!(refused.ends_with("\n  /value\n"), "{refused}");
    cli.run("flags set limit -e staging --value 9007199254740992").await.refused("VALUE_OUT_OF_RANGE");
    let created = cli.json(r#"flags create config --type json --default '{"temperature": 0.7}'"#).await;
    assert_eq!(created["default_value"], json!({ "temperature": 0.7 }));
    cli.run(r#"flags override config '{"a": 1, "a": 2}' --user u"#).await.refused("MEMBER_DUPLICATE");
    cli.run("flags create word --type word --default 1").await.refused("VALUE_INVALID");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_is_changed_in_part_or_whole() {
    let cli = Cli::start(Engine::Sqlite).await;
    cli.run("flags create f --type boolean --default true").await.ok();
    let rules =
        r#"[{"audience": {"type": "all"}, "rollout": {"by": "user", "percentage": 12.5}, "serve": {"value": false}}]"#;
    cli.run(&format!("flags set f -e production --rules '{rules}'")).await.ok();
    let left_out = cli.json("environments left-out production").await;
    assert_eq!((&left_out["data"][0]["flag"], &left_out["data"][0]["payload_version"]), (&json!("f"), &json!(1)));
    assert!(cli.run("environments left-out production").await.ok().contains("a rule has a rollout"));
    let said = cli.run("flags set f -e production --value false").await.ok();
    // Whoever the rule reaches gets what everybody else gets, which names can say.
    assert!(!cli.run("environments left-out production").await.ok().contains("a rule has a rollout"));
    assert!(said.contains("everybody, 12.5 % by user → false; everybody else → false"), "{said}");
    let said = cli.run("flags set f -e production --off").await.ok();
    assert!(said.contains("switched off: everybody gets the off value"), "{said}");
    let setting = cli.json("flags show f -e production").await;
    assert_eq!((&setting["enabled"], &setting["value"]), (&json!(false), &json!(false)));
    cli.run("flags set f -e production --on --no-value").await.ok();
    cli.run("flags target f -e production --none").await.refused("SETTING_HAS_RULES");
    cli.run("flags target f -e production --none --confirm replace-rules").await.ok();
    let whole = cli.piped("flags set f -e production --setting @- --json", r#"{"enabled": true}"#).await.ok();
    let whole: Value = serde_json::from_str(&whole).expect("JSON");
    assert_eq!(whole["setting"]["rules"], json!([]));
    cli.run("flags set f -e production --value true --if-match 1").await.refused("REVISION_MISMATCH");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_are_read_from_standard_input_and_links_are_shown_once() {
    let cli = Cli::start(Engine::Sqlite).await;
    let picture = "https://pictures.example/alice.png";
    cli.run(&format!("users create alice --email alice@example.com --picture {picture}")).await.ok();
    cli.run("users edit alice --email-verified true").await.ok();
    let shown = cli.json("users show alice").await;
    assert_eq!((&shown["picture"], &shown["email_verified"]), (&json!(picture), &json!(true)));

    let set = cli.piped("users set-password alice", "planted password one\r\nanother line\n").await.ok();
    assert!(set.starts_with("Set the password of the user alice") && !set.contains("planted"), "{set}");
    let signs_in = async |password: &str| {
        let issuer = cli.server.issuer().await;
        let address = [127, 0, 0, 1].into();
        issuer.sign_in_by_password("alice@example.com", &Secret::new(password), address).await.is_ok()
    };
    assert!(signs_in("planted password one").await, "the line, without its end");
    cli.piped("users set-password alice", "short\n").await.refused("PASSWORD_TOO_SHORT");
    cli.piped("users set-password alice", "").await.refused("PASSWORD_TOO_SHORT");
    cli.piped("users set-password nobody", "planted password one").await.refused("USER_NOT_FOUND");

    let shown = cli.run("users reset-link alice").await.ok();
    let url = format!("{}/reset-password?token=", cli.server.url);
    assert!(shown.contains(&url) && shown.contains("until 2027-01-15T09:00:00Z"), "{shown}");
    let link = cli.json("users reset-link alice -e staging").await;
    assert!(link["url"].as_str().is_some_and(|url| url.contains("/env/staging/reset-password?token=")));
    cli.run("users edit alice --unset password,email").await.ok();
    assert!(!signs_in("planted password one").await);
    cli.run("users reset-link alice").await.refused("EMAIL_REQUIRED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrowing_of_a_protected_environment_is_confirmed_on_the_command_line() {
    let cli = Cli::start(Engine::Sqlite).await;
    cli.run("flags create f --type boolean --default false").await.ok();
    cli.run("flags target f -e production --all").await.ok();
    cli.run("environments edit production --protected true").await.ok();
    let said = cli.run("flags target f -e production --none").await.refused("CONFIRMATION_REQUIRED");
    assert!(said.contains("on the command line: --confirm narrowing") && said.contains("production"), "{said}");
    cli.run("flags target f -e production --none --confirm narrowing").await.ok();
    cli.run("flags target f -e production --all").await.ok();
    cli.run("flags kill f -e production").await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_has_its_commands() {
    let cli = Cli::start(Engine::Sqlite).await;
    cli.run("environments create qa --protected").await.ok();
    cli.run("environments edit qa --protected false --sign-up true").await.ok();
    let shown = cli.json("environments show qa").await;
    assert_eq!((&shown["protected"], &shown["sign_up"]), (&json!(false), &json!(true)));
    cli.run("environments edit qa").await.refused("ARGUMENT_MISSING");
    cli.run("environments create eu --sign-up --host login.example.com").await.ok();
    let shown = cli.json("environments show eu").await;
    assert_eq!((&shown["host"], &shown["sign_up"]), (&json!("login.example.com"), &json!(true)));
    assert!(cli.run("environments list").await.ok().contains("/env/qa"));
    cli.run("environments delete qa").await.refused("CONFIRMATION_REQUIRED");
    cli.run("environments delete qa --confirm qa").await.ok();

    cli.run(r#"organizations create org_a --name Acme --attributes '{"plan": "free"}'"#).await.ok();
    cli.run(r#"organizations edit org_a --attributes '{"plan": "pro"}' --comment upgrade"#).await.ok();
    assert_eq!(cli.json("organizations show org_a").await["attributes"], json!({ "plan": "pro" }));
    assert!(cli.run("organizations list").await.ok().contains("Acme"));
    let refused = cli.run(r#"organizations edit org_a --attributes '{"plan": {}}'"#).await.refused("ATTRIBUTE_INVALID");
    assert!(refused.ends_with("\n  /attributes/plan\n"), "{refused}");

    cli.run("users create 'a/b c?' --email a@example.com").await.ok();
    cli.run("users edit 'a/b c?' --name Anna --unset email").await.ok();
    assert_eq!(cli.json("users show 'a/b c?'").await["email"], Value::Null);
    assert!(cli.run("users list").await.ok().contains("Anna"));
    cli.run("users edit 'a/b c?'").await.refused("ARGUMENT_MISSING");

    cli.run("members create org_a 'a/b c?' --roles admin,owner").await.ok();
    assert_eq!(cli.json("members show org_a 'a/b c?'").await["roles"], json!(["admin", "owner"]));
    assert!(cli.run("members list org_a").await.ok().contains("admin, owner"));
    cli.run("members delete org_a 'a/b c?'").await.ok();
    cli.run("members show org_a 'a/b c?'").await.refused("MEMBERSHIP_NOT_FOUND");
    cli.run("users delete 'a/b c?'").await.ok();
    assert!(cli.run("users delete 'a/b c?' --erase").await.ok().starts_with("Erased the user a/b c?"));
    cli.run("users delete 'a/b c?' --erase").await.refused("USER_NOT_FOUND");
    cli.run("evaluate -e production --user 'a/b c?' --revision 2").await.refused("ERASED");
    cli.run("organizations delete org_a").await.ok();
    assert_eq!(cli.run("users list").await.ok(), "There are none.\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_have_their_commands() {
    let cli = Cli::start(Engine::Sqlite).await;
    let condition = r#"{"organization": "plan", "equals": "enterprise"}"#;
    cli.run(&format!("segments create big --user u1 --condition '{condition}'")).await.ok();
    cli.run("segments add big --organization org_a").await.ok();
    cli.run("segments remove big --user u1").await.ok();
    cli.run("segments edit big --name Big").await.ok();
    let segment = cli.json("segments show big").await;
    assert_eq!((&segment["users"], &segment["organizations"]), (&json!([]), &json!(["org_a"])));
    assert!(cli.run("segments list").await.ok().contains("Big"));
    cli.run("flags create f --type boolean --default false").await.ok();
    cli.run("flags target f -e production --segment big").await.ok();
    let refused = cli.run("segments delete big").await.refused("SEGMENT_IN_USE");
    assert!(refused.contains("\"flag\":\"f\""), "{refused}");
    cli.run("flags target f -e production --none").await.ok();
    cli.run("segments edit big --unset condition").await.ok();
    cli.run("segments delete big").await.ok();
    cli.run("flags target f -e production --segment big").await.refused("SEGMENT_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_keys_and_sessions_have_their_commands() {
    let cli = Cli::start(Engine::Sqlite).await;
    let said = cli.run("applications create backend -e production").await.ok();
    assert!(said.contains("client secret  "), "{said}");
    let application = cli.json("applications create web -e production --public --access-token-ttl 600").await;
    let id = application["client_id"].as_str().expect("a client id");
    cli.run(&format!("applications edit {id} --name web2 --audience https://api.example.com")).await.ok();
    assert_eq!(cli.json(&format!("applications show {id}")).await["audience"], "https://api.example.com");
    let dressed = "--profile kinde --redirect-uris https://a.example.com/cb,http://localhost:3000/cb --claims email \
                   --allowed-origins https://a.example.com --brand-name Acme --brand-colour #1a7f5a --unset audience";
    cli.run(&format!("applications edit {id} {dressed}")).await.ok();
    let shown = cli.json(&format!("applications show {id}")).await;
    assert_eq!(shown["redirect_uris"], json!(["https://a.example.com/cb", "http://localhost:3000/cb"]));
    assert_eq!((&shown["profile"], &shown["claims"]), (&json!("kinde"), &json!(["email"])));
    assert_eq!(shown["branding"], json!({ "name": "Acme", "colour": "#1a7f5a" }));
    assert!(cli.run("applications list -e production").await.ok().contains("web2"));
    for (projection, written) in [
        ("tags=web,app", json!({ "tags": ["app", "web"] })),
        ("flags=limit", json!({ "flags": ["limit"] })),
        ("tags=", json!({ "tags": [] })),
        ("all", json!("all")),
    ] {
        cli.run(&format!("applications edit {id} --projection {projection} --claim-budget 30")).await.ok();
        let shown = cli.json(&format!("applications show {id}")).await;
        assert_eq!((&shown["projection"], &shown["claim_budget"], &shown["worst_case"]), (&written, &json!(30), &json!(2)));
    }
    assert_eq!(cli.run(&format!("applications edit {id} --projection web")).await.code, Some(2));
    let create = "flags create long --type string --default 'a value that is too long'";
    assert!(cli.run(create).await.refused("CLAIM_BUDGET_EXCEEDED").contains("--confirm claim-budget"));
    cli.run(&format!("{create} --confirm claim-budget")).await.ok();
    cli.run(&format!("applications edit {id} --unset projection,claim_budget")).await.ok();

    let said = cli.run(&format!("sessions create --application {id} --user u --organization o")).await.ok();
    assert!(said.contains("good for 600 seconds"), "{said}");
    let session = cli.json(&format!("sessions create --application {id} --user u2")).await;
    let session = session["session_id"].as_str().expect("a session");
    assert_eq!(cli.json(&format!("sessions show {session}")).await["user"], "u2");
    assert!(cli.run("sessions list --user u").await.ok().contains(id));
    cli.run(&format!("sessions delete {session}")).await.ok();
    assert_eq!(cli.run("sessions delete --user u -e production").await.ok(), "Sessions ended: 1\n");
    assert_eq!(cli.run("sessions list").await.ok(), "There are none.\n");
    cli.run(&format!("applications delete {id}")).await.ok();

    let key = cli.json("api-keys create reader --role viewer").await;
    let (id, secret) = (key["id"].as_str().expect("an id"), key["key"].as_str().expect("a key"));
    cli.run(&format!("flags create f --type boolean --default true --api-key {secret}")).await.refused("FORBIDDEN");
    cli.run(&format!("flags list --api-key {secret}")).await.ok();
    cli.run(&format!("api-keys edit {id} --name renamed")).await.ok();
    let listed = cli.run("api-keys list").await.ok();
    assert!(listed.contains("renamed") && !listed.contains(secret), "{listed}");
    assert_eq!(cli.json(&format!("api-keys show {id}")).await["role"], "viewer");
    cli.run(&format!("api-keys delete {id}")).await.ok();
    cli.run(&format!("flags list --api-key {secret}")).await.refused("UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_keys_are_listed_and_rotated() {
    let cli = Cli::start(Engine::Sqlite).await;
    let said = cli.run("keys list").await.ok();
    assert_eq!((said.lines().count(), said.matches("signing").count()), (7, 6), "{said}");
    let said = cli.run("keys rotate -e staging --algorithm RS256 --comment 'once a year'").await.ok();
    assert!(said.starts_with("Rotated keys of the environment `staging` (revision "), "{said}");
    let line = said.lines().find(|line| line.contains(" published ")).expect("the new key");
    assert!(line.contains(" RS256 ") && line.contains(" 2027-01-15T08:15:00Z "), "{said}");
    let line = said.lines().find(|line| line.contains(" signing ")).expect("the former key");
    assert!(line.trim_end().ends_with(" 2027-01-16T08:16:00Z"), "{said}");
    let refused = cli.run("keys rotate -e staging").await.refused("ROTATION_PENDING");
    assert!(refused.contains("2027-01-15T08:15:00Z"), "{refused}");
    let rotated = cli.json("keys rotate -e staging --emergency --comment 'a stolen laptop'").await;
    assert_eq!(rotated["keys"].as_array().map(Vec::len), Some(7));
    let said = cli.run("keys list -e staging").await.ok();
    assert_eq!((said.matches("signing").count(), said.matches("withdrawn").count()), (3, 4), "{said}");
    let said = cli.run("changes list --limit 1").await.ok();
    assert!(said.contains("a stolen laptop") && said.contains("added signing_key"), "{said}");
    cli.run("keys rotate -e nowhere").await.refused("ENVIRONMENT_NOT_FOUND");
    assert_eq!(cli.run("keys rotate").await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identity_providers_have_their_commands() {
    let cli = Cli::start(Engine::Sqlite).await;
    let line =
        "identity-providers create Acme -e staging --issuer https://login.example.com/ --client-id ours --create-users true";
    let created = cli.command(line).env("FLAGBEARER_UPSTREAM_CLIENT_SECRET", "planted-upstream-secret").output().await;
    let said = Ran::of(created.expect("the binary runs")).ok();
    assert!(said.starts_with("Created the identity provider Acme in staging (revision "), "{said}");
    assert!(said.contains("/env/staging/sign-in/callback  (tell it to the provider)"), "{said}");
    let id = said.split_whitespace().find(|word| word.starts_with("idp_")).expect("an id").to_owned();
    let shown = cli.json(&format!("identity-providers show {id}")).await;
    assert_eq!(
        (&shown["has_client_secret"], &shown["create_users"], &shown["exchange"]),
        (&json!(true), &json!(true), &json!(false))
    );
    let edit =
        format!("identity-providers edit {id} --exchange true --audience api --scopes openid,groups --unset client-secret");
    cli.run(&format!("{edit} --claims '{{\"user\": \"sub\", \"organization\": \"/app/org\"}}'")).await.ok();
    let shown = cli.json(&format!("identity-providers show {id}")).await;
    assert_eq!((&shown["scopes"], &shown["audience"]), (&json!(["openid", "groups"]), &json!("api")));
    assert_eq!((&shown["claims"]["organization"], &shown["has_client_secret"]), (&json!("/app/org"), &json!(false)));
    cli.run(&format!("identity-providers edit {id}")).await.refused("ARGUMENT_MISSING");
    cli.run(&format!("identity-providers edit {id} --claims '{{\"user\": \"email\"}}'")).await.refused("VALUE_INVALID");
    assert!(cli.run("identity-providers list -e staging").await.ok().contains("https://login.example.com/"));
    assert_eq!(cli.run("identity-providers list -e production").await.ok(), "There are none.\n");
    assert!(cli.run("changes list --limit 1").await.ok().contains("changed identity_provider"));
    cli.run(&format!("identity-providers delete {id}")).await.ok();
    cli.run(&format!("identity-providers show {id}")).await.refused("IDENTITY_PROVIDER_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_told_in_words() {
    let cli = Cli::start(Engine::Sqlite).await;
    cli.run("flags create f --type boolean --default false").await.ok();
    let target = cli.json("flags target f -e production --organization org_a --comment 'first customer'").await;
    cli.run("flags override f true --user u").await.ok();
    let said = cli.run("changes list --flag f").await.ok();
    for words in ["added override f user u", "changed setting f in production", "first customer", "added flag f"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = cli.run(&format!("changes show {}", target["revision"])).await.ok();
    assert!(said.contains("comment     first customer") && said.contains("org_a"), "{said}");
    assert_eq!(cli.json("changes list --limit 1").await["data"].as_array().map(Vec::len), Some(1));
    let said = cli.run("changes list --limit 1").await.ok();
    assert!(said.contains("There may be more: --cursor '"), "{said}");
    cli.run("changes show 4711").await.refused("CHANGE_NOT_FOUND");

    let widened = cli.json("flags set f -e production --value true").await;
    let said = cli.run(&format!("changes show {}", widened["revision"])).await.ok();
    assert!(said.contains("changed setting f in production\n  ~ value  - → true\n"), "{said}");
    cli.run(&format!("changes comment {} 'too early'", widened["revision"])).await.ok();
    let said = cli.run(&format!("changes revert {} --comment 'as told'", widened["revision"])).await.ok();
    assert!(said.contains("Took change") && said.contains("narrowed"), "{said}");
    let said = cli.run(&format!("changes show {}", widened["revision"])).await.ok();
    assert!(said.contains("reverted by") && said.contains("too early"), "{said}");
    cli.run(&format!("changes revert {}", widened["revision"])).await.refused("CONFIRMATION_REQUIRED");
    cli.run(&format!("changes revert {} --confirm later-changes", widened["revision"])).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_is_promoted_and_several_writes_are_made_as_one() {
    let cli = Cli::start(Engine::Sqlite).await;
    cli.run("flags create f --type boolean --default false").await.ok();
    cli.run("flags set f -e staging --value true").await.ok();
    let said = cli.run("flags promote f --from staging --to production").await.ok();
    assert!(said.contains("Promoted `f` from staging to production") && said.contains("~ value  - → true"), "{said}");
    let said = cli.run("flags promote f --from staging --to production").await.ok();
    assert!(said.contains("unchanged") && said.contains("no difference"), "{said}");

    let writes = json!({ "comment": "launch", "writes": [
        { "method": "POST", "path": "/v1/segments", "body": { "key": "early" } },
        { "method": "PUT", "path": "/v1/flags/f/environments/production/targeting",
          "body": { "audience": "some", "segments": ["early"] } },
    ] });
    let said = cli.piped("batch -f -", &writes.to_string()).await.ok();
    assert!(said.contains("Made 2 writes as one change (revision "), "{said}");
    let said = cli.run("changes list --limit 1").await.ok();
    assert!(said.contains("launch") && said.contains("added segment early; changed setting f in production"), "{said}");
    let said = cli.piped("batch -f -", &writes.to_string()).await.refused("SEGMENT_EXISTS");
    assert!(said.contains("write 0"), "{said}");
    let broken = cli.run("batch -f /nowhere.json").await;
    assert_eq!(broken.code, Some(2), "{}", broken.error);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_shown_and_only_said_to_be_verified_when_it_was() {
    let database = flagbearer_tests::Database::create(Engine::Sqlite).await;
    // By the machine's clock, which is the one that the command line has.
    let process = flagbearer_tests::Process::start(&database, flagbearer_tests::free_port()).await;
    let admin = process.admin();
    let created = json!({ "key": "f", "type": "boolean", "default_value": true });
    admin.post("/v1/flags", created).await.ok();
    let application = admin.application("staging").await;
    let tokens = admin.session(&application, "u", Some("o")).await;
    let token = tokens["access_token"].as_str().expect("a token");
    let inspect = |token: &str, options: &str| {
        let mut command = Command::new(binary());
        command.args(["token", "inspect", token]).args(words(options));
        async move { Ran::of(command.output().await.expect("the binary runs")) }
    };
    let issuer = format!("{}/env/staging", process.url);
    let said = inspect(token, "").await.ok();
    assert!(said.starts_with(&format!("verified: signed by {issuer}, the issuer that the token itself names")), "{said}");
    let said = inspect(token, &format!("--issuer {issuer} --audience {application}")).await.ok();
    assert!(said.starts_with(&format!("verified: signed by {issuer}\n")), "{said}");
    inspect(token, &format!("--issuer {}", process.url)).await.refused("ISSUER_MISMATCH");
    inspect(token, "--audience other").await.refused("AUDIENCE_MISMATCH");

    let said = inspect(token, "--offline").await.ok();
    assert!(said.starts_with("NOT verified: nobody was asked (--offline)\n"), "{said}");
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    let ran = inspect(&format!("{signed}.{}", "A".repeat(86)), "").await;
    assert!(ran.out.starts_with("NOT verified: "), "{}", ran.out);
    ran.refused("SIGNATURE_INVALID");
    inspect("garbage", "").await.refused("TOKEN_MALFORMED");

    drop(process);
    let ran = inspect(token, "").await;
    assert!(ran.out.starts_with("NOT verified: ") && ran.out.contains("sub        u\n"), "{}", ran.out);
    ran.refused("KEYS_UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_explained_and_the_past_is_evaluated() {
    let cli = Cli::start(Engine::Sqlite).await;
    let admin = cli.server.admin();
    let made = admin.flag("limit", "integer", json!(1)).await["revision"].clone();
    let application = admin.application("production").await;
    let tokens = admin.session(&application, "alice", Some("org_a")).await;
    let token = tokens["access_token"].as_str().expect("a token");
    cli.server.clock.advance(60);
    cli.run("flags override limit 5 --user alice --comment 'asked for more'").await.ok();

    let said = cli.run(&format!("explain {token}")).await.ok();
    assert!(said.contains("stale: ") && said.contains("organization  org_a\n"), "{said}");
    let line = said.lines().find(|line| line.starts_with("limit")).expect("the flag");
    assert!(line.starts_with("limit  1     DEFAULT  5    USER_OVERRIDE  change "), "{said}");
    assert!(line.ends_with(" by configured administrator at 2027-01-15T08:01:00Z (asked for more)"), "{said}");
    let said = cli.run(&format!("explain {token} --flag limit --expect-environment staging")).await.ok();
    assert!(said.contains("NOT as expected: its environment is production, not staging\n"), "{said}");
    assert!(said.contains("then: 1 (DEFAULT)\n") && said.contains("→ user"), "{said}");
    let piped = cli.piped("explain - --json", &tokens.to_string()).await.ok();
    let piped: Value = serde_json::from_str(&piped).expect("JSON");
    assert_eq!(piped["token"]["session_id"], tokens["session_id"]);
    let session = tokens["session_id"].as_str().expect("a session");
    let found = cli.json(&format!("explain --session {session} --at 2027-01-15T08:00:30Z")).await;
    assert_eq!(found["flags"]["limit"]["then"]["value"], 1);
    cli.run("explain garbage").await.refused("TOKEN_MALFORMED");
    for by in ["--jti x", "--request x"] {
        cli.run(&format!("explain {by}")).await.refused("ISSUANCE_NOT_RECORDED");
    }
    assert_eq!(cli.run("explain --jti x --request x").await.code, Some(2));
    cli.run(&format!("explain {token} --flag nothing")).await.refused("FLAG_NOT_FOUND");
    assert_eq!(cli.run("explain").await.code, Some(2));
    assert_eq!(cli.run(&format!("explain --session {session}")).await.code, Some(2));

    let value = async |more: &str| {
        let found = cli.json(&format!("evaluate -e production --user alice {more}")).await;
        found["flags"]["limit"]["value"].clone()
    };
    assert_eq!(value("").await, 5);
    assert_eq!(value(&format!("--revision {made}")).await, 1);
    assert_eq!(value("--at 2027-01-15T08:00:59Z").await, 1);
    cli.run("evaluate -e production --revision 4000").await.refused("REVISION_UNKNOWN");
    cli.run("evaluate -e production --at yesterday").await.refused("TIME_INVALID");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_say_what_to_do() {
    let cli = Cli::start(Engine::Sqlite).await;
    let refused = cli.run("flags list --server http://127.0.0.1:1").await.refused("SERVER_UNREACHABLE");
    assert!(refused.contains("flagbearer serve") && refused.contains("FLAGBEARER_SERVER"), "{refused}");
    cli.run("flags list --server localhost").await.refused("SERVER_INVALID");
    let refused = cli.run("flags list --api-key ''").await.refused("API_KEY_MISSING");
    assert!(refused.contains("FLAGBEARER_API_KEY"), "{refused}");
    cli.run("flags list --api-key wrong").await.refused("UNAUTHENTICATED");
    cli.run("flags list --limit 1000").await.refused("PARAMETER_INVALID");
    cli.run("evaluate -e nowhere").await.refused("ENVIRONMENT_NOT_FOUND");
    cli.run("evaluate -e production --flag nothing").await.refused("FLAG_NOT_FOUND");

    // A program gets the server's own document, on standard output.
    let ran = cli.run("flags show nothing --json").await;
    let problem: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((&problem["code"], &problem["status"]), (&json!("FLAG_NOT_FOUND"), &json!(404)));
    ran.refused("FLAG_NOT_FOUND");

    // What is wrong on the command line itself is told by its own status.
    assert_eq!(cli.run("flags target f -e production").await.code, Some(2));
    assert_eq!(cli.run("flags target f -e production --all --none").await.code, Some(2));
    assert_eq!(cli.run("flags override f true --organization o").await.code, Some(2));
    assert_eq!(cli.run("--listen 127.0.0.1:0 flags list").await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_strangers_cannot_steer_the_terminal() {
    let cli = Cli::start(Engine::Sqlite).await;
    let body = json!({ "id": "org_a", "name": "Evil \u{9b}31m\u{202e}" });
    let answer = cli.server.admin().post("/v1/organizations", body).await;
    if answer.status == 201 {
        let said = cli.run("organizations list").await.ok();
        assert!(!said.contains('\u{9b}'), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_explains_itself() {
    let cli = Cli::start(Engine::Sqlite).await;
    let help = cli.run("--help").await.ok();
    let (_, commands) = help.split_once("Commands:\n").expect("commands");
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        let command = line.split_whitespace().next().expect("a command");
        if line.starts_with("   ") || command == "help" {
            continue;
        }
        let help = cli.run(&format!("{command} --help")).await.ok();
        assert!(help.contains("Usage: flagbearer"), "{help}");
        assert!(!help.contains(ADMIN_KEY), "{help}");
    }
}
