//! What a stack does, told by the stack itself.
//!
//! A service that is [`Explain`] tells its own part and goes on with the service inside. The [`Explanation`] has the
//! parts from the outside in, with what is set of them, and [warnings](Explanation::warnings) of orders that are
//! known not to do what was meant:
//!
//! ```
//! use std::time::Duration;
//!
//! use steeple_layers::{
//!     LogLayer, RetryLayer, TimeoutLayer,
//!     explain::{Explanation, Opaque, OpaqueLayer},
//! };
//! use tower::{ServiceBuilder, load_shed::LoadShedLayer, service_fn};
//!
//! let stack = ServiceBuilder::new()
//!     .layer(LogLayer::new())
//!     .layer(RetryLayer::default())
//!     .layer(TimeoutLayer::per_attempt(Duration::from_secs(2)))
//!     // A layer from elsewhere.
//!     .layer(OpaqueLayer::new(LoadShedLayer::new()))
//!     .service(Opaque::new(service_fn(async |call: &'static str| Ok::<_, steeple_layers::Error>(call))));
//!
//! assert_eq!(
//!     Explanation::of(&stack).to_string(),
//!     "\
//! 1. Log: successes at DEBUG
//! 2. Retry: 3 attempts; waits of 10ms to 1s; a budget of 20 % of calls and 10 a second
//! 3. Timeout: 2s for each attempt
//! 4. LoadShed
//! 5. ServiceFn
//! warning: Retry is outside of the only limit of time, Timeout: each attempt has one, and the call as a whole has none
//! "
//! );
//! ```
//!
//! All services of this crate are `Explain`, if what is inside of them is. One from elsewhere is shown by the name of
//! its type: a layer inside of an [`OpaqueLayer`], the innermost service as an [`Opaque`]. tower's own are known by
//! name to the warnings. Of [`Replicas`](crate::Replicas) the layers on the first one that is live are told. A layer of
//! one's own says what it likes:
//!
//! ```
//! use steeple_layers::explain::{Explain, Explanation, Role};
//!
//! struct Quota<S> {
//!     inner: S,
//!     calls: usize,
//! }
//!
//! impl<S: Explain> Explain for Quota<S> {
//!     fn explain(&self, out: &mut Explanation) {
//!         out.part("Quota").setting(format_args!("{} calls", self.calls)).role(Role::Limits);
//!         self.inner.explain(out);
//!     }
//! }
//! ```

mod advice;
mod explanation;
mod opaque;

pub(crate) use self::explanation::short_name;
pub use self::{
    explanation::{Explanation, Part, Role, name_of},
    opaque::{Opaque, OpaqueLayer},
};

/// A service that tells what it does.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not tell what it does, so the stack cannot be explained",
    label = "this service is not `Explain`",
    note = "put a layer from elsewhere into `OpaqueLayer::new(…)`, and an innermost service into `Opaque::new(…)`",
    note = "or implement `Explain` for a layer of your own: it adds its part and goes on with the service inside"
)]
pub trait Explain {
    /// Adds its own [part](Explanation::part), and has the service inside do the same.
    fn explain(&self, out: &mut Explanation);
}
