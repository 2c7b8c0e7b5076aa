//! `flagbearer codegen`: one file with a typed accessor for each flag, so that code that asks for a flag which is not there, or
//! for another type, does not compile.

mod identifier;
mod source;

use std::path::PathBuf;

use clap::Args;
use flagbearer::flag::FlagType;
use serde_json::Value;

use self::identifier::identifiers;
pub use self::source::Language;
use super::client::{Client, Connection, Request};
use super::failure::Failure;
use super::show::{plain, print};

pub const HELP: &str = "\
Examples:
  flagbearer codegen typescript --output src/flags.ts
  flagbearer codegen python --output app/flags.py
  flagbearer codegen kotlin --package com.example.app --output Flags.kt
  flagbearer flags list --limit 200 --json > flags.json
  flagbearer codegen typescript --from flags.json --output src/flags.ts --check

Commit the file. In CI run the same command with --check: it fails when a flag came, went or changed its type, its default or
its description.";

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// For which language.
    #[arg(value_enum)]
    language: Language,

    /// Write this file. [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write nothing, and fail where the file is not what it would be.
    #[arg(long, requires = "output")]
    check: bool,

    /// Take the flags from a file that `flags list --json` printed, instead of from the server.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Only flags with this tag.
    #[arg(long)]
    tag: Option<String>,

    /// The package that the file belongs to; Kotlin alone has one.
    #[arg(long, value_name = "NAME", value_parser = package)]
    package: Option<String>,
}

/// Names with dots between them, as Kotlin writes them in the file.
fn package(name: &str) -> Result<String, String> {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    };
    if !name.split('.').all(is_name) {
        return Err("a package is named like `com.example.app`".to_owned());
    }
    // `in.co.example` is nothing out of the way.
    let quoted = |part| if Language::Kotlin.reserved().contains(&part) { format!("`{part}`") } else { part.to_owned() };
    Ok(name.split('.').map(quoted).collect::<Vec<_>>().join("."))
}

/// What a file says of a flag.
#[derive(Debug, Clone, PartialEq)]
struct Described {
    id: String,
    key: String,
    flag_type: FlagType,
    default_value: Value,
    /// Sentences for people, one a line.
    about: Vec<String>,
}

impl Described {
    fn read(flag: &Value) -> Option<Self> {
        let text = |name: &str| flag[name].as_str().filter(|text| !text.is_empty());
        let (key, kind) = (text("key")?, text("type")?);
        let lines = text("description").into_iter().flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
        let mut about: Vec<String> = lines.map(plain).collect();
        if about.is_empty() {
            about.push(text("name").filter(|name| *name != key).map_or_else(|| format!("The flag `{key}`."), plain));
        }
        about.push(format!("`{}`, {kind}; `{}` by default.", key, plain(&flag["default_value"].to_string())));
        if let Some(owner) = text("owner") {
            about.push(format!("Owner: {}.", plain(owner)));
        }
        if let Some(date) = text("remove_after") {
            about.push(format!("To be removed after {}.", plain(date)));
        }
        Some(Self {
            id: text("id")?.to_owned(),
            key: key.to_owned(),
            flag_type: FlagType::parse(kind)?,
            default_value: flag["default_value"].clone(),
            about,
        })
    }
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.package.is_some() && arguments.language != Language::Kotlin {
        return Err(Failure::new("OPTION_POINTLESS", "only Kotlin's file belongs to a package; leave --package out"));
    }
    let flags = match &arguments.from {
        Some(path) => from_file(path)?,
        None => from_server(&Client::new(&arguments.connection)?, arguments.tag.as_deref()).await?,
    };
    let mut described = Vec::with_capacity(flags.len());
    for flag in &flags {
        let tagged = |tag: &String| flag["tags"].as_array().is_some_and(|tags| tags.iter().any(|found| found == tag));
        if !flag["archived_at"].is_null() || !arguments.tag.as_ref().is_none_or(tagged) {
            continue;
        }
        described.push(Described::read(flag).ok_or_else(|| Failure::new("EXPORT_INVALID", NOT_FLAGS))?);
    }
    described.sort_by(|one, other| one.key.cmp(&other.key));
    let names = identifiers(&described, arguments.language);
    let source = arguments.language.source(&described, &names, arguments.package.as_deref());
    let Some(path) = &arguments.output else {
        print(&source);
        return Ok(());
    };
    if arguments.check {
        return check(path, &source);
    }
    let written = std::fs::write(path, &source);
    written.map_err(|error| Failure::new("FILE_UNWRITABLE", format!("`{}`: {error}", path.display())))?;
    let count = if described.len() == 1 { "1 flag".to_owned() } else { format!("{} flags", described.len()) };
    print(&format!("{count} written to {}\n", path.display()));
    Ok(())
}

const NOT_FLAGS: &str = "these are no flags; write the file with `flagbearer flags list --limit 200 --json`";

async fn from_server(client: &Client, tag: Option<&str>) -> Result<Vec<Value>, Failure> {
    let mut flags = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let request = Request::get(["flags"]).query("limit", Some("200")).query("tag", tag);
        let answer = client.send(request.query("cursor", cursor.as_deref())).await?;
        flags.extend(answer["data"].as_array().cloned().unwrap_or_default());
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(flags),
        }
    }
}

fn from_file(path: &PathBuf) -> Result<Vec<Value>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new("FILE_UNREADABLE", format!("`{}`: {error}", path.display())))?;
    let document: Value = serde_json::from_str(&text).map_err(|_| Failure::new("EXPORT_INVALID", NOT_FLAGS))?;
    if document["next_cursor"].is_string() {
        let detail = "the file holds a part of the flags only; run `codegen` against the server instead";
        return Err(Failure::new("EXPORT_INCOMPLETE", detail));
    }
    document["data"].as_array().cloned().ok_or_else(|| Failure::new("EXPORT_INVALID", NOT_FLAGS))
}

/// Says what differs, by the lines that one of the two has alone.
fn check(path: &PathBuf, source: &str) -> Result<(), Failure> {
    let standing = std::fs::read_to_string(path)
        .map_err(|error| Failure::new("FILE_UNREADABLE", format!("`{}`: {error}", path.display())))?;
    // Git may have given the file other line ends.
    if standing.replace("\r\n", "\n") == source {
        print(&format!("{} agrees with the flags\n", path.display()));
        return Ok(());
    }
    let alone = |one: &str, other: &str, mark: &str| -> Vec<String> {
        let lines: std::collections::HashSet<&str> = other.lines().collect();
        one.lines().filter(|line| !lines.contains(line)).map(|line| format!("{mark} {}", plain(line.trim()))).collect()
    };
    let mut lines = alone(&standing, source, "-");
    lines.extend(alone(source, &standing, "+"));
    lines.truncate(20);
    let detail = format!("`{}` does not say what the flags are now; run the command again without --check", path.display());
    Err(Failure::new("CODE_OUT_OF_DATE", detail).with_lines(lines))
}
