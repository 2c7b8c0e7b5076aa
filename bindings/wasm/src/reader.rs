//! The reader of this instance. Verifying has two halves, since hosts check signatures in their own time: [`prepare`] answers
//! what to check, and [`release`] is told whether it is good.

use std::cell::RefCell;
use std::rc::Rc;

use flagbearer::reader::{FETCH_TIMEOUT_SECONDS, KeySource, MAX_BODY_BYTES, Memory, Poll, Reader, Response};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Awaiting, Verifier, VerifierOptions};

use super::{ANSWERED, NOTHING, answer, next_number, refuse, taken, taken_text, taken_texts};

struct Hosted {
    reader: Reader,
    memory: Memory<Rc<Remembered>>,
    /// Few at a time.
    awaiting: Vec<Checked>,
}

/// A token whose signature is being checked.
struct Checked {
    number: f64,
    token: String,
    /// As a JWK.
    key: String,
    awaiting: Awaiting,
}

impl Hosted {
    fn checked(&mut self, number: f64) -> Option<Checked> {
        let place = self.awaiting.iter().position(|checked| checked.number == number)?;
        Some(self.awaiting.swap_remove(place))
    }
}

/// Stands in the core's memory for a flag set, which the host keeps by its number.
struct Remembered(f64);

impl Drop for Remembered {
    fn drop(&mut self) {
        // While the instance goes down there is nobody to tell.
        let _ = FORGOTTEN.try_with(|forgotten| forgotten.borrow_mut().push(self.0));
    }
}

thread_local! {
    static HOSTED: RefCell<Option<Hosted>> = const { RefCell::new(None) };
    static FORGOTTEN: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

fn instant(milliseconds: f64) -> Timestamp {
    Timestamp::from_milliseconds(milliseconds as i64)
}

/// Asks the reader; nothing where there is none.
fn with(work: impl FnOnce(&mut Hosted) -> f64) -> f64 {
    HOSTED.with_borrow_mut(|hosted| hosted.as_mut().map_or(NOTHING, work))
}

/// Makes the reader, of the texts `issuer`, `audience`, `clientId`, `profile` and `jwksUri`: empty where absent, and otherwise behind
/// a `=`. A leeway that is no number is absent.
#[unsafe(no_mangle)]
pub extern "C" fn open(leeway: f64, discovery: bool) -> f64 {
    let texts: [String; 5] = taken_texts();
    let [issuer, audience, client_id, profile, jwks_uri] = texts.each_ref().map(|text| text.strip_prefix('='));
    let verifier = Verifier::new(&VerifierOptions {
        issuer: issuer.unwrap_or_default(),
        audience,
        client_id,
        profile,
        leeway: Some(leeway).filter(|leeway| !leeway.is_nan()),
    });
    let source = KeySource::of(jwks_uri.map(str::to_owned), discovery);
    match verifier.and_then(|verifier| Reader::new(verifier, source)) {
        Ok(reader) => {
            HOSTED.set(Some(Hosted { reader, memory: Memory::default(), awaiting: Vec::new() }));
            ANSWERED
        }
        Err(error) => refuse(error),
    }
}

/// The number of a token that was verified before and would be again; nothing for any other.
#[unsafe(no_mangle)]
pub extern "C" fn recall(now: f64) -> f64 {
    let token = taken_text();
    with(|hosted| hosted.reader.recall(&hosted.memory, &token, instant(now)).map_or(NOTHING, |remembered| remembered.0))
}

/// What is to be checked of a token: its signature is the output, which is over the bytes before the token's last dot. Nothing
/// when keys must be fetched first.
#[unsafe(no_mangle)]
pub extern "C" fn prepare(now: f64) -> f64 {
    let token = taken_text();
    with(|hosted| {
        let prepared = hosted.reader.prepare(&token, instant(now)).and_then(|prepared| {
            let Some((prepared, keys)) = prepared else { return Ok(None) };
            let key = prepared.key(&keys)?.jwk();
            answer(prepared.signature());
            Ok(Some((key, prepared.awaiting(keys))))
        });
        match prepared {
            Ok(Some((key, awaiting))) => {
                let number = next_number();
                hosted.awaiting.push(Checked { number, token, key, awaiting });
                number
            }
            Ok(None) => NOTHING,
            Err(error) => refuse(error),
        }
    })
}

/// The key that must have signed a token which was prepared, as a JWK.
#[unsafe(no_mangle)]
pub extern "C" fn key(number: f64) -> f64 {
    with(|hosted| {
        let checked = hosted.awaiting.iter().find(|checked| checked.number == number);
        checked.map_or(NOTHING, |checked| answer(checked.key.as_str()))
    })
}

/// Takes whether the signature of a token which was prepared is that of its key. Answers the number that [`recall`] answers from
/// now on, with the flag set.
#[unsafe(no_mangle)]
pub extern "C" fn release(number: f64, signature_valid: bool) -> f64 {
    with(|hosted| {
        let Some(Checked { token, awaiting, .. }) = hosted.checked(number) else { return NOTHING };
        match awaiting.release(signature_valid) {
            Ok((flags, receipt)) => {
                hosted.memory.keep(&token, receipt, Rc::new(Remembered(number)));
                answer(flags.tables());
                number
            }
            Err(error) => refuse(error),
        }
    })
}

/// Takes that the signature of a token which was prepared could not be checked.
#[unsafe(no_mangle)]
pub extern "C" fn abandon(number: f64) -> f64 {
    with(|hosted| hosted.checked(number).map_or(NOTHING, |_| ANSWERED))
}

/// A number that [`recall`] answers no more, one at a time.
#[unsafe(no_mangle)]
pub extern "C" fn forgotten() -> f64 {
    FORGOTTEN.with_borrow_mut(|forgotten| forgotten.pop().unwrap_or(NOTHING))
}

/// What to do next for the keys: `fetch`, a number and a URL; `pending`; or `until` and a time in milliseconds since 1970; with U+001E
/// between them.
#[unsafe(no_mangle)]
pub extern "C" fn poll(now: f64) -> f64 {
    with(|hosted| match hosted.reader.poll(instant(now)) {
        Poll::Fetch(fetch) => answer(format!("fetch\u{1e}{}\u{1e}{}", fetch.id, fetch.url)),
        Poll::Pending => answer("pending"),
        Poll::Idle { until } => answer(format!("until\u{1e}{}", until.milliseconds())),
    })
}

/// How long a fetch may take, in seconds.
#[unsafe(no_mangle)]
pub extern "C" fn fetch_timeout_seconds() -> f64 {
    FETCH_TIMEOUT_SECONDS.into()
}

/// The longest body that is read, in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn max_body_bytes() -> f64 {
    MAX_BODY_BYTES as f64
}

/// Takes the body of an answer, or that the fetch failed.
#[unsafe(no_mangle)]
pub extern "C" fn receive(id: f64, came: bool, now: f64) -> f64 {
    let body = taken();
    let response = if came { Response::Body(&body) } else { Response::Failed };
    with(|hosted| {
        hosted.reader.receive(id as u64, response, instant(now));
        ANSWERED
    })
}
