//! Flags as people read them.

use serde_json::Value;

use super::overrides;
use crate::cli::client::{Client, Request};
use crate::cli::failure::Failure;
use crate::cli::rules;
use crate::cli::show::{aligned, document, print, table, words};

/// A flag, with what each environment says and the overrides that there are.
pub async fn show(client: &Client, key: &str) -> Result<(), Failure> {
    let mut flag = client.send(Request::get(["flags", key])).await?;
    let advice = advice(&flag);
    if let Some(members) = flag.as_object_mut() {
        members.remove("advice");
    }
    let environments = client.send(Request::get(["environments"])).await?;
    let mut lines = Vec::new();
    for environment in environments["data"].as_array().into_iter().flatten() {
        let name = environment["name"].as_str().unwrap_or_default();
        let setting = client.send(Request::get(["flags", key, "environments", name])).await?;
        lines.push(vec![format!("  {name}"), rules::setting(&setting)]);
    }
    let overrides = client.send(Request::get(["flags", key, "overrides"])).await?;
    print(&document(&flag));
    print(&advice);
    print(&format!("\nWho gets what:\n{}", aligned(&lines)));
    if let Some(rows) = overrides["data"].as_array().filter(|rows| !rows.is_empty()) {
        print(&format!("\nOverrides, which come before that:\n{}", table(rows, &overrides::COLUMNS)));
        if !overrides["next_cursor"].is_null() {
            print(&format!("\nThere may be more: flagbearer flags overrides {key}\n"));
        }
    }
    Ok(())
}

/// What could be better about a flag, a line for each.
pub fn advice(flag: &Value) -> String {
    let said = flag["advice"].as_array().into_iter().flatten();
    said.map(|advice| format!("advice: {} ({})\n", words(&advice["detail"]), words(&advice["code"]))).collect()
}

/// Stale flags, each with a line for every reason.
pub fn outlived(rows: &mut [Value]) -> String {
    let reasons = rows.iter().flat_map(|flag| {
        let findings = flag["stale"].as_array().into_iter().flatten();
        findings
            .map(move |finding| [&flag["key"], &finding["since"], &finding["code"], &finding["detail"]].map(words).to_vec())
    });
    let heading = ["KEY", "SINCE", "REASON", "WHY"].map(str::to_owned).to_vec();
    aligned(&std::iter::once(heading).chain(reasons).collect::<Vec<_>>())
}
