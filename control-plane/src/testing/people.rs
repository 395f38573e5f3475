//! Users for tests: made without an invitation, signed in as a browser is.

use hub::id::Ulid;
use hub::key::KeyHash;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::{Answered, Harness};
use crate::account::word;
use crate::permission::Role;

/// The password of every user here.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A session as a client keeps it.
pub(crate) struct Cookie(String);

impl Cookie {
    /// The cookie that an answer sets.
    pub(crate) fn of(answered: &Answered) -> Self {
        let header = answered.headers["set-cookie"].to_str().expect("text");
        Self(header.split(';').next().expect("a pair").to_owned())
    }

    /// The value of the header `Cookie`.
    pub(crate) fn header(&self) -> &str {
        &self.0
    }

    pub(crate) fn secret(&self) -> &str {
        self.0.split_once('=').expect("a pair").1
    }
}

/// An id as users have one, the same for the same e-mail.
fn user_id(email: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&KeyHash::of(email.as_bytes()).as_bytes()[..16]);
    format!("user_{}", Ulid::from_bytes(bytes).to_string().to_lowercase())
}

impl Harness {
    /// Makes a user, if there is none of this e-mail, and a member of an account; its id.
    pub(crate) async fn user(&self, email: &str, account: &str, role: Role) -> String {
        let app = &self.plane.app;
        let hash = app.passwords.hash(PASSWORD.to_owned()).await.expect("hashed");
        let mut writing = app.store.write().await.expect("a turn");
        let id = user_id(email);
        sqlx::query(
            "INSERT INTO users (id, email, name, password_hash, created_us, updated_us) \
             VALUES ($1, $2, 'A user', $3, 0, 0) ON CONFLICT DO NOTHING",
        )
        .bind(id.as_str())
        .bind(email)
        .bind(hash)
        .execute(writing.connection())
        .await
        .expect("a user");
        sqlx::query(
            "INSERT INTO memberships (account_id, user_id, role, created_us) VALUES ($1, $2, $3, 0)",
        )
        .bind(account)
        .bind(id.as_str())
        .bind(word(Role::WORDS, &role))
        .execute(writing.connection())
        .await
        .expect("a membership");
        writing.commit().await.expect("committed");
        id
    }

    pub(crate) async fn sign_in(&self, email: &str) -> Cookie {
        let body = json!({"email": email, "password": PASSWORD});
        let made = self.send("", "POST", "/v1/sessions", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        Cookie::of(&made)
    }

    /// Sends a request as a page of this host does.
    pub(crate) async fn send_by(
        &self,
        cookie: &Cookie,
        method: &str,
        path: &str,
        body: Value,
    ) -> Answered {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("cookie", cookie.header()), ("x-requested-with", "fetch")];
        self.send_with("", method, path, &headers, body.into_bytes()).await
    }

    /// The same under a delegation.
    pub(crate) async fn send_under(
        &self,
        cookie: &Cookie,
        delegation: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Answered {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [
            ("cookie", cookie.header()),
            ("x-requested-with", "fetch"),
            ("ringfence-delegation", delegation),
        ];
        self.send_with("", method, path, &headers, body.into_bytes()).await
    }

    pub(crate) async fn get_by(&self, cookie: &Cookie, path: &str) -> Answered {
        self.send_by(cookie, "GET", path, Value::Null).await
    }

    /// Changes the database behind the control plane's back.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut writing = self.plane.app.store.write().await.expect("a turn");
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(writing.connection())
            .await
            .expect("a statement");
        writing.commit().await.expect("committed");
    }

    /// What the audit says has happened to subjects of a sort, `created` for `session.created`.
    pub(crate) async fn audit(&self, sort: &str) -> Vec<String> {
        let mut connection = self.plane.app.store.read().await.expect("a connection");
        let rows = sqlx::query("SELECT action FROM audit ORDER BY id")
            .fetch_all(&mut *connection)
            .await
            .expect("readable");
        let actions = rows.iter().map(|row| row.try_get::<String, _>(0).expect("an action"));
        let of_sort = |action: String| {
            action.split_once('.').filter(|(of, _)| *of == sort).map(|(_, what)| what.to_owned())
        };
        actions.filter_map(of_sort).collect()
    }
}
