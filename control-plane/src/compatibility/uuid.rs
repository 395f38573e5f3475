//! Account ids as UUIDs: the same 128 bits in another spelling, so nothing is kept for them.

use hub::id::{AccountId, AccountKind, Ulid};

/// Where the hyphens stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const CHARACTERS: usize = 36;

/// `0192f0c4-1234-5678-9abc-def013579bdf`
pub(crate) fn text(id: AccountId) -> String {
    let digits = format!("{:032x}", id.ulid().0);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

/// The sub-account's native spelling of the UUID in a path; what is no UUID stays as it is.
pub(crate) fn sub_account(path: &str) -> String {
    let id = read(path).map(|ulid| AccountId::new(AccountKind::SubAccount, ulid));
    id.map_or_else(|| path.to_owned(), |id| id.to_string())
}

fn read(text: &str) -> Option<Ulid> {
    let in_place = |(index, byte): (usize, u8)| {
        if HYPHENS.contains(&index) { byte == b'-' } else { byte.is_ascii_hexdigit() }
    };
    if text.len() != CHARACTERS || !text.bytes().enumerate().all(in_place) {
        return None;
    }
    u128::from_str_radix(&text.replace('-', ""), 16).ok().map(Ulid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_reads_back_as_the_account_it_was_written_for() {
        let id = AccountId::new(
            AccountKind::SubAccount,
            Ulid(0x0192_f0c4_1234_5678_9abc_def0_1357_9bdf),
        );
        assert_eq!(text(id), "0192f0c4-1234-5678-9abc-def013579bdf");
        assert_eq!(sub_account(&text(id)), id.to_string());
        assert_eq!(sub_account(&text(id).to_uppercase()), id.to_string());
    }

    #[test]
    fn what_is_no_uuid_names_no_account() {
        for path in [
            "",
            "all",
            "0192f0c4123456789abcdef013579bdf",
            "0192f0c4-1234-5678-9abc-def013579bd+",
            "0192f0c4-1234-5678-9abcd-ef013579bdf",
            "é192f0c4-1234-5678-9abc-def013579bd",
        ] {
            assert_eq!(sub_account(path), path);
        }
    }
}
