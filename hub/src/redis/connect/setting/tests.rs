//! What settings of the hub's servers mean, and what is said of wrong ones.

use super::*;

fn parsed(text: &str) -> Setting {
    text.parse().unwrap()
}

fn fault(text: &str) -> SettingError {
    text.parse::<Setting>().unwrap_err()
}

fn login(user: Option<&str>, password: &str) -> Login {
    Login { user: user.map(str::to_owned), password: Some(password.to_owned()) }
}

#[test]
fn one_server_is_named_with_or_without_login_port_database_and_tls() {
    let plain = parsed("redis://hub.example");
    assert_eq!(plain.topology, Topology::Single(Address::tcp("hub.example", 6379)));
    assert_eq!((plain.database, plain.tls, plain.login), (0, false, Login::default()));
    let full = parsed("rediss://ringfence:p%40ss%2F@10.0.0.1:7000/3");
    assert_eq!(full.topology, Topology::Single(Address::tcp("10.0.0.1", 7000)));
    assert_eq!(full.login, login(Some("ringfence"), "p@ss/"));
    assert_eq!((full.database, full.tls), (3, true));
    assert_eq!(parsed("redis://:only@h").login, login(None, "only"));
    let ipv6 = Topology::Single(Address::tcp("::1", 6380));
    assert_eq!(parsed("redis://[::1]:6380/").topology, ipv6);
    assert_eq!(Address::tcp("::1", 6380).to_string(), "[::1]:6380");
}

#[test]
fn a_socket_is_named_by_its_path() {
    let socket = parsed("unix://u:p@/run/redis/hub.sock?db=2");
    assert_eq!(socket.topology, Topology::Single(Address::Unix("/run/redis/hub.sock".into())));
    assert_eq!((socket.database, socket.login), (2, login(Some("u"), "p")));
    assert_eq!(parsed("unix:///run/a.sock").database, 0);
}

#[test]
fn sentinels_and_cluster_servers_are_lists() {
    let sentinel = parsed("redis+sentinel://u:p@a:1,b,[::1]:3/hub/4");
    let sentinels = vec![Address::tcp("a", 1), Address::tcp("b", 26379), Address::tcp("::1", 3)];
    assert_eq!(sentinel.topology, Topology::Sentinel { sentinels, name: "hub".into() });
    assert_eq!((sentinel.database, sentinel.tls), (4, false));
    let cluster = parsed("rediss+cluster://a:1,b:2");
    let servers = vec![Address::tcp("a", 1), Address::tcp("b", 2)];
    assert_eq!(cluster.topology, Topology::Cluster(servers));
    assert!(cluster.tls);
}

#[test]
fn an_error_names_the_part_that_is_wrong() {
    use SettingError as Wrong;
    for (text, expected) in [
        ("localhost:6379", Wrong::Scheme),
        ("http://localhost", Wrong::Scheme),
        ("redis://", Wrong::Host(1)),
        ("redis://user@host", Wrong::Login),
        ("redis://user:@host", Wrong::Login),
        ("redis://user:%ff@host", Wrong::Login),
        ("redis://user:se/cret@host", Wrong::Login),
        ("redis://ho st", Wrong::Host(1)),
        ("redis://host:port", Wrong::Port(1)),
        ("redis://host:0", Wrong::Port(1)),
        ("redis://host:65536", Wrong::Port(1)),
        ("redis://[::1:6379", Wrong::Host(1)),
        ("redis://[::1]6379", Wrong::Port(1)),
        ("redis://[local]:1", Wrong::Host(1)),
        ("redis://::1", Wrong::Host(1)),
        ("redis://a,b", Wrong::OneServer),
        ("redis://a/x", Wrong::Database),
        ("redis://a/0/1", Wrong::Rest),
        ("redis://a/0?x=1", Wrong::Rest),
        ("unix://", Wrong::SocketPath),
        ("unix://host/run/a", Wrong::SocketPath),
        ("unix:///run/", Wrong::SocketPath),
        ("unix:///run/a?db=x", Wrong::Database),
        ("unix:///run/a?x=1", Wrong::Rest),
        ("redis+sentinel://a:1,b:2", Wrong::ServiceName),
        ("redis+sentinel://a:1,,b/hub", Wrong::Host(2)),
        ("redis+sentinel://a:1,b:x/hub", Wrong::Port(2)),
        ("redis+sentinel://a/hub/x", Wrong::Database),
        ("redis+cluster://a,b/1", Wrong::ClusterDatabase),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
    let many = format!("redis+cluster://{}", vec!["a"; 33].join(","));
    assert_eq!(fault(&many), Wrong::TooManyServers);
}

#[test]
fn a_secret_is_never_shown() {
    for text in [
        "redis://someone:s3cret@h",
        "unix://someone:s3cret@/s",
        "redis+sentinel://someone:s3cret@h/s",
    ] {
        let shown = format!("{:?}", parsed(text));
        assert!(!shown.contains("s3cret") && !shown.contains("someone"), "{shown}");
    }
    for text in
        ["redis://someone:s3c/ret@h", "redis://someone:s3cret@h:x", "redis://someone:s3cret"]
    {
        let error = fault(text);
        assert!(!format!("{error} {error:?}").contains("s3c"), "{error}");
    }
}
