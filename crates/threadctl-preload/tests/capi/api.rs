//! The functions of the library, opened as a program would open it.

use crate::common;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CStr, CString, c_char, c_int, c_uint};

pub const OK: c_int = 0;
pub const ARGUMENT: c_int = 1;
pub const LIMIT: c_int = 2;
pub const SELECTION: c_int = 3;
pub const NOT_HONOURED: c_int = 4;
pub const HANDLE: c_int = 5;
pub const THREAD_OF_ANOTHER: c_int = 6;

pub const PROCESS: c_int = 0;
pub const THREAD: c_int = 1;
pub const STRICT: c_uint = 1;

type Text = unsafe extern "C" fn(*mut *mut c_char) -> c_int;

/// The library, open for good.
pub struct Api {
    pub begin: unsafe extern "C" fn(*const c_char, c_int, c_uint, *mut u64) -> c_int,
    pub end: unsafe extern "C" fn(u64) -> c_int,
    pub outcome: unsafe extern "C" fn(u64, *mut *mut c_char) -> c_int,
    pub info: Text,
    pub cores: unsafe extern "C" fn(*mut u32) -> c_int,
    pub cores_info: Text,
    pub free: unsafe extern "C" fn(*mut c_char),
    last_error: unsafe extern "C" fn() -> *const c_char,
    version: unsafe extern "C" fn() -> *const c_char,
}

impl Api {
    pub fn open() -> Self {
        // SAFETY: its initialisers do nothing.
        let library = unsafe { Library::open(Some(common::preload()), RTLD_NOW | RTLD_LOCAL) };
        let library = Box::leak(Box::new(library.unwrap()));
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the types are those of the header.
                *unsafe { library.get($name) }.unwrap()
            };
        }
        Api {
            begin: symbol!("threadctl_limit_begin"),
            end: symbol!("threadctl_limit_end"),
            outcome: symbol!("threadctl_limit_outcome"),
            info: symbol!("threadctl_info"),
            cores: symbol!("threadctl_cores"),
            cores_info: symbol!("threadctl_cores_info"),
            free: symbol!("threadctl_free"),
            last_error: symbol!("threadctl_last_error"),
            version: symbol!("threadctl_version"),
        }
    }

    pub fn begin(&self, text: &str, scope: c_int, options: c_uint) -> Result<u64, c_int> {
        let text = CString::new(text).unwrap();
        let mut limit = 0;
        // SAFETY: a C string, and a place for a handle.
        match unsafe { (self.begin)(text.as_ptr(), scope, options, &raw mut limit) } {
            OK => Ok(limit),
            status => Err(status),
        }
    }

    pub fn end(&self, limit: u64) -> c_int {
        // SAFETY: any handle may be passed.
        unsafe { (self.end)(limit) }
    }

    pub fn outcome(&self, limit: u64) -> Result<serde_json::Value, c_int> {
        // SAFETY: as above; `out` is a place for a pointer.
        self.text(|out| unsafe { (self.outcome)(limit, out) })
    }

    pub fn info(&self) -> serde_json::Value {
        // SAFETY: a place for a pointer.
        self.text(|out| unsafe { (self.info)(out) }).unwrap()
    }

    pub fn cores_info(&self) -> serde_json::Value {
        // SAFETY: a place for a pointer.
        self.text(|out| unsafe { (self.cores_info)(out) }).unwrap()
    }

    fn text(
        &self,
        call: impl FnOnce(*mut *mut c_char) -> c_int,
    ) -> Result<serde_json::Value, c_int> {
        let mut text = std::ptr::null_mut();
        match call(&raw mut text) {
            OK => {
                // SAFETY: a C string, ours until it is given back.
                let value = serde_json::from_slice(unsafe { CStr::from_ptr(text) }.to_bytes());
                // SAFETY: as above.
                unsafe { (self.free)(text) };
                Ok(value.unwrap())
            }
            status => {
                assert!(text.is_null(), "written to although it failed");
                Err(status)
            }
        }
    }

    pub fn last_error(&self) -> String {
        // SAFETY: a C string, copied at once.
        unsafe { CStr::from_ptr((self.last_error)()) }
            .to_str()
            .unwrap()
            .to_owned()
    }

    pub fn version(&self) -> String {
        // SAFETY: a C string.
        unsafe { CStr::from_ptr((self.version)()) }
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// How many threads the first runtime of that kind has for this thread.
    pub fn threads(&self, internal_api: &str) -> u64 {
        let info = self.info();
        let runtimes = info["runtimes"].as_array().unwrap();
        let runtime = runtimes
            .iter()
            .find(|it| it["internal_api"] == internal_api)
            .unwrap();
        runtime["num_threads"].as_u64().unwrap()
    }
}
