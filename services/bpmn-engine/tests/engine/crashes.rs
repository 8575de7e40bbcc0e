//! The death of the engine between its steps.
use super::*;

/// The effect boundaries of a ping, in order; the engine dies after each of them.
const BOUNDARIES: [&str; 10] = [
    "start delivered",
    "handler claimed",
    "handler answered",
    "send ordered",
    "send claimed",
    "send answered",
    "answer delivered",
    "last step claimed",
    "last step answered",
    "status claimed",
];

pub async fn a_crash_at_any_boundary_loses_nothing(servers: Arc<Servers>) {
    let mut site = Site::start(&servers, "crashes", 1, |config| {
        // A crash may take a claim with it, and its lease: longer than a send is tried for by default.
        config.send_give_up = config::Duration::secs(3600);
    })
    .await;
    for (n, boundary) in BOUNDARIES.into_iter().enumerate() {
        let (id, key) = (format!("c{n}"), format!("k{n}"));
        let at = |site: &mut Site, here: &str| {
            if here == boundary {
                site.crash();
            }
        };
        let start = task(&id, "ask", "startAsk", Some(&key));
        site.deliver(&start).await;
        at(&mut site, "start delivered");
        assert_eq!(site.deliver(&start).await, Delivered::Duplicate, "{boundary}");
        let choose = site.job("test.Choose").await;
        at(&mut site, "handler claimed");
        site.done(&choose, chosen(&["b.test"])).await;
        at(&mut site, "handler answered");
        let again = site.answer(&choose, Outcome::Done(Done::default())).await;
        assert_eq!(again, Acknowledgement::Stale, "{boundary}: a result counts once");
        let ask = site.job("test.Ask").await;
        site.answer(&ask, send(&ask)).await;
        at(&mut site, "send ordered");
        let job = site.job(SEND).await;
        let order = job.send.clone().unwrap();
        at(&mut site, "send claimed");
        site.answer(&job, Outcome::Fault { reason: "answer lost".into(), unavailable: false }).await;
        let job = site.job(SEND).await;
        assert_eq!(job.send.as_ref().unwrap().send_id, order.send_id, "{boundary}: one send id");
        site.done(&job, Done::default()).await;
        at(&mut site, "send answered");
        let mut answer = task(&format!("a{n}"), "ask", "answer", Some(&key));
        answer.correlation_key = Some("ck-b.test".into());
        site.deliver(&answer).await;
        at(&mut site, "answer delivered");
        let save = site.job("test.Save").await;
        at(&mut site, "last step claimed");
        site.done(&save, Done::default()).await;
        at(&mut site, "last step answered");
        if boundary == "status claimed" {
            // Claimed and never answered: the lease runs out and the status is written all the same.
            site.claim(&[WRITE_BACK], 16, 300).await;
            at(&mut site, "status claimed");
        }
        site.written(&format!("Task/{id}"), "completed").await;
        site.written(&format!("Task/a{n}"), "completed").await;
        let instance = site.instance_is(&key, "completed").await;
        let ends =
            instance.history.iter().filter(|entry| entry.what == "end" && entry.activity == "Save").count();
        assert_eq!(ends, 1, "{boundary}: each step once");
    }
    // A timer and the signal behind it.
    site.deliver(&task("l", "listen", "startListen", Some("l"))).await;
    site.deliver(&task("t", "throw", "startThrow", Some("t"))).await;
    site.crash();
    site.instance_is("t", "completed").await;
    site.crash();
    site.instance_is("l", "completed").await;
    assert_eq!(site.instances(None).await.len(), BOUNDARIES.len() + 2, "no instance twice");
    assert_eq!(site.status().await.incidents, 0);
}
