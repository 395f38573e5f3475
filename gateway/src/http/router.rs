//! All paths of the gateway, one line each.

use http::Method;

use super::answer::Refused;

/// What a request asks for; also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Admit,
    Answer,
    Renew,
    Release,
    Reconcile,
    Batch,
    LookUp,
    ListLive,
    Concurrency,
    Metrics,
    /// No path of ours.
    Unrouted,
}

impl Operation {
    pub const ALL: [Self; 11] = [
        Self::Admit,
        Self::Answer,
        Self::Renew,
        Self::Release,
        Self::Reconcile,
        Self::Batch,
        Self::LookUp,
        Self::ListLive,
        Self::Concurrency,
        Self::Metrics,
        Self::Unrouted,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Answer => "answer",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Reconcile => "reconcile",
            Self::Batch => "batch",
            Self::LookUp => "look_up",
            Self::ListLive => "list_live",
            Self::Concurrency => "concurrency",
            Self::Metrics => "metrics",
            Self::Unrouted => "unrouted",
        }
    }

    /// The operations that a line of a batch may name.
    pub fn in_batch(name: &str) -> Option<Self> {
        let known = [Self::Admit, Self::Answer, Self::Renew, Self::Release];
        known.into_iter().find(|operation| operation.label() == name)
    }
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route<'p> {
    pub(super) operation: Operation,
    /// Whether parameters may come in the body.
    pub(super) has_body: bool,
    /// The part of the path that is a call id, still percent-encoded.
    pub(super) call_id: Option<&'p str>,
}

/// A look-up of a call that is named like an operation has to encode one of its letters.
pub(super) fn route<'p>(
    method: &Method,
    path: &'p str,
    get_allowed: bool,
) -> Result<Route<'p>, Refused> {
    let (operation, call_id) = match path {
        "/v1/calls/admit" => (Operation::Admit, None),
        "/v1/calls/answer" => (Operation::Answer, None),
        "/v1/calls/renew" => (Operation::Renew, None),
        "/v1/calls/release" => (Operation::Release, None),
        "/v1/calls/reconcile" => (Operation::Reconcile, None),
        "/v1/calls/batch" => (Operation::Batch, None),
        "/v1/calls" => (Operation::ListLive, None),
        "/v1/concurrency" => (Operation::Concurrency, None),
        "/v1/metrics" => (Operation::Metrics, None),
        _ => match path.strip_prefix("/v1/calls/") {
            Some(id) if !id.is_empty() && !id.contains('/') => (Operation::LookUp, Some(id)),
            _ => return Err(Refused::NoRoute),
        },
    };
    let reads = matches!(
        operation,
        Operation::LookUp | Operation::ListLive | Operation::Concurrency | Operation::Metrics
    );
    let allowed = match operation {
        _ if reads => "GET, HEAD",
        Operation::Batch => "POST",
        _ if get_allowed => "POST, GET",
        _ => "POST",
    };
    let known = match *method {
        Method::GET => allowed.contains("GET"),
        Method::HEAD => reads,
        Method::POST => !reads,
        _ => false,
    };
    if !known {
        return Err(Refused::WrongMethod(allowed));
    }
    Ok(Route { operation, has_body: *method == Method::POST, call_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(method: &Method, path: &str, get_allowed: bool) -> Result<Operation, &'static str> {
        match route(method, path, get_allowed) {
            Ok(route) => Ok(route.operation),
            Err(Refused::WrongMethod(allowed)) => Err(allowed),
            Err(_) => Err(""),
        }
    }

    #[test]
    fn every_path_knows_its_methods() {
        assert_eq!(routed(&Method::POST, "/v1/calls/admit", false), Ok(Operation::Admit));
        assert_eq!(routed(&Method::GET, "/v1/calls/admit", true), Ok(Operation::Admit));
        assert_eq!(routed(&Method::GET, "/v1/calls/admit", false), Err("POST"));
        assert_eq!(routed(&Method::GET, "/v1/calls/batch", true), Err("POST"));
        assert_eq!(routed(&Method::PUT, "/v1/calls/release", true), Err("POST, GET"));
        assert_eq!(routed(&Method::POST, "/v1/calls", true), Err("GET, HEAD"));
        assert_eq!(routed(&Method::HEAD, "/v1/concurrency", false), Ok(Operation::Concurrency));
        assert_eq!(routed(&Method::GET, "/v1/calls/%61dmit", false), Ok(Operation::LookUp));
        for path in ["/", "/v1/calls/", "/v1/calls/a/b", "/v1/concurrency/", "/V1/calls", "*"] {
            assert_eq!(routed(&Method::GET, path, true), Err(""), "{path}");
        }
    }

    #[test]
    fn a_batch_names_its_operations_by_their_labels() {
        assert_eq!(Operation::in_batch("renew"), Some(Operation::Renew));
        assert_eq!(Operation::in_batch("reconcile"), None);
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, index);
        }
    }
}
