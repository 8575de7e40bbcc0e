//! Notifications on a connection of their own, which comes back after every outage.
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Connection, NoTls, tls::MakeTlsConnect};

use crate::Pool;

/// Pause between attempts to listen again.
const RETRY: Duration = Duration::from_millis(200);
/// Notifications kept for a receiver that is busy; more only repeat what it has to look at anyway.
const CAPACITY: usize = 1024;

/// What a listener learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// Listening began, or began again: anything may have happened before.
    Listening,
    /// The connection is lost; nothing is heard until `Listening` comes again.
    Lost,
    /// A `NOTIFY` arrived.
    Notified {
        /// Channel.
        channel: String,
        /// Payload; a wake-up with a hint, never the truth.
        payload: String,
    },
}

/// Listens on channels until the receiver is dropped. Channel names must be plain identifiers.
pub fn listen(pool: &Pool, channels: &'static [&'static str]) -> mpsc::Receiver<Notification> {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let pool = pool.clone();
    tokio::spawn(async move {
        while !sender.is_closed() {
            let connected = match &pool.tls {
                Some(tls) => once(&pool, tls.clone(), channels, &sender).await,
                None => once(&pool, NoTls, channels, &sender).await,
            };
            if let Err(error) = connected {
                tracing::debug!(%error, "listening ended");
            }
            if sender.send(Notification::Lost).await.is_err() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    });
    receiver
}

async fn once<T>(
    pool: &Pool,
    tls: T,
    channels: &[&str],
    sender: &mpsc::Sender<Notification>,
) -> Result<(), tokio_postgres::Error>
where
    T: MakeTlsConnect<tokio_postgres::Socket> + Send,
    T::Stream: Send + 'static,
{
    let (client, connection) = pool.config.connect(tls).await?;
    let (mut messages, driver) = drive(connection);
    let statements: String = channels.iter().map(|channel| format!("LISTEN {channel};")).collect();
    client.batch_execute(&statements).await?;
    if sender.send(Notification::Listening).await.is_err() {
        return Ok(());
    }
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Some(notification) => {
                    if sender.send(notification).await.is_err() {
                        break;
                    }
                }
                None => break,
            },
            () = sender.closed() => break,
        }
    }
    driver.abort();
    Ok(())
}

fn drive<S>(
    mut connection: Connection<tokio_postgres::Socket, S>,
) -> (mpsc::Receiver<Notification>, tokio::task::JoinHandle<()>)
where
    S: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let driver = tokio::spawn(async move {
        let mut stream = stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = stream.next().await {
            if let AsyncMessage::Notification(notification) = message {
                let notification = Notification::Notified {
                    channel: notification.channel().to_owned(),
                    payload: notification.payload().to_owned(),
                };
                if sender.send(notification).await.is_err() {
                    return;
                }
            }
        }
    });
    (receiver, driver)
}
