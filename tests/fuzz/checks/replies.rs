//! What answers a request: bounded in memory, read as others read it, and silent about what was sent.

use serde::de::IgnoredAny;
use vault_injector::base::json::{Json, JsonError};
use vault_injector::base::secret::Secret;
use vault_injector::domain::vault::{Reply, Request};

use super::Input;

const STATUSES: &[u16] = &[200, 204, 301, 400, 403, 404, 429, 503];
const TOKEN: &str = "hvs.CANARY-0001_CANARY-0002";
/// Of values; a text of some KiB can well want more.
const MEMORY_MAX: usize = 16 * 1024;

/// A byte for the status, one that says how often the token is put into the answer, the answer.
pub fn check(input: &[u8]) {
    let mut input = Input(input);
    let status = *input.of(STATUSES);
    let echoes = usize::from(input.byte() % 3);
    let mut body = input.0.to_vec();
    for echo in 0..echoes {
        let at = body.len() / (echo + 2);
        body.splice(at..at, TOKEN.bytes());
    }
    values(&body);
    let request = Request::look_up_self().with_token(Secret::new(TOKEN));
    let credentials = request.credentials();
    let reply =
        Reply { status, body: body.into(), memory_max: MEMORY_MAX, credentials, retry_after: None };
    let said =
        [reply.reading(&request).err(), reply.done(&request).err(), reply.auth(&request).err()];
    for error in said.into_iter().flatten() {
        let text = format!("{error} {error:?}");
        // Case by case: the mark alone may be what the fuzzer put there.
        assert!(!text.contains(TOKEN), "the token came out");
        error.verdict();
    }
    if let Ok(auth) = reply.auth(&request) {
        assert!(!auth.accessor.contains(TOKEN), "the token came out as an accessor");
    }
}

fn values(body: &[u8]) {
    // Who ignores texts does not see what is no UTF-8 in them.
    let text = str::from_utf8(body).ok();
    let theirs = text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    match Json::parse(body) {
        Ok(value) => {
            assert!(theirs, "taken for JSON");
            let text = value.to_text();
            assert_eq!(Json::parse(text.as_bytes()).as_ref(), Ok(&value), "does not settle");
            let within = Json::parse_within(body, MEMORY_MAX);
            assert!(within == Ok(value) || within == Err(JsonError::Large), "{within:?}");
        }
        Err(JsonError::Deep) => {}
        // Half of a pair is no text, which who ignores texts does not see.
        Err(error) => assert!(!theirs || body.windows(2).any(|pair| pair == b"\\u"), "{error}"),
    }
}
