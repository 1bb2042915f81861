//! Typed calls of the few C signatures that thread pools are read and set through.
//!
//! Invariant: a value of these types is made only from a symbol of the named signature (the catalog's word for it,
//! or the promise of whoever registered a runtime), and called only while its library is held.

use super::library::Library;
use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::NonNull;

/// `int f(void)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GetInt(unsafe extern "C" fn() -> c_int);

/// `void f(int)`, or `int f(int)` whose result may be ignored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetInt(unsafe extern "C" fn(c_int));

/// `int f(int)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MapInt(unsafe extern "C" fn(c_int) -> c_int);

impl GetInt {
    /// # Safety
    /// If `library` has `name`, it is a function of type `int (void)`, callable from any thread.
    pub(crate) unsafe fn find(library: &Library, name: &str) -> Option<Self> {
        let symbol = library.symbol(name)?;
        // SAFETY: the caller vouches for the type; function and data pointers have one size on the supported targets.
        Some(Self(unsafe {
            std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn() -> c_int>(symbol)
        }))
    }

    /// Calls it.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn call(self) -> i32 {
        // SAFETY: the type was vouched for in `find`, the mapping by the caller.
        unsafe { (self.0)() }
    }
}

impl SetInt {
    /// # Safety
    /// If `library` has `name`, it is a function of type `void (int)` or `int (int)`, callable from any thread.
    pub(crate) unsafe fn find(library: &Library, name: &str) -> Option<Self> {
        let symbol = library.symbol(name)?;
        // SAFETY: the caller vouches for the type; an ignored `int` result is harmless in every supported C ABI.
        Some(Self(unsafe {
            std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(c_int)>(symbol)
        }))
    }

    /// Calls it.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn call(self, value: i32) {
        // SAFETY: the type was vouched for in `find`, the mapping by the caller.
        unsafe { (self.0)(value) }
    }

    /// Identifies the setting behind it: two runtimes with one setter share one value.
    pub(crate) fn address(self) -> usize {
        self.0 as usize
    }
}

impl MapInt {
    /// # Safety
    /// If `library` has `name`, it is a function of type `int (int)`, callable from any thread.
    pub(crate) unsafe fn find(library: &Library, name: &str) -> Option<Self> {
        let symbol = library.symbol(name)?;
        // SAFETY: the caller vouches for the type.
        Some(Self(unsafe {
            std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(c_int) -> c_int>(symbol)
        }))
    }

    /// Calls it.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn call(self, value: i32) -> i32 {
        // SAFETY: the type was vouched for in `find`, the mapping by the caller.
        unsafe { (self.0)(value) }
    }

    /// Identifies the setting behind it.
    pub(crate) fn address(self) -> usize {
        self.0 as usize
    }
}

/// Calls `const char *name(void)` and copies the text; `None` when there is no such function or it returns null.
///
/// # Safety
/// If `library` has `name`, it has that type, is callable from any thread, and its text is valid when it returns.
pub(crate) unsafe fn text(library: &Library, name: &str) -> Option<String> {
    let symbol = library.symbol(name)?;
    // SAFETY: the caller vouches for the type.
    let function = unsafe {
        std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn() -> *const c_char>(symbol)
    };
    // SAFETY: `library` is borrowed, so the function is mapped.
    let text = unsafe { function() };
    // SAFETY: as above.
    unsafe { copy_text(text) }
}

/// Calls `const char *name(int)` and copies the text.
///
/// # Safety
/// As [`text`], for that type; `argument` is one that the function accepts.
pub(crate) unsafe fn text_of(library: &Library, name: &str, argument: i32) -> Option<String> {
    let symbol = library.symbol(name)?;
    // SAFETY: the caller vouches for the type.
    let function = unsafe {
        std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(c_int) -> *const c_char>(symbol)
    };
    // SAFETY: `library` is borrowed, so the function is mapped; the argument is the caller's promise.
    let text = unsafe { function(argument) };
    // SAFETY: as above.
    unsafe { copy_text(text) }
}

/// # Safety
/// `text` is null or a C string.
unsafe fn copy_text(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for a C string.
    Some(
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    )
}

/// Calls `void name(char *, int)`, which fills a buffer with a C string (MKL's version).
///
/// # Safety
/// If `library` has `name`, it has that type and writes at most as many bytes as it is told.
pub(crate) unsafe fn text_into_buffer(library: &Library, name: &str) -> Option<String> {
    const LENGTH: usize = 256;
    let symbol = library.symbol(name)?;
    // SAFETY: the caller vouches for the type.
    let function = unsafe {
        std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(*mut c_char, c_int)>(symbol)
    };
    let mut buffer = [0_u8; LENGTH + 1];
    // SAFETY: the buffer has `LENGTH` bytes and one more that stays zero, so it ends even if the function fills it.
    unsafe { function(buffer.as_mut_ptr().cast(), LENGTH as c_int) };
    Some(until_nul(&buffer))
}

/// `int f(char *, size_t)`: writes a C string (FlexiBLAS).
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteText(unsafe extern "C" fn(*mut c_char, usize) -> c_int);

/// `int f(char *, size_t, int)`: writes the name with that number, and returns how many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListNames(unsafe extern "C" fn(*mut c_char, usize, c_int) -> c_int);

/// `int f(const char *)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TakeText(unsafe extern "C" fn(*const c_char) -> c_int);

/// `void f(int *, int *, int *)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteInts(unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int));

impl WriteText {
    /// # Safety
    /// If `library` has `name`, it has this type, and writes no more bytes than it is told.
    pub(crate) unsafe fn find(library: &Library, name: &str) -> Option<Self> {
        let symbol = library.symbol(name)?;
        // SAFETY: the caller vouches for the type.
        Some(Self(unsafe {
            std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(*mut c_char, usize) -> c_int>(
                symbol,
            )
        }))
    }

    /// The text, at most `LENGTH - 1` bytes of it.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn call<const LENGTH: usize>(self) -> String {
        let mut buffer = [0_u8; LENGTH];
        // SAFETY: one byte less than the buffer has is offered, so the text ends inside it.
        unsafe { (self.0)(buffer.as_mut_ptr().cast(), LENGTH - 1) };
        until_nul(&buffer)
    }
}

impl ListNames {
    /// # Safety
    /// As [`WriteText::find`].
    pub(crate) unsafe fn find(library: &Library, name: &str) -> Option<Self> {
        let symbol = library.symbol(name)?;
        // SAFETY: the caller vouches for the type.
        Some(Self(unsafe {
            std::mem::transmute::<
                NonNull<c_void>,
                unsafe extern "C" fn(*mut c_char, usize, c_int) -> c_int,
            >(symbol)
        }))
    }

    /// Every name, in the order of their numbers.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn all<const LENGTH: usize>(self) -> Vec<String> {
        // SAFETY: a null buffer of length 0 asks for the count alone.
        let count = unsafe { (self.0)(std::ptr::null_mut(), 0, 0) };
        (0..count.max(0))
            .map(|number| {
                let mut buffer = [0_u8; LENGTH];
                // SAFETY: one byte less than the buffer has is offered, so the text ends inside it.
                unsafe { (self.0)(buffer.as_mut_ptr().cast(), LENGTH - 1, number) };
                until_nul(&buffer)
            })
            .collect()
    }
}

impl TakeText {
    /// # Safety
    /// If `library` has `name`, it has this type, and only reads the text during the call.
    pub(crate) unsafe fn find(library: &Library, name: &str) -> Option<Self> {
        let symbol = library.symbol(name)?;
        // SAFETY: the caller vouches for the type.
        Some(Self(unsafe {
            std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(*const c_char) -> c_int>(
                symbol,
            )
        }))
    }

    /// Its result; `None` when the text has a NUL byte, which no C function could take.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn call(self, text: &str) -> Option<i32> {
        let text = std::ffi::CString::new(text).ok()?;
        // SAFETY: a C string that outlives the call.
        Some(unsafe { (self.0)(text.as_ptr()) })
    }
}

impl WriteInts {
    /// # Safety
    /// If `library` has `name`, it has this type, and writes through its three arguments only.
    pub(crate) unsafe fn find(library: &Library, name: &str) -> Option<Self> {
        let symbol = library.symbol(name)?;
        // SAFETY: the caller vouches for the type.
        Some(Self(unsafe {
            std::mem::transmute::<
                NonNull<c_void>,
                unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int),
            >(symbol)
        }))
    }

    /// The three numbers.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn call(self) -> [i32; 3] {
        let [mut first, mut second, mut third] = [0; 3];
        // SAFETY: three valid, distinct places.
        unsafe { (self.0)(&raw mut first, &raw mut second, &raw mut third) };
        [first, second, third]
    }
}

fn until_nul(buffer: &[u8]) -> String {
    let end = buffer
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(buffer.len());
    String::from_utf8_lossy(&buffer[..end]).into_owned()
}
