//! The chain names the place of every change; the export is FHIR.
use serde_json::json;

use crate::{Event, Fault, Key, Verifier, Who, chain::GENESIS, export};

fn event(number: i64) -> Event {
    Event {
        at: 1_764_000_000_000 + number,
        who: Who { kind: "practitioner".into(), id: Some("user@hospital.test".to_owned()) },
        interaction: "read".into(),
        resource_type: Some("Task".into()),
        id: Some("3c2c0b0e-34a9-4a44-9a4e-0b6c9c6f6a7c".to_owned()),
        version: Some(2),
        allowed: number % 2 == 0,
        reason: "the caller is neither requester nor recipient".into(),
    }
}

type Row = (i64, String, Vec<u8>);

fn chain(key: &Key) -> Vec<Row> {
    let mut before = GENESIS;
    (1..=6)
        .map(|seq| {
            let json = event(seq).json();
            before = key.hash(&before, seq, &json);
            (seq, json, before.to_vec())
        })
        .collect()
}

#[test]
fn every_change_is_named_with_its_place() {
    let forge = |rows: &mut Vec<Row>, key: &Key, from: usize| {
        for position in from..rows.len() {
            let before = rows[position - 1].2.clone().try_into().unwrap();
            rows[position].2 = key.hash(&before, rows[position].0, &rows[position].1).to_vec();
        }
    };
    let edit = |rows: &mut Vec<Row>| rows[2].1 = rows[2].1.replace("\"allowed\":false", "\"allowed\":true");
    type Change<'a> = (&'a str, Box<dyn Fn(&mut Vec<Row>) + 'a>, Vec<Fault>);
    let none = Key::None;
    let table: Vec<Change<'_>> = vec![
        ("nothing", Box::new(|_| {}), vec![]),
        ("an edited event", Box::new(edit), vec![Fault::Changed { seq: 3 }]),
        (
            "an edited hash",
            Box::new(|rows| rows[2].2[0] ^= 1),
            vec![Fault::Changed { seq: 3 }, Fault::Changed { seq: 4 }],
        ),
        ("a deleted row", Box::new(|rows| drop(rows.remove(2))), vec![Fault::Missing { from: 3, to: 3 }]),
        (
            "deleted rows at the beginning",
            Box::new(|rows| drop(rows.drain(..2))),
            vec![Fault::Missing { from: 1, to: 2 }],
        ),
        ("a deleted end", Box::new(|rows| rows.truncate(4)), vec![Fault::End { last: 4, head: 6 }]),
        (
            "two rows changed places",
            Box::new(|rows| {
                let (third, fourth) = (rows[2].clone(), rows[3].clone());
                rows[2] = (3, fourth.1, fourth.2);
                rows[3] = (4, third.1, third.2);
            }),
            vec![Fault::Changed { seq: 3 }, Fault::Changed { seq: 4 }, Fault::Changed { seq: 5 }],
        ),
        (
            "rows out of order",
            Box::new(|rows| rows.swap(2, 3)),
            vec![
                Fault::Missing { from: 3, to: 3 },
                Fault::Order { seq: 3, expected: 5 },
                Fault::Missing { from: 4, to: 4 },
            ],
        ),
        (
            "everything forged, without a key",
            Box::new(|rows| {
                edit(rows);
                forge(rows, &none, 2)
            }),
            vec![Fault::Head { seq: 6 }],
        ),
    ];
    for (what, change, expected) in table {
        let (mut rows, head) = (chain(&none), chain(&none)[5].2.clone());
        change(&mut rows);
        let mut verifier = Verifier::new(&none, 1, GENESIS);
        rows.iter().for_each(|(seq, event, hash)| verifier.row(*seq, event, hash));
        assert_eq!(verifier.end(6, &head), expected, "{what}");
    }

    // With a key nobody without it computes a chain that holds.
    let key = Key::new(&[7; 32]).unwrap();
    let mut rows = chain(&key);
    edit(&mut rows);
    forge(&mut rows, &none, 2);
    let mut verifier = Verifier::new(&key, 1, GENESIS);
    rows.iter().for_each(|(seq, event, hash)| verifier.row(*seq, event, hash));
    assert_eq!(verifier.faults.first(), Some(&Fault::Changed { seq: 3 }));
    assert!(Key::new(&[7; 31]).is_err());
}

#[test]
fn events_are_exported_as_audit_events() {
    let original = event(3);
    assert_eq!(Event::parse(&original.json()).unwrap(), original);
    let exported = export::audit_event(3, &original, "https://hospital.test/fhir");
    assert_eq!(exported["outcome"], "4");
    assert_eq!(exported["action"], "R");
    assert_eq!(
        exported["entity"][0]["what"]["reference"],
        json!("https://hospital.test/fhir/Task/3c2c0b0e-34a9-4a44-9a4e-0b6c9c6f6a7c/_history/2")
    );
    assert_eq!(exported["agent"][0]["who"]["identifier"]["value"], "user@hospital.test");
    // Every element is one of AuditEvent: reading drops what is not.
    let resource = fhir::parse(exported.to_string().as_bytes(), fhir::Format::Json).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&fhir::to_json(&resource)).unwrap();
    assert_eq!(kept, exported);
}
