//! Refusals as this surface's clients know them: the one place that knows their shapes. Says no more
//! than the native API would.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use crate::problem::{Kind, Problem, Refused};

/// Why an operation of this surface does nothing.
pub(crate) enum Refusal {
    /// A new account without slots.
    NoConcurrency,
    /// A change that names nothing that can be changed.
    NoFields,
    Problem(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = match self {
            Self::Problem(problem) => return problem.into_response(),
            Self::NoConcurrency => json!({
                "message": "Bad request. Please provide min_concurrency and/or max_concurrency.",
            }),
            Self::NoFields => json!({"error": "No valid fields provided", "status": "failure"}),
        };
        (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
    }
}

/// Gives what is refused on this surface its shape there; headers stay.
pub(crate) async fn reshape(request: Request, next: Next) -> Response {
    let ours = super::owns(request.uri().path());
    let method = request.method().clone();
    let mut response = next.run(request).await;
    let Some(refused) = response.extensions_mut().remove::<Refused>().filter(|_| ours) else {
        return response;
    };
    let (status, body) = shape(&method, response.status(), &refused);
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.status = status;
    Response::from_parts(parts, Body::from(body.to_string()))
}

fn shape(method: &Method, status: StatusCode, refused: &Refused) -> (StatusCode, Value) {
    let number = |name: &str| refused.members.get(name).and_then(Value::as_u64).unwrap_or(0);
    match refused.kind {
        Kind::Unauthenticated => (status, json!({"error": 401, "message": "Access denied"})),
        Kind::Forbidden if [Method::POST, Method::PATCH].contains(method) => {
            let message = "Forbidden: only organization admins can manage sub-account concurrency";
            (status, json!({"message": message}))
        }
        Kind::OverAllocation if *method == Method::POST => {
            let message = format!(
                "Sum of account minimums ({}) exceeds the org minimum ({}) by {}; lower an account minimum first.",
                number("floors"),
                number("total"),
                number("over_by"),
            );
            (StatusCode::BAD_REQUEST, json!({"message": message}))
        }
        Kind::OverAllocation => {
            let details = json!({
                "requested": number("requested"),
                "available": number("available"),
                "account_limit": number("total"),
                "subaccount_usage": number("allocated_to_others"),
            });
            let body = json!({"message": "Concurrency limit exceeded", "details": details});
            (StatusCode::BAD_REQUEST, body)
        }
        _ => (status, json!({"error": status.as_u16(), "message": refused.detail})),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::Harness;

    #[tokio::test]
    async fn every_refusal_of_this_surface_is_a_number_and_a_message() {
        let harness = Harness::new().await;
        let long = vec![b' '; crate::request::BODY_BYTES_MAX + 1];
        for (key, method, path, body, status) in [
            (&harness.organization, "GET", "/sub-accounts/create", Vec::new(), 405),
            (&harness.organization, "GET", "/sub-accounts/all/nothing", Vec::new(), 404),
            (&harness.organization, "DELETE", "/sub-accounts/x", Vec::new(), 404),
            (&harness.organization, "POST", "/sub-accounts/create", long, 413),
            (&harness.organization, "POST", "/sub-accounts/create", b"\xff".to_vec(), 400),
            (&harness.operator, "GET", "/user/me", Vec::new(), 400),
            (&"x".to_owned(), "GET", "/sub-accounts/all", Vec::new(), 401),
        ] {
            let refused = harness.send_with(key, method, path, &[], body).await;
            assert_eq!(refused.status, status, "{method} {path}: {}", refused.body);
            let body = refused.body.as_object().expect("an object");
            assert_eq!((body.len(), &body["error"]), (2, &json!(status)), "{method} {path}");
            assert!(body["message"].is_string(), "{method} {path}");
            assert_eq!(refused.headers["content-type"], "application/json");
        }
        let native = harness.get("x", "/v1/sub-accounts").await;
        assert_eq!(native.headers["content-type"], "application/problem+json");
        assert_ne!(native.body["reason"], Value::Null);
    }
}
