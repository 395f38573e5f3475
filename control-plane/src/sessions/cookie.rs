//! The cookie of a session: never readable by scripts, never sent by another site's pages, and only
//! by TLS where the control plane has it.

use http::{HeaderMap, HeaderValue, header};
use rand::Rng as _;
use rand::distr::Alphanumeric;

use crate::problem::Problem;

pub(crate) const NAME: &str = "ringfence_session";
/// Random characters: 43 of 62, 256 bits.
const RANDOM_CHARACTERS: usize = 43;

/// A fresh secret.
pub(super) fn secret() -> String {
    rand::rng().sample_iter(Alphanumeric).take(RANDOM_CHARACTERS).map(char::from).collect()
}

/// The secret that a request's cookies offer.
pub(crate) fn presented(headers: &HeaderMap) -> Option<Vec<u8>> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, secret) = pairs.find(|(name, _)| name.trim_ascii() == NAME)?;
    let secret = secret.trim_ascii().as_bytes();
    (secret.len() == RANDOM_CHARACTERS).then(|| secret.to_vec())
}

/// What makes the client keep the secret for `life_s` seconds; zero: forget it.
pub(super) fn header(secret: &str, life_s: i64, by_tls: bool) -> Result<HeaderValue, Problem> {
    let secure = if by_tls { "; Secure" } else { "" };
    let cookie =
        format!("{NAME}={secret}; Path=/; Max-Age={life_s}; HttpOnly; SameSite=Strict{secure}");
    let mut header = HeaderValue::from_str(&cookie).map_err(Problem::internal)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        let secret = secret();
        let mut headers = HeaderMap::new();
        headers.insert("cookie", format!("a=b; {NAME}={secret} ;c=d").parse().expect("a value"));
        assert_eq!(presented(&headers), Some(secret.into_bytes()));
        headers.insert("cookie", format!("{NAME}=short").parse().expect("a value"));
        assert_eq!(presented(&headers), None);
    }
}
