//! `flagbearer explain`: what a token said and why, what it would say now, and what lies between.

use clap::Args;
use serde_json::{Map, Value, json};

use super::client::{Client, Connection, Request};
use super::failure::Failure;
use super::show::{aligned, cut, json as value, print, print_json, words};
use super::token;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The token, or `-` to read it from standard input, where it may also stand in the answer that brought it. It may have
    /// expired.
    #[arg(required_unless_present_any = ["session", "jti", "request"])]
    token: Option<String>,
    /// Instead of a token: its `jti`, where the server records what it issues.
    #[arg(long, value_name = "ID", conflicts_with_all = ["token", "session", "request"])]
    jti: Option<String>,
    /// Instead of a token: the id of the request that it answered, where the server records what it issues.
    #[arg(long, value_name = "ID", conflicts_with_all = ["token", "session"])]
    request: Option<String>,
    /// Instead of a token: a session's, as it was issued or would have been at --at.
    #[arg(long, value_name = "ID", requires = "at", conflicts_with = "token")]
    session: Option<String>,
    /// When, as in RFC 3339, like `2027-01-04T00:00:00Z`.
    #[arg(long, value_name = "TIME", requires = "session")]
    at: Option<String>,
    /// The environment that you believe it to be for. So for the others: where you are wrong, it is said.
    #[arg(long, value_name = "NAME")]
    expect_environment: Option<String>,
    #[arg(long, value_name = "ID")]
    expect_organization: Option<String>,
    #[arg(long, value_name = "ID")]
    expect_user: Option<String>,
    /// Only this flag, with every level that was asked then and now.
    #[arg(long, value_name = "KEY")]
    flag: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.connection)?;
    let mut body = match (&arguments.token, &arguments.jti, &arguments.request) {
        (Some(token), _, _) => json!({ "token": token::read(token)? }),
        (_, Some(jti), _) => json!({ "jti": jti }),
        (_, _, Some(request)) => json!({ "request_id": request }),
        _ => json!({ "session_id": arguments.session, "at": arguments.at }),
    };
    let expected: Map<String, Value> = [
        ("environment", &arguments.expect_environment),
        ("organization", &arguments.expect_organization),
        ("user", &arguments.expect_user),
    ]
    .into_iter()
    .filter_map(|(name, expected)| Some((name.to_owned(), expected.clone()?.into())))
    .collect();
    body["expected"] = expected.into();
    let mut answer = client.send(Request::post(["explain"]).body(body)).await?;
    if let Some(key) = &arguments.flag {
        let flags = answer["flags"].as_object_mut();
        let Some(found) = flags.and_then(|flags| flags.remove(key)) else {
            return Err(Failure::new("FLAG_NOT_FOUND", format!("the token has no flag `{key}`, and would have none now")));
        };
        answer["flags"] = json!({ key: found });
    }
    if client.json {
        print_json(&answer);
        return Ok(());
    }
    print(&beginning(&answer));
    match &arguments.flag {
        Some(key) => print(&one(&answer["flags"][key])),
        None => print(&all(&answer["flags"])),
    }
    Ok(())
}

/// Whose token it is, what was believed of it wrongly, and what has become of it as a whole.
fn beginning(answer: &Value) -> String {
    let token = &answer["token"];
    let lines = [
        ("environment", "environment"),
        ("user", "user"),
        ("organization", "organization"),
        ("application", "application"),
        ("issued at", "issued_at"),
        ("revision", "revision"),
    ];
    let mut out = aligned(&lines.map(|(said, member)| vec![said.to_owned(), words(&token[member])]));
    let now = words(&answer["now"]["revision"]);
    out.push_str(&match token["stale"] == true {
        true => format!("stale: a token of revision {now} would be another\n"),
        false => format!("up to date with revision {now}, as far as changes concern it\n"),
    });
    for wrong in answer["mismatches"].as_array().into_iter().flatten() {
        let [what, expected, actual] = ["what", "expected", "actual"].map(|member| words(&wrong[member]));
        out.push_str(&format!("NOT as expected: its {what} is {actual}, not {expected}\n"));
    }
    let left_out: Vec<String> = answer["projected_out"].as_array().into_iter().flatten().map(words).collect();
    if !left_out.is_empty() {
        out.push_str(&format!("left out by the application's projection: {}\n", left_out.join(", ")));
    }
    for found in answer["causes"].as_array().into_iter().flatten() {
        out.push_str(&format!("{}\n", cause(found)));
    }
    out.push('\n');
    out
}

fn all(flags: &Value) -> String {
    let mut lines = vec![["FLAG", "THEN", "REASON", "NOW", "REASON", "BECAUSE"].map(str::to_owned).to_vec()];
    for (key, found) in flags.as_object().into_iter().flatten() {
        let [then, now] = ["then", "now"].map(|moment| &found[moment]);
        let causes = found["causes"].as_array().into_iter().flatten();
        lines.push(vec![
            words(&key.as_str().into()),
            cut(value(&then["value"])),
            words(&then["reason"]),
            cut(value(&now["value"])),
            words(&now["reason"]),
            causes.map(cause).collect::<Vec<_>>().join("; "),
        ]);
    }
    if lines.len() == 1 { "It carries no flags.\n".to_owned() } else { aligned(&lines) }
}

fn one(found: &Value) -> String {
    let mut out = String::new();
    for moment in ["then", "now"] {
        let at = &found[moment];
        if at.is_null() {
            out.push_str(&format!("{moment}: there is no such flag\n\n"));
            continue;
        }
        out.push_str(&format!("{moment}: {} ({})\n", value(&at["value"]), words(&at["reason"])));
        out.push_str(&super::evaluate::trace(at));
        out.push('\n');
    }
    for found in found["causes"].as_array().into_iter().flatten() {
        out.push_str(&format!("because of: {}\n", cause(found)));
    }
    out
}

/// A cause in a few words.
fn cause(cause: &Value) -> String {
    let name = words(&cause["cause"]);
    match cause["cause"].as_str() {
        Some("change" | "kill" | "membership_changed" | "application_changed") => {
            let by = words(&cause["actor"]["name"]);
            let mut said = format!("{name} {} by {by} at {}", words(&cause["revision"]), words(&cause["at"]));
            if let Some(comment) = cause["comment"].as_str() {
                said.push_str(&format!(" ({})", words(&comment.into())));
            }
            said
        }
        Some("organization_switched") => format!("{name} from {} to {}", words(&cause["from"]), words(&cause["to"])),
        _ => format!("{name} at {}", words(&cause["at"])),
    }
}
