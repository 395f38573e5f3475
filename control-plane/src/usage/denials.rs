//! Refused admits by reason, each try, as gateways have reported them: to the minute, which counts where
//! it begins. Reads only.

use std::collections::{BTreeMap, HashMap};

use hub::id::AccountId;
use sqlx::{AnyConnection, Row as _};

use super::Window;
use crate::problem::Problem;
use crate::reports::together;
use crate::store::conditions::{Bound, Conditions};

/// The most rows, of an account, a minute and a reason each, that are counted for one answer.
const ROWS_MAX: usize = 1_000_000;

/// By reason.
pub(super) type Denials = BTreeMap<String, i64>;

/// Those of an organization, deleted accounts too, or of one account; in the whole window.
pub(super) async fn total(
    connection: &mut AnyConnection,
    organization: AccountId,
    account: Option<AccountId>,
    window: Window,
) -> Result<Denials, Problem> {
    let conditions = conditions(scope(organization, account), window);
    let select = "SELECT reason, CAST(SUM(denials) AS BIGINT) FROM denials";
    let rows = conditions.rows(connection, select, "GROUP BY reason").await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// What [`total`] is about.
pub(super) fn scope(organization: AccountId, account: Option<AccountId>) -> Conditions {
    let subject = account.map_or_else(|| together(organization), |account| account.to_string());
    let mut scope = Conditions::default();
    scope.and("subject = ?", [Bound::Text(subject)]);
    scope
}

/// Accounts of an organization whose ids lie between two, both included.
pub(super) fn between(organization: AccountId, first: &str, last: &str) -> Conditions {
    let mut scope = Conditions::default();
    scope.and(
        "subject IN (SELECT id FROM accounts WHERE organization_id = ? AND id >= ? AND id <= ?)",
        [&organization.to_string(), first, last].map(|id| Bound::Text(id.to_owned())),
    );
    scope
}

fn conditions(mut scope: Conditions, Window { from_us, to_us }: Window) -> Conditions {
    scope.and("minute_us >= ? AND minute_us < ?", [from_us, to_us].map(Bound::Int));
    scope
}

/// The same for each subject and each interval between two `cuts`; subjects without any are left out.
pub(super) async fn by_interval(
    connection: &mut AnyConnection,
    scope: Conditions,
    cuts: &[i64],
) -> Result<HashMap<String, Vec<Denials>>, Problem> {
    let (Some(from_us), Some(to_us)) = (cuts.first(), cuts.last()) else {
        return Ok(HashMap::new());
    };
    let conditions = conditions(scope, Window { from_us: *from_us, to_us: *to_us });
    let mut each: HashMap<String, Vec<Denials>> = HashMap::new();
    let intervals = cuts.len().saturating_sub(1);
    // One interval needs no minutes.
    let (select, tail) = if intervals == 1 {
        (
            "SELECT subject, CAST(MIN(minute_us) AS BIGINT), reason, CAST(SUM(denials) AS BIGINT) FROM denials",
            "GROUP BY subject, reason",
        )
    } else {
        ("SELECT subject, minute_us, reason, denials FROM denials", "")
    };
    let mut counted = 0;
    let counting = conditions.each(connection, select, tail, |row| {
        counted += 1;
        if counted > ROWS_MAX {
            let problem = "expected a window with fewer denials; ask for a shorter one";
            return Err(Problem::field("from", problem));
        }
        let (subject, minute_us): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let (reason, denials): (String, i64) = (row.try_get(2)?, row.try_get(3)?);
        let interval = cuts.partition_point(|cut| *cut <= minute_us).saturating_sub(1);
        let of_subject = each.entry(subject).or_insert_with(|| vec![Denials::new(); intervals]);
        if let Some(sums) = of_subject.get_mut(interval) {
            let sum = sums.entry(reason).or_default();
            *sum = sum.saturating_add(denials);
        }
        Ok(())
    });
    counting.await?;
    Ok(each)
}
