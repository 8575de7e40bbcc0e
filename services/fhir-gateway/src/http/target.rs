//! What a path means, and which interaction a method makes of it (fhir-endpoint contract 1.1).
use http::Method;
use warp::{Filter, Rejection, filters::BoxedFilter};

use crate::exchange::{Interaction, TYPES};

/// What a path below the base URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the path's own parts")]
pub(super) enum Target {
    /// `/`
    Root,
    /// `/metadata`
    Metadata,
    /// `/_history`
    History,
    /// `/T`
    Type { ty: &'static str },
    /// `/T/_search`
    SearchForm { ty: &'static str },
    /// `/T/_history`
    TypeHistory { ty: &'static str },
    /// `/T/{id}`
    Instance { ty: &'static str, id: String },
    /// `/T/{id}/_history`
    InstanceHistory { ty: &'static str, id: String },
    /// `/T/{id}/_history/{version}`
    Version { ty: &'static str, id: String, version: String },
    /// `/T/{id}/$permanent-delete`
    PermanentDelete { ty: &'static str, id: String },
    /// `/T[/{id}]/$validate`
    Validate { ty: &'static str, id: Option<String> },
    /// `/StructureDefinition[/{id}]/$snapshot`
    Snapshot { id: Option<String> },
}

impl Target {
    /// Methods that work here, for `Allow`.
    pub(super) fn allow(&self) -> &'static str {
        match self {
            Self::Root => "POST",
            Self::Type { .. } => "GET, HEAD, POST, PUT, DELETE, OPTIONS",
            Self::Instance { .. } => "GET, HEAD, PUT, DELETE, OPTIONS",
            Self::PermanentDelete { .. } | Self::Validate { .. } | Self::SearchForm { .. } => "POST, OPTIONS",
            Self::Snapshot { .. } => "GET, HEAD, POST, OPTIONS",
            Self::Metadata
            | Self::History
            | Self::TypeHistory { .. }
            | Self::InstanceHistory { .. }
            | Self::Version { .. } => "GET, HEAD, OPTIONS",
        }
    }

    /// The interaction; none where the method does not work here.
    pub(super) fn interaction(self, method: &Method) -> Option<Interaction> {
        let get = method == Method::GET || method == Method::HEAD;
        let (post, put, delete) = (method == Method::POST, method == Method::PUT, method == Method::DELETE);
        Some(match self {
            Self::Root if post => Interaction::Bundle,
            Self::Metadata if get => Interaction::Capabilities,
            Self::History if get => Interaction::HistorySystem,
            Self::Type { ty } if get => Interaction::Search { ty },
            Self::SearchForm { ty } if post => Interaction::Search { ty },
            Self::Type { ty } if post => Interaction::Create { ty },
            Self::Type { ty } if put => Interaction::ConditionalUpdate { ty },
            Self::Type { ty } if delete => Interaction::ConditionalDelete { ty },
            Self::TypeHistory { ty } if get => Interaction::HistoryType { ty },
            Self::Instance { ty, id } if get => Interaction::Read { ty, id },
            Self::Instance { ty, id } if put => Interaction::Update { ty, id },
            Self::Instance { ty, id } if delete => Interaction::Delete { ty, id },
            Self::InstanceHistory { ty, id } if get => Interaction::HistoryInstance { ty, id },
            Self::Version { ty, id, version } if get => Interaction::Vread { ty, id, version },
            Self::PermanentDelete { ty, id } if post => Interaction::PermanentDelete { ty, id },
            Self::Validate { ty, id } if post => Interaction::Validate { ty, id },
            Self::Snapshot { id } if get || post => Interaction::Snapshot { id },
            _ => return None,
        })
    }
}

/// A type name as path segment.
fn resource_type() -> BoxedFilter<(&'static str,)> {
    warp::path::param::<String>()
        .and_then(|name: String| async move {
            TYPES.iter().find(|known| **known == name).copied().ok_or_else(warp::reject::not_found)
        })
        .boxed()
}

fn whole_system() -> BoxedFilter<(Target,)> {
    let root = warp::path::end().map(|| Target::Root);
    let metadata = warp::path("metadata").and(warp::path::end()).map(|| Target::Metadata);
    let history = warp::path("_history").and(warp::path::end()).map(|| Target::History);
    root.or(metadata).unify().or(history).unify().boxed()
}

fn one_type() -> BoxedFilter<(Target,)> {
    let all = resource_type().and(warp::path::end()).map(|ty| Target::Type { ty });
    let history = resource_type()
        .and(warp::path("_history"))
        .and(warp::path::end())
        .map(|ty| Target::TypeHistory { ty });
    let search =
        resource_type().and(warp::path("_search")).and(warp::path::end()).map(|ty| Target::SearchForm { ty });
    let snapshot = warp::path("StructureDefinition")
        .and(warp::path("$snapshot"))
        .and(warp::path::end())
        .map(|| Target::Snapshot { id: None });
    let validate = resource_type()
        .and(warp::path("$validate"))
        .and(warp::path::end())
        .map(|ty| Target::Validate { ty, id: None });
    all.or(history).unify().or(search).unify().or(snapshot).unify().or(validate).unify().boxed()
}

fn one_resource() -> BoxedFilter<(Target,)> {
    let instance = || resource_type().and(warp::path::param::<String>()).boxed();
    let plain = instance().and(warp::path::end()).map(|ty, id| Target::Instance { ty, id });
    let history = instance()
        .and(warp::path("_history"))
        .and(warp::path::end())
        .map(|ty, id| Target::InstanceHistory { ty, id });
    let version = instance()
        .and(warp::path("_history"))
        .and(warp::path::param::<String>())
        .and(warp::path::end())
        .map(|ty, id, version| Target::Version { ty, id, version });
    let permanent = instance()
        .and(warp::path("$permanent-delete"))
        .and(warp::path::end())
        .map(|ty, id| Target::PermanentDelete { ty, id });
    let snapshot = warp::path("StructureDefinition")
        .and(warp::path::param::<String>())
        .and(warp::path("$snapshot"))
        .and(warp::path::end())
        .map(|id| Target::Snapshot { id: Some(id) });
    let validate = instance()
        .and(warp::path("$validate"))
        .and(warp::path::end())
        .map(|ty, id| Target::Validate { ty, id: Some(id) });
    let operations = permanent.or(snapshot).unify().or(validate).unify().boxed();
    plain.or(history).unify().or(version).unify().or(operations).unify().boxed()
}

/// Everything below the base path. A trailing slash is tolerated everywhere.
pub(super) fn filter() -> BoxedFilter<(Target,)> {
    whole_system().or(one_type()).unify().or(one_resource()).unify().boxed()
}

/// The path of the base URL, segment by segment.
pub(super) fn base_path(base_url: &str) -> BoxedFilter<()> {
    let path =
        base_url.split_once("://").map_or("", |(_, rest)| rest).split_once('/').map_or("", |(_, path)| path);
    let mut filter: BoxedFilter<()> = warp::any().boxed();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let segment = segment.to_owned();
        let next = warp::path::param::<String>()
            .and_then(move |given: String| {
                let matches = given == segment;
                async move { if matches { Ok::<_, Rejection>(()) } else { Err(warp::reject::not_found()) } }
            })
            .untuple_one();
        filter = filter.and(next).boxed();
    }
    filter
}
