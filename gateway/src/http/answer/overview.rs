//! The answers to concurrency and reconcile.

use hub::key::KeyScope;

use super::writer::Writer;
use crate::answer::{Concurrency, Reconciled};

/// An account's own key is not told what the organization has or uses.
pub fn concurrency(writer: &mut Writer, concurrency: &Concurrency, scope: KeyScope) {
    writer.open("ok");
    writer.account(r#"{"account":"#, concurrency.account);
    writer.number_or_null(r#","limit":"#, concurrency.limit);
    writer.number(r#","floor":"#, concurrency.floor);
    writer.number(r#","in_use":"#, concurrency.in_use);
    writer.number(r#","remaining":"#, concurrency.remaining);
    if !matches!(scope, KeyScope::Account(_)) {
        writer.number(r#","organization_total":"#, concurrency.organization_total);
        writer.number(r#","organization_in_use":"#, concurrency.organization_in_use);
    }
    writer.close();
}

pub fn reconciled(writer: &mut Writer, reconciled: Reconciled) {
    writer.open("ok");
    writer.number(r#"{"renewed":"#, reconciled.renewed);
    writer.number(r#","freed":"#, reconciled.freed);
    writer.number(r#","missing":"#, reconciled.missing);
    writer.number(r#","unknown":"#, reconciled.unknown);
    writer.close();
}

#[cfg(test)]
mod tests {
    use hub::id::{AccountId, AccountKind};

    use super::super::Format;
    use super::*;

    #[test]
    fn only_keys_above_the_account_see_the_organization() {
        let id = AccountId::new(AccountKind::SubAccount, 1u128.into());
        let seen = Concurrency {
            account: id,
            limit: None,
            floor: 2,
            in_use: 3,
            remaining: 4,
            organization_total: 9,
            organization_in_use: 5,
        };
        let written = |scope| {
            let mut writer = Writer::new(Format::Text);
            concurrency(&mut writer, &seen, scope);
            String::from_utf8(writer.into_bytes()).expect("utf-8")
        };
        let own = "ok account=sa_00000000000000000000000001 limit= floor=2 in_use=3 remaining=4";
        assert_eq!(written(KeyScope::Account(id)), format!("{own}\n"));
        assert_eq!(
            written(KeyScope::Operator),
            format!("{own} organization_total=9 organization_in_use=5\n")
        );
    }
}
