//! The sources of findings: asked and told, and not always there.

use std::sync::Arc;

use stanch_core::finding::{Millis, Source, SourceRef};
use stanch_core::port::{BoxFuture, FindingSource, Listed, Scope, SourceAnswer, SourceError, WriteBack};

use crate::faults::Fault;
use crate::invariants::live;
use crate::world::{ActorId, World};

/// The sources in the hands of one actor.
pub(crate) struct SimSource {
    world: Arc<World>,
    actor: ActorId,
}

impl SimSource {
    pub(crate) fn new(world: &Arc<World>, actor: ActorId) -> Self {
        SimSource { world: world.clone(), actor }
    }

    async fn before(&self, action: &'static str, source: Source, finding: &str) -> Result<(), SourceError> {
        self.world.point(self.actor, Fault::CrashAtTelling, || format!("before source.{action} {finding}")).await;
        if self.world.fault(self.actor, Fault::SourceDown, || format!("{action} {finding}")) {
            let (finding, reason) = (finding.to_owned(), "the source is unavailable".to_owned());
            return Err(SourceError { action, finding, source_name: source, reason, retry: true });
        }
        Ok(())
    }
}

impl FindingSource for SimSource {
    fn fetch<'a>(&'a self, source: Source, reference: &'a SourceRef<'a>) -> BoxFuture<'a, Result<SourceAnswer, SourceError>> {
        Box::pin(async move {
            self.before("fetch", source, &reference.id).await?;
            self.world.source.fetch(source, reference).await
        })
    }

    fn write_back<'a>(
        &'a self,
        source: Source,
        reference: &'a SourceRef<'a>,
        status: WriteBack,
        note: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            self.before("update", source, &reference.id).await?;
            self.world.source.write_back(source, reference, status, note).await?;
            live::write_back_arrived(&self.world, self.actor, source, reference, status, note);
            self.world.point(self.actor, Fault::CrashAtTelling, || format!("after source.update {}", reference.id)).await;
            Ok(())
        })
    }

    fn list<'a>(&'a self, scope: &'a Scope, since: Option<Millis>, page: Option<&'a str>) -> BoxFuture<'a, Result<Listed, SourceError>> {
        Box::pin(async move {
            self.before("list", scope.source, "*").await?;
            self.world.source.list(scope, since, page).await
        })
    }
}
