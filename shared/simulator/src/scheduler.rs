//! Who goes on, and when: futures polled by hand, one at a time, in an order that the seed decides.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use stanch_core::finding::Millis;
use stanch_core::state::State;

use crate::actors::{self, Role};
use crate::clock::{DAY, HOUR, SECOND, now, turn_to};
use crate::faults::Fault;
use crate::stage::Stage;
use crate::story::span;
use crate::world::{ActorId, World};

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Lets others go on.
pub(crate) async fn pause() {
    let mut polled = false;
    std::future::poll_fn(move |_| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        Poll::Pending
    })
    .await;
}

/// Does nothing for a while.
pub(crate) async fn sleep(world: &World, actor: ActorId, ms: Millis) {
    world.with(|w| w.actor(actor, |a| a.wake = now() + ms));
    pause().await;
}

/// Does nothing until the scheduler finds that something is due.
pub(crate) async fn idle(world: &World, actor: ActorId) {
    world.with(|w| w.actor(actor, |a| a.wake = Millis::MAX));
    pause().await;
}

/// Runs a future alone, to its end.
pub(crate) fn finish<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

struct Task {
    actor: ActorId,
    role: Role,
    work: Work,
}

/// Everybody's work.
pub(crate) struct Scheduler {
    world: Arc<World>,
    stage: Stage,
    tasks: Vec<Task>,
    /// Steps taken.
    pub(crate) steps: u64,
}

/// Steps in which a calm world must come to rest.
const CALM_STEPS: u64 = 30_000;
/// Steps in which something must be committed while something is due.
const IDLE_STEPS: u64 = 3_000;
/// Times the clock is turned to what is due next, before a case that still moves counts as moving for ever.
const CALM_TURNS: u32 = 400;
/// The same when only cases are left that come back by nature: containments, deferrals, second looks at the source.
const QUIET_TURNS: u32 = 5;

impl Scheduler {
    pub(crate) fn new(world: Arc<World>, stage: Stage) -> Self {
        Scheduler { world, stage, tasks: Vec::new(), steps: 0 }
    }

    /// Gives an actor its work.
    pub(crate) fn start(&mut self, actor: ActorId, role: Role) {
        let work = actors::work(&self.world, &self.stage, actor, &role);
        self.tasks.push(Task { actor, role, work });
    }

    /// Sends actors home, wherever they are.
    pub(crate) fn dismiss(&mut self, who: impl Fn(&Role) -> bool) {
        self.tasks.retain(|task| !who(&task.role));
    }

    /// The part in which everything may go wrong.
    pub(crate) fn chaos(&mut self, steps: u64) {
        let end = self.steps + steps;
        while self.steps < end && !self.is_over() {
            self.pass_time();
            if !self.step() {
                self.wake_next();
            }
        }
    }

    /// The part in which nothing goes wrong any more and everything must come to rest.
    pub(crate) fn calm(&mut self) {
        let end = self.steps + CALM_STEPS;
        let (mut turns, mut quiet) = (0, 0);
        let mut idle_since = (self.steps, self.commits());
        while !self.is_over() {
            if idle_since.1 != self.commits() {
                idle_since = (self.steps, self.commits());
            }
            if self.steps - idle_since.0 > IDLE_STEPS {
                let moving = self.moving();
                self.world
                    .broken("what-is-due-moves", format!("workers take up what is due again and again, and nothing comes of it: {moving}"));
                return;
            }
            if self.steps > end || turns > CALM_TURNS {
                let moving = self.moving();
                self.world.broken("everything-comes-to-rest", format!("still moving after {turns} turns of the clock: {moving}"));
                return;
            }
            turn_to(now() + 1);
            if self.step() {
                continue;
            }
            if self.wake_sleepers() {
                continue;
            }
            match self.next_due() {
                Some((at, only_waiting)) => {
                    quiet += u32::from(only_waiting);
                    if quiet > QUIET_TURNS {
                        return;
                    }
                    turns += 1;
                    idle_since.0 = if at > now() { self.steps } else { idle_since.0 };
                    turn_to(at);
                    self.world.with(|w| w.actors.iter_mut().for_each(|a| a.wake = a.wake.min(now())));
                }
                None => return,
            }
        }
    }

    fn commits(&self) -> u64 {
        self.world.with(|w| w.ledger.commits)
    }

    fn is_over(&self) -> bool {
        self.world.with(|w| w.broken.is_some())
    }

    /// Lets one of those who are awake go on. `false`: all sleep.
    fn step(&mut self) -> bool {
        let tasks = &self.tasks;
        let chosen = self.world.with(|w| {
            let awake = |task: &Task| w.actors.get(task.actor).is_some_and(|a| a.wake <= now());
            let ready: Vec<usize> = tasks.iter().enumerate().filter(|(_, t)| awake(t)).map(|(at, _)| at).collect();
            w.rng.pick(&ready).copied()
        });
        let Some(at) = chosen else { return false };
        self.steps += 1;
        let Some(task) = self.tasks.get_mut(at) else { return false };
        let actor = task.actor;
        let done = task.work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let crashed = self.world.with(|w| {
            w.mix(actor as u64);
            w.mix(now() as u64);
            w.actors.get(actor).is_some_and(|a| a.crashed)
        });
        if crashed {
            self.restart(at);
        } else if done {
            self.tasks.remove(at);
        }
        true
    }

    /// A dead actor's work is dropped where it stood; it comes back later and knows nothing.
    fn restart(&mut self, at: usize) {
        let Some(task) = self.tasks.get_mut(at) else { return };
        let role = task.role.clone();
        task.work = actors::work(&self.world, &self.stage, task.actor, &role);
        let actor = task.actor;
        self.world.with(|w| {
            let away = w.rng.between(50, 20_000);
            w.actor(actor, |a| {
                a.crashed = false;
                a.may_write = false;
                a.slot = None;
                a.knows.clear();
                a.wake = now() + away;
            });
            if w.story.wanted {
                w.line(actor, &format!("is down, back in {}", span(away)));
            }
        });
    }

    fn pass_time(&self) {
        let world = &self.world;
        let small = world.with(|w| if w.rng.chance(600) { w.rng.between(1, 60) } else { 0 });
        turn_to(now() + small);
        let clock = usize::MAX;
        for (fault, low, high) in [
            (Fault::JumpSmall, SECOND, 12 * SECOND),
            (Fault::JumpLease, 30 * SECOND, 130 * SECOND),
            (Fault::JumpHours, HOUR / 2, 6 * HOUR),
            (Fault::JumpDays, DAY / 2, 3 * DAY),
        ] {
            let jump = world.with(|w| w.rng.between(low, high));
            if world.fault(clock, fault, || span(jump)) {
                turn_to(now() + jump);
            }
        }
        let (actor, off) = world.with(|w| {
            let actors = w.actors.len() as u64;
            (w.rng.below(actors) as usize, w.rng.between(-2_000, 2_000))
        });
        if world.fault(actor, Fault::ClockSkew, || format!("its clock is {off} ms off")) {
            world.with(|w| w.actor(actor, |a| a.skew = off));
        }
    }

    /// Everybody sleeps: it is the time at which the first one wakes.
    fn wake_next(&self) {
        let next = self.world.with(|w| {
            let sleeping = self.tasks.iter().filter_map(|t| w.actors.get(t.actor)).map(|a| a.wake);
            sleeping.filter(|wake| *wake != Millis::MAX).min()
        });
        turn_to(next.unwrap_or_else(|| now() + SECOND));
        if next.is_none() {
            self.world.with(|w| w.actors.iter_mut().for_each(|a| a.wake = a.wake.min(now())));
        }
    }

    /// Wakes who sleeps until a time, at that time.
    fn wake_sleepers(&self) -> bool {
        let next = self.world.with(|w| {
            let sleeping = self.tasks.iter().filter_map(|t| w.actors.get(t.actor)).map(|a| a.wake);
            sleeping.filter(|wake| *wake != Millis::MAX).min()
        });
        next.inspect(|at| turn_to(*at)).is_some()
    }

    /// What is due next, and whether it is only something that waits by nature. A message that the other side refuses for good
    /// is tried for ever, a day apart, and keeps nobody awake here.
    fn next_due(&self) -> Option<(Millis, bool)> {
        let store = &self.world.store;
        // Of each lane only the oldest is tried; what stands behind it waits for it.
        let mut lanes = BTreeSet::new();
        let messages = store.messages();
        let heads = messages.iter().filter(|m| !m.sent).filter(|m| lanes.insert((m.remediation, m.item.message.lane())));
        let unsent = heads.filter(|m| m.due_at < now() + DAY).map(|m| m.due_at.max(now())).min();
        let nudge = self.world.queue.next_visible().map(|at| at.max(now()));
        let cases = store.cases();
        let waiting = |state: State| !matches!(state, State::Open | State::Applying | State::Verifying | State::Undoing);
        let due = cases.iter().filter_map(|(_, at)| *at).map(|at| at.max(now())).min();
        let only_waits = unsent.is_none() && !cases.iter().any(|(r, at)| at.is_some() && !waiting(r.state));
        let next = [unsent, nudge, due].into_iter().flatten().min();
        next.map(|at| (at, only_waits))
    }

    fn moving(&self) -> String {
        let cases = self.world.store.cases();
        let due = cases.into_iter().filter_map(|(r, at)| Some((r, at?)));
        let lines = due.map(|(r, at)| format!("{} is {} ({}), due in {} ms", self.world.label(r.id), r.state, r.note, at - now()));
        let unsent = self.world.store.messages().iter().filter(|m| !m.sent).count();
        let tasks: Vec<String> =
            self.tasks.iter().filter_map(|t| self.world.with(|w| w.actors.get(t.actor).map(|a| a.name.clone()))).collect();
        format!("{}; {unsent} unsent messages; at work: {}", lines.collect::<Vec<_>>().join("; "), tasks.join(", "))
    }
}
