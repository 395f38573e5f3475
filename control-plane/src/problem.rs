//! Refusals and failures as RFC 9457 problem documents, with the three members that clients of the
//! older shape read. Causes are logged here, once, and never shown.

use std::error::Error;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::store::backend;

/// Every kind of problem: wire name, status and title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidRequest,
    Unauthenticated,
    InsufficientBalance,
    Forbidden,
    NotFound,
    UnknownAccount,
    UnknownKey,
    UnknownToken,
    UnknownMember,
    UnknownInvitation,
    UnknownWebhook,
    UnknownDelivery,
    UnknownReset,
    UnknownDelegation,
    UnknownAgent,
    UnknownPhoneNumber,
    UnknownProvider,
    UnknownInvoice,
    UnknownCreditNote,
    UnknownRechargeAttempt,
    MethodNotAllowed,
    OverAllocation,
    ConsolidatedBilling,
    LiveCalls,
    BalanceLeft,
    AlreadyMember,
    NameTaken,
    UnknownRateDeck,
    RateDeckInUse,
    InvoicingNotConfigured,
    PeriodInvoiced,
    NothingToInvoice,
    ExceedsInvoice,
    TooManyLines,
    AutoRechargeOff,
    RechargeAttemptOpen,
    RechargeAttemptClosed,
    NobodyListens,
    OwnerExists,
    OwnerRequired,
    PreconditionFailed,
    TooLarge,
    IdempotencyKeyReused,
    RateLimited,
    Internal,
    HubUnavailable,
    Busy,
}

impl Kind {
    /// As it stands in `reason`.
    pub(crate) const fn reason(self) -> &'static str {
        self.row().0
    }

    pub(crate) const fn status(self) -> StatusCode {
        self.row().1
    }

    pub(crate) const fn title(self) -> &'static str {
        self.row().2
    }

    #[rustfmt::skip]
    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid_request", StatusCode::BAD_REQUEST, "The request is not valid"),
            Self::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED, "The API key or session is missing or not valid"),
            Self::InsufficientBalance => ("insufficient_balance", StatusCode::PAYMENT_REQUIRED, "Insufficient wallet balance"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "The key may not do this"),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "No such resource"),
            Self::UnknownAccount => ("unknown_account", StatusCode::NOT_FOUND, "No such account"),
            Self::UnknownKey => ("unknown_key", StatusCode::NOT_FOUND, "No such API key"),
            Self::UnknownToken => ("unknown_token", StatusCode::NOT_FOUND, "No such API token"),
            Self::UnknownMember => ("unknown_member", StatusCode::NOT_FOUND, "No such member"),
            Self::UnknownInvitation => ("unknown_invitation", StatusCode::NOT_FOUND, "No such invitation"),
            Self::UnknownWebhook => ("unknown_webhook", StatusCode::NOT_FOUND, "No such webhook"),
            Self::UnknownDelivery => ("unknown_delivery", StatusCode::NOT_FOUND, "No such delivery"),
            Self::UnknownReset => ("unknown_password_reset", StatusCode::NOT_FOUND, "No such password reset"),
            Self::UnknownDelegation => ("unknown_delegation", StatusCode::NOT_FOUND, "No such delegation"),
            Self::UnknownAgent => ("unknown_agent", StatusCode::NOT_FOUND, "No such agent"),
            Self::UnknownPhoneNumber => ("unknown_phone_number", StatusCode::NOT_FOUND, "No such phone number"),
            Self::UnknownProvider => ("unknown_provider", StatusCode::NOT_FOUND, "No such provider"),
            Self::UnknownRateDeck => ("unknown_rate_deck", StatusCode::NOT_FOUND, "No such rate deck"),
            Self::RateDeckInUse => ("rate_deck_in_use", StatusCode::CONFLICT, "The rate deck is in use"),
            Self::UnknownInvoice => ("unknown_invoice", StatusCode::NOT_FOUND, "No such invoice"),
            Self::UnknownCreditNote => ("unknown_credit_note", StatusCode::NOT_FOUND, "No such credit note"),
            Self::UnknownRechargeAttempt => ("unknown_recharge_attempt", StatusCode::NOT_FOUND, "No such recharge attempt"),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "The resource does not know this method"),
            Self::OverAllocation => ("over_allocation", StatusCode::CONFLICT, "More slots promised than bought"),
            Self::ConsolidatedBilling => ("consolidated_billing", StatusCode::CONFLICT, "The account has no wallet of its own"),
            Self::LiveCalls => ("live_calls", StatusCode::CONFLICT, "The account has live calls"),
            Self::BalanceLeft => ("balance_left", StatusCode::CONFLICT, "The account's wallet is not empty"),
            Self::AlreadyMember => ("already_member", StatusCode::CONFLICT, "Already a member"),
            Self::NameTaken => ("name_taken", StatusCode::CONFLICT, "The name is taken"),
            Self::InvoicingNotConfigured => ("invoicing_not_configured", StatusCode::CONFLICT, "Nobody is named who issues invoices"),
            Self::PeriodInvoiced => ("period_invoiced", StatusCode::CONFLICT, "The period is invoiced"),
            Self::NothingToInvoice => ("nothing_to_invoice", StatusCode::CONFLICT, "There is nothing to invoice"),
            Self::ExceedsInvoice => ("exceeds_invoice", StatusCode::CONFLICT, "More than is left of the invoice"),
            Self::TooManyLines => ("too_many_lines", StatusCode::CONFLICT, "Too many lines for paper"),
            Self::AutoRechargeOff => ("auto_recharge_off", StatusCode::CONFLICT, "The wallet does not ask for money"),
            Self::RechargeAttemptOpen => ("recharge_attempt_open", StatusCode::CONFLICT, "A recharge attempt is open"),
            Self::RechargeAttemptClosed => ("recharge_attempt_closed", StatusCode::CONFLICT, "The recharge attempt has ended"),
            Self::NobodyListens => ("nobody_listens", StatusCode::CONFLICT, "No webhook takes the event"),
            Self::OwnerExists => ("owner_exists", StatusCode::CONFLICT, "The organization has an Owner"),
            Self::OwnerRequired => ("owner_required", StatusCode::CONFLICT, "The organization needs its Owner"),
            Self::PreconditionFailed => ("precondition_failed", StatusCode::PRECONDITION_FAILED, "It has changed meanwhile"),
            Self::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE, "The request is too large"),
            Self::IdempotencyKeyReused => ("idempotency_key_reused", StatusCode::UNPROCESSABLE_ENTITY, "The Idempotency-Key belongs to another request"),
            Self::RateLimited => ("rate_limited", StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here"),
            Self::HubUnavailable => ("hub_unavailable", StatusCode::SERVICE_UNAVAILABLE, "The change is not in force yet"),
            Self::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE, "Too busy to answer in time"),
        }
    }
}

/// A field that is not as it should be.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    pub(crate) problem: String,
}

/// What a response refuses; it goes along with the response for a surface that says it in another shape.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
    pub(crate) members: Map<String, Value>,
}

/// A request that is not carried out. Small, because it travels in every `Result`.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: Kind,
    detail: String,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Problem {
    /// `detail` says what happened here and, where that helps, what to do.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            detail: detail.into(),
            members: Map::new(),
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// The request's fields are wrong; every one is named.
    pub(crate) fn fields(errors: &[FieldError]) -> Self {
        let named: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", error.field, error.problem)).collect();
        Self::new(Kind::InvalidRequest, named.join("; ")).with("errors", json!(errors))
    }

    /// One field is wrong.
    pub(crate) fn field(field: &str, problem: impl Into<String>) -> Self {
        Self::fields(&[FieldError {
            field: field.to_owned(),
            value: None,
            problem: problem.into(),
        }])
    }

    pub(crate) fn unknown_account() -> Self {
        Self::new(Kind::UnknownAccount, "there is no such account for this key")
    }

    /// Nobody whom we know asks.
    pub(crate) fn unauthenticated() -> Self {
        Self::unauthenticated_because(
            "send a valid API key as Authorization: Bearer, X-API-Key, or Basic user name or password, or the cookie of a session",
        )
    }

    /// The same, where more is known than that.
    pub(crate) fn unauthenticated_because(detail: &str) -> Self {
        Self::new(Kind::Unauthenticated, detail).with_header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"ringfence\", Bearer"),
        )
    }

    /// Something failed that the client cannot help.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut problem =
            Self::new(Kind::Internal, "the request was not carried out; the log says why");
        problem.0.cause = Some(cause.into());
        problem
    }

    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.0.kind == kind
    }

    /// Adds a member: a number behind the refusal.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if !backend::is_passing(&error) {
            return Self::internal(error);
        }
        tracing::warn!(%error, "the database does not serve a request now");
        Self::new(Kind::Busy, "the database is busy or away; try again")
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Parts { kind, detail, members, headers, cause } = *self.0;
        let (name, status, title) = kind.row();
        if let Some(cause) = cause {
            tracing::error!(cause = %cause, "a request failed");
        }
        let mut body = json!({
            "type": format!("urn:ringfence:problem:{name}"),
            "title": title,
            "status": status.as_u16(),
            "reason": name,
            "detail": detail,
            "statusCode": status.as_u16(),
            "message": detail,
            "error": status.canonical_reason().unwrap_or(title),
        });
        if let Value::Object(object) = &mut body {
            object.extend(members.clone());
        }
        let content_type = (header::CONTENT_TYPE, "application/problem+json");
        let mut response = (status, [content_type], body.to_string()).into_response();
        response.headers_mut().extend(headers.into_iter().map(|(name, value)| (Some(name), value)));
        response.extensions_mut().insert(Refused { kind, detail, members });
        response
    }
}
