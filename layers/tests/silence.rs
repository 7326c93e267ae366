//! What a log does that nobody hears: alone in its process, since what is heard is one level for all threads.

use std::future::{Ready, ready};

use steeple_layers::{Carry, Context, Error, Kind, LogLayer};
use tower::{Layer, ServiceExt, service_fn};
use tracing::{Level, level_filters::LevelFilter, subscriber::set_default};

struct Call(Context);

impl Carry for Call {
    fn cx(&self) -> &Context {
        &self.0
    }

    fn cx_mut(&mut self) -> &mut Context {
        &mut self.0
    }
}

/// Whether a layer had looked at the clock.
fn answer(call: Call) -> Ready<Result<bool, Error>> {
    ready(Ok(call.0.started().is_some()))
}

#[tokio::test]
async fn what_nobody_wants_to_hear_does_not_touch_the_call() {
    let subscriber = tracing_subscriber::fmt().with_max_level(Level::ERROR);
    let _guard = set_default(subscriber.finish());
    let call = || Call(Context::new("Get"));

    let usual = LogLayer::new().layer(service_fn(answer));
    assert!(usual.oneshot(call()).await.unwrap(), "defects are heard");

    let quiet = LogLayer::new().failure(Kind::Internal, LevelFilter::OFF);
    let quiet = quiet.layer(service_fn(answer));
    assert!(!quiet.oneshot(call()).await.unwrap());
}
