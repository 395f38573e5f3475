//! Names as searches compare them. Folded here and not in SQL: `LOWER` of SQLite knows A to Z only, and
//! folding every name anew takes most of the time of a search among many.

use sqlx::{AnyConnection, Row as _};

use crate::problem::Problem;
use crate::store::Store;
use crate::store::rows::{self, Value};

/// Names folded in one transaction.
const BATCH: i64 = 1_000;

/// A text without the difference of upper and lower case, character by character: what the upper case of
/// each is in lower case. So `STRASSE` is `straße`, and a final sigma is a sigma. Accents stay.
pub(crate) fn of(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Folds the names of accounts that an earlier version made.
pub(crate) async fn fill(store: &Store) -> Result<(), Problem> {
    loop {
        let mut connection = store.read().await?;
        let is_done = next(&mut connection).await?.is_empty();
        drop(connection);
        if is_done {
            return Ok(());
        }
        let mut writing = store.write().await?;
        let names = next(writing.connection()).await?;
        let names: Vec<Vec<Value<'_>>> = names
            .iter()
            .map(|(id, name)| vec![Value::Text(id), Value::OwnedText(of(name))])
            .collect();
        rows::write(
            writing.connection(),
            "UPDATE accounts SET name_folded = folded.column2 FROM (",
            &names,
            ") AS folded WHERE id = folded.column1",
        )
        .await?;
        writing.commit().await?;
    }
}

async fn next(connection: &mut AnyConnection) -> Result<Vec<(String, String)>, sqlx::Error> {
    let found = sqlx::query("SELECT id, name FROM accounts WHERE name_folded IS NULL LIMIT $1")
        .bind(BATCH)
        .fetch_all(connection)
        .await?;
    found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, text};

    #[test]
    fn upper_and_lower_case_fold_to_the_same_in_any_script() {
        for (one, other) in [
            ("Acme", "aCME"),
            ("Müller", "MÜLLER"),
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
            ("Łódź", "łÓDŹ"),
            ("ТЕЛЕФОН", "телефон"),
        ] {
            assert_eq!(of(one), of(other));
        }
        assert_ne!(of("Muller"), of("Müller"));
        // What is searched for may end within a word.
        assert!(of("ΟΔΟΣΑ").contains(&of("οδος")));
    }

    #[tokio::test]
    async fn accounts_of_an_earlier_version_are_found_before_and_after_their_names_are_folded() {
        let harness = Harness::new().await;
        harness.isolated(1).await;
        let count = usize::try_from(BATCH).expect("small") + 1;
        // As an earlier version would have left them, more than one batch.
        harness
            .execute(
                "UPDATE accounts SET name_folded = NULL, name = 'Zoë Corp' WHERE id LIKE 'sa%'",
            )
            .await;
        for number in 0..count {
            harness.execute(&format!(
                "INSERT INTO accounts (id, organization_id, name, status, floor, billing_mode, version, created_us, updated_us) \
                 VALUES ('sa_{number:026}', '{}', 'Old {number}', 'active', 0, 'consolidated', 1, 1, 1)",
                harness.organization_id
            )).await;
        }
        let found = async |search: &str| {
            let path = format!("/v1/sub-accounts?search={search}");
            let page = harness.get(&harness.organization, &path).await;
            let names = page.body["data"].as_array().expect("a list").iter();
            names.map(|shown| text(&shown["name"])).collect::<Vec<_>>()
        };
        assert_eq!(found("oLD%2077").await.len(), 11);
        fill(&harness.plane.app.store).await.expect("filled");
        let mut connection = harness.plane.app.store.read().await.expect("a connection");
        assert!(next(&mut connection).await.expect("readable").is_empty());
        drop(connection);
        assert_eq!(found("oLD%2077").await.len(), 11);
        assert_eq!(found("ZO%C3%8B").await, ["Zoë Corp"]);
    }
}
