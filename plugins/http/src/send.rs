//! Sends a batch, and turns answers into outcomes, or into one failure where nothing was applied.

use outflow_plugin_sdk::{Again, Covers, Ctx, Failure, HttpError, Operation, Outcome, RateLimit, Rejection, Response};

use crate::results;
use crate::route::{NoRequest, Route};

/// Statuses that a wrong URL or missing rights give to every record alike.
const OF_ALL: [&str; 3] = ["403", "404", "405"];

/// One request for all.
pub async fn batch(ctx: &Ctx, route: &Route, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
    let request = match route.request(batch, Covers::Batch) {
        Ok(request) => request,
        Err(NoRequest::Failed(failure)) => return Err(failure),
        Err(NoRequest::Unaddressable) => return Ok(batch.iter().map(|_| unaddressable(route)).collect()),
    };
    let response = ctx.http(request).await?;
    if route.succeeded(response.status) {
        return results::read(route, batch, &response);
    }
    match batch {
        [_] if route.missing(response.status) => Ok(vec![Outcome::NoMatch]),
        _ => Err(response.failure()),
    }
}

/// A request for each, side by side.
pub async fn singly(ctx: &Ctx, route: &Route, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
    let mut requests = Vec::with_capacity(batch.len());
    // What is not sent has its outcome already.
    let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(batch.len());
    for (index, operation) in (0..).zip(batch) {
        match route.request(std::slice::from_ref(operation), Covers::Operations(vec![index])) {
            Ok(request) => {
                requests.push(request);
                outcomes.push(None);
            }
            Err(NoRequest::Unaddressable) => outcomes.push(Some(unaddressable(route))),
            Err(NoRequest::Failed(failure)) => return Err(failure),
        }
    }
    let answers = ctx.http_all(requests).await?;
    if let [Err(HttpError::Denied(why)), ..] = &answers[..]
        && answers.iter().all(|answer| matches!(answer, Err(HttpError::Denied(_))))
    {
        // The policy refuses every request: no record is at fault.
        return Err(Failure::Fatal(why.clone()));
    }
    let mut said = Vec::with_capacity(answers.len());
    let mut answers = answers.into_iter();
    for (operation, outcome) in batch.iter().zip(&mut outcomes) {
        if outcome.is_none()
            && let Some(answer) = answers.next()
        {
            let judged = judge(route, operation, answer);
            *outcome = Some(judged.as_ref().map_or_else(outcome_of, Outcome::clone));
            said.push(judged);
        }
    }
    match of_all(&said) {
        Some(failure) => Err(failure),
        None => Ok(outcomes.into_iter().flatten().collect()),
    }
}

fn judge(route: &Route, operation: &Operation, answer: Result<Response, HttpError>) -> Result<Outcome, Failure> {
    let response = match answer {
        Ok(response) => response,
        // Nothing was sent, and the same will be said of it again.
        Err(HttpError::Denied(message) | HttpError::Invalid(message)) => {
            return Ok(rejected("request", message));
        }
        Err(error) => return Err(error.into()),
    };
    if route.succeeded(response.status) {
        let outcomes = results::read(route, std::slice::from_ref(operation), &response)?;
        return outcomes
            .into_iter()
            .next()
            .ok_or_else(|| Failure::Uncertain("the answer says nothing of the record".into()));
    }
    if route.missing(response.status) {
        return Ok(Outcome::NoMatch);
    }
    Err(match response.failure() {
        // Neither success nor refusal: nobody knows what a server means by it.
        Failure::Fatal(message) => Failure::Uncertain(message),
        failure => failure,
    })
}

/// The outcome of a record whose own request failed, others having got through.
fn outcome_of(failure: &Failure) -> Outcome {
    match failure {
        Failure::Refused(rejection) => Outcome::Rejected(rejection.clone()),
        Failure::TooLarge(message) => rejected("413", message.clone()),
        Failure::Transient(why) | Failure::Unauthorized(why) => again(None, why),
        Failure::RateLimited(limit) => again(limit.wait_ms, &limit.message),
        Failure::Uncertain(why) | Failure::Fatal(why) => Outcome::Unknown(why.clone()),
    }
}

/// The failure of the task as a whole, where nothing was applied and it is no record's own: the host then waits for
/// everybody, asks nobody else, or finds out by a few records whether it is all of them (rule 26).
fn of_all(said: &[Result<Outcome, Failure>]) -> Option<Failure> {
    let failures: Vec<&Failure> = said.iter().filter_map(|said| said.as_ref().err()).collect();
    if failures.is_empty() || failures.len() < said.len() {
        return None;
    }
    let code = |failure: &Failure| match failure {
        Failure::Refused(rejection) => OF_ALL.iter().find(|code| **code == rejection.code),
        _ => None,
    };
    if let [first, _, ..] = failures[..]
        && let Some(status) = code(first)
        && failures.iter().all(|failure| code(failure) == Some(status))
    {
        return Some(first.clone());
    }
    let passing = |failure: &&Failure| {
        matches!(
            failure,
            Failure::Transient(_) | Failure::Unauthorized(_) | Failure::RateLimited(_)
        )
    };
    if !failures.iter().all(passing) {
        return None;
    }
    let unauthorized = failures
        .iter()
        .find(|failure| matches!(failure, Failure::Unauthorized(_)));
    let limits = failures.iter().filter_map(|failure| match failure {
        Failure::RateLimited(limit) => Some(limit),
        _ => None,
    });
    let longest = limits.max_by_key(|limit| limit.wait_ms).cloned();
    match (unauthorized, longest) {
        (Some(failure), _) => Some((*failure).clone()),
        (None, Some(RateLimit { wait_ms, message })) => Some(Failure::RateLimited(RateLimit { wait_ms, message })),
        (None, None) => failures.first().map(|failure| (*failure).clone()),
    }
}

fn again(after_ms: Option<u32>, reason: &str) -> Outcome {
    Outcome::Retry(Again {
        after_ms,
        reason: Some(reason.into()),
    })
}

fn unaddressable(route: &Route) -> Outcome {
    let message = format!(
        "its match value or id cannot stand in the path `{}` or a header",
        route.path
    );
    rejected("unaddressable", message)
}

fn rejected(code: &str, message: String) -> Outcome {
    Outcome::Rejected(Rejection {
        code: code.into(),
        message,
        field: None,
    })
}
