//! A channel as the connection of a replica.

use std::time::Duration;

use steeple_layers::Lifecycle;

use super::Channel;
use crate::Error;

impl Lifecycle for Channel {
    async fn handshaken(&self) -> Result<(), Error> {
        self.peer().handshaken().await
    }

    async fn draining(&self) {
        self.peer().draining().await;
    }

    async fn closed(&self) {
        self.peer().closed().await;
    }

    async fn ping(&self) -> Result<Duration, Error> {
        self.peer().ping().await
    }

    async fn drain(&self) {
        self.peer().drain().await;
    }

    fn close(&self) {
        self.peer().close();
    }

    fn pending(&self) -> usize {
        self.peer().pending()
    }
}
