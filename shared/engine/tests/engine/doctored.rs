//! The sandbox's source, made to answer as a test says.

use std::sync::{Arc, Mutex};

use stanch_core::finding::{Millis, Source, SourceRef};
use stanch_core::port::{BoxFuture, FindingSource, Listed, Scope, SourceAnswer, SourceError, WriteBack};
use stanch_sandbox::SandboxSource;

use crate::world::{World, auto_rules};

/// What becomes of a page that was listed since a time.
pub(crate) type Doctor = fn(&mut Listed, Option<Millis>);

pub(crate) struct Doctored {
    real: SandboxSource,
    /// The ids of findings about which it does not let itself be asked.
    pub(crate) shut: Mutex<Vec<String>>,
    /// The ids of the findings it was asked about.
    pub(crate) asked: Mutex<Vec<String>>,
    listed: Doctor,
}

impl Doctored {
    /// A world that asks such a source.
    pub(crate) fn world(listed: Doctor) -> (World, Arc<Doctored>) {
        let mut world = World::new();
        let source = Arc::new(Doctored { real: world.source.clone(), shut: Mutex::default(), asked: Mutex::default(), listed });
        world.ports.sources = source.clone();
        world.set_rules(&auto_rules());
        (world, source)
    }
}

impl FindingSource for Doctored {
    fn fetch<'a>(&'a self, source: Source, reference: &'a SourceRef<'a>) -> BoxFuture<'a, Result<SourceAnswer, SourceError>> {
        self.asked.lock().expect("a lock").push(reference.id.to_string());
        if self.shut.lock().expect("a lock").iter().any(|id| *id == reference.id) {
            let (finding, reason) = (reference.id.to_string(), "403 AccessDenied".to_owned());
            let error = SourceError { action: "fetch", finding, source_name: source, reason, retry: false };
            return Box::pin(std::future::ready(Err(error)));
        }
        self.real.fetch(source, reference)
    }
    fn write_back<'a>(
        &'a self,
        source: Source,
        reference: &'a SourceRef<'a>,
        status: WriteBack,
        note: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        self.real.write_back(source, reference, status, note)
    }
    fn list<'a>(&'a self, scope: &'a Scope, since: Option<Millis>, page: Option<&'a str>) -> BoxFuture<'a, Result<Listed, SourceError>> {
        Box::pin(async move {
            let mut listed = self.real.list(scope, since, page).await?;
            (self.listed)(&mut listed, since);
            Ok(listed)
        })
    }
}
