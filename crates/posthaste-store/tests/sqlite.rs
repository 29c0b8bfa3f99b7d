//! The embedded store keeps every promise of the ports.

mod place;

use place::Place;
use posthaste_store::conformance::{self, World};

macro_rules! run {
    ($($port:ident { $($promise:ident)* })*) => {$(
        mod $port {
            use super::{Place, World, conformance};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let place = Place::new();
                    conformance::$port::$promise(World::new(place.open()).await).await;
                }
            )*
        }
    )*};
}

posthaste_store::for_each_promise!(run);
