//! Listeners whose type is forgotten, so that a server can have several.

use std::{fmt, future::Future, io, pin::Pin};

use crate::transport::{Address, Io, Listener};

/// Any listener.
pub(super) struct AnyListener(Box<dyn Erased>);

/// [`Listener`], with boxes in the place of its types.
trait Erased: Send {
    fn accept(&mut self) -> Accepting<'_>;

    fn local_address(&self) -> Address;
}

type Accepting<'a> = Pin<Box<dyn Future<Output = io::Result<(Box<dyn Io>, Address)>> + Send + 'a>>;

impl AnyListener {
    pub(super) fn new(listener: impl Listener) -> Self {
        Self(Box::new(listener))
    }
}

impl<L: Listener> Erased for L {
    fn accept(&mut self) -> Accepting<'_> {
        Box::pin(async {
            let (io, address) = Listener::accept(self).await?;
            Ok((Box::new(io) as Box<dyn Io>, address))
        })
    }

    fn local_address(&self) -> Address {
        Listener::local_address(self)
    }
}

impl Listener for AnyListener {
    type Io = Box<dyn Io>;

    async fn accept(&mut self) -> io::Result<(Box<dyn Io>, Address)> {
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
