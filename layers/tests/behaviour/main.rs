//! Each layer by what it does, over a service that plays a script. Time is paused.

mod inherit;
mod retry;
mod support;
mod timeout;
