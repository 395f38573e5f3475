//! Call tokens: proof that a holder admitted a call, with what it takes to adopt it elsewhere
//! (lease-protocol, rule 7). An HMAC-SHA-256 over account, `call_id` and the fields below.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use hub::call::Call;
use hub::codec::Fixed;
use hub::id::HolderId;
use hub::state::request::Lease;
use sha2::Sha256;

use crate::answer::Token;

/// Layout: version 1, holder 16, admission 8, issued 8 (microseconds), hold 8, granted 4,
/// per minute 8, currency 3; then 16 bytes of the MAC.
const BODY: usize = 56;
const MAC: usize = 16;
const VERSION: u8 = 1;

/// Makes and checks tokens with one key.
pub struct Tokens {
    keyed: Hmac<Sha256>,
    holder: HolderId,
}

impl Tokens {
    pub fn new(key: &[u8; 32], holder: HolderId) -> Self {
        let keyed = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        Self { keyed, holder }
    }

    /// The token of a call as it stands; the same until the next renew.
    pub fn issue(&self, call: &Call, lease: &Lease) -> Token {
        let facts = call.facts();
        let pins = facts.pins.as_ref();
        let mut body = Fixed::<BODY>::default();
        body.put([VERSION]);
        body.put(self.holder.0.to_le_bytes());
        body.put(facts.admission.to_le_bytes());
        body.put(lease.renewed_us.to_le_bytes());
        body.put(lease.hold.micros().to_le_bytes());
        body.put(lease.granted_s().to_le_bytes());
        body.put(pins.map_or(0, |pins| pins.rate.per_minute().micros()).to_le_bytes());
        body.put(pins.map_or([0; 3], |pins| pins.currency.to_bytes()));
        let body = body.finish();
        let mut bytes = Fixed::<{ BODY + MAC }>::default();
        bytes.put(body);
        bytes.put(self.mac(&body, call));
        let mut text = [0; Token::LEN];
        // 72 bytes are exactly 96 characters.
        let written = URL_SAFE_NO_PAD.encode_slice(bytes.finish(), &mut text);
        debug_assert_eq!(written, Ok(Token::LEN));
        Token { text }
    }

    /// Whether `text` is a token of this very admission, of this or an earlier renew.
    pub fn proves(&self, text: &str, call: &Call) -> bool {
        let mut bytes = [0; BODY + MAC];
        if text.len() != Token::LEN || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).is_err() {
            return false;
        }
        let (body, mac) = bytes.split_at(BODY);
        let admission = call.facts().admission.to_le_bytes();
        let mut verified = self.keyed.clone();
        Self::feed(&mut verified, body, call);
        body[0] == VERSION
            && body[17..25] == admission
            && verified.verify_truncated_left(mac).is_ok()
    }

    fn feed(mac: &mut Hmac<Sha256>, body: &[u8], call: &Call) {
        mac.update(body);
        mac.update(&call.account().to_bytes());
        mac.update(call.call_id());
    }

    fn mac(&self, body: &[u8], call: &Call) -> [u8; MAC] {
        let mut mac = self.keyed.clone();
        Self::feed(&mut mac, body, call);
        let full = mac.finalize().into_bytes();
        std::array::from_fn(|index| full[index])
    }
}

#[cfg(test)]
mod tests {
    use hub::call::{Direction, Facts, Texts};
    use hub::id::{AccountId, AccountKind};
    use hub::money::Amount;
    use hub::state::request::Granted;

    use super::*;

    #[test]
    fn a_token_proves_its_own_call_only() {
        let account = AccountId::from_bytes(&[0; AccountId::LEN]).expect("an id");
        assert_eq!(account.kind(), AccountKind::Organization);
        let facts = |admission| Facts {
            admitted_us: 0,
            admission,
            pins: None,
            account,
            direction: Direction::Outbound,
            lease_s: 0,
        };
        let call = |admission, call_id| {
            Call::new(facts(admission), Texts { call_id, ..Texts::default() }).expect("short")
        };
        let lease = Lease {
            deadline: 9,
            granted: Granted::new(3, false),
            hold: Amount::ZERO,
            answered: None,
            renewed_us: 7,
        };
        let tokens = Tokens::new(&[1; 32], HolderId(5));
        let token = tokens.issue(&call(1, "a"), &lease);
        assert!(tokens.proves(token.as_str(), &call(1, "a")));
        assert!(!tokens.proves(token.as_str(), &call(2, "a")));
        assert!(!tokens.proves(token.as_str(), &call(1, "b")));
        assert!(!Tokens::new(&[2; 32], HolderId(5)).proves(token.as_str(), &call(1, "a")));
        assert!(!tokens.proves("", &call(1, "a")));
        assert_eq!(token.as_str().len(), Token::LEN);
    }
}
