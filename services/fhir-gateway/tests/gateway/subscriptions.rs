//! Subscriptions across replicas, and clients that do not keep up.
use futures_util::StreamExt;
use messaging::{event::ResourceEvent, seal, subject};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::{
    JSON, bind,
    client::Client,
    open, text,
    world::{PATIENCE, Replica, World},
};

async fn subscription(world: &World, criteria: &str, payload: Option<&str>) -> Uuid {
    let subscription = json!({
        "resourceType": "Subscription", "status": "active", "reason": "test", "criteria": criteria,
        "channel": {"type": "websocket", "payload": payload},
    });
    world.write(&subscription, None, 1, Vec::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_one_replica_hear_what_the_other_commits() {
    let world = World::start().await;
    let (one, two) = tokio::join!(Replica::start(world.config()), Replica::start(world.config()));
    let whole = subscription(&world, "Patient", Some(JSON)).await;
    let told = subscription(&world, "Patient?active=true", None).await;
    let (mut here, mut there) =
        tokio::join!(open(&world, &world.local, &one), open(&world, &world.local, &two));
    for socket in [&mut here, &mut there] {
        bind(socket, whole).await;
        bind(socket, told).await;
    }
    let local = Client::new(&world.authority, Some(&world.local));
    let headers = [("content-type", JSON), ("accept", JSON)];
    let ask = async |line: &str, body: &Value| -> Value {
        let answer = local.ask(one.address, line, &headers, body.to_string().as_bytes()).await.unwrap();
        assert!(answer.status.is_success(), "{line}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    };
    let mut patient = json!({"resourceType": "Patient", "active": false, "meta": {"tag": [
        {"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "LOCAL"}]}});
    let created = ask("POST /fhir/Patient", &patient).await;
    for socket in [&mut here, &mut there] {
        let frame: Value = serde_json::from_str(&text(socket).await).unwrap();
        assert_eq!(frame, created, "the whole resource as it is read, at both replicas");
    }
    let id = created["id"].as_str().unwrap();
    patient["id"] = json!(id);
    patient["active"] = json!(true);
    ask(&format!("PUT /fhir/Patient/{id}"), &patient).await;
    for socket in [&mut here, &mut there] {
        let mut frames = [text(socket).await, text(socket).await];
        frames.sort_by_key(String::len);
        assert_eq!(frames[0], format!("ping {told}"), "now the second Subscription matches, without payload");
        assert_eq!(serde_json::from_str::<Value>(&frames[1]).unwrap()["meta"]["versionId"], "2");
    }
    // A delete says nothing: the next frame is that of the next create.
    ask(&format!("DELETE /fhir/Patient/{id}"), &json!({})).await;
    patient["active"] = json!(false);
    patient.as_object_mut().unwrap().remove("id");
    let next = ask("POST /fhir/Patient", &patient).await;
    for socket in [&mut here, &mut there] {
        assert_eq!(serde_json::from_str::<Value>(&text(socket).await).unwrap(), next);
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_is_dropped_and_harms_nobody() {
    /// More than may wait in memory, with room for what the connection itself takes up.
    const CHANGES: usize = 30;
    let world = World::start().await;
    let gateway = Replica::start(world.config()).await;
    let id = subscription(&world, "Binary", Some(JSON)).await;
    let mut silent = open(&world, &world.local, &gateway).await;
    bind(&mut silent, id).await;
    let mut quick = open(&world, &world.local, &gateway).await;
    bind(&mut quick, id).await;
    let reading = tokio::spawn(async move {
        for number in 0..CHANGES {
            let frame = text(&mut quick).await;
            assert!(frame.len() > 1024 * 1024, "change {number}: {}", frame.len());
        }
    });

    let nats = world.nats().await;
    let binary =
        json!({"resourceType": "Binary", "contentType": "text/plain", "data": "QUJD".repeat(1024 * 1024)});
    for _ in 0..CHANGES {
        let id = world.write(&binary, None, 1, Vec::new()).await;
        let event = ResourceEvent {
            resource_type: "Binary".to_owned(),
            id: id.to_string(),
            version: 1,
            status: None,
            deleted: false,
        };
        let payload = seal::seal(&event).unwrap().into();
        nats.client().publish(subject::changed("Binary"), payload).await.unwrap();
    }
    timeout(PATIENCE * 4, reading).await.expect("who reads gets everything in time").unwrap();
    let mut seen = 0;
    loop {
        match timeout(PATIENCE, silent.next()).await.expect("the silent client was dropped") {
            Some(Ok(Message::Close(frame))) => panic!("a close frame was sent: {frame:?}"),
            Some(Ok(message)) => seen += usize::from(message.is_text()),
            Some(Err(_)) | None => break,
        }
    }
    assert!(seen < CHANGES, "the silent client was dropped before the end");
    gateway.stop().await;
}
