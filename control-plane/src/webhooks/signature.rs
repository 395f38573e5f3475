//! The headers that prove who sent a delivery, and that nobody changed it on its way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

use crate::keys::hexadecimal;

const PREFIX: &str = "whsec_";

/// The bytes that a secret signs with: those that it encodes, else itself. `None`: it says that it is
/// encoded, and is not.
pub(super) fn key(secret: &str) -> Option<Vec<u8>> {
    match secret.strip_prefix(PREFIX) {
        Some(encoded) => STANDARD.decode(encoded).ok().filter(|key| !key.is_empty()),
        None => Some(secret.as_bytes().to_vec()),
    }
}

/// `webhook-id`, `-timestamp` and `-signature` as Standard Webhooks has them, and the older
/// `x-nexa-signature`, which is over the body alone and by the secret as it is written.
pub(super) fn headers(secret: &str, id: &str, now_s: i64, body: &str) -> Option<HeaderMap> {
    let signed = format!("{id}.{now_s}.{body}");
    let signature = format!("v1,{}", STANDARD.encode(mac(&key(secret)?, signed.as_bytes())));
    let older = mac(secret.as_bytes(), body.as_bytes());
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", now_s.to_string()),
        ("webhook-signature", signature),
        ("x-nexa-signature", format!("sha256={}", hexadecimal(&older))),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?);
    }
    Some(headers)
}

fn mac(key: &[u8], signed: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(signed);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let headers = headers(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        )
        .expect("a signature");
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }

    #[test]
    fn the_older_signature_is_over_the_body_by_the_secret_as_it_is_written() {
        let headers = headers("0123456789abcdef", "msg_1", 1, "{}").expect("a signature");
        let expected = mac(b"0123456789abcdef", b"{}");
        let expected = format!("sha256={}", hexadecimal(&expected));
        assert_eq!(headers["x-nexa-signature"], expected.as_str());
        assert_eq!(key("whsec_%%"), None);
    }
}
