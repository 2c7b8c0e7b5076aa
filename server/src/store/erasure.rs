//! Erasing a user: nothing by which the user could be told again stays in any table. The log keeps its changes, so that it stays
//! readable and every other user's past stays what it was; the user's own entries become tombstones.

use serde_json::Value;

use super::engine::{Connection, Sql, params};
use super::flags::stored;
use super::{Edit, Write};
use crate::error::Result;
use crate::uri::segment;

/// What stands in comments instead of the id.
const ERASED: &str = "[erased]";

/// A column that holds what people say.
struct Said {
    /// The rows that may name `$1`: two numbers that tell a row from others, and the column.
    find: Sql,
    replace: &'static str,
    /// Where in the column it stands, which is a JSON document then.
    member: Option<&'static str>,
}

macro_rules! said {
    ($table:literal, $first:literal, $second:literal, $column:literal, $member:expr) => {{
        macro_rules! find {
            ($search:literal) => {
                concat!(
                    "SELECT ",
                    $first,
                    ", ",
                    $second,
                    ", ",
                    $column,
                    " FROM ",
                    $table,
                    " WHERE ",
                    $search,
                    "(",
                    $column,
                    ", $1) > 0"
                )
            };
        }
        Said {
            find: Sql::either(find!("instr"), find!("strpos")),
            replace: concat!("UPDATE ", $table, " SET ", $column, " = $3 WHERE ", $first, " = $1 AND ", $second, " = $2"),
            member: $member,
        }
    }};
}

/// Everywhere that comments are.
const SAID: [Said; 6] = [
    said!("changes", "revision", "CAST(0 AS BIGINT)", "comment", None),
    said!("changes", "revision", "CAST(0 AS BIGINT)", "approval", Some("comment")),
    said!("comments", "revision", "position", "text", None),
    said!("pending_changes", "number", "CAST(0 AS BIGINT)", "document", Some("comment")),
    said!("pending_changes", "number", "CAST(0 AS BIGINT)", "decision", Some("comment")),
    said!(
        "pending_comments",
        "(SELECT p.number FROM pending_changes p WHERE p.id = pending_change)",
        "number",
        "document",
        Some("text")
    ),
];

impl Connection {
    /// The change that erased the user of this tag: what was before it is not there any more.
    pub async fn erased_at(&mut self, tag: &str) -> Result<Option<i64>> {
        let row = self.row("SELECT revision FROM erasures WHERE tag = $1", params![tag]).await?;
        row.map(|row| row.integer(0)).transpose()
    }

    /// The settings in which a user may be listed: the flag's key and the environment. They hold its id somewhere.
    pub async fn settings_naming(&mut self, user: &str) -> Result<Vec<(String, String)>> {
        let sql = Sql::either(
            "SELECT f.key, s.environment FROM settings s JOIN flags f ON f.id = s.flag WHERE instr(s.document, $1) > 0 \
             ORDER BY f.key, s.environment",
            "SELECT f.key, s.environment FROM settings s JOIN flags f ON f.id = s.flag WHERE strpos(s.document, $1) > 0 \
             ORDER BY f.key, s.environment",
        );
        let rows = self.rows(sql, params![written(user)]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }
}

impl Write {
    /// Erases what is left of a user who is deleted already, this write's own entries among it. Answers how many entries of the
    /// log and how many sessions there were.
    pub async fn erase_user(&mut self, user: &str, tag: &str) -> Result<(u64, u64)> {
        self.erase_from_comments(user).await?;
        self.erase_from_pending(user).await?;
        let sql = "UPDATE edits SET id = '', user_id = NULL, before = NULL, after = NULL, erased = 1 WHERE user_id = $1";
        let edits = self.execute(sql, params![user]).await?;
        self.erase_from_lists(user).await?;
        let sql = "DELETE FROM issuances WHERE session IN (SELECT id FROM sessions WHERE user_id = $1)";
        self.execute(sql, params![user]).await?;
        let sessions = self.execute("DELETE FROM sessions WHERE user_id = $1", params![user]).await?;
        let sql = Sql::either(
            "DELETE FROM codes WHERE document ->> '$.user' = $1",
            "DELETE FROM codes WHERE (document::jsonb ->> 'user') COLLATE \"C\" = $1",
        );
        self.execute(sql, params![user]).await?;
        let revision = self.revision;
        let sql = "INSERT INTO erasures (tag, revision) VALUES ($1, $2) ON CONFLICT (tag) DO UPDATE SET revision = excluded.revision";
        self.execute(sql, params![tag, revision]).await?;
        self.forget(user);
        Ok((edits, sessions))
    }

    /// Whether an edit of this write does nothing but remove what is a user's who is erased, or take the user out of lists.
    pub(super) fn only_forgets(&self, edit: &Edit) -> bool {
        self.forgotten().any(|user| match (&edit.before, &edit.after) {
            (_, None) => edit.user.as_deref() == Some(user),
            (None, Some(_)) => false,
            (Some(before), Some(after)) => {
                let mut without = before.clone();
                forget_user(&mut without, user) && without == *after
            }
        })
    }

    /// Takes a user's name out of what was said of changes, whatever they were about.
    async fn erase_from_comments(&mut self, user: &str) -> Result<()> {
        let quoted = written(user);
        let unquoted = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        for Said { find, replace, member } in SAID {
            let searched = if member.is_some() { unquoted } else { user };
            for row in self.rows(find, params![searched]).await? {
                let text = row.text(2)?;
                let text = match member {
                    None => unnamed(&text, user),
                    Some(member) => {
                        let mut document = stored(&text)?;
                        if let Some(said) = document[member].as_str() {
                            document[member] = unnamed(said, user).into();
                        }
                        document.to_string()
                    }
                };
                self.execute(replace, params![row.integer(0)?, row.integer(1)?, text]).await?;
            }
        }
        Ok(())
    }

    /// Takes a user out of every setting and segment that the log holds.
    async fn erase_from_lists(&mut self, user: &str) -> Result<()> {
        let sql = Sql::either(
            "SELECT revision, position, before, after FROM edits WHERE entity IN ('setting', 'segment') \
             AND (instr(before, $1) > 0 OR instr(after, $1) > 0)",
            "SELECT revision, position, before, after FROM edits WHERE entity IN ('setting', 'segment') \
             AND (strpos(before, $1) > 0 OR strpos(after, $1) > 0)",
        );
        for row in self.rows(sql, params![written(user)]).await? {
            let without = |text: Option<String>| -> Result<Option<String>> {
                let Some(text) = text else { return Ok(None) };
                let mut document = stored(&text)?;
                forget_user(&mut document, user);
                Ok(Some(document.to_string()))
            };
            let (before, after) = (without(row.maybe_text(2)?)?, without(row.maybe_text(3)?)?);
            let sql = "UPDATE edits SET before = $3, after = $4 WHERE revision = $1 AND position = $2";
            self.execute(sql, params![row.integer(0)?, row.integer(1)?, before, after]).await?;
        }
        Ok(())
    }

    /// Drops pending and decided changes that are about a user, with what was said of them: as they were proposed they cannot
    /// stay. Those that only hold the user out stay.
    async fn erase_from_pending(&mut self, user: &str) -> Result<()> {
        let sql = Sql::either(
            "SELECT number, document FROM pending_changes \
             WHERE EXISTS (SELECT 1 FROM json_each($1) WHERE instr(document, value) > 0)",
            "SELECT number, document FROM pending_changes WHERE EXISTS \
             (SELECT 1 FROM json_array_elements_text(CAST($1 AS JSON)) AS named (value) WHERE strpos(document, value) > 0)",
        );
        let in_path = segment(user);
        let named = [written(user), format!("/{in_path}\""), format!("/{in_path}/"), format!("/{in_path}?")];
        for row in self.rows(sql, params![Value::from(named.to_vec()).to_string()]).await? {
            let mut document = stored(&row.text(1)?)?;
            if let Some(holdouts) = document["holdouts"].as_array_mut() {
                holdouts.retain(|holdout| holdout["user"] != user);
            }
            let (number, document) = (row.integer(0)?, document.to_string());
            if named.iter().any(|name| document.contains(name)) {
                self.execute("DELETE FROM pending_changes WHERE number = $1", params![number]).await?;
            } else {
                self.execute("UPDATE pending_changes SET document = $2 WHERE number = $1", params![number, document])
                    .await?;
            }
        }
        Ok(())
    }
}

impl Edit {
    /// Makes a user's own entry a tombstone, and takes the user out of the lists of others.
    pub(super) fn erase(&mut self, user: &str) {
        if self.user.as_deref() == Some(user) {
            self.id.clear();
            (self.user, self.before, self.after) = (None, None, None);
            self.erased = true;
            return;
        }
        for document in [&mut self.before, &mut self.after].into_iter().flatten() {
            forget_user(document, user);
        }
    }
}

/// A text that does not name a user: where the id stands as a word, and not as a part of one.
pub(super) fn unnamed(text: &str, user: &str) -> String {
    let in_word = |neighbour: Option<char>| neighbour.is_some_and(char::is_alphanumeric);
    let (mut out, mut rest) = (String::new(), 0);
    for (at, found) in text.match_indices(user) {
        let (before, after) = (&text[..at], &text[at + found.len()..]);
        if !in_word(before.chars().next_back()) && !in_word(after.chars().next()) {
            out.push_str(&text[rest..at]);
            out.push_str(ERASED);
            rest = at + found.len();
        }
    }
    out.push_str(&text[rest..]);
    out
}

/// An id as it stands in a JSON document.
fn written(user: &str) -> String {
    Value::from(user).to_string()
}

/// Takes a user out of the lists of a setting's or a segment's document. Answers whether any had it.
pub fn forget_user(document: &mut Value, user: &str) -> bool {
    let mut found = false;
    let mut forget = |lists: &mut Value| {
        if let Some(users) = lists.get_mut("users").and_then(Value::as_array_mut) {
            let before = users.len();
            users.retain(|listed| listed != user);
            found |= users.len() < before;
        }
    };
    for rule in document.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
        forget(&mut rule["audience"]);
    }
    forget(document);
    found
}

#[cfg(test)]
mod tests {
    use super::unnamed;

    #[test]
    fn a_user_is_taken_out_of_a_text_as_a_word_and_never_out_of_the_middle_of_one() {
        for (text, left) in [
            ("for ada, who asked; ada!", "for [erased], who asked; [erased]!"),
            ("ada", "[erased]"),
            ("adamant and granada", "adamant and granada"),
            ("ada\u{e9} is another", "ada\u{e9} is another"),
            ("nobody", "nobody"),
        ] {
            assert_eq!(unnamed(text, "ada"), left);
        }
    }
}
