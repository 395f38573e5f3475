//! Call tokens: proof that a gateway admitted a call. Before a shared hub a token also carries what it
//! takes to go on with the call where nobody knows it any more (lease-protocol, rule 7). An
//! HMAC-SHA-256 over account, `call_id` and the body.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use hub::call::{Call, TEXT_MAX, Texts};
use hub::clock::{EpochSeconds, SECOND_US};
use hub::codec::{Fixed, Malformed, Reader, Writer};
use hub::id::{AccountId, HolderId};
use hub::state::record_codec::{read_call, read_lease, write_call, write_lease};
use hub::state::request::Lease;
use sha2::Sha256;

use crate::answer::Token;

/// Layout of a proof: version 1, holder 16, admission 8, issued 8 (microseconds), account 17, granted 4, and
/// 2 of zero; then 16 bytes of the MAC. Version 1 was alike up to the account, and did not say it.
const PROOF: usize = 56;
const MAC: usize = 16;
const PROOF_VERSION: u8 = 3;
const PROOF_WITHOUT_ACCOUNT: u8 = 1;
const PROOF_ADMISSION: Range<usize> = 17..25;
const PROOF_ACCOUNT: Range<usize> = 33..33 + AccountId::LEN;
/// Layout of a whole token: version 2, lease, call without its `call_id`; then the MAC.
const WHOLE_VERSION: u8 = 2;
/// A call's token ends so long after its deadline, and its tombstone with it.
pub const LIFE_S: u32 = 600;
/// Bytes of a call's other texts that go along; of longer ones none do. All of it stays below
/// [`TEXT_MAX`] characters.
const TEXTS_MAX: usize = 60;

/// Makes and checks tokens with one key.
pub struct Tokens {
    keyed: Hmac<Sha256>,
    form: Form,
}

/// What the tokens that are made here are.
enum Form {
    /// The holder is that of this process.
    Proof(HolderId),
    Whole,
}

impl Tokens {
    /// Those of an embedded hub's only gateway.
    pub fn proofs(key: &[u8; 32], holder: HolderId) -> Self {
        Self { keyed: keyed(key), form: Form::Proof(holder) }
    }

    /// Those of gateways that share a hub.
    pub fn whole(key: &[u8; 32]) -> Self {
        Self { keyed: keyed(key), form: Form::Whole }
    }

    /// The token of a call as it stands; the same until the next renew.
    pub fn issue(&self, call: &Call, lease: &Lease) -> Token {
        match self.form {
            Form::Proof(holder) => self.issue_proof(holder, call, lease),
            Form::Whole => self.issue_whole(call, lease),
        }
    }

    fn issue_proof(&self, holder: HolderId, call: &Call, lease: &Lease) -> Token {
        let mut body = Fixed::<PROOF>::default();
        body.put([PROOF_VERSION]);
        body.put(holder.0.to_le_bytes());
        body.put(call.facts().admission.to_le_bytes());
        body.put(lease.renewed_us.to_le_bytes());
        body.put(call.account().to_bytes());
        body.put(lease.granted_s().to_le_bytes());
        body.put([0; 2]);
        let body = body.finish();
        let mut bytes = Fixed::<{ PROOF + MAC }>::default();
        bytes.put(body);
        bytes.put(self.mac(&body, call.account(), call.call_id()));
        let mut text = [0; Token::PROOF_LEN];
        // 72 bytes are exactly 96 characters.
        let written = URL_SAFE_NO_PAD.encode_slice(bytes.finish(), &mut text);
        debug_assert_eq!(written, Ok(Token::PROOF_LEN));
        Token::Proof(text)
    }

    fn issue_whole(&self, call: &Call, lease: &Lease) -> Token {
        let texts = Texts { call_id: "", ..call.texts() };
        let length: usize = [texts.from, texts.to, texts.agent_id, texts.source]
            .iter()
            .map(|text| text.len())
            .sum();
        let texts = if length <= TEXTS_MAX { texts } else { Texts::default() };
        let unnamed = Call::new(call.facts().clone(), texts).expect("shorter than the call itself");
        let mut bytes = vec![WHOLE_VERSION];
        write_lease(&mut Writer(&mut bytes), lease);
        write_call(&mut Writer(&mut bytes), &unnamed);
        let mac = self.mac(&bytes, call.account(), call.call_id());
        bytes.extend_from_slice(&mac);
        let text = URL_SAFE_NO_PAD.encode(bytes);
        debug_assert!(text.len() <= TEXT_MAX, "a token of {} characters", text.len());
        Token::Whole(text)
    }

    /// Whether `text` is a token of this call, of this or an earlier renew. A `call_id` that two gateways
    /// admitted at once is one call: the stack may have the token of the admission that was undone (rule
    /// 10). So close to each other two admissions are of one call, for its tombstone outlives it by as
    /// much.
    pub fn proves(&self, text: &str, call: &Call) -> bool {
        let Some(body) = self.verified(text, call.account(), call.call_id()) else {
            return false;
        };
        let facts = call.facts();
        match body.first() {
            Some(&(PROOF_VERSION | PROOF_WITHOUT_ACCOUNT)) => {
                body.get(PROOF_ADMISSION) == Some(&facts.admission.to_le_bytes())
            }
            Some(&WHOLE_VERSION) => read_whole(&body).is_ok_and(|(told, _)| {
                let apart_us = told.facts().admitted_us.abs_diff(facts.admitted_us);
                apart_us < u64::from(LIFE_S) * SECOND_US.unsigned_abs()
            }),
            _ => false,
        }
    }

    /// The call that a whole token is about, as it stood at its last renew.
    pub fn claim(&self, text: &str, account: AccountId, call_id: &str) -> Option<(Call, Lease)> {
        let body = self.verified(text, account, call_id.as_bytes())?;
        let (unnamed, lease) = read_whole(&body).ok()?;
        let texts = Texts { call_id, ..unnamed.texts() };
        let call = Call::new(unnamed.facts().clone(), texts)?;
        (call.account() == account).then_some((call, lease))
    }

    /// Whose call a token says it is of, where it was made with this key and has not ended.
    pub fn account(&self, text: &str, call_id: &str, now: EpochSeconds) -> Option<AccountId> {
        let (body, mac) = parts(text)?;
        let account = match *body.first()? {
            PROOF_VERSION => AccountId::from_bytes(
                body.get(PROOF_ACCOUNT)?.first_chunk::<{ AccountId::LEN }>()?,
            )?,
            WHOLE_VERSION => {
                let (unnamed, lease) = read_whole(&body).ok()?;
                let lives = lease.deadline.saturating_add(LIFE_S) > now;
                lives.then(|| unnamed.account())?
            }
            _ => return None,
        };
        self.is_mine(&body, &mac, account, call_id.as_bytes()).then_some(account)
    }

    /// The body of a token that was made with this key for that call.
    fn verified(&self, text: &str, account: AccountId, call_id: &[u8]) -> Option<Vec<u8>> {
        let (body, mac) = parts(text)?;
        self.is_mine(&body, &mac, account, call_id).then_some(body)
    }

    fn is_mine(&self, body: &[u8], mac: &[u8], account: AccountId, call_id: &[u8]) -> bool {
        let mut keyed = self.keyed.clone();
        feed(&mut keyed, body, account, call_id);
        keyed.verify_truncated_left(mac).is_ok()
    }

    fn mac(&self, body: &[u8], account: AccountId, call_id: &[u8]) -> [u8; MAC] {
        let mut mac = self.keyed.clone();
        feed(&mut mac, body, account, call_id);
        let full = mac.finalize().into_bytes();
        std::array::from_fn(|index| full[index])
    }
}

/// The body of a token and its MAC, which has not been looked at.
fn parts(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let mac = bytes.split_off(bytes.len().checked_sub(MAC)?);
    Some((bytes, mac))
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn feed(mac: &mut Hmac<Sha256>, body: &[u8], account: AccountId, call_id: &[u8]) {
    mac.update(body);
    mac.update(&account.to_bytes());
    mac.update(call_id);
}

fn read_whole(body: &[u8]) -> Result<(Call, Lease), Malformed> {
    let mut reader = Reader(body);
    if reader.byte()? != WHOLE_VERSION {
        return Err(Malformed("a token of another version"));
    }
    let lease = read_lease(&mut reader)?;
    Ok((read_call(&mut reader)?, lease))
}

#[cfg(test)]
mod tests {
    use hub::call::{Direction, Facts, Pins};
    use hub::directory::Billing;
    use hub::id::AccountKind;
    use hub::money::{Amount, Currency, Rate};
    use hub::state::request::Granted;
    use triomphe::Arc;

    use super::*;

    fn account() -> AccountId {
        AccountId::from_bytes(&[0; AccountId::LEN]).expect("an id")
    }

    /// Admitted at so many seconds.
    fn call(admission: u64, texts: Texts<'_>) -> Call {
        let rate = Rate::new(Amount::from_micros(7), 60, 6, Amount::ZERO, Amount::ZERO);
        let pins = Pins {
            billing: Billing::Consolidated,
            currency: Currency::INR,
            rate: rate.expect("a rate"),
            deck: None,
        };
        let facts = Facts {
            admitted_us: i64::try_from(admission).expect("few") * SECOND_US,
            admission,
            pins: Some(Arc::new(pins)),
            account: account(),
            direction: Direction::Outbound,
            lease_s: 0,
        };
        Call::new(facts, texts).expect("short")
    }

    fn named(admission: u64, call_id: &str) -> Call {
        call(admission, Texts { call_id, ..Texts::default() })
    }

    fn lease() -> Lease {
        Lease {
            deadline: 9,
            granted: Granted::new(3, false),
            hold: Amount::from_micros(21),
            answered: None,
            renewed_us: 7,
        }
    }

    #[test]
    fn a_token_of_either_form_proves_its_own_call_only() {
        assert_eq!(account().kind(), AccountKind::Organization);
        for [tokens, others] in [
            [1, 2].map(|key| Tokens::proofs(&[key; 32], HolderId(5))),
            [1, 2].map(|key| Tokens::whole(&[key; 32])),
        ] {
            let token = tokens.issue(&named(1, "a"), &lease());
            assert!(tokens.proves(token.as_str(), &named(1, "a")));
            assert!(!tokens.proves(token.as_str(), &named(601, "a")), "a later call");
            assert!(!tokens.proves(token.as_str(), &named(1, "b")));
            assert!(!others.proves(token.as_str(), &named(1, "a")));
            assert!(!tokens.proves("", &named(1, "a")));
            assert!(!tokens.proves(&token.as_str()[1..], &named(1, "a")));
        }
    }

    #[test]
    fn a_token_of_either_form_says_whose_call_it_is_to_who_made_it() {
        let text = |tokens: &Tokens| tokens.issue(&named(1, "a"), &lease()).as_str().to_owned();
        for [tokens, others] in [
            [1, 2].map(|key| Tokens::proofs(&[key; 32], HolderId(5))),
            [1, 2].map(|key| Tokens::whole(&[key; 32])),
        ] {
            let token = text(&tokens);
            assert_eq!(tokens.account(&token, "a", 9), Some(account()));
            assert_eq!(tokens.account(&token, "b", 9), None);
            assert_eq!(others.account(&token, "a", 9), None);
            for cut in 0..token.len() {
                assert_eq!(tokens.account(&token[..cut], "a", 9), None);
                assert_eq!(tokens.account(&token[cut + 1..], "a", 9), None);
            }
        }
        let whole = Tokens::whole(&[1; 32]);
        assert_eq!(whole.account(&text(&whole), "a", 9 + LIFE_S), None, "it has ended");
    }

    #[test]
    fn the_token_of_an_admission_that_was_undone_is_one_of_its_call() {
        let tokens = Tokens::whole(&[1; 32]);
        let token = tokens.issue(&named(1, "a"), &lease());
        assert!(tokens.proves(token.as_str(), &named(2, "a")));
    }

    #[test]
    fn a_whole_token_is_enough_to_go_on_with_its_call_and_a_proof_is_not() {
        let texts = Texts { call_id: "a", from: "+911", to: "+912", ..Texts::default() };
        let call = call(1, texts);
        let tokens = Tokens::whole(&[1; 32]);
        let token = tokens.issue(&call, &lease());
        assert_eq!(tokens.claim(token.as_str(), account(), "a"), Some((call.clone(), lease())));
        assert_eq!(tokens.claim(token.as_str(), account(), "b"), None);
        assert_eq!(Tokens::whole(&[2; 32]).claim(token.as_str(), account(), "a"), None);
        let proof = Tokens::proofs(&[1; 32], HolderId(5)).issue(&call, &lease());
        assert_eq!(tokens.claim(proof.as_str(), account(), "a"), None);
    }

    #[test]
    fn a_token_is_never_longer_than_a_request_may_carry() {
        let long = "x".repeat(hub::call::CALL_ID_MAX);
        let tokens = Tokens::whole(&[1; 32]);
        for length in [0, 15, 16, 255] {
            let text = "y".repeat(length);
            let call = call(
                1,
                Texts { call_id: &long, from: &text, to: &text, agent_id: &text, source: &text },
            );
            let token = tokens.issue(&call, &lease());
            assert!(token.as_str().len() <= TEXT_MAX);
            let (claimed, _) = tokens.claim(token.as_str(), account(), &long).expect("its own");
            let kept = if 4 * length <= TEXTS_MAX { text.as_str() } else { "" };
            assert_eq!(claimed.texts().from, kept);
        }
    }
}
