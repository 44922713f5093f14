//! Everything one run shares: the simulated clouds, source, store and queue, the choices, and what is known to have happened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stanch_core::finding::Millis;
use stanch_core::port::Cap;
use stanch_core::remediation::RemediationId;
use stanch_core::rule::RuleSet;
use stanch_sandbox::{MemoryQueue, MemoryStore, Sandbox, SandboxSource};
use uuid::Uuid;

use crate::clock::now;
use crate::coverage::{Coverage, Reached};
use crate::faults::{Fault, Profile};
use crate::ledger::Ledger;
use crate::plants::Plant;
use crate::ports::cloud::Seen;
use crate::rng::Rng;
use crate::scheduler::pause;
use crate::stage::Stage;
use crate::story::Story;
use crate::{Broken, Options};

/// An actor's number.
pub(crate) type ActorId = usize;

/// What one run shares.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) source: SandboxSource,
    pub(crate) store: MemoryStore,
    pub(crate) queue: MemoryQueue,
    pub(crate) plant: Option<Plant>,
    pub(crate) rules: Arc<RuleSet>,
    /// Whether somebody wants to read the story.
    story: bool,
    inner: Mutex<Inner>,
}

/// The part that changes.
pub(crate) struct Inner {
    pub(crate) rng: Rng,
    pub(crate) profile: Profile,
    /// No more faults: everything must come to rest.
    pub(crate) calm: bool,
    pub(crate) actors: Vec<Actor>,
    pub(crate) ledger: Ledger,
    pub(crate) coverage: Coverage,
    pub(crate) reached: Reached,
    pub(crate) story: Story,
    pub(crate) broken: Option<Broken>,
    pub(crate) seen: Seen,
    /// The faults of the estate this run is about, by their number in the table.
    pub(crate) subjects: Vec<usize>,
    /// Slots that a planted bug takes too late.
    pub(crate) late_caps: Vec<Cap>,
    ids: u64,
    labels: BTreeMap<RemediationId, usize>,
    fingerprint: u64,
}

/// Somebody who acts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actor {
    pub(crate) name: String,
    /// It does nothing before then.
    pub(crate) wake: Millis,
    /// It has just died.
    pub(crate) crashed: bool,
    /// How far its clock is off, milliseconds.
    pub(crate) skew: Millis,
    /// The kill switch told it that it may write, and it has not written since.
    pub(crate) may_write: bool,
    /// The slots it took last and has not used yet.
    pub(crate) slot: Option<Vec<Cap>>,
    /// The versions it knows, by its own loads and commits.
    pub(crate) knows: BTreeMap<RemediationId, u64>,
}

impl World {
    pub(crate) fn new(seed: u64, stage: &Stage, options: &Options) -> Arc<Self> {
        let mut rng = Rng::new(seed);
        let profile = Profile::draw(&mut rng, &options.without);
        let rules = stage.rules(&mut rng);
        Arc::new(World {
            sandbox: Sandbox::seeded(now),
            source: SandboxSource::new(now),
            store: MemoryStore::new(),
            queue: MemoryQueue::new(Arc::new(now)),
            plant: options.plant,
            rules,
            story: options.story,
            inner: Mutex::new(Inner {
                rng,
                profile,
                calm: false,
                actors: Vec::new(),
                ledger: Ledger::default(),
                coverage: Coverage::default(),
                reached: Reached::default(),
                story: Story { wanted: options.story, lines: Vec::new() },
                broken: None,
                seen: Seen::default(),
                subjects: Vec::new(),
                late_caps: Vec::new(),
                ids: 0,
                labels: BTreeMap::new(),
                fingerprint: 0,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works with what changes. Never held over an await.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.lock())
    }

    /// A new actor.
    pub(crate) fn enter(&self, name: impl Into<String>) -> ActorId {
        self.with(|w| {
            w.actors.push(Actor { name: name.into(), ..Actor::default() });
            w.actors.len() - 1
        })
    }

    /// A line of the story.
    pub(crate) fn tell(&self, actor: ActorId, what: impl FnOnce() -> String) {
        if self.story {
            let line = what();
            self.with(|w| w.line(actor, &line));
        }
    }

    /// Whether a fault happens now. What it hits is for the story.
    pub(crate) fn fault(&self, actor: ActorId, fault: Fault, hits: impl FnOnce() -> String) -> bool {
        let met = self.with(|w| {
            let rate = w.profile.rate(fault);
            let met = !w.calm && w.rng.chance(rate);
            if met {
                w.coverage.met(fault);
                w.mix(fault as u64 + 1000);
            }
            met
        });
        if met {
            self.tell(actor, || format!("!! {}: {}", fault.name(), hits()).trim_end_matches(": ").to_owned());
        }
        met
    }

    /// A place where another actor may go on, and where this one may die.
    pub(crate) async fn point(&self, actor: ActorId, crash: Fault, place: impl FnOnce() -> String) {
        pause().await;
        if self.fault(actor, crash, place) {
            self.with(|w| w.actor(actor, |a| a.crashed = true));
            std::future::pending::<()>().await;
        }
    }

    /// An invariant does not hold. The first one counts.
    pub(crate) fn broken(&self, invariant: &'static str, why: impl Into<String>) {
        self.with(|w| w.broken(invariant, why));
    }

    /// The time by an actor's clock.
    pub(crate) fn clock_of(&self, actor: ActorId) -> Millis {
        now() + self.with(|w| w.actors.get(actor).map_or(0, |a| a.skew))
    }

    /// A new id; ids sort by the time they were made.
    pub(crate) fn new_id(&self) -> Uuid {
        self.with(|w| {
            w.ids += 1;
            let time = (now() as u128) << 80;
            Uuid::from_u128(time | 0x7000_8000_0000_0000_0000 | u128::from(w.ids))
        })
    }

    /// How the story calls a remediation.
    pub(crate) fn label(&self, id: RemediationId) -> String {
        self.with(|w| w.label(id))
    }
}

impl Actor {
    /// It has seen a version.
    pub(crate) fn knows(&mut self, id: RemediationId, version: u64) {
        self.knows.insert(id, version);
    }
}

impl Inner {
    pub(crate) fn actor(&mut self, actor: ActorId, change: impl FnOnce(&mut Actor)) {
        if let Some(actor) = self.actors.get_mut(actor) {
            change(actor);
        }
    }

    pub(crate) fn line(&mut self, actor: ActorId, what: &str) {
        let name = self.actors.get(actor).map_or("", |a| a.name.as_str()).to_owned();
        self.story.line(now(), &name, what);
    }

    pub(crate) fn broken(&mut self, invariant: &'static str, why: impl Into<String>) {
        if self.broken.is_none() {
            let why = why.into();
            self.story.line(now(), "", &format!("** broken: {invariant}: {why}"));
            self.broken = Some(Broken { invariant, why });
        }
    }

    pub(crate) fn label(&mut self, id: RemediationId) -> String {
        let next = self.labels.len() + 1;
        format!("R{}", self.labels.entry(id).or_insert(next))
    }

    /// Mixes something that happened into the run's fingerprint: two runs of one seed must give the same.
    pub(crate) fn mix(&mut self, value: u64) {
        self.fingerprint = (self.fingerprint ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}
