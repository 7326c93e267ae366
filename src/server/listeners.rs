//! Listeners whose type is forgotten, so that a server can have several.

use std::{fmt, future::Future, io, pin::Pin};

use crate::transport::{Address, Handshake, Io, Listener, Open};

/// Any listener.
pub(super) struct AnyListener(Box<dyn Erased>);

/// [`Listener`], with boxes in the place of its types.
trait Erased: Send {
    fn accept(&mut self) -> Accepting<'_>;

    fn local_address(&self) -> Address;
}

type Accepting<'a> = Pin<Box<dyn Future<Output = io::Result<(AnyStream, Address)>> + Send + 'a>>;

type AnyStream = Handshake<Box<dyn Io>>;

impl AnyListener {
    pub(super) fn new(listener: impl Listener) -> Self {
        Self(Box::new(listener))
    }
}

impl<L: Listener> Erased for L {
    fn accept(&mut self) -> Accepting<'_> {
        Box::pin(async {
            let (io, address) = Listener::accept(self).await?;
            let at = address.clone();
            let opening = Handshake::new(async {
                let opened = io.open(at, None).await?;
                Ok(opened.map(|io| Box::new(io) as Box<dyn Io>))
            });
            Ok((opening, address))
        })
    }

    fn local_address(&self) -> Address {
        Listener::local_address(self)
    }
}

impl Listener for AnyListener {
    type Io = AnyStream;

    async fn accept(&mut self) -> io::Result<(AnyStream, Address)> {
        self.0.accept().await
    }

    fn local_address(&self) -> Address {
        self.0.local_address()
    }
}

impl fmt::Debug for AnyListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyListener")
            .field(&self.0.local_address())
            .finish()
    }
}
