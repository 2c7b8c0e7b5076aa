//! A token's way over the border, which is half of what it costs to recognise one.

use std::ptr;

use napi::bindgen_prelude::{FromNapiValue, TypeName, ValidateNapiValue};
use napi::{Result, ValueType, sys};

/// More than nearly all tokens have: a request's headers end at 8 KiB or 16 KiB.
const USUAL_BYTES: usize = 4096;

/// A text, written into memory of a usual size at once. napi's own `String` asks for its length first, which goes through all
/// of it once more, and clears the memory before.
pub struct Token(pub String);

impl FromNapiValue for Token {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut bytes = Vec::<u8>::with_capacity(USUAL_BYTES);
        let mut written = 0;
        // SAFETY: `env` and `value` are the caller's promise; what is written fits into what was reserved.
        let status = unsafe {
            sys::napi_get_value_string_utf8(env, value, bytes.as_mut_ptr().cast(), USUAL_BYTES, ptr::from_mut(&mut written))
        };
        // The end may be missing where not even the longest character and the final NUL would fit behind it.
        if status != sys::Status::napi_ok || written + 5 > USUAL_BYTES {
            // SAFETY: as above.
            return unsafe { String::from_napi_value(env, value) }.map(Self);
        }
        // SAFETY: so many bytes were written.
        unsafe { bytes.set_len(written) };
        // V8 writes nothing but UTF-8, yet to look is cheap.
        Ok(Self(String::from_utf8(bytes).map_err(|error| napi::Error::from_reason(error.to_string()))?))
    }
}

impl TypeName for Token {
    fn type_name() -> &'static str {
        "String"
    }

    fn value_type() -> ValueType {
        ValueType::String
    }
}

impl ValidateNapiValue for Token {}
