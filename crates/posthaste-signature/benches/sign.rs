//! What a signature of 1 KiB costs, to make and to check, in both schemes.

use std::hint::black_box;

use criterion::Criterion;
use posthaste_signature::Secret;
use posthaste_signature::standard::{Signed, TOLERANCE, Verifier, verify};

const ID: &str = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
const NOW: i64 = 1_760_000_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let body = [b'x'; 1024];
    let hmac = Secret::hmac(&[1; 32]).expect("32 bytes are enough");
    for (name, secret) in [("v1", hmac), ("v1a", Secret::ed25519([2; 32]))] {
        criterion.bench_function(&format!("sign 1 KiB {name}"), |bench| {
            bench.iter(|| secret.sign(black_box(ID), NOW, black_box(&body)));
        });
        let signature = secret.sign(ID, NOW, &body);
        let headers = Signed { id: ID, timestamp: "1760000000", signature: &signature };
        let keys = [Verifier::from(&secret)];
        criterion.bench_function(&format!("verify 1 KiB {name}"), |bench| {
            bench.iter(|| verify(black_box(&headers), black_box(&body), &keys, NOW, Some(TOLERANCE)));
        });
    }
    criterion.final_summary();
}
