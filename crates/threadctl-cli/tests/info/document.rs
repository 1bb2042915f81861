//! The document `threadctl.info/1`, written down a second time: a field that appears, vanishes or changes its type
//! fails every test that reads a document.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub schema: String,
    pub threadctl: String,
    pub pid: u32,
    pub view: String,
    pub runtimes: Vec<Runtime>,
    pub conflicts: Vec<String>,
    pub process: Option<Process>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    pub executable: PathBuf,
    pub threads: u32,
    pub allowed_cpus: CpuList,
    pub environment: BTreeMap<String, String>,
    pub unreadable: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuList {
    pub count: u32,
    pub list: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    pub user_api: String,
    pub internal_api: String,
    pub prefix: String,
    pub filepath: PathBuf,
    // `required` keeps serde from taking a missing key for null.
    #[serde(deserialize_with = "required")]
    pub version: Option<String>,
    #[serde(deserialize_with = "required")]
    pub threading_layer: Option<String>,
    #[serde(deserialize_with = "required")]
    pub architecture: Option<String>,
    #[serde(deserialize_with = "required")]
    pub num_threads: Option<u32>,
    pub setter_scope: String,
    #[serde(deserialize_with = "required")]
    pub max_threads: Option<u32>,
    pub concurrent_callers: String,
    pub interface: Interface,
    pub tested: bool,
    pub domains: Option<BTreeMap<String, u32>>,
    pub current_backend: Option<String>,
    pub available_backends: Option<Vec<String>>,
    pub loaded_backends: Option<Vec<String>>,
    #[serde(default)]
    pub unknown: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    pub integers: String,
    pub symbol_prefix: String,
    pub symbol_suffix: String,
}

fn required<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

impl Document {
    /// Reads a document and checks what holds for every one of them.
    pub fn parse(text: &[u8]) -> Document {
        let document: Document = serde_json::from_slice(text)
            .unwrap_or_else(|error| panic!("{error} in:\n{}", String::from_utf8_lossy(text)));
        assert_eq!(document.schema, "threadctl.info/1");
        assert_eq!(document.threadctl, env!("CARGO_PKG_VERSION"));
        let view = if document.process.is_some() {
            "outside"
        } else {
            "inside"
        };
        assert_eq!(document.view, view);
        for runtime in &document.runtimes {
            runtime.check_reasons();
        }
        document
    }
}

impl Runtime {
    /// Whatever is null or unknown has its reason, and nothing else has one.
    fn check_reasons(&self) {
        let unknown = [
            ("version", self.version.is_none()),
            ("threading_layer", self.threading_layer.is_none()),
            ("architecture", self.architecture.is_none()),
            ("num_threads", self.num_threads.is_none()),
            ("max_threads", self.max_threads.is_none()),
            ("setter_scope", self.setter_scope == "unknown"),
            ("concurrent_callers", self.concurrent_callers == "unknown"),
            (
                "interface",
                self.interface.integers == "unknown" && self.user_api == "blas",
            ),
        ];
        for (field, is_unknown) in unknown {
            assert_eq!(
                self.unknown.contains_key(field),
                is_unknown,
                "{field} of {self:#?}"
            );
        }
    }
}
