//! Answers for people: short tables, documents line by line, and a sentence for each write with its effect.

use std::io::Write as _;

use serde_json::{Map, Value};

use super::client::{Client, Request, Write};
use super::failure::Failure;
use super::preview::preview;

/// Cells longer than this are cut.
const MAX_CELL: usize = 60;

/// A column of a table: its heading, where its cells are (a JSON pointer), and whether they are flag values.
#[derive(Debug, Clone, Copy)]
pub struct Column(&'static str, &'static str, bool);

pub const fn text(heading: &'static str, pointer: &'static str) -> Column {
    Column(heading, pointer, false)
}

/// Flag values are shown as JSON, so that the text `true` and the boolean can be told apart.
pub const fn value(heading: &'static str, pointer: &'static str) -> Column {
    Column(heading, pointer, true)
}

/// Text of a stranger's, without what could steer a terminal or read otherwise than it is.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if deceives(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// What steers terminals, what ends lines to some, and what turns the text around it (CVE-2021-42574).
pub fn deceives(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A value in words: lists by comma, nothing as `-`.
pub fn words(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => plain(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(words).collect::<Vec<_>>().join(", ")
        }
        Value::Object(members) if members.is_empty() => "-".to_owned(),
        other => plain(&other.to_string()),
    }
}

/// A flag value in JSON.
pub fn json(value: &Value) -> String {
    if value.is_null() { "-".to_owned() } else { plain(&value.to_string()) }
}

fn cell(row: &Value, column: &Column) -> String {
    let found = row.pointer(column.1).unwrap_or(&Value::Null);
    cut(if column.2 { json(found) } else { words(found) })
}

/// What fits into a cell.
pub fn cut(text: String) -> String {
    if text.chars().count() <= MAX_CELL {
        return text;
    }
    text.chars().take(MAX_CELL - 1).chain(['…']).collect()
}

/// Rows under headings, aligned.
pub fn table(rows: &[Value], columns: &[Column]) -> String {
    let mut lines = vec![columns.iter().map(|column| column.0.to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()));
    aligned(&lines)
}

/// Lines of cells, each column as wide as its widest cell.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let length = |cell: &String| cell.chars().count();
    let widths: Vec<usize> =
        (0..columns).map(|at| lines.iter().filter_map(|line| line.get(at)).map(length).max().unwrap_or_default()).collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width + 2 - length(cell)));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// A document, a line for each member.
pub fn document(document: &Value) -> String {
    let members = document.as_object().into_iter().flatten();
    let lines = members.map(|(name, member)| {
        let shown = if name.ends_with("value") { json(member) } else { words(member) };
        vec![plain(name), shown]
    });
    aligned(&lines.collect::<Vec<_>>())
}

/// The places where a document differs, a line for each.
pub fn differences(differences: &Value) -> String {
    let line = |difference: &Value| {
        let place = difference["pointer"].as_str().unwrap_or_default().trim_start_matches('/');
        let (sign, said) = match (difference.get("before"), difference.get("after")) {
            (Some(before), Some(after)) => ('~', format!("{} → {}", json(before), json(after))),
            (Some(before), None) => ('-', json(before)),
            (None, after) => ('+', json(after.unwrap_or(&Value::Null))),
        };
        vec![format!("{sign} {}", plain(place)), said]
    };
    let lines: Vec<Vec<String>> = differences.as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() { "no difference\n".to_owned() } else { aligned(&lines) }
}

/// How a write changed who is served what, and whom it did not reach.
pub fn effect(answer: &Value) -> String {
    let Some(effect) = answer["effect"].as_str() else { return String::new() };
    let holdouts: Vec<String> = answer["holdouts"].as_array().into_iter().flatten().map(holdout).collect();
    match holdouts.as_slice() {
        [] => plain(effect),
        [only] => format!("{}; held out: {only}", plain(effect)),
        several => format!("{}; held out:\n  {}", plain(effect), several.join("\n  ")),
    }
}

fn holdout(holdout: &Value) -> String {
    let level = holdout["level"].as_str().unwrap_or_default();
    let mut said = match holdout[level].as_str() {
        Some(subject) => format!("{level} {} has an override", plain(subject)),
        None => words(&holdout["why"]),
    };
    if !holdout["value"].is_null() {
        said.push_str(&format!("{} `{}`", if holdout[level].is_string() { "" } else { ":" }, json(&holdout["value"])));
    }
    if let Some(until) = holdout["expires_at"].as_str() {
        said.push_str(&format!(" until {}", plain(until)));
    }
    if let Some(note) = holdout["note"].as_str() {
        said.push_str(&format!(" ({})", plain(note)));
    }
    said
}

/// Writes to standard output. Whoever stops reading early, as `head` does, has had enough.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// The server's answer as it is.
pub fn print_json(answer: &Value) {
    print(&format!("{answer:#}\n"));
}

impl Client {
    /// Asks for a list.
    pub async fn list(&self, request: Request, columns: &[Column]) -> Result<(), Failure> {
        self.list_with(request, columns, |_| ()).await
    }

    /// The same, with each row put into words first.
    pub async fn list_with(
        &self,
        request: Request,
        columns: &[Column],
        in_words: impl Fn(&mut Value),
    ) -> Result<(), Failure> {
        let shown = |rows: &mut [Value]| {
            rows.iter_mut().for_each(&in_words);
            table(rows, columns)
        };
        self.list_as(request, shown).await
    }

    /// The same, with the rows shown in another way; they are never none.
    pub async fn list_as(&self, request: Request, shown: impl Fn(&mut [Value]) -> String) -> Result<(), Failure> {
        let mut answer = self.send(request).await?;
        if self.json {
            print_json(&answer);
            return Ok(());
        }
        let rows = answer["data"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
        print(&if rows.is_empty() { "There are none.\n".to_owned() } else { shown(rows) });
        if let Some(cursor) = answer["next_cursor"].as_str() {
            print(&format!("\nThere may be more: --cursor '{}'\n", plain(cursor)));
        }
        Ok(())
    }

    /// Asks for one document.
    pub async fn show(&self, request: Request) -> Result<(), Failure> {
        let answer = self.send(request).await?;
        if self.json {
            print_json(&answer)
        } else {
            print(&document(&answer))
        }
        Ok(())
    }

    /// Makes a change, or previews it. `done` says what was done, for whoever reads it.
    pub async fn change(&self, request: Request, done: &str) -> Result<(), Failure> {
        self.changed(request, done).await.map(drop)
    }

    /// Changes the members that `body` names of `what` stands at this path.
    pub async fn edit<const N: usize>(
        &self,
        path: [&str; N],
        body: Value,
        write: &Write,
        what: &str,
    ) -> Result<(), Failure> {
        if body.as_object().is_some_and(Map::is_empty) {
            return Err(Failure::new("ARGUMENT_MISSING", "say what to change; --help lists what can be"));
        }
        self.change(Request::patch(path).body(body).write(write), &format!("Changed {what}")).await
    }

    /// Deletes `what` stands at this path.
    pub async fn remove<const N: usize>(&self, path: [&str; N], write: &Write, what: &str) -> Result<(), Failure> {
        self.change(Request::delete(path).write(write), &format!("Deleted {what}")).await
    }

    /// The same as `change`; answers the document, of which there may be more to say.
    pub async fn changed(&self, request: Request, done: &str) -> Result<Value, Failure> {
        let is_preview = request.is_preview();
        let answer = self.send(request).await?;
        if self.json {
            if !answer.is_null() {
                print_json(&answer);
            }
            return Ok(answer);
        }
        if answer["state"] == "pending" && answer["writes"].is_array() {
            let id = words(&answer["id"]);
            let effect = words(&answer["effect"]);
            print(&format!(
                "Not done yet: {id} waits for a second administrator ({effect})\n  flagbearer pending approve {id}\n"
            ));
            return Ok(answer);
        }
        if is_preview {
            print(&preview(&answer));
            return Ok(answer);
        }
        let revision = answer["revision"].as_i64().map(|revision| format!(" (revision {revision})")).unwrap_or_default();
        match effect(&answer) {
            effect if effect.is_empty() => print(&format!("{}{revision}\n", plain(done))),
            effect => print(&format!("{}{revision}: {effect}\n", plain(done))),
        }
        Ok(answer)
    }
}
