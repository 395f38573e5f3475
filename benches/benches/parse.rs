//! Reading the parameters of an admit: as JSON, as a form, and a batch line with nothing but its id.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gateway::http::parameters::Parameters;

const JSON: &[u8] = br#"{"call_id":"01234567-89ab-4cde-8f01-000000000001","from":"+912250001000","to":"+919800012345","source":"load"}"#;
const FORM: &[u8] = b"call_id=01234567-89ab-4cde-8f01-000000000001&from=%2B912250001000&to=%2B919800012345&source=load";
const LINE: &[u8] = br#"{"op":"admit","call_id":"01234567-89ab-4cde-8f01-000000000001"}"#;

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, body, read) in [
        ("JSON", JSON, Parameters::read_json as fn(&mut Parameters<'static>, &'static [u8])),
        ("form", FORM, Parameters::read_form),
        ("batch line", LINE, Parameters::read_json),
    ] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        let mut parameters = Parameters::default();
        read(&mut parameters, body);
        assert!(parameters.unknown().is_empty() && parameters.unreadable().is_empty(), "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                parameters.clear();
                read(&mut parameters, black_box(body));
                black_box(parameters.seen());
            });
        });
    }
    group.finish();
}

criterion_group!(parses, parse);
criterion_main!(parses);
