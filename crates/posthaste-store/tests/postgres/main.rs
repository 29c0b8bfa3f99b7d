//! The store for several machines keeps every promise of the ports, and keeps them through a pooler.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a cluster that cannot be started is a failed test"
)]

mod cluster;
mod days;
mod days_cost;
mod import;
mod nodes;
mod notices;
mod owners;
mod plans;
mod prepared;
mod wire;

use cluster::{Cluster, options};
use posthaste_store::conformance::{self, World};
use posthaste_store::postgres::PostgresStore;

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

macro_rules! run_pooled {
    ($($port:ident { $($promise:ident)* })*) => {
        mod through_a_pooler {
            use super::{Cluster, PostgresStore, World, conformance, options};
            $(mod $port {
                use super::{Cluster, PostgresStore, World, conformance, options};
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $promise() {
                        let Some(cluster) = Cluster::running().await else { return };
                        let database = cluster.database().await;
                        if let Some(url) = database.pooled_url() {
                            let store = PostgresStore::open(options(url)).await.unwrap();
                            conformance::$port::$promise(World::new(store).await).await;
                        }
                        database.drop().await;
                    }
                )*
            })*
        }
    };
}

posthaste_store::for_each_promise!(run);
posthaste_store::for_each_promise!(run_pooled);
