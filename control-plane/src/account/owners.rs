//! Whose accounts are: the organizations of many at once. Reads only.

use std::collections::HashMap;

use hub::id::AccountId;
use sqlx::{AnyConnection, Row as _};

use crate::problem::Problem;
use crate::store::rows;

/// The organization of each account that is known, deleted ones too.
pub(crate) async fn of(
    connection: &mut AnyConnection,
    accounts: &[AccountId],
) -> Result<HashMap<AccountId, AccountId>, Problem> {
    let found =
        rows::named(connection, "SELECT id, organization_id FROM accounts WHERE id IN", accounts);
    let id = |text: String| text.parse::<AccountId>().map_err(Problem::internal);
    found.await?.iter().map(|row| Ok((id(row.try_get(0)?)?, id(row.try_get(1)?)?))).collect()
}
