//! A relay in front of the API server that falls silent like a NAT gateway which forgets its
//! connections: they stay open, and nothing passes any more.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A relay that runs until this is dropped.
pub(crate) struct Relay {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    silence: watch::Sender<()>,
    _accepting: JoinSet<()>,
}

impl Relay {
    /// Relays connections to this address.
    pub(crate) async fn start(to: SocketAddr) -> Result<Self, String> {
        let wrong = |wrong: std::io::Error| format!("relay: {wrong}");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(wrong)?;
        let at = listener.local_addr().map_err(wrong)?;
        let (silence, silenced) = watch::channel(());
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut relayed = JoinSet::new();
            while let Ok((client, _peer)) = listener.accept().await {
                let mut silenced = silenced.clone();
                // Only what happens to it from now on.
                silenced.mark_unchanged();
                relayed.spawn(relay(client, to, silenced));
            }
        });
        Ok(Self { at, silence, _accepting: accepting })
    }

    /// From now on nothing passes through the connections that exist.
    pub(crate) fn silence(&self) {
        self.silence.send_replace(());
    }
}

async fn relay(mut client: TcpStream, to: SocketAddr, mut silenced: watch::Receiver<()>) {
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    tokio::select! {
        _ended = copy_bidirectional(&mut client, &mut server) => {}
        Ok(()) = silenced.changed() => std::future::pending().await,
    }
}
