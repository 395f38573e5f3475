//! When a link's next exchange is due.

use hub::id::HolderId;

use super::{Link, Now, Rhythm};

const MILLISECOND_US: i64 = 1_000;

fn at(ms: i64) -> Now {
    Now { boot_us: ms * MILLISECOND_US, wall_us: 0 }
}

fn due_ms(link: &Link<()>) -> Option<i64> {
    link.due_us().map(|due_us| due_us / MILLISECOND_US)
}

/// One whose last exchange was sent at 0 and is over.
fn idle() -> Link<()> {
    let mut link = Link::new(HolderId(1), Rhythm::default());
    link.send(at(0), None, false);
    link.lost(at(1), &mut Vec::new());
    link
}

#[test]
fn what_is_awaited_is_told_at_once_after_a_pause_and_gathered_where_much_happens() {
    let mut link = idle();
    link.is_awaited(at(300));
    assert_eq!(due_ms(&link), Some(300), "nothing was sent for long");
    let mut link = idle();
    link.is_awaited(at(5));
    assert_eq!(due_ms(&link), Some(20), "an exchange went out just now");
}

#[test]
fn a_decision_waits_for_nothing_and_news_gathers() {
    let mut link = idle();
    link.has_to_tell(at(300));
    assert_eq!(due_ms(&link), Some(320));
    link.is_awaited(at(301));
    assert_eq!(due_ms(&link), Some(300));
    let mut link = idle();
    link.is_awaited(at(5));
    link.hurry(at(6));
    assert_eq!(due_ms(&link), Some(5));
}

#[test]
fn without_news_an_exchange_is_due_each_second() {
    assert_eq!(due_ms(&idle()), Some(1_000));
}
