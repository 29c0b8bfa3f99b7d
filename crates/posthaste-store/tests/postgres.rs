//! The store for several machines keeps every promise of the ports.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a cluster that cannot be started is a failed test"
)]

mod cluster;

use cluster::Cluster;
use posthaste_store::conformance::{self, World};

macro_rules! run {
    ($($port:ident { $($promise:ident)* })*) => {$(
        mod $port {
            use super::{Cluster, World, conformance};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let Some(cluster) = Cluster::running().await else { return };
                    let database = cluster.database().await;
                    conformance::$port::$promise(World::new(database.open().await).await).await;
                    database.drop().await;
                }
            )*
        }
    )*};
}

posthaste_store::for_each_promise!(run);
