//! Passwords: hashed with argon2id away from the async threads, a few at a time, so that signing in
//! can neither stop other requests nor fill the memory. A password is in no log and no error.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use http::{HeaderValue, header};
use tokio::sync::Semaphore;

use crate::fields::{Raw, values};
use crate::problem::{Kind, Problem};

/// Cost of a hash: memory in KiB, passes, lanes. What OWASP recommends as the least.
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// Hashes at the same time, and those that wait for their turn; more are refused.
const HASHES_AT_ONCE: usize = 2;
const WAITING_MAX: usize = 64;
/// The longest password, and the least characters of one that is set.
pub(crate) const BYTES_MAX: usize = 512;
pub(crate) const CHARACTERS_MIN: usize = 12;
/// What an unknown e-mail is compared with: as costly as any, and the hash of nothing known.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The places where passwords are hashed.
pub(crate) struct Passwords {
    waiting: Semaphore,
    working: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Semaphore::new(HASHES_AT_ONCE + WAITING_MAX),
            working: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
        }
    }

    /// The hash to be stored, a PHC string.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Problem> {
        let salt: [u8; SALT_BYTES] = rand::random();
        self.work(move || {
            let hash = hasher()?.hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(Problem::internal)
        })
        .await?
    }

    /// Whether `password` is that of the stored hash. Without one it takes as long, and is wrong.
    pub(crate) async fn verify(
        &self,
        password: String,
        stored: Option<String>,
    ) -> Result<bool, Problem> {
        self.work(move || {
            let is_known = stored.is_some();
            let stored = stored.unwrap_or_else(|| DECOY.to_owned());
            let verified = hasher()?.verify_password(password.as_bytes(), stored.as_str());
            match verified {
                Ok(()) => Ok(is_known),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(Problem::internal(error)),
            }
        })
        .await?
    }

    async fn work<T: Send + 'static>(
        &self,
        hash: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = |_| {
            Problem::new(Kind::Busy, "too many passwords are being checked; try again")
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
        };
        let _place = self.waiting.try_acquire().map_err(busy)?;
        let turn = Arc::clone(&self.working).acquire_owned().await.map_err(Problem::internal)?;
        let hashed = tokio::task::spawn_blocking(move || {
            let hashed = hash();
            // Given back here: a client that goes away does not end the work.
            drop(turn);
            hashed
        });
        hashed.await.map_err(Problem::internal)
    }
}

fn hasher() -> Result<Argon2<'static>, Problem> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(Problem::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// A password to be set.
pub(crate) fn long_enough(password: String) -> Result<String, String> {
    if password.chars().count() < CHARACTERS_MIN {
        return Err(format!("expected at least {CHARACTERS_MIN} characters"));
    }
    Ok(password)
}

/// A password to be checked.
pub(crate) fn presented(raw: &Raw) -> Result<String, String> {
    let password = values::text(raw)?;
    if (1..=BYTES_MAX).contains(&password.len()) {
        return Ok(password);
    }
    Err(format!("expected 1 to {BYTES_MAX} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_only_and_never_for_none() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".to_owned()).await.expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify =
            |password: &str, stored: Option<String>| passwords.verify(password.to_owned(), stored);
        assert!(verify("correct horse", Some(hash.clone())).await.expect("checked"));
        assert!(!verify("correct hors", Some(hash.clone())).await.expect("checked"));
        assert!(!verify("correct horse", None).await.expect("checked"));
        let decoy = DECOY.rsplit_once('$').expect("a hash").0.rsplit_once('$').expect("a salt").0;
        assert!(hash.starts_with(decoy), "the decoy costs what a password costs");
    }

    #[tokio::test]
    async fn more_hashes_than_may_wait_are_refused_at_once() {
        let passwords = Passwords::new();
        let all = u32::try_from(HASHES_AT_ONCE + WAITING_MAX).expect("few");
        let places = passwords.waiting.acquire_many(all).await.expect("free");
        let refused = passwords.hash("correct horse".to_owned()).await.expect_err("refused");
        assert!(refused.is(Kind::Busy));
        drop(places);
        assert!(passwords.hash("correct horse".to_owned()).await.is_ok());
    }

    #[test]
    fn a_new_password_has_a_least_length_and_any_characters() {
        let read = |text: &str| presented(&Raw::Text(text.to_owned())).and_then(long_enough);
        assert!(read("pässwörter 12").is_ok());
        assert!(read("short").is_err() && read(&"x".repeat(BYTES_MAX + 1)).is_err());
    }
}
