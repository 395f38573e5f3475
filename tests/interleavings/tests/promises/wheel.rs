//! The wheel: a call comes up at its deadline whatever the time does meanwhile.

use std::sync::Arc;

use hub::call_table::CallHasher;
use hub::id::AccountId;
use interleavings::admission::wheel::Wheel;
use interleavings::exploration::explore;

use crate::{end, with};

fn a_call_is_added_in_its_last_second() {
    let wheel = Arc::new(Wheel::new(100));
    let adder = with(&wheel, |wheel| {
        let account = AccountId::from_bytes(&[0; AccountId::LEN]).expect("an id");
        wheel.add(100, CallHasher::default().name(account, b"c").hash());
    });
    let due = |now| std::iter::from_fn(|| wheel.due(now)).map(|calls| calls.len()).sum::<usize>();
    let early = due(100);
    end(adder);
    assert_eq!(early + due(101), 1, "a call does not come up");
}

#[test]
fn a_call_added_while_its_second_passes_comes_up_in_the_next() {
    explore(a_call_is_added_in_its_last_second);
}
