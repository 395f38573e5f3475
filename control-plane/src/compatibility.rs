//! The second surface: the requests that clients of another system already send (`/sub-accounts/…`,
//! `/user/me`), over the same accounts, keys, ledger and records as the native API under `/v1`. Here is
//! how those requests are read and how answers and refusals look to such clients; what they do is done
//! by the native operations. Decides nothing that the native API does not.
//!
//! Successes are 200. Fields that nobody reads are ignored. A sub-account is named by a UUID, which is
//! its id in another spelling; the user of a key is the account that the key is for.

use serde::Serialize;

use crate::account::{Account, Organization};
use crate::description::schema::{self, Schema};
use crate::fields::{Fields, values};
use crate::problem::Problem;

pub(crate) mod all_usage;
mod concurrency;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod me;
mod number;
pub(crate) mod patch;
pub(crate) mod refusal;
pub(crate) mod usage;
pub(crate) mod uuid;
mod window;

/// Sub-accounts in one answer.
const ROWS_MAX: u32 = 10_000;
/// The highest page that is looked for.
const PAGES_MAX: u32 = 1_000_000;
/// Sub-accounts of a page whose size is not said.
const PAGE_SIZE_DEFAULT: u32 = 100;

/// Whether a path is one of this surface's.
pub(crate) fn owns(path: &str) -> bool {
    path.starts_with("/sub-accounts/") || path.starts_with("/user/")
}

/// What an account may use, as this surface says it.
#[derive(Serialize)]
struct Slots {
    /// The most calls at a time.
    allow_concurrent_calls: u32,
    min_concurrency: u32,
    /// Null when elastic.
    max_concurrency: Option<u32>,
}

impl Slots {
    fn of(account: &Account, organization: &Organization) -> Self {
        Self {
            allow_concurrent_calls: account.cap.unwrap_or(organization.total),
            min_concurrency: account.floor,
            max_concurrency: account.cap,
        }
    }
}

impl Slots {
    fn members() -> [(&'static str, Schema); 3] {
        [
            (
                "allow_concurrent_calls",
                schema::count().about("the most calls at a time").example(20),
            ),
            ("min_concurrency", schema::count().example(5)),
            ("max_concurrency", schema::count().or_null().about("null when elastic").example(20)),
        ]
    }
}

/// The parameters that [`rows`] reads.
fn parameters() -> [(&'static str, Schema); 2] {
    [
        (
            "page_number",
            schema::whole(1..=PAGES_MAX)
                .about("without it and `page_size` everything is answered, up to 10,000 rows"),
        ),
        ("page_size", schema::whole(1..=ROWS_MAX).about("100 unless given")),
    ]
}

/// The part of a list that is asked for.
struct Rows {
    skipped: i64,
    count: i64,
    /// All of them are: more than that is refused.
    all: bool,
}

/// Reads `page_number` and `page_size`. Without them everything is asked for.
fn rows(query: &mut Fields) -> Rows {
    let number = query.optional("page_number", values::whole(1..=PAGES_MAX));
    let size = query.optional("page_size", values::whole(1..=ROWS_MAX));
    let all = number.is_none() && size.is_none();
    let count = i64::from(if all { ROWS_MAX } else { size.unwrap_or(PAGE_SIZE_DEFAULT) });
    Rows { skipped: count * i64::from(number.unwrap_or(1) - 1), count, all }
}

impl Rows {
    /// The sub-accounts that are asked for.
    async fn accounts(
        &self,
        connection: &mut sqlx::AnyConnection,
        organization: &Organization,
    ) -> Result<Vec<Account>, Problem> {
        let read = self.count + i64::from(self.all);
        let accounts = Account::numbered(connection, organization.id, self.skipped, read).await?;
        if i64::try_from(accounts.len()).unwrap_or(i64::MAX) > self.count {
            return Err(Problem::field(
                "page_size",
                format!(
                    "there are more than {ROWS_MAX} sub-accounts; ask with page_number and page_size"
                ),
            ));
        }
        Ok(accounts)
    }
}
