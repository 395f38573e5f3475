//! What a start says on standard output: where it listens and, once, the keys that the first start
//! made, with the lines that admit a call. The only place that prints a key.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::tls::Trust;
use crate::tls::pair::Host;

/// Where a listener is reached.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address taken, also when port 0 was asked for.
    pub address: SocketAddr,
    /// `None`: plain text.
    pub trust: Option<Trust>,
}

/// Those that the role has.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub gateway: Option<Listener>,
    pub control_plane: Option<Listener>,
    pub ops: Listener,
}

/// What the first start made.
pub struct FirstStart {
    /// Generated; `None` when the operator set it.
    pub operator_key: Option<String>,
    /// Generated; `None` when the operator set it.
    pub organization_key: Option<String>,
    pub organization: String,
    /// This process's, or where one of the installation is expected.
    pub gateway: Listener,
    pub control_plane: Listener,
    /// Calls cost money unless an account says otherwise, and there is none yet.
    pub billed_in: Option<String>,
}

/// The lines of every start.
pub fn listeners(addresses: &Addresses) -> String {
    let Addresses { gateway, control_plane, ops } = addresses;
    let mut text = String::new();
    let all = [
        ("gateway", gateway.as_ref()),
        ("control-plane", control_plane.as_ref()),
        ("ops", Some(ops)),
    ];
    for (name, listener) in all {
        let Some(listener) = listener else { continue };
        let (scheme, address) = (listener.scheme(), listener.address);
        writeln!(text, "{name:<14} {scheme}://{address}").expect("writing to a string");
    }
    text
}

/// The lines of the first start.
pub fn first_start(first: &FirstStart) -> String {
    let mut text = format!("\nFirst start. Organization {}\n", first.organization);
    if first.operator_key.is_some() || first.organization_key.is_some() {
        text.push_str("These keys are shown this once; keep them:\n");
    }
    for (name, key) in
        [("operator key    ", &first.operator_key), ("organization key", &first.organization_key)]
    {
        if let Some(key) = key {
            writeln!(text, "  {name}  {key}").expect("writing to a string");
        }
    }
    if let Some(currency) = &first.billed_in {
        let key = first.operator_key.as_deref().unwrap_or("$RINGFENCE_OPERATOR_KEY");
        let path = format!("/v1/organizations/{}/wallet/recharge", first.organization);
        let body = format!(r#"{{"amount":100,"currency":"{currency}"}}"#);
        text.push_str("\nCalls are billed; put money into the organization's wallet:\n");
        text.push_str(&first.control_plane.curl(&path, key, &body));
    }
    let key = first.organization_key.as_deref().unwrap_or("$RINGFENCE_ORGANIZATION_KEY");
    text.push_str("\nAdmit a call:\n");
    text.push_str(&first.gateway.curl("/v1/calls/admit", key, r#"{"call_id":"first-call"}"#));
    text
}

impl Listener {
    const fn scheme(&self) -> &'static str {
        if self.trust.is_some() { "https" } else { "http" }
    }

    /// A line for a shell that posts there.
    fn curl(&self, path: &str, key: &str, body: &str) -> String {
        let (scheme, address) = (self.scheme(), reachable(self.address));
        let (options, host) = match &self.trust {
            None => (String::new(), address.to_string()),
            Some(trust) => trusted(trust, address),
        };
        format!(
            "  curl -sS{options} {scheme}://{host}{path} -H \"Authorization: Bearer {key}\" \
             -H 'Content-Type: application/json' -d '{body}'\n"
        )
    }
}

/// Options of curl, and the host by which the certificate knows the address.
fn trusted(trust: &Trust, address: SocketAddr) -> (String, String) {
    let file = std::path::absolute(&trust.certificate);
    let file = file.as_deref().unwrap_or(&trust.certificate).display().to_string();
    let cacert = format!(" --cacert '{}'", file.replace('\'', r"'\''"));
    let named = |host: &Host| match host {
        Host::Name(name) if !name.starts_with('*') => Some(name.clone()),
        _ => None,
    };
    if trust.hosts.contains(&Host::Address(address.ip())) {
        return (cacert, address.to_string());
    }
    let Some(name) = trust.hosts.iter().find_map(named) else {
        return (cacert, address.to_string());
    };
    let (ip, port) = (address.ip(), address.port());
    let ip = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
    (format!("{cacert} --resolve {name}:{port}:{ip}"), format!("{name}:{port}"))
}

/// An address that a client can name: a listener on all addresses is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() { [127, 0, 0, 1].into() } else { loopback_6() };
        address.set_ip(loopback);
    }
    address
}

const fn loopback_6() -> std::net::IpAddr {
    std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(port: u16) -> Listener {
        Listener { address: ([0, 0, 0, 0], port).into(), trust: None }
    }

    fn addresses() -> Addresses {
        let [gateway, control_plane] = [1, 2].map(|port| Some(listener(port)));
        Addresses { gateway, control_plane, ops: listener(3) }
    }

    fn first(organization_key: Option<&str>) -> FirstStart {
        FirstStart {
            operator_key: None,
            organization_key: organization_key.map(str::to_owned),
            organization: "org_x".to_owned(),
            gateway: listener(1),
            control_plane: listener(2),
            billed_in: None,
        }
    }

    #[test]
    fn every_listener_has_a_line_of_its_own() {
        let text = listeners(&addresses());
        assert!(text.lines().any(|line| line == "gateway        http://0.0.0.0:1"), "{text}");
        assert_eq!(text.lines().count(), 3);
        let text = listeners(&Addresses { gateway: None, ..addresses() });
        assert!(text.starts_with("control-plane  http://0.0.0.0:2\nops "), "{text}");
    }

    #[test]
    fn a_generated_key_stands_in_the_line_that_admits_a_call() {
        let text = first_start(&first(Some("rf_live_x")));
        let curl = text.lines().find(|line| line.contains("curl")).expect("a curl line");
        assert!(curl.contains("http://127.0.0.1:1/v1/calls/admit"), "{curl}");
        assert!(curl.contains("Bearer rf_live_x\""), "{curl}");
    }

    #[test]
    fn a_key_that_was_set_is_named_and_never_printed() {
        let text = first_start(&first(None));
        assert!(text.contains("\"Authorization: Bearer $RINGFENCE_ORGANIZATION_KEY\""), "{text}");
        assert!(!text.contains("shown this once"), "{text}");
    }

    #[test]
    fn billed_installations_are_told_how_to_put_money_in() {
        let billed = FirstStart { billed_in: Some("INR".to_owned()), ..first(None) };
        let text = first_start(&billed);
        assert!(text.contains("/v1/organizations/org_x/wallet/recharge"), "{text}");
        assert!(text.contains("$RINGFENCE_OPERATOR_KEY"), "{text}");
    }

    #[test]
    fn by_tls_the_line_names_the_certificate_and_a_host_that_it_is_for() {
        for (hosts, expected) in [
            (vec![Host::Address([127, 0, 0, 1].into())], "'/x.pem' https://127.0.0.1:1/"),
            (
                vec![Host::Name("*.b".to_owned()), Host::Name("a.b".to_owned())],
                "'/x.pem' --resolve a.b:1:127.0.0.1 https://a.b:1/",
            ),
            (Vec::new(), "'/x.pem' https://127.0.0.1:1/"),
        ] {
            let trust = Some(Trust { certificate: "/x.pem".into(), hosts });
            let gateway = Listener { trust, ..listener(1) };
            let text = first_start(&FirstStart { gateway: gateway.clone(), ..first(None) });
            assert!(
                text.contains(&format!("curl -sS --cacert {expected}v1/calls/admit")),
                "{text}"
            );
            let text = listeners(&Addresses { gateway: Some(gateway), ..addresses() });
            assert!(text.starts_with("gateway        https://0.0.0.0:1\nco"), "{text}");
        }
    }
}
