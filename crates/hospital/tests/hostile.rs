//! Hostile and broken bytes: each has its named reason, nothing permits, nothing panics.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use hospital::{
    consent::{Consent, Zone, permits},
    decision::{Check, Decision},
    failure::{Failure, Reason},
    gics,
    hl7v2::{Charset, Message, Options, escape, pdq},
    json::Json,
    mllp::{self, Decoder},
    openehr::ResultSet,
    pdqm,
    person::{Domain, Persons, Profile, Query, Verdict},
    pixm, ser,
    soap::Envelope,
    v3, xacml, xml,
};
use proptest::prelude::*;
use time::macros::datetime;

const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";

fn envelope(body: &str) -> String {
    format!("<s:Envelope xmlns:s=\"{SOAP}\"><s:Body>{body}</s:Body></s:Envelope>")
}

#[test]
fn hostile_xml_is_refused_by_name() {
    let deep = format!("{}{}", "<a>".repeat(65), "</a>".repeat(65));
    let laughs = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;&b;\">]><a>&c;</a>";
    let outside = "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>";
    let cases: &[(&[u8], Reason)] = &[
        (laughs.as_bytes(), Reason::DtdForbidden),
        (outside.as_bytes(), Reason::DtdForbidden),
        (b"<!DOCTYPE a SYSTEM \"http://x/y.dtd\"><a/>", Reason::DtdForbidden),
        (b"<a>&b;</a>", Reason::Malformed("XML entity")),
        (b"<a><b></a>", Reason::Malformed("XML")),
        (b"<a>", Reason::Malformed("XML ends too early")),
        (b"", Reason::Malformed("XML")),
        (b"<a/><b/>", Reason::Malformed("XML after the root element")),
        (b"<x:a/>", Reason::Malformed("XML prefix without namespace")),
        (b"<a>\xff</a>", Reason::Charset),
        (b"<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>", Reason::Charset),
        (deep.as_bytes(), Reason::TooLarge("XML elements")),
    ];
    for (bytes, reason) in cases {
        assert_eq!(xml::read(bytes), Err(*reason), "{}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(xml::read(&vec![b' '; xml::MAX_BYTES + 1]), Err(Reason::TooLarge("XML document")));
}

/// A SAML answer around the statements given.
fn saml(in_response_to: &str, inside: &str, beside: &str) -> String {
    envelope(&format!(
        "<p:Response xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
         xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"r\" InResponseTo=\"{in_response_to}\">\
         <p:Status><p:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></p:Status>\
         {beside}<a:Assertion ID=\"x\">{inside}</a:Assertion></p:Response>"
    ))
}

fn statement(results: &str) -> String {
    format!(
        "<a:Statement xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xmlns:t=\"urn:oasis:xacml:2.0:saml:assertion:schema:os\" i:type=\"t:XACMLAuthzDecisionStatementType\">\
         <c:Response xmlns:c=\"urn:oasis:names:tc:xacml:2.0:context:schema:os\">{results}</c:Response></a:Statement>"
    )
}

#[test]
fn statements_count_only_where_the_profile_puts_them() {
    let permit = "<c:Result ResourceId=\"e1\"><c:Decision>Permit</c:Decision></c:Result>";
    let deny = "<c:Result ResourceId=\"e1\"><c:Decision>Deny</c:Decision></c:Result>";
    let read = |text: String| {
        let envelope = Envelope::read(text.as_bytes()).expect("an envelope");
        ser::read(&envelope, "q1").1
    };
    let good = read(saml("q1", &statement(permit), "")).expect("an answer");
    assert_eq!(good[0].decision, Decision::Permit);
    let assertion = format!("<a:Assertion ID=\"y\">{}</a:Assertion>", statement(permit));
    let cases = [
        // The signed original moved aside, a forged one in its place, and the reverse.
        (saml("q1", &statement(deny), &format!("<p:Extensions>{assertion}</p:Extensions>")), Reason::Wrapped),
        (saml("q1", &statement(deny), &assertion), Reason::Wrapped),
        (saml("q1", &format!("<a:Advice>{assertion}</a:Advice>{}", statement(deny)), ""), Reason::Wrapped),
        (saml("q1", &format!("{}{}", statement(deny), statement(permit)), ""), Reason::Wrapped),
        (saml("q1", &statement(permit), "<p:Extensions ID=\"x\"/>"), Reason::Wrapped),
        (saml("q2", &statement(permit), ""), Reason::ControlIdMismatch),
        (
            saml("q1", &statement(permit).replace("t:XACMLAuthz", "t:Other"), ""),
            Reason::Malformed("XACML statement"),
        ),
        (
            saml("q1", &statement("<c:Result ResourceId=\"e1\"><c:Decision>Yes</c:Decision></c:Result>"), ""),
            Reason::Malformed("Decision"),
        ),
    ];
    for (text, reason) in cases {
        assert_eq!(read(text.clone()), Err(Failure::Protocol(reason)), "{text}");
    }
    let two = envelope("<a/><b/>");
    assert_eq!(Envelope::read(two.as_bytes()).map(drop), Err(Reason::Malformed("SOAP body")));
}

#[test]
fn results_come_together_on_the_safe_side() {
    let ask = |asked: &[&str], body: &str| {
        let asked: Vec<String> = asked.iter().map(|id| (*id).to_owned()).collect();
        xacml::read(200, body.as_bytes()).map(|answered| Check::new(&asked, answered, &["log".to_owned()]))
    };
    let result = |id: &str, decision: &str, more: &str| {
        format!(
            r#"{{"Decision":"{decision}"{more},"Category":[{{"CategoryId":"urn:oasis:names:tc:xacml:3.0:attribute-category:resource","Attribute":[{{"AttributeId":"urn:oasis:names:tc:xacml:1.0:resource:resource-id","Value":"{id}"}}]}}]}}"#
        )
    };
    let response = |results: &[String]| format!(r#"{{"Response":[{}]}}"#, results.join(","));
    let unknown = r#","Obligations":[{"Id":"shred"}]"#;
    let known = r#","Obligations":[{"Id":"log"}]"#;
    let status =
        r#","Status":{"StatusCode":{"Value":"urn:oasis:names:tc:xacml:1.0:status:processing-error"}}"#;
    let cases: &[(&[&str], String, &[&str], bool)] = &[
        (&["a", "b"], response(&[result("a", "Permit", "")]), &["a"], false),
        (&["a"], response(&[result("a", "Permit", ""), result("a", "Deny", "")]), &[], false),
        (&["a"], response(&[result("a", "Permit", ""), result("a", "NotApplicable", "")]), &[], false),
        (&["a"], response(&[result("a", "Permit", unknown)]), &[], false),
        (&["a"], response(&[result("a", "Permit", known)]), &["a"], false),
        (&["a"], response(&[result("z", "Permit", "")]), &[], false),
        (&["a", "b"], r#"{"Response":[{"Decision":"Permit"},{"Decision":"Permit"}]}"#.to_owned(), &[], false),
        (&["a", "b"], r#"{"Response":{"Decision":"Permit"}}"#.to_owned(), &[], false),
        (&["a"], r#"{"Response":{"Decision":"Permit"}}"#.to_owned(), &["a"], false),
        (&["a", "b"], response(&[result("a", "Permit", ""), result("b", "Indeterminate", "")]), &[], true),
        (&["a"], response(&[result("a", "Permit", status)]), &[], true),
        (&["a"], r#"{"Response":[]}"#.to_owned(), &[], false),
    ];
    for (asked, body, kept, failed) in cases {
        let check = ask(asked, body).expect(body);
        assert_eq!(
            (check.kept.as_slice(), check.failed),
            (&kept.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>()[..], *failed),
            "{body}"
        );
    }
    // A second member of one name could be read either way.
    let twice = r#"{"Response":[{"Decision":"Deny","Decision":"Permit"}]}"#;
    assert_eq!(ask(&["a"], twice), Err(Failure::Protocol(Reason::Malformed("JSON"))));
}

fn rsp(control: &str, status: &str, pids: &str) -> Vec<u8> {
    format!("MSH|^~\\&|M|S|D|S|20231114||RSP^K22^RSP_K21|1|P|2.5||||||UNICODE UTF-8\rMSA|AA|{control}\rQAK|t|{status}\rQPD|x|t\r{pids}").into_bytes()
}

#[test]
fn hl7_messages_are_refused_by_name_or_read_as_they_mean() {
    let asked =
        pdq::Asked { control_id: Some("c".into()), query_tag: Some("t".into()), id: Some("1".into()) };
    let authority =
        Domain { namespace: Some("E".into()), universal_id: Some("2.999.1".into()), ..Domain::default() };
    let profile = Profile { authority: authority.clone(), ..Profile::default() };
    let outcome = |bytes: &[u8]| -> Result<Verdict, Failure> {
        let message = Message::read(bytes, Options::default())?;
        let persons = pdq::read(&message, &asked, &profile).1?;
        Ok(persons.verdict(Query::Identifier, asked.id.as_deref(), &authority)?)
    };
    let pid = |id: &str| format!("PID|1||{id}^^^E&2.999.1&ISO||A^B\r");
    let cases = [
        (rsp("c", "OK", &pid("1")), Ok(Verdict::Found)),
        (rsp("c", "OK", &(pid("1") + &pid("1"))), Ok(Verdict::Ambiguous)),
        (rsp("c", "OK", &(pid("1") + "DSC|more|I\r")), Ok(Verdict::Ambiguous)),
        (rsp("c", "OK", &pid("2")), Err(Failure::Protocol(Reason::IdentifierMissing))),
        (rsp("d", "OK", &pid("1")), Err(Failure::Protocol(Reason::ControlIdMismatch))),
        (
            rsp("c", "NF", &pid("1")),
            Err(Failure::Protocol(Reason::Malformed("persons in an answer without match"))),
        ),
        (rsp("c", "OK", "PID|1||1\n"), Err(Failure::Protocol(Reason::SegmentTerminator))),
        (b"MSH|^~\\&|\xff".to_vec(), Err(Failure::Protocol(Reason::SegmentTerminator))),
        (b"PID|1\r".to_vec(), Err(Failure::Protocol(Reason::Malformed("MSH segment")))),
        (
            b"MSH|^~\\&||||||||||||||||UNICODE UTF-8\rPID|\xff\r".to_vec(),
            Err(Failure::Protocol(Reason::Charset)),
        ),
        (b"MSH|^~\\&||||||||||||||||ISO IR87\rX\r".to_vec(), Err(Failure::Protocol(Reason::Charset))),
        (b"MSH|^^\\&|\r".to_vec(), Err(Failure::Protocol(Reason::Malformed("encoding characters")))),
        (
            [b"MSH|^~\\&|\rZZZ|".as_slice(), &vec![b'x'; 64 * 1024 + 1], b"\r"].concat(),
            Err(Failure::Protocol(Reason::TooLarge("HL7 segments"))),
        ),
        (
            [b"MSH|^~\\&|\r".as_slice(), &b"ZZZ|\r".repeat(2000)].concat(),
            Err(Failure::Protocol(Reason::TooLarge("HL7 segments"))),
        ),
    ];
    for (bytes, expected) in cases {
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        assert_eq!(outcome(&bytes), expected, "{head}");
    }
    let escaped = b"MSH#*%!/#a\rPID#x!F!y!S!z!T!w!R!v!E!u!X4D4E!t!.br!s!Q!r!H!q#\"\"##k*l/m\r";
    let message = Message::read(escaped, Options::default()).expect("other separators");
    assert_eq!(message.field("PID", 1).text().as_deref(), Some("x#y*z/w%v!uMNt\ns!Q!rq"));
    assert!(message.field("PID", 2).is_null() && message.field("PID", 2).text().is_none());
    assert!(message.field("PID", 3).is_empty());
    assert_eq!(message.field("PID", 4).component(2).subcomponent(2).text().as_deref(), Some("m"));
    for (charset, bytes, text) in [
        (Charset::Auto, &b"PID|\xc3\xbc\r"[..], "ü"),
        (Charset::Auto, b"PID|\xfc\r", "ü"),
        (Charset::Latin1, b"PID|\xc3\xbc\r", "Ã¼"),
        (Charset::from_setting("iso-8859-15").expect("set"), b"PID|\xa4\r", "€"),
        (Charset::from_setting("windows-1252").expect("set"), b"PID|\x80\r", "€"),
    ] {
        let bytes = [b"MSH|^~\\&|\r".as_slice(), bytes].concat();
        let message = Message::read(&bytes, Options { charset, lenient: false }).expect("a message");
        assert_eq!(message.field("PID", 1).text().as_deref(), Some(text), "{charset:?}");
    }
}

#[test]
fn frames_have_limits_and_ends() {
    let push = |bytes: &[u8], limit: usize| {
        let mut decoder = Decoder::new(limit);
        let frames = decoder.push(bytes)?;
        decoder.end()?;
        Ok((frames, decoder.restarts))
    };
    assert_eq!(push(b"\x0bab\x1c\x0d\x0bc\x1c\x0d", 10), Ok((vec![b"ab".to_vec(), b"c".to_vec()], 0)));
    assert_eq!(push(b"xx\x0ba\x0bb\x1c\x0d", 10), Ok((vec![b"b".to_vec()], 1)));
    assert_eq!(push(b"\x0ba\x1cb\x1c\x0d", 10), Ok((vec![b"a\x1cb".to_vec()], 0)));
    assert_eq!(push(b"\x0bab", 10), Err(Reason::FrameTruncated));
    assert_eq!(push(b"\x0bab\x1c", 10), Err(Reason::FrameTruncated));
    assert_eq!(push(b"\x0babc", 2), Err(Reason::FrameTooLarge));
    assert_eq!(push(&vec![b'x'; mllp::NOISE_LIMIT + 1], 10), Err(Reason::Noise));
}

#[test]
fn consents_that_are_unclear_permit_nothing() {
    let at = datetime!(2024-03-01 12:00 UTC);
    let consent = |status: &str, date: &str, kind: &str, period: &str| {
        let text = format!(
            r#"{{"resourceType":"Consent","status":"{status}","dateTime":"{date}","provision":{{"type":"deny","provision":[{{"type":"{kind}","period":{{{period}}},"code":[{{"coding":[{{"system":"urn:oid:2.16.840.1.113883.3.1937.777.24.5.3","code":"2.16.840.1.113883.3.1937.777.24.5.3.8"}}]}}]}}]}}}}"#
        );
        Consent::read(&Json::read(text.as_bytes()).expect("JSON")).expect("a consent")
    };
    let all = r#""start":"2023-01-01","end":"2050-01-01""#;
    let permit = || consent("active", "2023-01-01", "permit", all);
    let cases: &[(Vec<Consent>, bool)] = &[
        (vec![permit()], true),
        (vec![], false),
        (vec![consent("inactive", "2023-01-01", "permit", all)], false),
        (vec![permit(), consent("active", "2024-01-01", "deny", all)], false),
        (vec![permit(), consent("active", "2023-01-01", "deny", all)], false),
        (vec![permit(), consent("active", "2022-01-01", "deny", all)], true),
        (vec![permit(), consent("active", "2023-01-01T08:00:00Z", "deny", all)], false),
        (vec![permit(), consent("active", "not a date", "deny", all)], false),
        (vec![consent("active", "not a date", "permit", all)], false),
        // Wide for a deny, narrow for a permit.
        (vec![consent("active", "2023-01-01", "permit", r#""start":"2024""#)], false),
        (vec![consent("active", "2023-01-01", "permit", r#""end":"2024""#)], false),
        (vec![consent("active", "2023-01-01", "permit", r#""start":"2023","end":"2025""#)], true),
        (
            vec![permit(), consent("active", "2024-02-01", "deny", r#""start":"2024-03","end":"2024-03""#)],
            false,
        ),
        (vec![permit(), consent("active", "2024-02-01", "deny", r#""end":"tomorrow""#)], false),
        (vec![consent("active", "2023-01-01", "permit", r#""end":"tomorrow""#)], false),
    ];
    for (at_case, (consents, expected)) in cases.iter().enumerate() {
        assert_eq!(permits(consents, 8, at, Zone::Berlin), *expected, "case {at_case}");
    }
    // The day ends in Berlin, in summer two hours before it does in UTC.
    let ends = vec![consent("active", "2023-01-01", "permit", r#""end":"2024-07-01""#)];
    assert!(permits(&ends, 8, datetime!(2024-07-01 21:59:59 UTC), Zone::Berlin));
    assert!(!permits(&ends, 8, datetime!(2024-07-01 22:00:00 UTC), Zone::Berlin));
    for (day, offset) in [
        ("2024-03-31", 1),
        ("2024-04-01", 2),
        ("2024-10-27", 2),
        ("2024-10-28", 1),
        ("2025-03-30", 1),
        ("2025-03-31", 2),
        ("2025-10-26", 2),
        ("2025-10-27", 1),
    ] {
        let span = Zone::Berlin.span(day).expect("a day");
        assert_eq!(span.first.offset().whole_hours(), offset, "{day}");
    }
}

#[test]
fn policies_of_somebody_else_do_not_count() {
    let bundle = r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Consent","status":"active","patient":{"identifier":{"value":"other"}},"provision":{}}}]}"#;
    assert_eq!(gics::read(200, bundle.as_bytes(), "me"), Err(Failure::Protocol(Reason::PersonMismatch)));
    let twice = r#"{"resourceType":"Parameters","parameter":[{"name":"consented","valueBoolean":true},{"name":"consented","valueBoolean":false}]}"#;
    assert_eq!(
        gics::read(200, twice.as_bytes(), "me"),
        Err(Failure::Protocol(Reason::Malformed("consented")))
    );
    assert_eq!(
        gics::read(200, br#"{"resourceType":"Parameters"}"#, "me"),
        Err(Failure::Protocol(Reason::Malformed("consented")))
    );
}

proptest! {
    #[test]
    fn no_reader_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in any::<prop::sample::Index>()) {
        let whole = rsp("c", "OK", "PID|1||1^^^E&2.999.1&ISO||A\\X4\\^B\\S||1980\r");
        let mut mutated = whole.clone();
        let at = cut.index(whole.len());
        mutated.splice(at..at, bytes.iter().copied());
        for bytes in [&bytes, &mutated] {
            for lenient in [true, false] {
                if let Ok(message) = Message::read(bytes, Options { charset: Charset::Auto, lenient }) {
                    let _ = pdq::read(&message, &pdq::Asked::default(), &Profile::default());
                    let _ = hospital::hl7v2::request::Request::read(&message);
                }
            }
            let _ = Decoder::new(64).push(bytes);
            let _ = (xml::read(bytes), Json::read(bytes), xacml::read(200, bytes), xacml::read_xml(200, bytes));
            let _ = (pdqm::read(200, bytes, None, &Profile::default()), pixm::read(200, bytes));
            let _ = (ResultSet::read(200, bytes, 1000), gics::read(200, bytes, "x"));
            if let Ok(envelope) = Envelope::read(bytes) {
                let _ = (v3::Request::read(&envelope), ser::read(&envelope, "x"));
            }
        }
    }

    #[test]
    fn what_is_escaped_comes_back(text in "\\PC{1,40}") {
        let message = format!("MSH|^~\\&|\rPID|{}\r", escape(&text));
        let message = Message::read(message.as_bytes(), Options::default()).expect("a message");
        let read = message.field("PID", 1).text();
        prop_assert!(read.as_deref() == Some(&text) || text == "\"\"");
    }

    #[test]
    fn queries_are_read_or_refused(text in "\\PC{0,80}") {
        let _ = (hospital::aql::check(&text), hospital::aql::restrict(&text, "/x", 2));
        let _ = (hospital::aql::count_by_id(&text), hospital::aql::selects(&text, "/x", "y"));
        let _ = hospital::aql::count_to_ids(&text, "/x", hospital::aql::Rewrite::Parsed);
        let _ = Zone::Berlin.span(&text);
    }
}

#[test]
fn a_page_of_persons_is_no_single_person() {
    let persons = Persons::default();
    assert_eq!(persons.verdict(Query::Identifier, None, &Domain::default()), Ok(Verdict::NotFound));
}
