//! What a signature costs: 1 KiB, both schemes.
#![expect(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use posthaste_signature::Secret;
use posthaste_signature::standard::{Signed, Verifier, verify};

fn sign(c: &mut Criterion) {
    let body = vec![b'x'; 1024];
    let secrets = [("hmac-sha256", Secret::hmac(&[7; 32])), ("ed25519", Ok(Secret::ed25519([7; 32])))];
    let mut group = c.benchmark_group("1 KiB");
    group.throughput(Throughput::Elements(1));
    for (name, secret) in secrets {
        let Ok(secret) = secret else { continue };
        group.bench_function(format!("sign {name}"), |b| {
            b.iter(|| secret.sign("msg_2mXU5QJvCqxHYDTyFVD2l5mJw5G", 1_700_000_000, &body));
        });
        let signature = secret.sign("msg_1", 1_700_000_000, &body);
        let signed = Signed { id: "msg_1", timestamp: "1700000000", signature: &signature };
        let Ok(key) = Verifier::parse(&secret.shared()) else { continue };
        group.bench_function(format!("verify {name}"), |b| {
            b.iter(|| verify(&signed, &body, std::slice::from_ref(&key), 1_700_000_000, None));
        });
    }
    group.finish();
}

criterion_group!(benches, sign);
criterion_main!(benches);
