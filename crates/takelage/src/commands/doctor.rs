//! `doctor`: what takelage would use here, and why.

use serde::Serialize;
use takelage_model::Exit;
use takelage_python::toolchain::{self, Verdict};

use super::{engine, looking, runtime};
use crate::{failure::Failure, output, settings::Settings};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Row {
    subject: String,
    verdict: &'static str,
    what: String,
    why: String,
}

/// Prints engine, Ansible, pytest and Python with the reason for each. Fails if the engine does not answer or
/// something the project names is not usable.
pub(crate) fn doctor(settings: &Settings, json: bool) -> Result<Exit, Failure> {
    // Outside a project, what a project would get by default.
    let project = settings.project().ok();
    let mut rows = vec![Row {
        subject: "takelage".to_owned(),
        verdict: "ok",
        what: env!("CARGO_PKG_VERSION").to_owned(),
        why: format!("remembers in {}", settings.cache()?.display()),
    }];
    runtime()?.block_on(async {
        rows.push(engine_row(settings, project.as_ref()).await);
        let wanted = settings.wanted(project.as_ref())?;
        for finding in toolchain::look(&wanted).await {
            rows.push(Row {
                subject: finding.subject.to_owned(),
                verdict: match finding.verdict {
                    Verdict::Chosen => "ok",
                    Verdict::Possible => "possible",
                    Verdict::Refused => "refused",
                },
                what: finding.candidate,
                why: finding.reason,
            });
        }
        Ok::<_, Failure>(())
    })?;
    let broken = rows.iter().any(|row| row.verdict == "broken");
    if json {
        output::data(&format!("{:#}\n", serde_json::json!({ "findings": rows })))?;
    } else {
        let cells = rows.into_iter().map(|row| vec![row.subject, row.verdict.to_owned(), row.what, row.why]);
        output::data(&looking::table(&["WHAT", "VERDICT", "WHICH", "WHY"], cells))?;
    }
    Ok(if broken { Exit::Surroundings } else { Exit::Done })
}

async fn engine_row(settings: &Settings, project: Option<&takelage_config::Project>) -> Row {
    let described = async {
        let chosen = engine::choose(settings, project, &std::env::temp_dir()).await?;
        Ok::<_, Failure>((chosen.described, chosen.why))
    };
    let subject = "engine".to_owned();
    match described.await {
        Ok((what, why)) => Row { subject, verdict: "ok", what, why },
        Err(failure) => {
            let hint = crate::hint::of_failure(&failure).unwrap_or_default();
            Row {
                subject,
                verdict: "broken",
                what: "none".to_owned(),
                why: format!("{}; {hint}", output::sentence(&failure)),
            }
        }
    }
}
