//! Advice on how a flag is named and described. It is for whoever creates the flag: nothing is ever refused for it.

use serde::Serialize;

use crate::flag::{Flag, FlagType};

/// Categories that are known without any other flag.
const CATEGORIES: [&str; 4] = ["ai", "ui", "billing", "beta"];

/// What turns a boolean around when another word follows.
const NEGATIVE: [&str; 4] = ["hide", "disable", "no", "not"];

/// Words that alone do not say what a value is of.
const VAGUE: [&str; 24] = [
    "amount", "config", "count", "data", "level", "limit", "max", "message", "mode", "model", "name", "number", "option",
    "options", "plan", "prompt", "setting", "settings", "size", "strategy", "text", "timeout", "type", "value",
];

/// What could be better about a flag's name or description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AdviceCode {
    /// No category stands before the name.
    PrefixMissing,
    /// A boolean is named for what it takes away.
    NegativeName,
    /// A value that is not boolean has a name that says too little.
    VagueName,
    /// Nothing says what the flag is for.
    DescriptionMissing,
}

/// One piece of advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub code: AdviceCode,
    /// For people.
    pub detail: String,
}

/// The first word of a flag's key with the mark behind it, such as `ai_`: the flag's category, if that is what it is.
/// `None` where the key is one word.
pub fn prefix(flag: &Flag) -> Option<&str> {
    let key = flag.key.as_str();
    key.find(is_mark).map(|at| &key[..=at])
}

/// What could be better about a flag. `shared` says whether other flags have its [`prefix`].
pub fn advice(flag: &Flag, shared: bool) -> Vec<Advice> {
    let key = flag.key.as_str();
    let words = words(key);
    let is_category = |prefix: &str| CATEGORIES.contains(&prefix.trim_end_matches(is_mark).to_ascii_lowercase().as_str());
    let mut advice = Vec::new();
    let mut advise = |code, detail: String| advice.push(Advice { code, detail });
    if !shared && !prefix(flag).is_some_and(is_category) {
        let detail =
            format!("put a category before the name, such as `ui_{key}`: flags of one kind then stand together in lists");
        advise(AdviceCode::PrefixMissing, detail);
    }
    let before_others = words.split_last().map_or(&[][..], |(_, before)| before);
    let negative = before_others.iter().find(|word| NEGATIVE.contains(&word.as_str()));
    if let (FlagType::Boolean, Some(word)) = (flag.flag_type, negative) {
        let detail = format!(
            "`{word}` makes a boolean negative, and code that asks whether it is not so is easily misread; name what `true` \
             switches on, as in `show_new_dashboard` rather than `hide_old_dashboard`"
        );
        advise(AdviceCode::NegativeName, detail);
    }
    if let (true, [word]) = (flag.flag_type != FlagType::Boolean, words.as_slice())
        && VAGUE.contains(&word.as_str())
    {
        let detail =
            format!("`{key}` does not say of what; be descriptive, as in `ai_max_tokens_per_request` rather than `limit`");
        advise(AdviceCode::VagueName, detail);
    }
    if flag.description.trim().is_empty() {
        let detail = "describe what it does, how it is to be rolled out, and when it should be deleted".to_owned();
        advise(AdviceCode::DescriptionMissing, detail);
    }
    advice
}

fn is_mark(c: char) -> bool {
    matches!(c, '_' | '-' | '.')
}

/// The words of a key in lower case, whether marks or humps divide them.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut hump = false;
    for c in key.chars() {
        if is_mark(c) || (hump && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        hump = c.is_ascii_lowercase() || c.is_ascii_digit();
        if let (false, Some(word)) = (is_mark(c), words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
