//! What both sides serve.

use std::{future::Future, panic::resume_unwind, pin::Pin};

use fastrand::Rng;
use steeple::{Error, Execution, Kind, Peer, Request, Response};
use tower::{Service, service_fn, util::BoxCloneSyncService};

use super::{
    gate::Gate,
    ledger::{Call, Ledger, Running, Side},
    plan::{Act, Plan},
};

pub(crate) type Handlers = BoxCloneSyncService<Request, Response, Error>;

type Handling = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;

/// Does what the plan of each call says, and tells the ledger.
pub(crate) fn handlers(ledger: &Ledger, rng: &mut Rng) -> Handlers {
    let ledger = ledger.clone();
    let refuses = ledger.setting.is_tight();
    let service = service_fn(move |request| -> Handling { call(&ledger, request) });
    BoxCloneSyncService::new(Gate::new(service, rng.fork(), refuses))
}

fn call(ledger: &Ledger, request: Request) -> Handling {
    let refuse = |kind, text| {
        let error = Error::new(kind, text).with_execution(Execution::NotStarted);
        Box::pin(std::future::ready(Err(error)))
    };
    let Some(plan) = Plan::read(&request) else {
        ledger.lock().mangled += 1;
        return refuse(Kind::Invalid, "there is no such plan");
    };
    if plan.act == Act::Refuse {
        return refuse(Kind::Unavailable, "as planned");
    }
    let intact = *request.body() == plan.body();
    let running = ledger.begin(&plan, intact);
    if plan.act == Act::Panic && plan.wait == 0 {
        // Without the hook, which would print it.
        resume_unwind(Box::new("as planned"));
    }
    Box::pin(handle(ledger.clone(), plan, request, running))
}

async fn handle(
    ledger: Ledger,
    plan: Plan,
    request: Request,
    running: Running,
) -> Result<Response, Error> {
    plan.pause().await;
    let result = match plan.act {
        Act::Echo => Ok(Response::new(request.into_body())),
        Act::Panic => resume_unwind(Box::new("as planned")),
        // A message that lost its way could ask for it, and nobody would ever take it back.
        Act::Never if !request.cx().is_one_way() => std::future::pending().await,
        Act::Back => call_back(&ledger, &plan, &request)
            .await
            .map_err(Error::executed),
        Act::PassOn => call_back(&ledger, &plan, &request).await,
        Act::Fail => Err(plan.error()),
        Act::Reply | Act::Refuse | Act::Never => Ok(Response::new(plan.answer())),
    };
    running.end();
    result
}

async fn call_back(ledger: &Ledger, plan: &Plan, request: &Request) -> Result<Response, Error> {
    let mut peer = Peer::of(request).unwrap().clone();
    let deadline = request.cx().deadline();
    let mut nested = plan.nested().request();
    nested.cx_mut().set_deadline(deadline);
    let call = Call {
        deadline,
        suspect: ledger.is_suspect(plan.id),
        ..Call::default()
    };
    let open = ledger.open(Side::Server, plan.nested(), call);
    let result = peer.call(nested).await;
    open.end(&result);
    result
}
