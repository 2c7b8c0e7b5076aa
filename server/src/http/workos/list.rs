//! Lists as WorkOS pages them: by the id of an item, in either order of creation.

use serde_json::{Value, json};

use crate::control::{Answer, Call};
use crate::error::{Error, Result};

/// The parameters of a list.
pub const PARAMETERS: [&str; 4] = ["limit", "before", "after", "order"];

/// The page that a call asks for out of all items, which come in the order of their creation.
pub fn page(call: &Call, mut items: Vec<Value>) -> Result<Answer> {
    call.only(&PARAMETERS)?;
    match call.parameter("order") {
        Some("asc") => {}
        None | Some("desc") => items.reverse(),
        Some(other) => {
            return Err(Error::malformed("PARAMETER_INVALID", format!("`order` is `asc` or `desc`, not `{other}`")));
        }
    }
    let limit = usize::try_from(call.limit()?).map_err(Error::internal)?;
    let position = |id: &str| {
        let found = items.iter().position(|item| item["id"] == id);
        found.ok_or_else(|| Error::malformed("PARAMETER_INVALID", format!("`{id}` is not in this list; begin it again")))
    };
    let (start, end) = match (call.parameter("after"), call.parameter("before")) {
        (None, None) => (0, limit),
        (Some(id), None) => {
            let start = position(id)? + 1;
            (start, start + limit)
        }
        (None, Some(id)) => {
            let end = position(id)?;
            (end.saturating_sub(limit), end)
        }
        (Some(_), Some(_)) => {
            return Err(Error::malformed("PARAMETER_INVALID", "give `after` or `before`, not both"));
        }
    };
    let end = end.min(items.len());
    let shown = items.get(start..end).unwrap_or_default();
    let id = |item: Option<&Value>| item.map(|item| item["id"].clone());
    Ok(Answer::done(json!({
        "object": "list",
        "data": shown,
        "list_metadata": {
            "before": id(shown.first().filter(|_| start > 0)),
            "after": id(shown.last().filter(|_| end < items.len())),
        },
    })))
}
