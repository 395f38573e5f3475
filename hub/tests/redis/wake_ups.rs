//! Wake-ups: whoever changes a shard is heard, and after a lost connection every shard counts as changed.

use hub::redis::connect::{Shards, channel};
use support::redis::Redis;
use support::wait::wait_until;
use tokio::time::timeout;

use crate::hub::{Hub, READY_MAX};

impl Hub {
    fn news(&self) -> Shards {
        let next = async { timeout(READY_MAX, self.servers.news().next()).await };
        self.runtime.block_on(next).expect("there is news in time")
    }

    fn news_of_all(&self) {
        assert_eq!(self.news(), Shards::ALL);
    }
}

#[test]
fn a_message_on_the_channel_of_a_shard_is_news_of_that_shard() {
    let redis = Redis::start(&[]);
    let hub = Hub::with(&redis.url(), &Hub::patient());
    hub.news_of_all();
    for shard in [0, 77, 255] {
        redis.command(&["SPUBLISH", &channel(shard), "anything"]);
        assert_eq!(hub.news().iter().collect::<Vec<_>>(), [shard]);
    }
}

#[test]
fn wake_ups_survive_a_lost_connection_and_then_all_shards_are_reported_once() {
    let mut redis = Redis::start(&[]);
    let hub = Hub::at(&redis.url());
    hub.news_of_all();
    redis.kill();
    redis.start_again();
    hub.news_of_all();
    redis.command(&["SPUBLISH", &channel(9), ""]);
    assert_eq!(hub.news().iter().collect::<Vec<_>>(), [9], "reported once, then what is said");
}

#[test]
fn a_subscription_to_a_server_that_stops_answering_is_made_again() {
    let redis = Redis::start(&[]);
    let hub = Hub::at(&redis.url());
    hub.news_of_all();
    redis.stop_answering();
    wait_until("the silence is noticed", READY_MAX, || !hub.servers.is_up());
    redis.go_on();
    // The silence of this connection may be noticed only after the other's.
    redis.command(&["SPUBLISH", &channel(9), ""]);
    assert!(hub.news().contains(9));
}
