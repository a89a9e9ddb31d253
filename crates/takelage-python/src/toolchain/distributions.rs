//! What is installed for a Python, for whoever wants to know whether that is still the same.

use serde::Deserialize;
use tokio::process::Command;

use super::{Toolchain, probe};

/// Prints what [`Distributions`] reads. A file list has a digest of each file, so what is installed anew under the same version is
/// seen. What is found where its source lies has none.
const QUESTION: &str = r#"
import hashlib, json, os, sys, sysconfig
from importlib import metadata
library = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
def is_source(place):
    installed = os.path.basename(place) in ("site-packages", "dist-packages")
    return not installed and os.path.isdir(place) and not place.startswith(library)
in_place = [place for place in sys.path if place and is_source(place)]
found = []
for distribution in metadata.distributions():
    name = distribution.metadata["Name"] or "?"
    files = distribution.read_text("RECORD") or distribution.read_text("installed-files.txt") or ""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        in_place.append(name)
    found.append([name, distribution.version, hashlib.sha256(files.encode()).hexdigest()])
print(json.dumps({"all": json.dumps([sys.version, sorted(found)]), "in_place": sorted(in_place)}))
"#;

/// What is installed for the Python that runs pytest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Distributions {
    /// The interpreter, and all distributions with their versions, as one text.
    pub all: String,
    /// Names of those that lie where they are worked on, and directories from which modules come that nobody has installed: their
    /// files may change without a version.
    pub in_place: Vec<String>,
}

impl Toolchain {
    /// Asks pytest's Python what is installed for it. `Err`: why it does not say.
    pub async fn distributions(&self, env: &[(String, String)]) -> Result<Distributions, String> {
        let asked = probe::output(Command::new(&self.pytest.python).args(["-c", QUESTION]), env).await?;
        serde_json::from_slice(&asked.stdout).map_err(|error| format!("it answers nonsense: {error}"))
    }
}
