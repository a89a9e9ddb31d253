//! The variables that Molecule hands to Ansible and pytest.

use std::path::Path;

use super::Scenario;

impl Scenario {
    /// Returns the variables `MOLECULE_*`, in Molecule's order.
    pub fn variables(&self, debug: bool) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let places = &self.places;
        vec![
            ("MOLECULE_DEBUG", if debug { "True" } else { "False" }.to_owned()),
            ("MOLECULE_FILE", text(&places.ephemeral.join("molecule.yml"))),
            ("MOLECULE_ENV_FILE", text(&places.env_file)),
            ("MOLECULE_STATE_FILE", text(&places.state)),
            ("MOLECULE_INVENTORY_FILE", text(&places.inventory().join("ansible_inventory.yml"))),
            ("MOLECULE_EPHEMERAL_DIRECTORY", text(&places.ephemeral)),
            ("MOLECULE_SCENARIO_DIRECTORY", text(&self.directory)),
            ("MOLECULE_PROJECT_DIRECTORY", text(&places.project)),
            ("MOLECULE_INSTANCE_CONFIG", text(&places.instance_config())),
            ("MOLECULE_DEPENDENCY_NAME", self.dependency.name.name().to_owned()),
            ("MOLECULE_DRIVER_NAME", self.driver.name.clone()),
            ("MOLECULE_PROVISIONER_NAME", "ansible".to_owned()),
            ("MOLECULE_SCENARIO_NAME", self.name.clone()),
            ("MOLECULE_VERIFIER_NAME", self.verifier.name.name().to_owned()),
            ("MOLECULE_VERIFIER_TEST_DIRECTORY", text(&self.verifier.directory)),
        ]
    }
}
