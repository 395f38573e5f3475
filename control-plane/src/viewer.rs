//! `GET /docs`: the OpenAPI document as a page, by Swagger UI out of the binary. Nothing comes from
//! elsewhere, and nothing but this host's own files may run.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use std::sync::Arc;
use utoipa_swagger_ui::{Config, serve};

use crate::description::{Operation, schema};
use crate::problem::{Kind, Problem};
use crate::request::Request;

const PAGE: &str = include_str!("viewer/page.html");
const START: &str = include_str!("viewer/start.js");
/// What the page may do: run this host's scripts, ask this host, and show pictures that Swagger UI has
/// inside its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn describe_page() -> Operation {
    describe("Look at this document", "The document as a page.", "text/html")
}

pub(crate) fn describe_script() -> Operation {
    describe("Read the page's script", "A part of the page at `/docs`.", "text/javascript")
}

pub(crate) fn describe_style() -> Operation {
    describe("Read the page's style sheet", "A part of the page at `/docs`.", "text/css")
}

fn describe(summary: &'static str, about: &str, media_type: &'static str) -> Operation {
    Operation::new(summary, about).answers_as(
        StatusCode::OK,
        "The file.",
        [(media_type, schema::text())],
    )
}

pub(crate) async fn page(request: Request) -> Result<Response, Problem> {
    own(&request, "text/html; charset=utf-8", PAGE)
}

pub(crate) async fn start(request: Request) -> Result<Response, Problem> {
    own(&request, "text/javascript; charset=utf-8", START)
}

pub(crate) async fn script(request: Request) -> Result<Response, Problem> {
    of_swagger_ui(&request, "swagger-ui-bundle.js")
}

pub(crate) async fn style(request: Request) -> Result<Response, Problem> {
    of_swagger_ui(&request, "swagger-ui.css")
}

fn own(
    request: &Request,
    media_type: &'static str,
    text: &'static str,
) -> Result<Response, Problem> {
    request.query().finish()?;
    let mut response = ([(header::CONTENT_TYPE, media_type)], text).into_response();
    protect(&mut response);
    Ok(response)
}

/// A file of Swagger UI, compressed as it is in the binary: whoever shows pages can read that.
fn of_swagger_ui(request: &Request, name: &str) -> Result<Response, Problem> {
    request.query().finish()?;
    let found = serve(name, Arc::new(Config::from("/openapi.json")));
    let file = found.map_err(|error| Problem::internal(error.to_string()))?;
    let file = file.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such file"))?;
    let media_type = HeaderValue::from_str(&file.content_type).map_err(Problem::internal)?;
    let mut response = file.bytes.into_owned().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    if file.gzpipped {
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    }
    protect(&mut response);
    Ok(response)
}

fn protect(response: &mut Response) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "max-age=3600"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Harness;

    #[tokio::test]
    async fn everybody_sees_the_page_and_it_needs_nothing_from_elsewhere() {
        let harness = Harness::new().await;
        let page = harness.get("", "/docs").await;
        assert_eq!(page.status, 200);
        let policy = page.headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(!policy.contains("unsafe"));
        let text = String::from_utf8(page.bytes).expect("UTF-8");
        assert!(!text.contains("://"), "an address of elsewhere");
        let mut parts = 0;
        for part in text.split('"').filter(|part| part.starts_with("/docs/")) {
            let read = harness.get("", part).await;
            assert_eq!(read.status, 200, "{part}");
            assert!(!read.bytes.is_empty());
            parts += 1;
        }
        assert_eq!(parts, 3);
    }
}
