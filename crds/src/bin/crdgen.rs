//! Writes the definitions as YAML into a folder, one file a kind: `crdgen crds/golden`.

use std::{env, fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: crdgen FOLDER");
        return ExitCode::from(2);
    };
    match write_all(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for crd in crds::definitions::all() {
        let file = folder.join(format!("{}.yaml", crd.spec.names.plural));
        fs::write(file, crds::definitions::yaml(&crd)?)?;
    }
    Ok(())
}
