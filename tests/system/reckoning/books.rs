//! What the control plane's books say, held against what stacks were told and what administrators paid in.

use std::collections::HashMap;

use serde_json::Value;
use support::Running;
use support::account::micros;

use super::call::{Call, End, Manner};
use super::wallets::{Organization, Wallet};

/// So many faults are shown.
const SHOWN_MAX: usize = 20;

/// Of each wallet, in micro-units.
#[derive(Clone, Copy, Debug, Default)]
struct Money {
    balance: i64,
    held: i64,
    available: i64,
}

pub struct Books {
    balances: HashMap<String, Money>,
    /// By account and `call_id`.
    records: HashMap<(String, String), Value>,
    faults: Vec<String>,
}

/// The totals of one currency.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub recharges: i64,
    pub balances: i64,
    pub charges: i64,
    pub holds: i64,
}

impl Books {
    /// Reads everything, page by page.
    pub fn read(plane: &Running, organizations: &[Organization]) -> Self {
        let mut books =
            Self { balances: HashMap::new(), records: HashMap::new(), faults: Vec::new() };
        for Organization { key, currency } in organizations {
            for account in all(plane, key, "/v1/sub-accounts") {
                books.take_wallet(&account, currency);
            }
            for record in all(plane, key, "/v1/calls") {
                let text = |name: &str| record[name].as_str().expect("a text").to_owned();
                let name = (text("account"), text("call_id"));
                if books.records.insert(name, record.clone()).is_some() {
                    books.faults.push(format!("a call is there twice: {record}"));
                }
            }
        }
        books
    }

    fn take_wallet(&mut self, account: &Value, currency: &str) {
        let (id, wallet) = (account["sub_account_id"].as_str().expect("an id"), &account["wallet"]);
        let read = |name: &str| wallet[name].as_str().map(micros);
        match (read("balance"), read("held"), read("available")) {
            (Some(balance), Some(held), Some(available)) if wallet["currency"] == currency => {
                self.balances.insert(id.to_owned(), Money { balance, held, available });
            }
            _ => self.faults.push(format!("{id} has no wallet to speak of: {wallet}")),
        }
    }

    /// Everything that does not fit, and the totals of each organization.
    pub fn audit(mut self, wallets: &[Wallet], calls: &[&Call]) -> (Vec<String>, Vec<Totals>) {
        let organizations = wallets.iter().map(|wallet| wallet.organization + 1).max().unwrap_or(0);
        let mut totals = vec![Totals::default(); organizations];
        let mut charged = vec![0; wallets.len()];
        let mut held = vec![0; wallets.len()];
        for call in calls {
            let wallet = &wallets[call.wallet];
            let record = self.records.remove(&(wallet.account.clone(), call.name.clone()));
            match one(call, record.as_ref()) {
                Ok(of_call) => {
                    charged[call.wallet] += of_call.charged;
                    held[call.wallet] += of_call.held;
                }
                Err(why) => self.faults.push(format!("{}: {why}: {record:?}", call.name)),
            }
        }
        self.faults.extend(self.records.values().map(|record| format!("nobody's call: {record}")));
        for (index, wallet) in wallets.iter().enumerate() {
            let Money { balance, held: holds, available } =
                self.balances.get(&wallet.account).copied().unwrap_or_default();
            let sum = &mut totals[wallet.organization];
            sum.recharges += wallet.recharged;
            sum.balances += available;
            sum.charges += charged[index];
            sum.holds += holds;
            let fits = wallet.recharged == balance + charged[index]
                && holds == held[index]
                && balance == available + holds
                && available >= 0;
            if !fits {
                let (recharged, charged, held) = (wallet.recharged, charged[index], held[index]);
                self.faults.push(format!(
                    "{}: {recharged} paid in, {charged} charged, {held} held by calls; the wallet has \
                     {balance}, {holds} of it held and {available} available",
                    wallet.account
                ));
            }
        }
        for sum in
            totals.iter().filter(|sum| sum.recharges != sum.balances + sum.charges + sum.holds)
        {
            self.faults.push(format!("the totals do not fit: {sum:?}"));
        }
        let more = self.faults.len().saturating_sub(SHOWN_MAX);
        self.faults.truncate(SHOWN_MAX);
        self.faults.extend((more > 0).then(|| format!("and {more} more")));
        (self.faults, totals)
    }
}

/// What one call takes from its wallet, in micro-units.
#[derive(Default)]
struct Taken {
    charged: i64,
    held: i64,
}

/// Whether what is recorded of a call is what its stack knows.
fn one(call: &Call, record: Option<&Value>) -> Result<Taken, String> {
    match (&call.end, record) {
        (End::Refused, None) => Ok(Taken::default()),
        (End::Live, None) if call.manner == Manner::Kept => {
            let priced = call.priced.ok_or("it is in a blocked destination")?;
            Ok(Taken { charged: 0, held: priced.micros(call.granted_s) })
        }
        (End::Receipt(receipt), Some(record)) => {
            call.judge(receipt).map_err(|why| format!("its receipt: {why}: {receipt}"))?;
            for name in ["cause", "outcome", "billable_s", "cost", "currency"] {
                if receipt[name] != record[name] {
                    return Err(format!("{name} is another in its receipt: {receipt}"));
                }
            }
            charge(call, record)
        }
        (End::Live, Some(record)) if call.manner != Manner::Kept && record["cause"] == "expiry" => {
            charge(call, record)
        }
        (end, _) => Err(format!("it is {end:?} to its stack ({:?})", call.manner)),
    }
}

fn charge(call: &Call, record: &Value) -> Result<Taken, String> {
    call.judge(record)?;
    let amount = |name: &str| record[name].as_str().map(micros).ok_or(format!("no {name}"));
    Ok(Taken { charged: amount("cost")? - amount("debt")?, held: 0 })
}

/// Every page of a list.
fn all(plane: &Running, key: &str, path: &str) -> Vec<Value> {
    let (mut client, mut found, mut cursor) = (plane.control_plane(key), Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}?limit=1000{cursor}")).expect(200);
        found.extend(page["data"].as_array().into_iter().flatten().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}
