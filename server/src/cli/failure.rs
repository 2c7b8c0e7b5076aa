//! What the command line says when something did not work: one line, then the places in the document it is about.

use std::fmt;

use serde_json::Value;

use super::show::{plain, print_json};
use crate::error::Error;

#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    detail: String,
    code: String,
    /// One line each, shown below.
    lines: Vec<String>,
    /// The server's own document.
    problem: Option<Value>,
    /// Whether the answer was wanted as JSON.
    json: bool,
}

impl Failure {
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), code: code.to_owned(), lines: Vec::new(), problem: None, json: false }
    }

    /// The same, with more to say below.
    pub fn with_lines(self, lines: Vec<String>) -> Self {
        Self { lines, ..self }
    }

    /// A problem document (RFC 9457) as the server sends it.
    pub fn of_problem(problem: Value, json: bool) -> Self {
        let text = |value: &Value, name: &str| value[name].as_str().map(plain).unwrap_or_default();
        let items = |name: &str| problem[name].as_array().cloned().unwrap_or_default();
        let detail = text(&problem, "detail");
        let mut failure = Self::new(&text(&problem, "code"), detail.clone());
        for error in items("errors") {
            let (pointer, why) = (text(&error, "pointer"), text(&error, "detail"));
            if !pointer.is_empty() {
                failure.lines.push(if why == detail { pointer } else { format!("{pointer}: {why}") });
            }
        }
        failure.lines.extend(items("listing").iter().map(|item| plain(&item.to_string())));
        if let Some((_, rest)) = detail.split_once("?confirm=")
            && let Some((what, _)) = rest.split_once('`')
        {
            failure.lines.push(format!("on the command line: --confirm {what}"));
        }
        failure.problem = Some(problem);
        failure.json = json;
        failure
    }

    /// Whether the server has no such thing.
    pub fn is_not_found(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem["status"] == 404)
    }

    /// A program that reads the answer reads the refusal, too.
    pub fn print_json(&self) {
        if let (true, Some(problem)) = (self.json, &self.problem) {
            print_json(problem);
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.code, error.detail)
    }
}

impl From<flagbearer::error::Error> for Failure {
    fn from(error: flagbearer::error::Error) -> Self {
        Self::new(error.code.as_str(), error.message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)?;
        self.lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}
