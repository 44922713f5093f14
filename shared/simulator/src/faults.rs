//! What can go wrong, by name, and how often it does in one run.

use std::collections::BTreeSet;

use crate::rng::Rng;

macro_rules! faults {
    ($($fault:ident $name:literal $often:literal,)*) => {
        /// Something that goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the name says it")]
        pub enum Fault { $($fault,)* }

        impl Fault {
            /// Every fault.
            pub const ALL: &[Fault] = &[$(Fault::$fault,)*];

            /// The kebab-case name.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$fault => $name,)* }
            }

            /// How often per thousand chances, in a run that has it at its usual strength.
            fn often(self) -> u64 {
                match self { $(Fault::$fault => $often,)* }
            }
        }
    };
}

faults! {
    CrashBeforeStore "crash-before-store-write" 20,
    CrashAfterStore "crash-after-store-write" 20,
    CrashAtRead "crash-at-store-read" 4,
    CrashBeforeQueue "crash-before-queue-call" 15,
    CrashAfterQueue "crash-after-queue-call" 15,
    CrashBeforeCloud "crash-before-cloud-call" 20,
    CrashAfterCloud "crash-after-cloud-call" 20,
    CrashAtTelling "crash-while-telling" 20,
    StoreUnavailable "store-unavailable" 15,
    StoreAnswerLost "store-answer-lost" 25,
    MessageLost "message-lost" 150,
    MessageDuplicated "message-duplicated" 150,
    MessageDelayed "message-delayed" 150,
    MessagesReordered "messages-reordered" 300,
    MessageForeign "message-of-another-kind" 20,
    QueueUnavailable "queue-unavailable" 50,
    CompletionLost "completion-lost" 150,
    Throttled "cloud-throttled" 40,
    ThrottledFor "cloud-throttled-with-retry-after" 40,
    ErrorNotLanded "cloud-5xx-not-landed" 40,
    ErrorLanded "cloud-5xx-landed" 40,
    TimeoutLost "cloud-timeout-not-landed" 40,
    TimeoutLanded "cloud-timeout-landed" 40,
    ConnectionRefused "cloud-connection-refused" 40,
    Denied "cloud-denied" 8,
    Conflict "cloud-conflict" 20,
    SlowCall "cloud-slow-call" 40,
    StaleRead "cloud-stale-read" 300,
    OperationSlow "operation-takes-long" 300,
    OperationFails "operation-fails" 150,
    JumpSmall "clock-jumps-seconds" 20,
    JumpLease "clock-jumps-past-a-lease" 8,
    JumpHours "clock-jumps-hours" 4,
    JumpDays "clock-jumps-days" 1,
    ClockSkew "clock-of-a-worker-off" 20,
    HumanEdit "human-edit" 500,
    HumanDelete "human-deletes-resource" 40,
    KillSwitch "kill-switch-turned" 100,
    SourceDown "source-unavailable" 100,
    NotifierDown "notifier-unavailable" 150,
    NotifierRefuses "notifier-refuses" 30,
    DeliveryDuplicated "delivery-duplicated" 400,
    DeliveryDelayed "delivery-delayed" 300,
    LateWord "old-word-of-a-source-delivered-late" 200,
}

impl Fault {
    /// A fault by its name.
    pub fn named(name: &str) -> Option<Fault> {
        Fault::ALL.iter().copied().find(|f| f.name() == name)
    }
}

/// What goes wrong in one run, and how often. Each run has some faults only, at different strengths: a run with everything at
/// once never comes to what needs two rare things in a row and peace around them.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    rates: Vec<(Fault, u64)>,
}

impl Profile {
    /// Draws a profile.
    pub(crate) fn draw(rng: &mut Rng, without: &BTreeSet<Fault>) -> Self {
        let width = *rng.pick(&[0, 120, 250, 250, 400, 700]).unwrap_or(&250);
        let mut rates = Vec::new();
        for fault in Fault::ALL {
            let on = rng.chance(width);
            let strength = *rng.pick(&[1, 2, 2, 4, 8]).unwrap_or(&2);
            if on && !without.contains(fault) {
                rates.push((*fault, (fault.often() * strength / 2).clamp(1, 700)));
            }
        }
        Profile { rates }
    }

    /// Chances per thousand.
    pub(crate) fn rate(&self, fault: Fault) -> u64 {
        self.rates.iter().find(|(f, _)| *f == fault).map_or(0, |(_, rate)| *rate)
    }

    /// The faults that are on.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.rates.iter().map(|(f, _)| f.name()).collect()
    }
}
