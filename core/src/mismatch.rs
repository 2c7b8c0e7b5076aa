//! What a token is for, beside what somebody believed it to be for. Half of all "the flag is wrong" is a token of another
//! environment or organization.

use serde::Serialize;

use crate::document::Node;
use crate::error::Result;

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    pub environment: String,
    pub organization: Option<String>,
    /// None for a machine's token.
    pub user: Option<String>,
    /// The client id.
    pub application: String,
}

/// What was believed. Outer `None`: nothing. Inner `None`: that there is no organization, or no user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    pub environment: Option<Option<String>>,
    pub organization: Option<Option<String>>,
    pub user: Option<Option<String>>,
    pub application: Option<Option<String>>,
}

/// A belief that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    pub what: &'static str,
    pub expected: Option<String>,
    pub actual: Option<String>,
}

impl Expected {
    /// Reads `{environment, organization, user, application}`, each as wanted.
    pub fn parse(node: &Node<'_>) -> Result<Self> {
        let mut members = node.members()?;
        let mut text = |name| -> Result<Option<Option<String>>> {
            let Some(node) = members.present(name) else { return Ok(None) };
            Ok(Some(if node.is_null() { None } else { Some(node.string()?.to_owned()) }))
        };
        let expected = Self {
            environment: text("environment")?,
            organization: text("organization")?,
            user: text("user")?,
            application: text("application")?,
        };
        members.finish()?;
        Ok(expected)
    }

    /// Where the beliefs are wrong.
    pub fn mismatches(&self, actual: &Whereabouts) -> Vec<Mismatch> {
        let some = |text: &String| Some(text.clone());
        [
            ("environment", &self.environment, some(&actual.environment)),
            ("organization", &self.organization, actual.organization.clone()),
            ("user", &self.user, actual.user.clone()),
            ("application", &self.application, some(&actual.application)),
        ]
        .into_iter()
        .filter_map(|(what, expected, actual)| {
            let expected = expected.clone().filter(|expected| *expected != actual)?;
            Some(Mismatch { what, expected, actual })
        })
        .collect()
    }
}
