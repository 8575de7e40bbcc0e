//! The pages by their bytes: negotiation, headers, forms, and that nobody else's page can write.
use serde_json::{Value, json};

use crate::{
    JSON,
    client::{Answer, Client},
    world::{LOCAL, Replica, World},
};

/// Header lines of a request.
type Headers<'a> = &'a [(&'a str, &'a str)];

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn tagged(mut resource: Value) -> Value {
    resource["meta"] = json!({"tag": [{
        "system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL"}]});
    resource
}

/// Value of a hidden field.
fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, after) = page.split_once(&format!("name=\"{name}\" value=\"")).expect("a hidden field");
    after.split('"').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_get_pages_and_only_our_pages_write() {
    let world = World::start().await;
    let gateway = Replica::start(world.config()).await;
    let base = format!("https://localhost:{}", gateway.address.port());
    let local = Client::new(&world.authority, Some(&world.local));
    let remote = Client::new(&world.authority, Some(&world.remote));
    let ask = async |client: &Client, line: &str, headers: &[(&str, &str)], body: &str| -> Answer {
        client.ask(gateway.address, line, headers, body.as_bytes()).await.unwrap()
    };
    let write = async |line: &str, resource: &Value| -> Value {
        let headers = [("content-type", JSON), ("accept", JSON)];
        let answer = ask(&local, line, &headers, &resource.to_string()).await;
        assert!(answer.status.is_success(), "{line}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    };

    // A page where a page is asked for, with everything that keeps it harmless.
    let evil = json!({"resourceType": "Group", "type": "person", "actual": false, "name": "<script>alert(1)</script>"});
    let evil = write("POST /fhir/Group", &tagged(evil)).await;
    let group = format!("/fhir/Group/{}", evil["id"].as_str().unwrap());
    let organization = format!("/fhir/Organization/{}", world.remote_id);
    let table: [(&str, Headers<'_>, u16, &str); 11] = [
        ("GET /fhir/", &[HTML], 200, "text/html;charset=UTF-8"),
        ("GET /fhir/", &[("accept", JSON)], 405, "application/fhir+json;charset=UTF-8"),
        (&format!("GET {group}"), &[HTML], 200, "text/html;charset=UTF-8"),
        (&format!("GET {group}?_format=html"), &[("accept", JSON)], 200, "text/html;charset=UTF-8"),
        (&format!("GET {group}?_format=json"), &[HTML], 200, "application/fhir+json;charset=UTF-8"),
        (&format!("GET {group}/_history/1"), &[HTML], 200, "text/html;charset=UTF-8"),
        ("GET /fhir/Group?name=&_count=1000", &[HTML], 200, "text/html;charset=UTF-8"),
        ("GET /fhir/Group/no-id", &[HTML], 404, "text/html;charset=UTF-8"),
        ("GET /fhir/static/pages.css", &[HTML], 200, "text/css;charset=UTF-8"),
        ("GET /fhir/static/none.css", &[HTML], 404, ""),
        (&format!("GET {organization}"), &[HTML], 200, "text/html;charset=UTF-8"),
    ];
    for (line, headers, status, kind) in table {
        let answer = ask(&local, line, headers, "").await;
        let seen = (answer.status.as_u16(), answer.header("content-type").unwrap_or_default());
        assert_eq!(seen, (status, kind), "{line} {headers:?}");
        if kind.starts_with("text/html") {
            assert!(!answer.body.contains("<script"), "{line}: what is stored is text");
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }
    let page = ask(&local, &format!("GET {group}"), &[HTML], "").await;
    assert_eq!(page.header("etag"), Some("W/\"h1\""), "a page is another representation");
    let head = ask(&local, &format!("HEAD {group}"), &[HTML], "").await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));

    // Figures are for who acts for the site; others see what they may read.
    for (client, figures) in [(&local, true), (&remote, false)] {
        let start = ask(client, "GET /fhir/", &[HTML], "").await;
        assert_eq!((start.status.as_u16(), start.body.contains("This site")), (200, figures));
    }

    // A form: only with the browser's word that it is ours, and with the token.
    let questionnaire = json!({"resourceType": "Questionnaire", "url": "http://x.test/Questionnaire/release",
        "version": "1.0", "status": "active", "date": "2026-01-01", "subjectType": ["QuestionnaireResponse"], "item": [
            {"linkId": "business-key", "type": "string", "text": "The business-key of the process execution", "required": true},
            {"linkId": "user-task-id", "type": "string", "text": "The user-task-id of the process execution", "required": true},
            {"linkId": "release", "type": "boolean", "text": "Release the data?", "required": true},
            {"linkId": "why", "type": "string", "text": "Why?", "required": true}]});
    write("POST /fhir/Questionnaire", &tagged(questionnaire)).await;
    let item =
        |link: &str, text: &str, value: Value| json!({"linkId": link, "text": text, "answer": [value]});
    let response = json!({"resourceType": "QuestionnaireResponse", "status": "in-progress",
        "questionnaire": "http://x.test/Questionnaire/release|1.0", "item": [
            item("business-key", "The business-key of the process execution", json!({"valueString": "b9f0aaf8-73a6-44b2-9dd1-1d47c1c3b1f6"})),
            item("user-task-id", "The user-task-id of the process execution", json!({"valueString": "u1"})),
            item("release", "Release the data?", json!({"valueBoolean": false})),
            item("why", "Why?", json!({"valueString": "Placeholder.."}))]});
    let created = write("POST /fhir/QuestionnaireResponse", &response).await;
    let id = created["id"].as_str().unwrap();
    let page = ask(&local, &format!("GET /fhir/QuestionnaireResponse/{id}"), &[HTML], "").await;
    assert!(page.body.contains("Why?") && !page.body.contains("value=\"Placeholder"), "{}", page.body);
    let cookie = page.header("set-cookie").unwrap().to_owned();
    for part in ["__Host-dsf-form=", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let (cookie, token) = (cookie.split(';').next().unwrap(), hidden(&page.body, "token").to_owned());
    let (_, action) = page.body.split_once("action=\"").unwrap();
    let form = action.split("action=\"").find(|action| action.contains("/form/QuestionnaireResponse/"));
    let path = form.unwrap().split('"').next().unwrap().strip_prefix(&base).unwrap();
    let filled = |token: &str| format!("token={token}&version=1&item-2=true&item-3=Because+it+%3C3+is+right");
    let ours = [FORM, HTML, ("cookie", cookie), ("origin", &base), ("sec-fetch-site", "same-origin")];
    let refusals: [(&str, Headers<'_>, &str); 5] = [
        ("no origin", &[FORM, HTML, ("cookie", cookie)], &token),
        ("another origin", &[FORM, HTML, ("cookie", cookie), ("origin", "https://evil.example")], &token),
        (
            "another site",
            &[FORM, HTML, ("cookie", cookie), ("origin", &base), ("sec-fetch-site", "cross-site")],
            &token,
        ),
        ("no cookie", &[FORM, HTML, ("origin", &base)], &token),
        ("another token", &ours, &"0".repeat(64)),
    ];
    for (name, headers, token) in refusals {
        let answer = ask(&local, &format!("POST {path}"), headers, &filled(token)).await;
        assert_eq!(answer.status, 403, "{name}");
    }
    let foreign = [("content-type", JSON), ("origin", "https://evil.example")];
    for line in ["POST /fhir/Group", &format!("DELETE {group}"), &format!("POST {group}/$permanent-delete")] {
        assert_eq!(ask(&local, line, &foreign, "{}").await.status, 403, "{line} from another page");
    }
    // Whom the rules do not let answer gets no further with a form than without.
    assert_eq!(ask(&remote, &format!("POST {path}"), &ours, &filled(&token)).await.status, 403);

    let refused =
        ask(&local, &format!("POST {path}"), &ours, &filled(&token).replace("version=1", "version=7")).await;
    assert_eq!(refused.status, 412);
    assert!(
        refused.body.contains("role=\"alert\"") && refused.body.contains("Because it &#60;3"),
        "{}",
        refused.body
    );
    let sent = ask(&local, &format!("POST {path}"), &ours, &filled(&token)).await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    let location = sent.header("location").unwrap();
    assert_eq!(location, format!("{base}/fhir/QuestionnaireResponse/{id}"));
    let read = ask(&local, &format!("GET /fhir/QuestionnaireResponse/{id}"), &[("accept", JSON)], "").await;
    let read: Value = serde_json::from_str(&read.body).unwrap();
    assert_eq!((read["status"].as_str(), read["meta"]["versionId"].as_str()), (Some("completed"), Some("2")));
    assert_eq!(read["author"]["identifier"]["value"], LOCAL);
    let answers: Vec<&Value> =
        read["item"].as_array().unwrap().iter().map(|item| &item["answer"][0]).collect();
    let expected = [
        json!({"valueString": "b9f0aaf8-73a6-44b2-9dd1-1d47c1c3b1f6"}),
        json!({"valueString": "u1"}),
        json!({"valueBoolean": true}),
        json!({"valueString": "Because it <3 is right"}),
    ];
    assert_eq!(answers, expected.iter().collect::<Vec<_>>());
    let again = ask(&local, &format!("GET /fhir/QuestionnaireResponse/{id}"), &[HTML], "").await;
    assert!(!again.body.contains("/form/QuestionnaireResponse/"), "an answered form is read only");

    // The colours are remembered and lead back to a page of ours only.
    for (back, goes) in [
        (format!("{base}{group}"), format!("{base}{group}")),
        ("https://evil.example/".to_owned(), format!("{base}/fhir/")),
    ] {
        let headers = [ours[0], ours[2], ours[3], ("referer", back.as_str())];
        let answer =
            ask(&local, "POST /fhir/form/theme", &headers, &format!("token={token}&theme=dark")).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some(goes.as_str())));
        assert!(answer.header("set-cookie").unwrap().starts_with("dsf-theme=dark;"));
    }

    // A bookmark is in the browser's cookie and on every page until it is forgotten.
    let path = group.strip_prefix("/fhir/").unwrap();
    let mark = async |jar: &str, form: String| {
        let headers = [ours[0], ("cookie", jar), ours[3]];
        let answer =
            ask(&local, "POST /fhir/form/bookmark", &headers, &format!("token={token}&{form}")).await;
        let set = answer.header("set-cookie").map(|set| set.split(';').next().unwrap().to_owned());
        (answer.status.as_u16(), set)
    };
    let own = cookie;
    let (status, marked) = mark(own, format!("path={path}&name=Group+of+%3Cb%3E")).await;
    assert_eq!(status, 303);
    let both = format!("{own}; {}", marked.unwrap());
    let start = ask(&local, "GET /fhir/", &[HTML, ("cookie", &both)], "").await;
    assert!(start.body.contains(&format!("{path}\">Group of &#60;b&#62;</a>")), "{}", start.body);
    let page = ask(&local, &format!("GET {group}"), &[HTML, ("cookie", &both)], "").await;
    assert!(page.body.contains("Forget this bookmark"));
    let (_, forgotten) = mark(&both, format!("path={path}")).await;
    assert_eq!(forgotten.as_deref(), Some("dsf-bookmarks="));
    for elsewhere in ["https://evil.example", "//evil", "Group/x", "metadata"] {
        assert_eq!(mark(own, format!("path={elsewhere}&name=x")).await, (400, None), "{elsewhere}");
    }
    gateway.stop().await;
}
