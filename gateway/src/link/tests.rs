//! When a link's next exchange is due, and whom it gives up.

use hub::id::HolderId;
use hub::state::exchange::{Reply, Standing};
use hub::state::request::Answer;

use super::{Inventory, Link, Now, Rhythm};

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

const OTHER: HolderId = HolderId(2);

fn reply(standing: Standing, beat: u64) -> Reply {
    Reply {
        standing,
        incarnation: 1,
        clock_ms: 1,
        learning: false,
        answer: Answer::default(),
        terms: Vec::new(),
        funding: Vec::new(),
        found: Vec::new(),
        mail: Vec::new(),
        due: Vec::new(),
        beats: vec![(HolderId(1), beat), (OTHER, beat)],
        records_acknowledged: 0,
    }
}

/// An exchange each second, some of which are answered: whether each asks for the reap of the other
/// holder, whose beat always stands at 7.
fn reaps(is_answered: &[bool]) -> Vec<bool> {
    let mut link: Link<()> = Link::new(HolderId(1), Rhythm::default());
    link.send(at(0), None, false);
    link.take(reply(Standing::OtherIncarnation, 7), at(0), &mut Vec::new());
    let mut asked = Vec::new();
    for (ms, is_answered) in (0..).step_by(1_000).zip(is_answered) {
        let inventory = link.must_report().then(Inventory::default);
        let exchange = link.send(at(ms), inventory, false);
        asked.push(exchange.reap.iter().any(|still| still.holder == OTHER && still.beat == 7));
        if *is_answered {
            link.take(reply(Standing::Member, 7), at(ms + 1), &mut Vec::new());
        } else {
            link.lost(at(ms + 1), &mut Vec::new());
        }
    }
    asked
}

#[test]
fn a_beat_that_stands_still_is_seen_by_who_keeps_up() {
    let asked = reaps(&[true; 8]);
    assert_eq!(asked.iter().position(|asked| *asked), Some(6));
}

#[test]
fn who_was_away_from_the_hub_itself_reaps_nobody_for_that_time() {
    let is_answered: Vec<bool> = (0..20).map(|second| !(2..7).contains(&second)).collect();
    assert_eq!(reaps(&is_answered).iter().position(|asked| *asked), Some(13));
}
