//! A connector whose dialler is something else.

use steeple::{Connector, Error};

async fn run() -> Result<(), Error> {
    let connector = Connector::new().dialer("tcp://127.0.0.1:7000");
    let _channel = connector.connect("tcp://127.0.0.1:7000").await?;
    Ok(())
}

fn main() {
    drop(run());
}
