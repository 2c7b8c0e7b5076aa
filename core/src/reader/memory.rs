//! What a host made of the tokens that it verified last, so that the same token again costs a look-up and no signature.
//! Nothing is believed for longer than it would be verified: times are checked at each recall, and keys that were fetched anew,
//! however equal, have every token verified anew, so that one whose key was withdrawn is gone as soon as without a memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::token::{KeySet, Lifetime, Receipt};

/// How many tokens are remembered at most; the ones that were used last stay.
pub const MEMORY_TOKENS: usize = 1024;

/// Bounded, and in two generations: when the young one is full it becomes the old one, and what nobody asked for meanwhile
/// is forgotten. An order of use would cost a second structure and forget hardly better.
#[derive(Debug)]
pub struct Memory<T> {
    generations: Mutex<Generations<T>>,
}

#[derive(Debug)]
struct Generations<T> {
    young: BTreeMap<Key, Entry<T>>,
    old: BTreeMap<Key, Entry<T>>,
}

/// How a token's signature begins. No two that were verified begin alike; if they did, the later one would be remembered alone.
/// It lies in the map itself, so that a look-up goes through no memory but the map's.
type Key = [u8; 16];

#[derive(Debug)]
struct Entry<T> {
    token: Box<str>,
    receipt: Receipt,
    kept: T,
}

/// Dropping what a host kept may run the host's code, which may come back here: never while the lock is held.
type Forgotten<T> = (BTreeMap<Key, Entry<T>>, Option<Entry<T>>);

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self { generations: Mutex::new(Generations { young: BTreeMap::new(), old: BTreeMap::new() }) }
    }
}

impl<T: Clone> Memory<T> {
    /// Keeps what the host made of a token's flags. The receipt says that they were verified.
    pub fn keep(&self, token: &str, receipt: Receipt, kept: T) {
        let entry = Entry { token: token.into(), receipt, kept };
        let forgotten = self.generations.lock().unwrap_or_else(PoisonError::into_inner).insert(key(token), entry);
        drop(forgotten);
    }

    /// What was kept of this very token, if it was verified with these keys and its time is good.
    pub(super) fn find(&self, token: &str, keys: &Arc<KeySet>, in_time: impl FnOnce(Lifetime) -> bool) -> Option<T> {
        let key = key(token);
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let mut forgotten = None;
        if !generations.young.contains_key(&key) {
            let entry = generations.old.remove(&key)?;
            forgotten = Some(generations.insert(key, entry));
        }
        let entry = generations.young.get(&key)?;
        let Receipt { lifetime, keys: verified_with } = &entry.receipt;
        let good = *entry.token == *token && Arc::ptr_eq(verified_with, keys) && in_time(*lifetime);
        let kept = good.then(|| entry.kept.clone());
        drop(generations);
        drop(forgotten);
        kept
    }
}

impl<T> Generations<T> {
    fn insert(&mut self, key: Key, entry: Entry<T>) -> Forgotten<T> {
        let mut forgotten = BTreeMap::new();
        if self.young.len() >= MEMORY_TOKENS / 2 && !self.young.contains_key(&key) {
            forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        }
        (forgotten, self.young.insert(key, entry))
    }
}

fn key(token: &str) -> Key {
    let signature = token.rsplit_once('.').map_or("", |(_, signature)| signature);
    let mut key = Key::default();
    for (byte, character) in key.iter_mut().zip(signature.bytes()) {
        *byte = character;
    }
    key
}
