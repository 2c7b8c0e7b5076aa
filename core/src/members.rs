//! Reading signed JSON in one pass, without building a tree and without letting anything be said twice.
//! Parsers disagree over duplicate members (RFC 8259 §4), so a token that carries one means two things at once and is
//! refused whole. `document` builds trees with pointers for people; this is for the hot path and says only what is wrong.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Starts the message of the one failure that must be told from all others after it went through the parser.
pub(crate) const DUPLICATE: &str = "a member name stands twice";

/// Whether the parser stopped because of a duplicate member.
pub(crate) fn is_duplicate(error: &serde_json::Error) -> bool {
    error.is_data() && error.to_string().starts_with(DUPLICATE)
}

/// A member name or another string, borrowed from the text unless it holds escapes.
pub(crate) struct Text<'t>(pub Cow<'t, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The names seen in one object. What is written in ascending order needs no second look.
#[derive(Default)]
pub(crate) struct Names<'t> {
    seen: Vec<Cow<'t, str>>,
    unordered: bool,
}

impl<'t> Names<'t> {
    pub fn with_capacity(names: usize) -> Self {
        Self { seen: Vec::with_capacity(names), unordered: false }
    }

    pub fn push(&mut self, name: Cow<'t, str>) {
        self.unordered |= self.seen.last().is_some_and(|last| *last >= name);
        self.seen.push(name);
    }

    /// Refuses duplicates once the object has been read.
    pub fn finish<E: serde::de::Error>(mut self) -> Result<(), E> {
        if self.unordered {
            self.seen.sort_unstable();
            if self.seen.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(E::custom(DUPLICATE));
            }
        }
        Ok(())
    }
}

/// Reads any value for the sake of its duplicates alone.
pub(crate) struct Walk;

impl Walk {
    /// Walks over a whole text.
    pub fn over(text: &str) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        Walk.deserialize(&mut deserializer)?;
        deserializer.end()
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while access.next_element_seed(Walk)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(Text(name)) = access.next_key()? {
            names.push(name);
            access.next_value_seed(Walk)?;
        }
        names.finish()
    }
}
