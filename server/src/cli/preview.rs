//! What a write would do, in tables.

use serde_json::Value;

use super::show::{aligned, cut, effect, json, plain, words};

/// A preview for people.
pub fn preview(answer: &Value) -> String {
    let mut text = format!(
        "Nothing was changed. On top of revision {}, at {}, this would be\n{}\n",
        words(&answer["base_revision"]),
        words(&answer["at"]),
        effect(answer)
    );
    for (heading, kind) in [("Organizations", "organization"), ("Users", "user")] {
        let rows = &answer[format!("{kind}s")];
        text.push_str(&format!("\n{heading} in their own right: {}\n", words(&answer[format!("{kind}_count")])));
        text.push_str(&changes(rows, &[kind], &answer[format!("{kind}s_truncated")]));
    }
    text.push_str(&applications(&answer["applications"]));
    let sessions = &answer["sessions"];
    text.push_str(&format!("\nLiving sessions: {}", words(&sessions["count"])));
    if let Some(by) = sessions["turned_over_by"].as_str() {
        text.push_str(&format!(", whose tokens will have turned over by {}", plain(by)));
    }
    text.push('\n');
    let whose = ["session_id", "user", "organization", "application"];
    text.push_str(&changes(&sessions["first"], &whose, &sessions["truncated"]));
    text
}

/// Which applications' tokens carry other flags than before; nothing where none's do.
fn applications(rows: &Value) -> String {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return String::new();
    }
    let heading = ["APPLICATION", "NAME", "ENVIRONMENT", "ENTERING", "LEAVING", "SESSIONS"].map(str::to_owned).to_vec();
    let mut lines = vec![heading];
    lines.extend(rows.iter().map(|row| {
        let members = ["application", "name", "environment", "entering", "leaving", "sessions"];
        members.iter().map(|name| cut(words(&row[*name]))).collect()
    }));
    format!("\nApplications whose tokens carry other flags: {}\n{}", rows.len(), aligned(&lines))
}

/// A line for each change, under headings.
fn changes(rows: &Value, whose: &[&str], truncated: &Value) -> String {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return String::new();
    }
    let heading = |name: &&str| name.to_uppercase().replace('_', " ");
    let mut lines = vec![whose.iter().chain(&["environment", "flag", "from", "to"]).map(heading).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| {
        let what = match row["claim"].as_str() {
            Some(claim) => format!("(claim {})", plain(claim)),
            None => words(&row["flag"]),
        };
        let to = if row["ends"] == true { "(ends)".to_owned() } else { json(&row["to"]) };
        let cells =
            whose.iter().map(|name| words(&row[*name])).chain([words(&row["environment"]), what, json(&row["from"]), to]);
        cells.map(cut).collect()
    }));
    let mut text = aligned(&lines);
    if truncated == true {
        text.push_str(&format!("… and others: only the first {} changes are listed\n", rows.len()));
    }
    text
}
