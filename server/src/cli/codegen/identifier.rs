//! From a flag's key to a name that a language takes: words in its style, no word of its own, and no two the same.

use std::collections::BTreeMap;

use super::{Described, Language};

/// The names of the flags, in their order.
pub fn identifiers(flags: &[Described], language: Language) -> Vec<String> {
    let plain: Vec<String> = flags.iter().map(|flag| identifier(&words(&flag.key), language)).collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for name in &plain {
        *seen.entry(name).or_default() += 1;
    }
    // Keys that differ in what a name cannot hold are told apart by what never changes, not by their order.
    let distinct = |(flag, name): (&Described, &String)| match seen.get(name.as_str()) {
        Some(1) => name.clone(),
        _ => identifier(&[words(&flag.key), vec![flag.id.to_ascii_lowercase()]].concat(), language),
    };
    flags.iter().zip(&plain).map(distinct).collect()
}

/// Lower-case words: `newAIModel`, `new-ai.model` and `NEW_AI_MODEL` are all `new ai model`.
fn words(key: &str) -> Vec<String> {
    let characters: Vec<char> = key.chars().collect();
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for (at, character) in characters.iter().enumerate() {
        if !character.is_ascii_alphanumeric() {
            words.push(std::mem::take(&mut word));
            continue;
        }
        let before = at.checked_sub(1).map(|at| characters[at]);
        let after = characters.get(at + 1);
        let begins = character.is_ascii_uppercase()
            && (before.is_some_and(|before| !before.is_ascii_uppercase()) || after.is_some_and(char::is_ascii_lowercase));
        if begins {
            words.push(std::mem::take(&mut word));
        }
        word.push(character.to_ascii_lowercase());
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

fn identifier(words: &[String], language: Language) -> String {
    let mut name = String::new();
    for (at, word) in words.iter().enumerate() {
        if language.has_camel_case() && at > 0 {
            let mut letters = word.chars();
            name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(letters.as_str());
        } else {
            if at > 0 {
                name.push('_');
            }
            name.push_str(word);
        }
    }
    if language.reserved().contains(&name.as_str()) {
        name.push('_');
    }
    name
}
