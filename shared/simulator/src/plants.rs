//! Bugs built in on purpose, to show that the invariants find them: wrappers round the ports, so that the product stays whole.

mod cloud;
mod store;

use std::sync::Arc;

use stanch_engine::Ports;
use stanch_sandbox::Sandbox;

use crate::clock::now;
use crate::world::World;

macro_rules! plants {
    ($($plant:ident $name:literal $what:literal,)*) => {
        /// A bug that is built in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "`what` says it")]
        pub enum Plant { $($plant,)* }

        impl Plant {
            /// Every plant.
            pub const ALL: &[Plant] = &[$(Plant::$plant,)*];

            /// The kebab-case name.
            pub fn name(self) -> &'static str {
                match self { $(Plant::$plant => $name,)* }
            }

            /// What it gets wrong.
            pub fn what(self) -> &'static str {
                match self { $(Plant::$plant => $what,)* }
            }
        }
    };
}

plants! {
    AckBeforeSave "ack-before-save" "a finding is acknowledged before it is saved",
    IgnoreVersion "ignore-version" "a commit does not look at the version it follows",
    DropOutbox "drop-outbox" "what is to be told is not stored with the commit",
    SkipIntent "skip-intent" "the intent of a write is not stored before it",
    RetryUnseen "retry-without-observing" "a write without an answer is sent again without a look",
    CapAfterWrite "cap-after-write" "a slot of a cap is taken after the write",
    TrustStaleVerify "trust-stale-verify" "after a write, reads are answered with what was intended",
    LoseExpiry "lose-expiry" "the end of a containment is not stored",
    LoseDue "lose-due-time" "due times are left to the queue alone",
    RememberSwitch "remember-kill-switch" "the kill switch is read once and remembered",
    SwitchUnreadable "open-when-unreadable" "a kill switch that cannot be read counts as on",
    SentBeforeSending "sent-before-sending" "a message is marked as sent before it is sent",
    ShuffleOutbox "shuffle-outbox" "the outbox is sent newest first",
    WrongBody "write-more-than-planned" "a write carries more than its plan says",
}

impl Plant {
    /// A plant by its name.
    pub fn named(name: &str) -> Option<Plant> {
        Plant::ALL.iter().copied().find(|p| p.name() == name)
    }
}

/// Builds the run's bug into an actor's ports, if it has one.
pub(crate) fn plant(world: &Arc<World>, ports: Ports) -> Ports {
    let Some(plant) = world.plant else { return ports };
    let store = Arc::new(store::Planted::new(world, plant, ports.store.clone()));
    let clouds = Arc::new(cloud::Planted::new(world, plant, ports.clouds.clone()));
    Ports { store, clouds, ..ports }
}

/// A second set of clouds, in which every write succeeds.
pub(crate) fn shadow() -> Sandbox {
    Sandbox::seeded(now)
}
