//! try
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let o = stand::Options {
        sites: 1,
        replicas: 1,
        folder: "/tmp/try/s".into(),
        processes: false,
        environment: vec![],
    };
    let s = stand::Stand::start(&o, &|t| eprintln!("{t}")).await?;
    println!("{}", s.description_path().display());
    tokio::signal::ctrl_c().await?;
    s.stop().await;
    Ok(())
}
