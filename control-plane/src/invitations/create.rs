//! `POST …/invitations`: invites an e-mail address to an account. The token is in this answer only, a
//! mail brings another one; an earlier invitation of the same address is replaced.

use axum::extract::State;
use http::StatusCode;
use hub::key::KeyHash;
use serde::Serialize;
use serde_json::json;
use sqlx::Row as _;

use super::{Invitation, LIFE_US, PER_ACCOUNT_MAX, Shown, check_place};
use crate::Shared;
use crate::access::Access;
use crate::account::word;
use crate::answer::Answer;
use crate::change::{Begun, Change};
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::fields::values;
use crate::id::new_id;
use crate::keys::{self, hex};
use crate::mail::{letter, outbox};
use crate::permission::{Permit, Role};
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::users;

#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    invitation: Shown,
    /// What `POST /v1/invitations/accept` asks for.
    token: String,
    /// For whoever is invited, with the token in it.
    link: String,
}

pub(crate) fn describe_organization() -> Operation {
    describe(
        schema::word(Role::WORDS)
            .about("owner: of an organization without one, by its key or the operator"),
    )
}

pub(crate) fn describe_sub_account() -> Operation {
    describe(schema::word(&Role::WORDS[1..]))
}

fn describe(role: Schema) -> Operation {
    let body = schema::asked([("email", schema::email().required()), ("role", role.required())]);
    let shown = Shown::members().with([
        (
            "token",
            schema::text().about("what `POST /v1/invitations/accept` takes, in this answer only"),
        ),
        ("link", schema::text().about("for whoever is invited, with the token in it")),
    ]);
    Operation::new("Invite somebody", "Whoever has the token becomes a member, once, within 7 days. It replaces an earlier invitation of the same address. A mail brings a link of its own; hand this token over as you would a password.")
        .body(body, json!({"email": "ana@example.com", "role": "admin"}))
        .answers(StatusCode::CREATED, "The invitation with its token.", shown.named("NewInvitation"))
        .refuses([Kind::AlreadyMember, Kind::OwnerExists])
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let email = fields.required("email", users::email);
    let role = fields.required("role", values::word(Role::WORDS));
    let account = request.access.account();
    let is_of_account = request.access.sub_account().is_some();
    if role == Some(Role::Owner) && is_of_account {
        fields.refuse("role", "expected one of admin, member, viewer: accounts have no Owner");
    }
    fields.finish()?;
    let (email, role, account) =
        (email.unwrap_or_default(), role.unwrap_or(Role::Viewer), account?);
    may_invite(&request.access, role)?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    check_place(change.connection(), account, &email, role).await?;
    let now_us = change.now_us;
    let invitation = Invitation {
        id: new_id("invitation", now_us),
        account,
        email,
        role,
        created_us: now_us,
        expires_us: now_us.saturating_add(LIFE_US),
    };
    let token = keys::random();
    insert(&mut change, &invitation, &token).await?;
    let shown = invitation.shown();
    let organization = Some(request.access.organization()?);
    let id = invitation.id.as_str();
    change.audit(organization, "invitation.created", id, None::<&Shown>, Some(&shown)).await?;
    outbox::note(change.connection(), outbox::Kind::Invitation, id, now_us).await?;
    let link = letter::invitation_link(&app, &token);
    change.commit(Answer::created(&Created { invitation: shown, token, link })?).await
}

/// An Owner is invited by the operator or the organization's key: by whom no Owner has to let in.
fn may_invite(access: &Access, role: Role) -> Result<(), Problem> {
    if role != Role::Owner || !access.is_user() {
        return Ok(());
    }
    Err(Problem::new(Kind::Forbidden, Permit::Own.refusal()))
}

async fn insert(
    change: &mut Change<'_>,
    invitation: &Invitation,
    token: &str,
) -> Result<(), Problem> {
    let account = invitation.account.to_string();
    sqlx::query(
        "DELETE FROM invitations WHERE account_id = $1 AND (email = $2 OR expires_us < $3)",
    )
    .bind(account.as_str())
    .bind(invitation.email.as_str())
    .bind(invitation.created_us)
    .execute(change.connection())
    .await?;
    let open =
        sqlx::query("SELECT CAST(COUNT(*) AS BIGINT) FROM invitations WHERE account_id = $1")
            .bind(account.as_str())
            .fetch_one(change.connection())
            .await?;
    if open.try_get::<i64, _>(0)? >= PER_ACCOUNT_MAX {
        let detail =
            format!("the account has {PER_ACCOUNT_MAX} open invitations; revoke one first");
        return Err(Problem::new(Kind::Forbidden, detail).with("limit", PER_ACCOUNT_MAX));
    }
    sqlx::query(
        "INSERT INTO invitations (id, hash, account_id, email, role, created_us, expires_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(invitation.id.as_str())
    .bind(hex(KeyHash::of(token.as_bytes())))
    .bind(account.as_str())
    .bind(invitation.email.as_str())
    .bind(word(Role::WORDS, &invitation.role))
    .bind(invitation.created_us)
    .bind(invitation.expires_us)
    .execute(change.connection())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::permission::Role;
    use crate::testing::{Harness, named, text};

    #[tokio::test]
    async fn an_owner_is_invited_once_by_a_key_and_never_by_a_member() {
        let harness = Harness::new().await;
        let organization = harness.organization_id.clone();
        harness.user("admin@example.com", &organization, Role::Admin).await;
        let admin = harness.sign_in("admin@example.com").await;
        let body = json!({"email": "ana@example.com", "role": "owner"});
        let refused = harness.send_by(&admin, "POST", "/v1/invitations", body.clone()).await;
        assert_eq!(refused.status, 403);
        let path = format!("/v1/organizations/{organization}/invitations");
        let made = harness.send(&harness.operator, "POST", &path, body.clone()).await;
        assert_eq!(made.status, 201, "{}", made.body);
        assert_eq!(
            (&made.body["account"], &made.body["role"]),
            (&json!(organization), &json!("owner"))
        );
        assert!(text(&made.body["token"]).len() >= 32);
        harness.user("ana@example.com", &organization, Role::Owner).await;
        let again = harness.send(&harness.operator, "POST", &path, body).await;
        assert_eq!((again.status, &again.body["reason"]), (409, &json!("already_member")));
        let body = json!({"email": "bob@example.com", "role": "owner"});
        let second = harness.send(&harness.organization, "POST", "/v1/invitations", body).await;
        assert_eq!((second.status, &second.body["reason"]), (409, &json!("owner_exists")));
    }

    #[tokio::test]
    async fn bad_fields_are_named_and_a_sub_account_has_no_owner() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/invitations");
        let body = json!({"email": "ana@", "role": "owner", "note": "hi"});
        let refused = harness.send(&harness.organization, "POST", &path, body).await;
        assert_eq!(
            (refused.status, named(&refused.body)),
            (400, ["email", "role", "note"].map(str::to_owned).to_vec())
        );
        let body = json!({"email": "ana@example.com", "role": "admin"});
        let first = harness.send(&harness.organization, "POST", &path, body.clone()).await;
        assert_eq!(first.status, 201, "{}", first.body);
        let second = harness.send(&harness.organization, "POST", &path, body).await;
        let listed = harness.get(&harness.organization, &path).await;
        assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(1), "it was replaced");
        assert_eq!(listed.body["data"][0]["invitation_id"], second.body["invitation_id"]);
        assert!(!listed.body.to_string().contains(&text(&second.body["token"])));
    }
}
