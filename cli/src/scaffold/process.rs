/// One site with the plugin; its worker does what the closure says.
fn network(worker: impl FnMut(&Job) -> Outcome + 'static) -> Network {
    let mut network = Network::new(["a.test"]);
    network.deploy_folder(folder()).unwrap();
    network.worker(JOB, worker);
    network
}

#[test]
fn it_runs_to_its_end() {
    let mut network = network(|_| answer::done([]));
    let instance = network.start("a.test", PROCESS, MESSAGE).unwrap();
    network.run().unwrap();
    let waits = network.waiting(instance);
    assert!(network.has_ended(instance), "it waits at {waits:?}: {:?}", network.incidents());
    assert_eq!(network.path(instance), ["requested", "work", "done"]);
}

#[test]
fn work_that_keeps_failing_is_kept_for_an_operator() {
    let mut network = network(|_| answer::fault("out of order"));
    let instance = network.start("a.test", PROCESS, MESSAGE).unwrap();
    // Attempts are spread over time, which passes at once here.
    network.advance(Duration::from_secs(3600)).unwrap();
    assert_eq!(network.waiting(instance), ["work"]);
    assert_eq!(network.incidents().len(), 1);
}
