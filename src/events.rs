//! What the crate tells `tracing`.
//!
//! Each event has one of these targets, which are as stable as the rest of the interface: a filter by target
//! silences a part, or all of it by the prefix `steeple`. Messages and fields may grow. No event stands on
//! the path of a call that goes well but those of [`CALL`], and none holds a byte of a body.
//!
//! | target | level | event | fields |
//! |---|---|---|---|
//! | [`CLIENT`] | debug | `dialled` | `address` |
//! | | debug | `a dial failed` | `error` |
//! | | debug | `a connection was lost` | `error` |
//! | [`REPLICAS`] | info | `live`: an endpoint of a set is connected, again or for the first time | `address`, `link` |
//! | | info | `health changed`: ejected, on probation, well again | `address`, `health` |
//! | | warn | `unhealthy`: the health check of a connection fails | `address`, `link`, `error`, `cause` |
//! | | info | `healthy`: it passes again | `address`, `link` |
//! | | info | `removed`: the resolver lists it no more | `address` |
//! | | warn | `not connected`: a dial failed or a connection was lost; the next dial comes after `wait` | `address`, `link`, `error`, `wait` |
//! | | warn | `not resolved`: the resolver failed or panicked, and is asked again | `error` |
//! | | error | `given up`, after the last dial that was allowed | `address`, `link`, `error` |
//! | | error | `no call can succeed`: the resolver breaks its contract, or the set's task panicked | `error` |
//! | [`CALL`] | by outcome | the end of a call, told by a [`LogLayer`](crate::layers::LogLayer) | [there](crate::layers::log) |
//! | | warn | `a circuit is open`: calls are refused by a [`BreakerLayer`](crate::layers::BreakerLayer) | `circuit`, `reason` |
//! | | info | `a circuit is closed` | `circuit` |
//! | | debug | `hedging`: another attempt, while those before it run | `method`, `attempt` |
//! | | debug | `trying again` | `method`, `attempt`, `wait`, `error` |
//! | [`SERVER`] | info | `a server's phase`: serving, lame duck, draining, closed | `phase` |
//! | | error | `an accept failed`; accepting pauses for a second | `listener`, `error` |
//! | | debug | `accepted` | `listener`, `address` |
//! | | warn | `a connection was refused`; what is done before its first frame may have failed | `address`, `reason` |
//! | | debug | `a connection was lost` | `address`, `error` |
//! | | debug | `a connection is drained`, being old or idle | `address`, `reason` |
//! | [`CONN`] | debug | `the peer has opened`: the handshake | `agent` |
//! | | debug | `the peer goes away`: it drains, refuses or ends | `reason`, `text` |
//! | | debug | `a connection drains` | `role` |
//! | | warn | `the connection is given up`: the peer broke the protocol | `role`, `error` |
//! | | debug | `a connection ends`, for whatever reason | `role`, `end` |
//! | [`HANDLER`] | error | `a handler panicked` | `panic`, and `method` under a [`CatchPanicLayer`](crate::layers::CatchPanicLayer) |
//! | [`TRANSPORT`] | warn | `a stream keeps the system's options` | `listener`, `error` |
//! | | debug | `a client left before it was accepted` | `listener`, `error` |
//! | | debug | `the server does not do compression`, which this client would: the connection is plain | `address` |
//! | [`WIRE`] | debug | `a one-way message is dropped`, being too long or broken | `error` |

/// Dialling, and the connections of clients.
pub const CLIENT: &str = "steeple::client";

/// The endpoints of replica sets, and so of clients with the default stack.
pub const REPLICAS: &str = "steeple::replicas";

/// The calls of a stack with a log, and so of the default ones.
pub const CALL: &str = "steeple::call";

/// Accepting, and the connections of servers.
pub const SERVER: &str = "steeple::server";

/// What two sides say to each other apart from calls, and how connections end.
pub const CONN: &str = "steeple::conn";

/// Handlers that fail in ways of their own.
pub const HANDLER: &str = "steeple::handler";

/// Streams.
pub const TRANSPORT: &str = "steeple::transport";

/// Messages that cannot be read.
pub const WIRE: &str = "steeple::wire";
