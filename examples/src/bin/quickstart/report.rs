//! report.json.

use serde_json::{Map, Value, json};
use std::path::Path;

/// Numbers under dotted names. In the file each stands twice: under its full name, and in objects within objects.
#[derive(Default)]
pub(crate) struct Report {
    flat: Map<String, Value>,
}

impl Report {
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.flat.insert(name.to_owned(), value.into());
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut tree = json!({});
        for (name, value) in &self.flat {
            let mut at = &mut tree;
            for part in name.split('.') {
                at = &mut at[part];
            }
            *at = value.clone();
        }
        if let Value::Object(tree) = &mut tree {
            tree.extend(self.flat.clone());
        }
        picardy_trainer::train::write_whole(path, serde_json::to_string_pretty(&tree)?.as_bytes())?;
        Ok(())
    }
}
