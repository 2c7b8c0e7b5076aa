//! Reading JSON text (RFC 8259) in one pass, by whoever knows what is to stand where: nothing is built that nobody asked for, and
//! nothing may be said twice. Parsers disagree over duplicate members (§4), so a text with one means two things at once.
//! `document` makes trees of what people send; tokens, which are read with every request, are read from here.
//!
//! jiter takes the text apart. serde's way, a visitor for each kind of thing, is as fast, but is compiled for each anew,
//! which the edge's module has no room for.

use std::borrow::Cow;
use std::fmt;

use jiter::{Jiter, JiterError, JiterErrorType, LinePosition, Peek};
use lexical_parse_float::FromLexical;

/// Why a text is not read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// This name stands twice in one object.
    Duplicate(String),
    Deep,
    /// No JSON, or not that which is expected: says what, and where.
    Malformed(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(name) => write!(f, "a member name stands twice: `{name}`"),
            Self::Deep => f.write_str("nested too deeply"),
            Self::Malformed(message) => f.write_str(message),
        }
    }
}

pub(crate) type Read<T> = std::result::Result<T, Fault>;

/// A text and how far it has been read.
pub(crate) struct Json<'t> {
    text: &'t str,
    /// Over what is left behind the first `begun` bytes of the text.
    jiter: Jiter<'t>,
    begun: usize,
    depth_left: usize,
    /// The names in the objects that are open, the innermost last.
    names: Vec<Cow<'t, str>>,
    beyond: bool,
}

impl<'t> Json<'t> {
    /// `depth`: how many arrays and objects may be open at once.
    pub fn new(text: &'t str, depth: usize) -> Self {
        Self { text, jiter: Jiter::new(text.as_bytes()), begun: 0, depth_left: depth, names: Vec::new(), beyond: false }
    }

    /// What the next value begins with.
    pub fn peek(&mut self) -> Read<Peek> {
        self.jiter.peek().map_err(|error| self.fault(&error))
    }

    /// Reads an object. `member` is called with each name and must read the value behind it.
    pub fn members(&mut self, mut member: impl FnMut(&mut Self, &Cow<'t, str>) -> Read<()>) -> Read<()> {
        self.expect(Peek::Object, "an object")?;
        self.descend()?;
        let (first, mut ordered) = (self.names.len(), true);
        let mut next = self.jiter.known_object().map(|name| name.map(|name| kept(self.text, name)));
        while let Some(name) = next.map_err(|error| self.fault(&error))? {
            // What is written in ascending order needs no second look.
            ordered &= self.names.len() == first || self.names.last().is_some_and(|last| *last < name);
            if self.names.capacity() == 0 {
                self.names.reserve(32);
            }
            self.names.push(name.clone());
            member(self, &name)?;
            next = self.jiter.next_key().map(|name| name.map(|name| kept(self.text, name)));
        }
        let names = self.names.get_mut(first..).unwrap_or_default();
        if !ordered {
            names.sort_unstable();
            if let Some([name, _]) = names.array_windows().find(|[a, b]| a == b) {
                return Err(Fault::Duplicate(name.clone().into_owned()));
            }
        }
        self.names.truncate(first);
        self.depth_left += 1;
        Ok(())
    }

    /// Reads an array. `item` is called before each value and must read it.
    pub fn items(&mut self, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.expect(Peek::Array, "an array")?;
        self.descend()?;
        let mut next = self.jiter.known_array();
        while next.map_err(|error| self.fault(&error))?.is_some() {
            item(self)?;
            next = self.jiter.array_step();
        }
        self.depth_left += 1;
        Ok(())
    }

    /// Reads a string, borrowed unless it holds escapes.
    pub fn string(&mut self) -> Read<Cow<'t, str>> {
        self.expect(Peek::String, "a string")?;
        let string = self.jiter.known_str().map(|string| kept(self.text, string));
        string.map_err(|error| self.fault(&error))
    }

    /// Passes over any value, in which nothing may be said twice either, and answers its text.
    pub fn skip(&mut self) -> Read<&'t str> {
        let peek = self.peek()?;
        let start = self.index();
        match peek {
            Peek::Object => self.members(|json, _| json.skip().map(drop))?,
            Peek::Array => self.items(|json| json.skip().map(drop))?,
            _ => self.jiter.known_skip(peek).map_err(|error| self.fault(&error))?,
        }
        let text = self.since(start);
        // So short a number without an exponent is within 10^300.
        let certain = |number: &str| number.len() < 300 && !number.contains(['e', 'E']);
        self.beyond |= peek.is_num() && !certain(text) && double(text).is_none();
        Ok(text)
    }

    /// What is still to be read.
    pub fn rest(&self) -> &'t str {
        self.text.get(self.index()..).unwrap_or_default()
    }

    /// Goes on behind so many bytes of the rest, which whoever says so has read as one value.
    pub fn advance(&mut self, bytes: usize) {
        self.begun = self.index() + bytes;
        let left = self.text.as_bytes().get(self.begun..).unwrap_or_default();
        let before = std::mem::replace(&mut self.jiter, Jiter::new(&[]));
        self.jiter = Jiter::with_tape(left, before.into_tape());
    }

    /// Passes over any value that is JSON by its grammar, for whoever looks into it later, and answers its text.
    pub fn pass(&mut self) -> Read<&'t str> {
        let peek = self.peek()?;
        let start = self.index();
        self.jiter.known_skip(peek).map_err(|error| self.fault(&error))?;
        Ok(self.since(start))
    }

    /// Whether a number was passed over, since this was asked last, that no double holds, such as `1e400`.
    pub fn passed_beyond(&mut self) -> bool {
        std::mem::take(&mut self.beyond)
    }

    /// Says that nothing more stands behind what was read.
    pub fn finish(&mut self) -> Read<()> {
        self.jiter.finish().map_err(|error| self.fault(&error))
    }

    fn expect(&mut self, expected: Peek, name: &str) -> Read<()> {
        if self.peek()? == expected { Ok(()) } else { Err(self.unexpected(name)) }
    }

    fn index(&self) -> usize {
        self.begun + self.jiter.current_index()
    }

    fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.index()).unwrap_or_default()
    }

    fn descend(&mut self) -> Read<()> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Fault::Deep)?;
        Ok(())
    }

    /// Says that something else was expected where the reader is.
    pub fn unexpected(&self, name: &str) -> Fault {
        self.malformed(&format!("{name} was expected"), self.index())
    }

    fn fault(&self, error: &JiterError) -> Fault {
        match &error.error_type {
            JiterErrorType::JsonError(kind) => self.malformed(&kind.to_string(), self.begun + error.index),
            JiterErrorType::WrongType { .. } => self.unexpected("a value"),
        }
    }

    fn malformed(&self, what: &str, index: usize) -> Fault {
        let position = LinePosition::find(self.text.as_bytes(), index);
        Fault::Malformed(format!("{what} at line {} column {}", position.line, position.column))
    }
}

/// What a string of a text says: borrowed from there, unless it was put together out of escapes elsewhere.
fn kept<'t>(text: &'t str, string: &str) -> Cow<'t, str> {
    let start = string.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    match text.get(start..start.wrapping_add(string.len())) {
        Some(inside) => Cow::Borrowed(inside),
        None => Cow::Owned(string.to_owned()),
    }
}

/// The double nearest to a number in JSON text, unless that is infinite.
pub(crate) fn double(number: &str) -> Option<f64> {
    f64::from_lexical(number.as_bytes()).ok().filter(|double| double.is_finite())
}
