//! What systemd says about a unit, as the `status` of a result.

use serde_json::{Map, Value};

/// Properties that the clock, the process or the container decides, beside those that end in one of [`ENDINGS`]. The
/// last one counts, for the journal, who logs at this moment.
const BY_CHANCE: [&str; 5] =
    ["ControlGroup", "ControlGroupId", "InvocationID", "CPUUsageNSec", "NFileDescriptorStore"];

/// How properties by chance end: `StateChangeTimestamp`, `StateChangeTimestampMonotonic`, `MainPID`, `MemoryCurrent`,
/// `MemoryPeak`, `MemoryAvailable`.
const ENDINGS: [&str; 6] = ["Timestamp", "TimestampMonotonic", "PID", "Current", "Peak", "Available"];

/// Lists of units and of networks, which systemd prints in the order of a hash table.
const SETS: [&str; 11] = [
    "After",
    "Before",
    "Requires",
    "RequiredBy",
    "Wants",
    "WantedBy",
    "TriggeredBy",
    "Conflicts",
    "Names",
    "IPAddressAllow",
    "IPAddressDeny",
];

/// Whether a result's member looks like the properties of a unit.
pub(crate) fn is(name: &str, value: &Map<String, Value>) -> bool {
    name == "status" && value.contains_key("Id") && value.contains_key("UnitFileState")
}

/// Returns a property as two containers have it in common.
pub(crate) fn property(name: &str, value: Value) -> Value {
    match value {
        _ if BY_CHANCE.contains(&name) || ENDINGS.iter().any(|ending| name.ends_with(ending)) => {
            "<by chance>".into()
        }
        Value::String(units) if SETS.contains(&name) => {
            let mut units: Vec<_> = units.split(' ').collect();
            units.sort_unstable();
            units.join(" ").into()
        }
        other => other,
    }
}
