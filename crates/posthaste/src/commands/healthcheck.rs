//! `posthaste healthcheck`: for containers that have no shell.

use std::process::ExitCode;
use std::time::Duration;

use crate::call::Caller;
use crate::telemetry::tell;

/// Ready is 0, anything else 7.
pub(crate) async fn healthcheck(url: &str) -> anyhow::Result<ExitCode> {
    let asked = tokio::time::timeout(Duration::from_secs(5), async {
        Caller::connect(url, None).await?.get("/readyz").await
    });
    match asked.await {
        Ok(Ok(answer)) if answer.status == 200 => return Ok(ExitCode::SUCCESS),
        Ok(Ok(answer)) => tell(&format!("{url} is not ready: {}", answer.text())),
        Ok(Err(error)) => tell(&format!("{url} does not answer: {error:#}")),
        Err(_) => tell(&format!("{url} does not answer within 5 s")),
    }
    Ok(ExitCode::from(7))
}
