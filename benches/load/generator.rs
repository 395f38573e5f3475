//! One thread of the generator: connections on an epoll of its own, driven until the plan ends, then
//! emptied, so that no call it admitted is left live.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use benches::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns, thread_cpu_ns};
use benches::processor;
use benches::request::{BatchTemplate, Operation, Template};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::time::Timespec;

use crate::connection::{Connection, Script, Templates};
use crate::plan::{Plan, Workload};
use crate::schedule::Schedule;
use crate::tally::Tally;

/// How long answers are awaited after the last request was sent.
const GRACE_NS: u64 = 10 * SECOND_NS;
/// How often a waiting generator looks whether its time is over.
const LOOK_EVERY_NS: u64 = 20 * MILLISECOND_NS;
/// Connections of one thread that may break before it gives up.
const BROKEN_MAX: u64 = 1_000;
const EVENTS_MAX: usize = 256;

/// What all threads send.
pub struct Setup {
    templates: Vec<Templates>,
    batches: Vec<BatchTemplate>,
    batch_calls: u64,
    /// Makes the call ids of this run its own.
    seed: u128,
}

impl Setup {
    pub fn new(plan: &Plan) -> Self {
        let host = plan.targets[0].to_string();
        let template = |operation, key: &String| Template::http(operation, &host, key);
        let both = |key| Templates {
            admit: template(Operation::Admit, key),
            release: template(Operation::Release, key),
        };
        let batch_calls = if let Workload::Batch { calls } = plan.workload { calls } else { 0 };
        let batch = |key: &String| BatchTemplate::new(batch_calls, &host, key);
        let batched = if batch_calls > 0 { plan.keys.as_slice() } else { &[] };
        Self {
            templates: plan.keys.iter().map(both).collect(),
            batches: batched.iter().map(batch).collect(),
            batch_calls,
            seed: rand::random(),
        }
    }

    fn script(&self, plan: &Plan) -> Script<'_> {
        Script {
            templates: &self.templates,
            batches: &self.batches,
            batch_calls: self.batch_calls,
            rotate_keys: plan.rotate_keys,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Warmup,
    Measured,
    /// The calls that are live are released; nothing counts but errors.
    Emptying,
}

pub struct Generator<'a> {
    plan: &'a Plan,
    script: Script<'a>,
    index: usize,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Of an open loop: connections without a request.
    free: VecDeque<usize>,
    schedule: Option<Schedule>,
    phase: Phase,
    measure_from_ns: u64,
    end_ns: u64,
    tally: Tally,
    broken: u64,
    answered: &'a AtomicU64,
}

impl<'a> Generator<'a> {
    /// Opens this thread's connections. `answered` is shown to who waits.
    pub fn new(
        plan: &'a Plan,
        setup: &'a Setup,
        index: usize,
        answered: &'a AtomicU64,
    ) -> io::Result<Self> {
        if let Some(processor) = plan.pin.get(index) {
            processor::pin(&[*processor])?;
        }
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let connections = plan.share(plan.connections, index);
        let first: usize = (0..index).map(|before| plan.share(plan.connections, before)).sum();
        let batch = setup.batch_calls > 0;
        let open = |number: usize| {
            // The top 72 bits of a seed reach the ids; the number sits at their end.
            let seed = setup.seed.wrapping_add((number as u128) << 56);
            let connection =
                Connection::open(plan.target(number), seed, number, plan.live_of(number), batch)?;
            watch(&epoll, &connection, number - first)?;
            Ok(connection)
        };
        let connections: Vec<Connection> =
            (first..first + connections).map(open).collect::<io::Result<_>>()?;
        Ok(Self {
            plan,
            script: setup.script(plan),
            index,
            epoll,
            free: VecDeque::with_capacity(connections.len()),
            connections,
            schedule: None,
            phase: Phase::Warmup,
            measure_from_ns: 0,
            end_ns: 0,
            tally: Tally::new(),
            broken: 0,
            answered,
        })
    }

    /// Runs the plan to its end.
    pub fn run(mut self) -> io::Result<Tally> {
        self.start()?;
        let mut cost = Cost::default();
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            let now_ns = monotonic_ns();
            if self.phase == Phase::Warmup && now_ns >= self.measure_from_ns {
                self.phase = Phase::Measured;
                self.tally.begin();
                self.measure_from_ns = now_ns;
                cost = self.cost()?;
            }
            self.send_due(now_ns)?;
            if self.phase == Phase::Measured && self.is_over(now_ns) {
                break;
            }
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&self.timeout(now_ns)))?;
            for event in events.drain(..) {
                self.serve(event)?;
            }
            self.answered.store(self.tally.requests, Ordering::Relaxed);
        }
        self.tally.measured_s = seconds(monotonic_ns() - self.measure_from_ns);
        let (before, after) = (cost, self.cost()?);
        self.tally.generator_cpu_s = after.generator_s - before.generator_s;
        self.tally.server_cpu_s = after.server_s.zip(before.server_s).map(|(a, b)| a - b);
        self.empty()?;
        Ok(self.tally)
    }

    fn start(&mut self) -> io::Result<()> {
        let now_ns = monotonic_ns();
        let nanoseconds =
            |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.measure_from_ns = now_ns + nanoseconds(self.plan.limits.warmup);
        self.end_ns = self.measure_from_ns + nanoseconds(self.plan.limits.measured);
        if let Workload::Open { rate_per_s } = self.plan.workload {
            #[expect(clippy::cast_precision_loss, reason = "at most 64 threads")]
            let share = rate_per_s / self.plan.threads as f64;
            self.schedule = Some(Schedule::new(now_ns, self.end_ns, share));
        }
        (0..self.connections.len()).try_for_each(|index| self.go_on(index))
    }

    /// Sends the requests of an open loop whose time has come, while connections are free.
    fn send_due(&mut self, now_ns: u64) -> io::Result<()> {
        while let Some(schedule) = &mut self.schedule
            && let Some(index) = self.free.front().copied()
            && let Some(due_ns) = schedule.take(now_ns)
        {
            self.free.pop_front();
            self.connections[index].ask(&self.script, due_ns);
            self.flush(index)?;
        }
        Ok(())
    }

    /// What a connection does whose requests are all answered.
    fn go_on(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let now_ns = monotonic_ns();
        match (self.phase, &self.schedule) {
            (Phase::Emptying, _) => {
                let depth = self.plan.depth();
                let mut asked = 0;
                while asked < depth && connection.ask_release(&self.script, now_ns) {
                    asked += 1;
                }
            }
            (_, Some(_)) => self.free.push_back(index),
            (_, None) => (0..self.plan.depth()).for_each(|_| connection.ask(&self.script, now_ns)),
        }
        self.flush(index)
    }

    fn serve(&mut self, event: epoll::Event) -> io::Result<()> {
        let flags = event.flags;
        let index = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
        if flags.contains(epoll::EventFlags::OUT) {
            self.flush(index)?;
        }
        if flags == epoll::EventFlags::OUT {
            return Ok(());
        }
        let connection = &mut self.connections[index];
        match connection.receive(monotonic_ns, &mut self.tally) {
            Err(error) => self.replace(index, &error),
            Ok(()) if connection.is_idle() => self.go_on(index),
            Ok(()) => Ok(()),
        }
    }

    fn flush(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let was_blocked = connection.is_blocked();
        if let Err(error) = connection.flush() {
            return self.replace(index, &error);
        }
        if was_blocked || connection.is_blocked() {
            let more = if connection.is_blocked() {
                epoll::EventFlags::OUT
            } else {
                epoll::EventFlags::empty()
            };
            let data = epoll::EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, connection.stream(), data, epoll::EventFlags::IN | more)?;
        }
        Ok(())
    }

    /// A broken connection is an error, with each request it leaves unanswered, and is opened anew.
    fn replace(&mut self, index: usize, error: &io::Error) -> io::Result<()> {
        self.broken += 1;
        self.free.retain(|free| *free != index);
        let text = format!("connection: {error}");
        if self.broken > BROKEN_MAX {
            return Err(io::Error::other(format!(
                "{BROKEN_MAX} connections broke, the last: {text}"
            )));
        }
        let connection = &mut self.connections[index];
        let lost = connection.reopen()?;
        (0..lost.max(1)).for_each(|_| self.tally.error(&text));
        watch(&self.epoll, connection, index)?;
        self.go_on(index)
    }

    fn is_over(&mut self, now_ns: u64) -> bool {
        let requests = self.plan.limits.requests / self.plan.threads as u64;
        if self.tally.requests >= requests {
            return true;
        }
        let Some(schedule) = &self.schedule else {
            return now_ns >= self.end_ns;
        };
        // What was due is sent and answered, however late: leaving it out would hide the worst.
        let done = schedule.next_ns().is_none() && self.free.len() == self.connections.len();
        if !done && now_ns >= self.end_ns + GRACE_NS {
            self.tally.error("requests due but not answered in time");
            return true;
        }
        done
    }

    /// Sleeps until something arrives or is due. An open loop spins through the last millisecond, unless
    /// told otherwise: a timer would add its own delay to every latency.
    fn timeout(&self, now_ns: u64) -> Timespec {
        let due_ns =
            self.schedule.as_ref().and_then(Schedule::next_ns).filter(|_| !self.free.is_empty());
        let wait_ns = due_ns.map_or(LOOK_EVERY_NS, |due_ns| due_ns.saturating_sub(now_ns));
        let wait_ns = wait_ns.min(LOOK_EVERY_NS);
        let spun_ns = if self.plan.sleeps { 0 } else { wait_ns % MILLISECOND_NS };
        Timespec { tv_sec: 0, tv_nsec: i64::try_from(wait_ns - spun_ns).unwrap_or(0) }
    }

    /// Waits for what is unanswered and releases what is live.
    fn empty(&mut self) -> io::Result<()> {
        let mut measured = std::mem::replace(&mut self.tally, Tally::new());
        self.phase = Phase::Emptying;
        let deadline_ns = monotonic_ns() + GRACE_NS;
        for index in 0..self.connections.len() {
            if self.connections[index].is_idle() {
                self.go_on(index)?;
            }
        }
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let look = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        while self.connections.iter().any(|connection| !connection.is_idle()) {
            if monotonic_ns() > deadline_ns {
                measured.error("calls left live or requests unanswered at the end");
                break;
            }
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&look))?;
            for event in events.drain(..) {
                self.serve(event)?;
            }
        }
        measured.add_errors(&self.tally);
        self.tally = measured;
        Ok(())
    }

    fn cost(&self) -> io::Result<Cost> {
        // One thread asks for all.
        let pid = self.plan.server_pid.filter(|_| self.index == 0);
        let server_s = pid.map(processor::cpu_s).transpose()?;
        Ok(Cost { generator_s: seconds(thread_cpu_ns()), server_s })
    }
}

/// Processor time used until some moment.
#[derive(Clone, Copy, Default)]
struct Cost {
    generator_s: f64,
    server_s: Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "exact for 100 days")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / SECOND_NS as f64
}

fn watch(epoll: &OwnedFd, connection: &Connection, index: usize) -> io::Result<()> {
    let data = epoll::EventData::new_u64(index as u64);
    Ok(epoll::add(epoll, connection.stream(), data, epoll::EventFlags::IN)?)
}
