//! What is lost with a server: nothing is answered from memory that another process left, and a new
//! incarnation tells its readers to wait for the directory.

use hub::state::request::Sync;
use support::redis::Redis;

use super::*;

#[test]
fn after_a_restart_everything_is_unsealed_until_an_incarnation_begins() {
    let mut redis = Redis::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
    let control = Process::at(&redis.url());
    assert!(control.begin(1, &[]));
    control.republish(1, &[organization_change(1), account_change(0, 1)], true);
    let mut gateway = Gateway::new(&redis.url(), 7);
    gateway.join();
    control.wait(control.hub.confirm(shard(), gateway.id)).unwrap();
    let before = gateway.sync(Sync::default()).directory;
    redis.kill();
    redis.start_again();
    let mut refused = None;
    wait_until("it is unsealed", READY_MAX, || {
        refused = gateway.exchange(Exchange::default()).err();
        refused == Some(NoAnswer::Unsealed)
    });
    wait_until("for the control plane too", READY_MAX, || {
        control.wait(control.hub.standing(shard())) == Err(NoAnswer::Unsealed)
    });
    assert_eq!(control.directory(0), Err(NoAnswer::Unsealed));
    assert_eq!(control.directory(before), Err(NoAnswer::Unsealed));
    let confirmed = control.wait(control.hub.confirm(shard(), gateway.id));
    assert_eq!(confirmed, Err(NoAnswer::Unsealed));
    assert!(control.begin(2, &[gateway.id]));
    let told = gateway.exchange(Exchange::default()).unwrap();
    assert_eq!((told.reply.standing, told.reply.incarnation), (Standing::OtherIncarnation, 2));
    assert_eq!(told.directory, 0, "its directory was not published anew");
    assert_eq!(control.directory(before), Ok(Published::default()), "keep what is known");
    control.republish(2, &[organization_change(2)], true);
    let now = control.directory(before).unwrap();
    assert!(now.is_whole && now.number > before);
    assert_eq!(now.changes, [organization_change(2)], "what was not named is gone");
}
