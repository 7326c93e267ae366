//! What a request must offer for a policy to act on it.

use crate::Context;

/// A request that carries a [`Context`].
///
/// Every layer asks its request for this and nothing else; it is implemented for `steeple::Request`, and
/// with the feature `http` for `http::Request`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` carries no `Context`, so a steeple layer cannot act on it",
    label = "this request type is not `Carry`",
    note = "steeple's layers go over services of `steeple::Request<B>`, or of `http::Request<B>` with the feature `http`",
    note = "for a request type of your own, implement `Carry` by handing out a `Context` that it holds"
)]
pub trait Carry {
    /// The context of this call.
    fn cx(&self) -> &Context;

    /// The context of this call, to be changed.
    fn cx_mut(&mut self) -> &mut Context;
}

/// A request that can be sent again, required only by layers that repeat calls.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be replayed, so it cannot be retried or hedged",
    label = "this request type is not `Replay`",
    note = "implement `Replay`, or leave the layers that repeat calls out of this stack"
)]
pub trait Replay: Carry + Sized {
    /// A second copy of the request, or `None` if it can be sent only once.
    ///
    /// Meant to be cheap: for a body of bytes it is a reference count.
    fn replay(&self) -> Option<Self>;
}

#[cfg(feature = "http")]
mod http {
    use std::sync::LazyLock;

    use super::{Carry, Context, Replay};
    use crate::Method;

    /// What a request has that no layer has written to yet.
    static UNTOUCHED: LazyLock<Context> = LazyLock::new(Context::default);

    /// The context lives in the request's extensions; until a layer first writes to it, it is the default.
    /// The method is then the path of the URI.
    impl<B> Carry for http::Request<B> {
        fn cx(&self) -> &Context {
            self.extensions().get().unwrap_or(&UNTOUCHED)
        }

        fn cx_mut(&mut self) -> &mut Context {
            if self.extensions().get::<Context>().is_none() {
                let method = Method::from(self.uri().path().to_owned());
                self.extensions_mut().insert(Context::new(method));
            }
            self.extensions_mut().get_mut().expect("inserted above")
        }
    }

    impl<B: Clone> Replay for http::Request<B> {
        fn replay(&self) -> Option<Self> {
            Some(self.clone())
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_http_request_keeps_what_a_layer_wrote_and_names_its_path() {
            let mut request = http::Request::get("http://host/users/7").body(()).unwrap();
            assert_eq!(request.cx().attempt(), 0);
            request.cx_mut().set_attempt(2);
            let again = request.replay().unwrap();
            assert_eq!(again.cx().attempt(), 2);
            assert_eq!(again.cx().method(), "/users/7");
        }
    }
}
