//! Whose call it is: what a name leads to for the code at an address, beside the definition that stands before it.
//!
//! A library that is preloaded defines names that the program's own libraries have too, and is asked first. What the loader
//! would have taken without it is found in the order in which the loader looks: the libraries that the whole program sees,
//! then those that the caller's object brings. `RTLD_NEXT` is the first alone, so it knows nothing of what Python loads with
//! its extensions.
//!
//! Invariant: nothing is loaded here that was not; what an address was given out for stays loaded, and so does who asked.

use super::library::Library;
use super::objects::{self, LoadedObject};
use super::rebind::refers_to;
use std::ffi::{CString, c_void};
use std::path::Path;
use std::ptr::NonNull;

/// A definition, and the object that has it.
#[derive(Debug)]
pub(crate) struct Definition {
    pub address: NonNull<c_void>,
    pub object: LoadedObject,
}

/// What `name` would be for the code at `caller`, were it not for the object that contains this very code. `None` if no
/// other loaded object has it.
///
/// With `certain`, only where the caller's object does refer to the name, or the whole program means the same by it: what a
/// function calls as its last act has the address of that function's own caller.
pub(crate) fn beyond(name: &str, caller: usize, certain: bool) -> Option<Definition> {
    let own = objects::own_object();
    let definition = |address: NonNull<c_void>| {
        let object = objects::origin(address.as_ptr() as usize)?;
        (object.base != own.base).then_some(Definition { address, object })
    };
    next(name)
        .and_then(definition)
        .or_else(|| {
            let object = objects::origin(caller)?;
            if certain && !refers_to(&object, name) {
                return None;
            }
            let library = Library::hold(&object.name)?;
            library.symbol(name).and_then(definition)
        })
        .or_else(|| {
            // Code that no object contains (a compiler at run time made it), or one whose libraries came some other way.
            let mut all = definitions(name).into_iter();
            if certain { None } else { all.next() }
        })
        .inspect(|found| {
            keep(&found.object.name);
            // The answer is remembered for this place, so no other code may come to lie there.
            if let Some(object) = objects::origin(caller) {
                keep(&object.name);
            }
        })
}

/// All definitions of a name, but for that of the object that contains this very code and the main program's.
pub(crate) fn definitions(name: &str) -> Vec<Definition> {
    let own = objects::own_object();
    let (_, objects) = objects::loaded_objects();
    let named = objects
        .into_iter()
        .filter(|object| !object.name.as_os_str().is_empty() && object.base != own.base);
    named
        .filter_map(|object| {
            let address = Library::hold(&object.name)?.symbol(name)?;
            let origin = objects::origin(address.as_ptr() as usize)?;
            (origin.base == object.base).then_some(Definition { address, object })
        })
        .collect()
}

/// What comes after this object among the libraries that the whole program sees.
fn next(name: &str) -> Option<NonNull<c_void>> {
    let name = CString::new(name).ok()?;
    // SAFETY: the pseudo-handle needs nothing; `name` is a C string.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) })
}

/// Keeps an object for good, as its address is remembered.
fn keep(name: &Path) {
    if let Some(library) = Library::hold(name) {
        library.leak();
    }
}
