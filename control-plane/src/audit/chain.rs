//! What a seal is made of. Pure: reads nothing, writes nothing.
//!
//! The seal of an entry is the SHA-256, in lower-case hexadecimal, of these texts in this order:
//!
//! 1. `ringfence audit 2`
//! 2. the seal of the entry before it in its chain; 64 zeros for the first
//! 3. the chain: the organization's id, or `installation`
//! 4. `sequence`, the entry's number within the chain, in decimal digits
//! 5. when it happened, in microseconds since 1970, in decimal digits
//! 6. `actor` 7. `action` 8. `subject`
//! 9. `account` 10. the digest of `before` 11. the digest of `after`: each may be absent
//!
//! A digest is the SHA-256, in lower-case hexadecimal, of the entry's `salt` and of the contents, as two
//! texts. When an account is deleted, contents that say something of people are erased: `before` is then
//! `{"erased":"<its digest>"}`, `after` likewise, and the salt is gone, so that nobody can try out what
//! they were. The seal stays what it was. An entry of an earlier version has no salt; its first text is
//! `ringfence audit 1`, texts 10 and 11 are the contents themselves, and nothing of it can be erased.
//!
//! A text is preceded by its length in bytes and a colon and followed by a comma (`5:hello,`); an
//! absent one is `-`. So no two different entries have the same form. `before` and `after` are JSON
//! as it is stored, byte for byte; exports show all of it.

use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use sqlx::any::AnyRow;

const FORMER_VERSION: &str = "ringfence audit 1";
const VERSION: &str = "ringfence audit 2";
/// What the first entry of a chain follows.
pub(super) const NO_SEAL: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const ERASED: (&str, &str) = ("{\"erased\":\"", "\"}");
/// The chain of what concerns no single organization.
pub(super) const INSTALLATION: &str = "installation";
/// Of an entry, for [`Content::of_row`]; the table is `audit a`.
pub(super) const COLUMNS: &str = "a.id, a.organization_id, a.sequence, a.at_us, a.actor, a.action, a.subject, a.account_id, \
     a.before_json, a.after_json, a.salt";

/// An entry as it is stored.
pub(super) struct Content {
    pub(super) id: i64,
    pub(super) organization: Option<String>,
    pub(super) sequence: i64,
    pub(super) at_us: i64,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) account: Option<String>,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    /// `None`: an earlier version wrote it; empty: its contents were erased.
    pub(super) salt: Option<String>,
}

impl Content {
    pub(super) fn of_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            organization: row.try_get("organization_id")?,
            sequence: row.try_get("sequence")?,
            at_us: row.try_get("at_us")?,
            actor: row.try_get("actor")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            account: row.try_get("account_id")?,
            before: row.try_get("before_json")?,
            after: row.try_get("after_json")?,
            salt: row.try_get("salt")?,
        })
    }

    pub(super) fn chain(&self) -> &str {
        self.organization.as_deref().unwrap_or(INSTALLATION)
    }

    /// The seal of this entry after the one before it.
    pub(super) fn seal(&self, former: &str) -> String {
        let (sequence, at_us) = (self.sequence.to_string(), self.at_us.to_string());
        let (version, before, after) = match &self.salt {
            None => (FORMER_VERSION, self.before.clone(), self.after.clone()),
            Some(salt) => {
                let digest = |contents: &String| digest(salt, contents);
                (VERSION, self.before.as_ref().map(digest), self.after.as_ref().map(digest))
            }
        };
        hash(&[
            Some(version),
            Some(former),
            Some(self.chain()),
            Some(&sequence),
            Some(&at_us),
            Some(&self.actor),
            Some(&self.action),
            Some(&self.subject),
            self.account.as_deref(),
            before.as_deref(),
            after.as_deref(),
        ])
    }
}

/// What stands for contents in a seal. Of erased ones it is what they say themselves.
pub(super) fn digest(salt: &str, contents: &str) -> String {
    if salt.is_empty() {
        let erased = contents.strip_prefix(ERASED.0).and_then(|rest| rest.strip_suffix(ERASED.1));
        return erased.unwrap_or_default().to_owned();
    }
    hash(&[Some(salt), Some(contents)])
}

/// What is left of contents that are erased.
pub(super) fn erased(salt: &str, contents: &str) -> String {
    [ERASED.0, &digest(salt, contents), ERASED.1].concat()
}

fn hash(texts: &[Option<&str>]) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        match text {
            Some(text) => digest.update(format!("{}:{text},", text.len())),
            None => digest.update("-"),
        }
    }
    format!("{:x}", digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Content {
        Content {
            id: 9,
            organization: None,
            sequence: 1,
            at_us: 1_742_034_120_000_001,
            actor: "operator by key_1".to_owned(),
            action: "thing.made".to_owned(),
            subject: "thing_1".to_owned(),
            account: None,
            before: None,
            after: Some("{\"name\":\"é\"}".to_owned()),
            salt: None,
        }
    }

    #[test]
    fn contents_can_be_erased_without_their_seal_and_without_their_salt_nobody_can_guess_them() {
        let salted = Content { salt: Some("5a1t".to_owned()), ..entry() };
        let digest = format!("{:x}", Sha256::digest("4:5a1t,13:{\"name\":\"é\"},"));
        let text = format!(
            "17:ringfence audit 2,64:{NO_SEAL},12:installation,1:1,16:1742034120000001,\
             17:operator by key_1,10:thing.made,7:thing_1,--64:{digest},"
        );
        let seal = format!("{:x}", Sha256::digest(text));
        assert_eq!(salted.seal(NO_SEAL), seal);
        let after = salted.after.as_ref().map(|after| erased("5a1t", after));
        assert_eq!(after, Some(format!("{{\"erased\":\"{digest}\"}}")));
        let erased = Content { salt: Some(String::new()), after, ..entry() };
        assert_eq!(erased.seal(NO_SEAL), seal);
        // Whatever else is written there is another seal.
        let other = Content { after: Some("{\"name\":\"Bob\"}".to_owned()), ..erased };
        assert_ne!(other.seal(NO_SEAL), seal);
    }

    #[test]
    fn a_seal_is_the_hash_that_the_documentation_says() {
        // printf '17:ringfence audit 1,64:000…0,12:installation,1:1,16:1742034120000001,17:operator by key_1,10:thing.made,7:thing_1,--13:{"name":"é"},' | sha256sum
        let text = format!(
            "17:ringfence audit 1,64:{NO_SEAL},12:installation,1:1,16:1742034120000001,\
             17:operator by key_1,10:thing.made,7:thing_1,--13:{{\"name\":\"é\"}},"
        );
        let expected = format!("{:x}", Sha256::digest(text));
        assert_eq!(entry().seal(NO_SEAL), expected);
        assert_eq!(expected, "be1fce5b940e05e856b63102699c78e8031dae7ae81c45fd95def1dfa41c5056");
    }

    #[test]
    fn absence_and_emptiness_and_the_place_of_a_text_make_different_seals() {
        let seal = |change: fn(&mut Content)| {
            let mut changed = entry();
            change(&mut changed);
            changed.seal(NO_SEAL)
        };
        let seals = [
            seal(|_| ()),
            seal(|entry| entry.before = Some(String::new())),
            seal(|entry| entry.before = entry.after.take()),
            seal(|entry| entry.account = entry.after.take()),
            seal(|entry| {
                entry.actor.push('t');
                entry.action.remove(0);
            }),
        ];
        let different: std::collections::BTreeSet<_> = seals.iter().collect();
        assert_eq!(different.len(), seals.len());
    }
}
