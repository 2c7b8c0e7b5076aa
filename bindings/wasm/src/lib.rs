//! The core for hosts that load no native code, with nothing imported. The host checks signatures; all else is decided here, as
//! everywhere. `bindings/node/edge/core.js` is the other side.
//!
//! Each reader has an instance of the module to itself, so that it is collected with it, and there is one thread: what an
//! instance holds is global. Bytes come in through [`input`] and go out through [`output`]. A call answers a number: below zero
//! it was refused, and the output has the code, a line break and the message; zero is nothing; above zero is an answer.

use std::cell::{Cell, RefCell};

use flagbearer::error::{Error, ErrorCode, ErrorKind};

mod flags;
mod reader;

const REFUSED: f64 = -1.0;
const NOTHING: f64 = 0.0;
const ANSWERED: f64 = 1.0;

thread_local! {
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The number that was given last: none is given twice.
    static NUMBER: Cell<f64> = const { Cell::new(0.0) };
}

/// Where the host writes so many bytes before its next call, which takes them.
#[unsafe(no_mangle)]
pub extern "C" fn input(bytes: usize) -> *mut u8 {
    INPUT.with_borrow_mut(|input| {
        input.clear();
        input.resize(bytes, 0);
        input.as_mut_ptr()
    })
}

/// Where what the last call answered begins.
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    OUTPUT.with_borrow(|output| output.as_ptr())
}

/// How many bytes it has.
#[unsafe(no_mangle)]
pub extern "C" fn output_length() -> usize {
    OUTPUT.with_borrow(Vec::len)
}

fn taken() -> Vec<u8> {
    INPUT.take()
}

/// The host encodes strings, and so these bytes are UTF-8.
fn taken_text() -> String {
    String::from_utf8(taken()).unwrap_or_default()
}

/// The texts that the host gave as one, with U+001E between them: nothing that is asked about holds one.
fn taken_texts<const COUNT: usize>() -> [String; COUNT] {
    let text = taken_text();
    let mut texts = text.split('\u{1e}').map(str::to_owned);
    std::array::from_fn(|_| texts.next().unwrap_or_default())
}

fn next_number() -> f64 {
    NUMBER.set(NUMBER.get() + 1.0);
    NUMBER.get()
}

fn answer(bytes: impl Into<Vec<u8>>) -> f64 {
    OUTPUT.set(bytes.into());
    ANSWERED
}

fn refuse(error: Error) -> f64 {
    OUTPUT.set(format!("{}\n{}", error.code, error.message).into());
    REFUSED
}

fn outcome<T: Into<Vec<u8>>>(outcome: Result<T, Error>) -> f64 {
    outcome.map_or_else(refuse, answer)
}

/// Every code that a reader answers, with U+001E between them.
#[unsafe(no_mangle)]
pub extern "C" fn error_codes() -> f64 {
    let read = |code: &&ErrorCode| matches!(code.kind(), ErrorKind::Token | ErrorKind::Session | ErrorKind::Read);
    let codes: Vec<&str> = ErrorCode::ALL.iter().filter(read).map(|code| code.as_str()).collect();
    answer(codes.join("\u{1e}"))
}
