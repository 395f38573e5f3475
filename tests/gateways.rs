//! Several gateways, one Redis, one control plane, joined as separate processes will be: what stacks
//! see at any of them, and what the ledger has in the end.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use control_plane::{ControlPlane, FirstOrganization};
use gateway::answer::{CallView, Grant};
use gateway::engine::{Account, Engine, Exchanges, Refusal, Settings};
use gateway::link::Rhythm;
use gateway::request::{Admit, Release};
use http_body_util::BodyExt as _;
use hub::clock;
use hub::denial::{Denial, Reason};
use hub::id::AccountId;
use hub::redis::connect::Options;
use hub::redis::hub::RedisHub;
use support::redis::Redis;
use tokio::runtime::Builder;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep};
use tower::ServiceExt as _;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);
const TOTAL: u32 = 60;

/// The control plane, with the organization that its first start made.
struct Plane {
    organization: AccountId,
    key: String,
    control: ControlPlane,
    _directory: tempfile::TempDir,
}

impl Plane {
    async fn start(redis: &Redis) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let database = directory.path().join("ringfence.db");
        let settings = control_plane::Settings {
            first_organization: FirstOrganization {
                concurrency_total: TOTAL,
                ..FirstOrganization::default()
            },
            ..control_plane::Settings::new(format!("sqlite://{}", database.display()))
        };
        let opened = ControlPlane::open(settings, connect(redis)).await.expect("it opens");
        let (control, first) = opened;
        let first = first.expect("a first start");
        let organization = first.organization_id;
        for tends in [true, false] {
            let plane = control.clone();
            // Ends with the runtime.
            drop(spawn_local(async move {
                if tends {
                    plane.tend_hub(pending::<()>()).await;
                } else {
                    plane.post_records(pending::<()>()).await;
                }
            }));
        }
        let key = first.organization_key.expect("it is generated");
        Self { organization, key, control, _directory: directory }
    }

    /// Calls of the organization that the ledger has.
    async fn posted_calls(&self) -> u64 {
        let request = Request::get("/v1/usage").header("x-api-key", &self.key);
        let request = request.body(Body::empty()).expect("a request");
        let answer = self.control.router().oneshot(request).await.expect("an answer");
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let usage: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        usage["calls"].as_u64().unwrap_or_else(|| unreachable!("{usage}"))
    }
}

fn connect(redis: &Redis) -> Arc<RedisHub> {
    let setting = redis.url().parse().expect("a URL");
    Arc::new(RedisHub::start(setting, &Options::default()).expect("no certificates to read"))
}

struct Gateway {
    engine: Arc<Engine>,
    organization: AccountId,
    exchanges: JoinHandle<()>,
}

impl Gateway {
    /// `name` is this gateway's own: its first call is called so.
    async fn start(redis: &Redis, organization: AccountId, name: &str) -> Self {
        let engine =
            Engine::with_shared_hub(Settings::default(), connect(redis), Rhythm::default());
        let exchanges = Exchanges::new(Arc::clone(&engine));
        let mut ready = exchanges.ready();
        let exchanges = spawn_local(exchanges.run(pending()));
        ready.wait_for(|ready| *ready).await.expect("it goes on");
        let gateway = Self { engine, organization, exchanges };
        let end = Instant::now() + PATIENCE;
        while let Err(refusal) = gateway.admit(name).await {
            assert!(Instant::now() < end, "no call is admitted: {refusal:?}");
            sleep(Duration::from_millis(20)).await;
        }
        gateway.release(name).await;
        gateway
    }

    fn account(&self) -> Arc<Account> {
        self.engine.directory().account(self.organization).expect("it is published")
    }

    /// Asked again while the hub does not answer, as stacks do.
    async fn admit(&self, call_id: &str) -> Result<Grant, Refusal> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.admit_once(call_id).await {
                Err(Refusal::Denied(denial))
                    if denial.reason() == Reason::HubUnavailable && Instant::now() < end =>
                {
                    sleep(Duration::from_millis(20)).await;
                }
                answer => return answer,
            }
        }
    }

    async fn admit_once(&self, call_id: &str) -> Result<Grant, Refusal> {
        let Some(account) = self.engine.directory().account(self.organization) else {
            return Err(Reason::UnknownAccount.into());
        };
        let call = Admit { call_id, ..Admit::default() };
        self.engine.admit(&account, &call, clock::now_us()).await
    }

    async fn release(&self, call_id: &str) {
        let call =
            Release { call_id, token: None, outcome: None, billable_s: Some(60), costs: None };
        let end = Instant::now() + PATIENCE;
        loop {
            match self.engine.release(&self.account(), &call, clock::now_us()).await {
                Ok(CallView::Ended(_)) => return,
                answer => assert!(Instant::now() < end, "{call_id}: {answer:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn on_one_thread(story: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, story);
}

fn is_no_slot(result: &Result<Grant, Refusal>) -> bool {
    matches!(result, Err(Refusal::Denied(Denial::NoSlot { .. })))
}

#[test]
fn three_gateways_share_what_an_organization_bought_and_every_call_is_posted_once() {
    on_one_thread(async {
        let redis = Redis::start(&[]);
        let plane = Plane::start(&redis).await;
        let mut gateways = Vec::new();
        for name in ["one", "two", "three"] {
            gateways.push(Gateway::start(&redis, plane.organization, name).await);
        }
        let first_calls = gateways.len() as u64;
        for call in 0..TOTAL as usize {
            let gateway = &gateways[call % 3];
            gateway.admit(&format!("c{call}")).await.expect("there is room");
        }
        for gateway in &gateways {
            assert!(is_no_slot(&gateway.admit("more").await));
        }
        gateways[0].release("c1").await;
        gateways[2].admit("next").await.expect("the slot is free for everybody");
        assert!(is_no_slot(&gateways[1].admit("more").await));
        gateways[1].release("next").await;
        for call in (0..TOTAL as usize).filter(|call| *call != 1) {
            gateways[(call + 1) % 3].release(&format!("c{call}")).await;
        }
        let ended = first_calls + u64::from(TOTAL) + 1;
        let end = Instant::now() + PATIENCE;
        while plane.posted_calls().await < ended {
            assert!(Instant::now() < end, "not every call is posted");
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(plane.posted_calls().await, ended);
        assert_eq!(plane.control.verify_ledger().await.expect("readable"), []);
    });
}

#[test]
fn admission_goes_on_after_the_hub_has_lost_its_memory() {
    on_one_thread(async {
        let redis = Redis::start(&[]);
        let plane = Plane::start(&redis).await;
        let one = Gateway::start(&redis, plane.organization, "one").await;
        let two = Gateway::start(&redis, plane.organization, "two").await;
        for call in 0..30 {
            let gateway = if call % 2 == 0 { &one } else { &two };
            gateway.admit(&format!("c{call}")).await.expect("there is room");
        }
        redis.command(&["FLUSHALL"]);
        let end = Instant::now() + PATIENCE;
        let mut call = 30;
        while call < TOTAL {
            match one.admit(&format!("c{call}")).await {
                Ok(_) => call += 1,
                refused => {
                    assert!(!is_no_slot(&refused), "a slot is free: {refused:?}");
                    assert!(Instant::now() < end, "nothing more is granted: {refused:?}");
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
        assert!(is_no_slot(&two.admit("more").await));
        assert!(!one.exchanges.is_finished() && !two.exchanges.is_finished());
    });
}
