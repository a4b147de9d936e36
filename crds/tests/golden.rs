//! The committed YAML is what the types give. `make generate` writes it anew.

use std::{fs, path::Path};

#[test]
fn the_committed_definitions_are_what_the_types_give() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    for crd in crds::definitions::all() {
        let file = folder.join(format!("{}.yaml", crd.spec.names.plural));
        let committed = fs::read_to_string(&file).unwrap_or_default();
        let generated = crds::definitions::yaml(&crd).unwrap();
        assert!(committed == generated, "{} is out of date: run `make generate`", file.display());
    }
}
