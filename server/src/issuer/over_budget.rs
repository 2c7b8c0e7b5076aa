//! Tokens whose claim was larger than their application's budget. None is refused for it: they are counted and said.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::store::Application;

/// How many each application was issued by this process.
#[derive(Debug, Default)]
pub struct OverBudget(Mutex<HashMap<String, Counted>>);

#[derive(Debug, Default)]
struct Counted {
    tokens: u64,
    /// The environment's revision when it was last said in the log: once for each is enough.
    said_at: i64,
}

impl OverBudget {
    /// Counts a token whose claim exceeds the budget; others pass by.
    pub fn note(&self, application: &Application, claim: &str, revision: i64) {
        let (bytes, claim_budget, client_id) = (claim.len(), application.claim_budget, &application.client_id);
        if i64::try_from(bytes).is_ok_and(|bytes| bytes <= claim_budget) {
            return;
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = counts.entry(client_id.clone()).or_default();
        counted.tokens += 1;
        if counted.said_at != revision {
            counted.said_at = revision;
            tracing::warn!(client_id, bytes, claim_budget, revision, "a token's flags are larger than the claim budget");
        }
    }

    /// How many since the start.
    pub fn count(&self, client_id: &str) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(client_id).map_or(0, |counted| counted.tokens)
    }
}
