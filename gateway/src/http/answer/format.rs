//! Which of the three forms of an answer a request asks for.

use http::header::{ACCEPT, HeaderMap, HeaderValue};

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    /// One line: `allowed granted_s=300 …`
    Text,
    /// `result=allowed&granted_s=300…`
    Form,
}

impl Format {
    /// By `Accept`: the form with the highest weight, the first of several; JSON when none is known.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let Some(accept) = headers.get(ACCEPT).map(HeaderValue::as_bytes) else {
            return Self::Json;
        };
        if matches!(accept, b"*/*" | b"application/json") {
            return Self::Json;
        }
        let mut best = (0, Self::Json);
        for range in std::str::from_utf8(accept).unwrap_or_default().split(',') {
            let (media, weight) = weighted(range);
            if let Some(format) = Self::of(media)
                && weight > best.0
            {
                best = (weight, format);
            }
        }
        best.1
    }

    fn of(media: &str) -> Option<Self> {
        let is = |name: &str| media.eq_ignore_ascii_case(name);
        if is("*/*")
            || is("application/*")
            || is("application/json")
            || is("application/problem+json")
        {
            Some(Self::Json)
        } else if is("text/plain") || is("text/*") {
            Some(Self::Text)
        } else if is("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else {
            None
        }
    }

    /// The media type of an answer that is not a problem.
    pub const fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Form => "application/x-www-form-urlencoded",
        })
    }

    /// The media type of a problem.
    pub const fn problem_type(self) -> HeaderValue {
        match self {
            Self::Json => HeaderValue::from_static("application/problem+json"),
            other => other.media_type(),
        }
    }
}

/// One part of `Accept` as its media range and its weight in thousandths.
fn weighted(range: &str) -> (&str, u32) {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    (media, weight.map_or(1_000, thousandths))
}

/// `0.8` as 800; what is not a weight is 0.
fn thousandths(weight: &str) -> u32 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    match (whole, fraction.len()) {
        ("1", _) => 1_000,
        ("0", 0..=3) => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &'static str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        Format::accepted(&headers)
    }

    #[test]
    fn the_form_with_the_highest_weight_is_answered_and_json_in_doubt() {
        assert_eq!(Format::accepted(&HeaderMap::new()), Format::Json);
        assert_eq!(accepted("text/plain"), Format::Text);
        assert_eq!(accepted("Text/Plain; charset=utf-8"), Format::Text);
        assert_eq!(accepted("application/x-www-form-urlencoded"), Format::Form);
        assert_eq!(accepted("application/json, text/plain, */*"), Format::Json);
        assert_eq!(accepted("application/json;q=0.5, text/plain;q=0.75"), Format::Text);
        assert_eq!(accepted("text/plain;q=0, text/html"), Format::Json);
        assert_eq!(accepted("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Json);
        assert_eq!(accepted("nonsense"), Format::Json);
    }
}
