//! Settings in words: who gets what in an environment.

use serde_json::Value;

use super::show::{json, plain, words};

/// The rules of a setting, in one line.
pub fn rules(setting: &Value) -> String {
    let rules: Vec<String> = setting["rules"].as_array().into_iter().flatten().map(rule).collect();
    if rules.is_empty() { "-".to_owned() } else { rules.join("; ") }
}

/// A setting, in one line.
pub fn setting(setting: &Value) -> String {
    if setting["killed"] == true {
        return "killed: everybody gets the off value, with older tokens too".to_owned();
    }
    if setting["enabled"] == false {
        return "switched off: everybody gets the off value".to_owned();
    }
    let mut parts: Vec<String> = setting["rules"].as_array().into_iter().flatten().map(rule).collect();
    let value = &setting["value"];
    let rest = if parts.is_empty() { "everybody" } else { "everybody else" };
    if !setting["rules"].as_array().into_iter().flatten().any(reaches_everybody) {
        parts.push(if value.is_null() { format!("{rest} → the default") } else { format!("{rest} → {}", json(value)) });
    }
    parts.join("; ")
}

/// Whether nobody is left for what comes after this rule.
fn reaches_everybody(rule: &Value) -> bool {
    rule["audience"]["type"] == "all"
        && rule["rollout"].is_null()
        && rule["schedule"].is_null()
        && rule["serve"]["split"].is_null()
}

fn rule(rule: &Value) -> String {
    let mut said = audience(&rule["audience"]);
    let rollout = &rule["rollout"];
    if !rollout.is_null() {
        said.push_str(&format!(", {} % by {}", rollout["percentage"], words(&rollout["by"])));
    }
    let schedule = &rule["schedule"];
    for (word, member) in [("from", "from"), ("until", "until")] {
        if let Some(time) = schedule[member].as_str() {
            said.push_str(&format!(" {word} {}", plain(time)));
        }
    }
    for step in schedule["steps"].as_array().into_iter().flatten() {
        said.push_str(&format!(", {} % from {}", step["percentage"], words(&step["at"])));
    }
    let split = &rule["serve"]["split"];
    if split.is_null() {
        return format!("{said} → {}", json(&rule["serve"]["value"]));
    }
    let variants = split["variants"].as_array().into_iter().flatten();
    let variants: Vec<String> =
        variants.map(|variant| format!("{} (weight {})", json(&variant["value"]), variant["weight"])).collect();
    format!("{said} → by {} {}", words(&split["by"]), variants.join(" or "))
}

/// An audience, of a rule or of the short form.
pub fn audience(audience: &Value) -> String {
    match audience["type"].as_str().or(audience["audience"].as_str()) {
        Some("all") => return "everybody".to_owned(),
        Some("none") => return "nobody".to_owned(),
        _ => {}
    }
    let lists = ["users", "organizations", "segments"].into_iter().filter_map(|kind| {
        let listed = audience[kind].as_array().filter(|listed| !listed.is_empty())?;
        let one = if listed.len() == 1 { kind.trim_end_matches('s') } else { kind };
        Some(format!("{one} {}", words(&audience[kind])))
    });
    let lists: Vec<String> = lists.collect();
    if lists.is_empty() { "nobody".to_owned() } else { lists.join(" and ") }
}
