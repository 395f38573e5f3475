//! Reads the API key of a request. A connection remembers the last one and what it opened; the bytes,
//! the generation of all keys and the key's expiry are compared on every request. Must never show a key.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use hub::key::{KeyHash, KeyScope};
use parking_lot::Mutex;

use crate::directory::OpenKey;
use crate::engine::Engine;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Longer credentials are no key.
const CREDENTIAL_MAX: usize = 1024;

/// Basic with or without padding: stacks differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A header's value that opened something.
pub(super) struct RememberedKey {
    credential: Vec<u8>,
    generation: u64,
    key: OpenKey,
    hash: KeyHash,
}

impl RememberedKey {
    /// Marks the key as used: who remembers it looks nothing up.
    pub(super) fn note_use(&self, engine: &Engine) {
        engine.opened_by(&self.hash);
    }
}

/// What the request's key opens at `now_us`. `None`: there is no key, or it opens nothing.
pub(super) fn scope(
    headers: &HeaderMap,
    engine: &Engine,
    remembered: &Mutex<Option<RememberedKey>>,
    now_us: i64,
) -> Option<KeyScope> {
    let credential = headers.get(AUTHORIZATION).or_else(|| headers.get(X_API_KEY))?.as_bytes();
    // Read before the key is looked up: a change meanwhile makes what is remembered too old.
    let generation = engine.key_generation();
    let mut remembered = remembered.lock();
    if let Some(last) = &*remembered
        && last.generation == generation
        && last.credential == credential
    {
        return last.key.at(now_us);
    }
    let (hash, key) = opened(headers, engine)?;
    *remembered = Some(RememberedKey { credential: credential.to_vec(), generation, key, hash });
    key.at(now_us)
}

#[cold]
fn opened(headers: &HeaderMap, engine: &Engine) -> Option<(KeyHash, OpenKey)> {
    let value = |name| headers.get(name).map(HeaderValue::as_bytes);
    let open = |secret: &[u8]| {
        let hash = (!secret.is_empty()).then(|| KeyHash::of(secret))?;
        Some((hash, engine.opened_by(&hash)?))
    };
    let Some(credential) = value(AUTHORIZATION) else {
        return value(X_API_KEY).filter(|key| key.len() <= CREDENTIAL_MAX).and_then(open);
    };
    if credential.len() > CREDENTIAL_MAX {
        return None;
    }
    let space = credential.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = credential.split_at(space);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        open(rest)
    } else if scheme.eq_ignore_ascii_case(b"basic") {
        let pair = BASE64.decode(rest).ok()?;
        let colon = pair.iter().position(|byte| *byte == b':').unwrap_or(pair.len());
        let (user, password) = (&pair[..colon], pair.get(colon + 1..).unwrap_or_default());
        open(user).or_else(|| open(password))
    } else {
        None
    }
}
