//! Typed calls of the few C signatures that thread pools are read and set through.
//!
//! Invariant: a value of these types is made only from a symbol of the named signature (the catalog's word for it,
//! or the promise of whoever registered a runtime), and called only while its library is held.

use super::library::Library;
use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::NonNull;

/// A C function of one type, and the one way to get hold of it.
macro_rules! c_functions {
    ($($(#[doc = $doc:literal])* $name:ident = fn($($argument:ty),*) $(-> $result:ty)?;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name(unsafe extern "C" fn($($argument),*) $(-> $result)?);

        impl $name {
            /// # Safety
            /// If `library` has `name`, it is a function of this type, callable from any thread.
            pub(crate) unsafe fn find(library: &Library, name: &str) -> Option<Self> {
                let symbol = library.symbol(name)?;
                // SAFETY: the caller vouches for the type; function and data pointers have one size on the
                // supported targets.
                Some(Self(unsafe {
                    std::mem::transmute::<
                        NonNull<c_void>,
                        unsafe extern "C" fn($($argument),*) $(-> $result)?,
                    >(symbol)
                }))
            }
        }
    )*};
}

c_functions! {
    /// `int f(void)`.
    GetInt = fn() -> c_int;
    /// `void f(int)`, or `int f(int)` whose result may be ignored.
    SetInt = fn(c_int);
    /// `int64_t f(void)`.
    GetLong = fn() -> i64;
    /// `void f(int64_t)`.
    SetLong = fn(i64);
    /// `int f(int)`.
    MapInt = fn(c_int) -> c_int;
    /// `int f(char *, size_t)`: writes a C string (FlexiBLAS).
    WriteText = fn(*mut c_char, usize) -> c_int;
    /// `int f(char *, size_t, int)`: writes the name with that number, and returns how many there are.
    ListNames = fn(*mut c_char, usize, c_int) -> c_int;
    /// `int f(const char *)`: only reads the text, during the call.
    TakeText = fn(*const c_char) -> c_int;
    /// `void f(int *, int *, int *)`: writes through its three arguments only.
    WriteInts = fn(*mut c_int, *mut c_int, *mut c_int);
    /// `void f(int64_t *)`, or of a smaller integer: writes through its argument only.
    WriteLong = fn(*mut i64);
    /// `const char *f(void)`: null, or a text that is valid when it returns.
    GetText = fn() -> *const c_char;
    /// `const char *f(int)`: null, or a text that is valid when it returns.
    TextOf = fn(c_int) -> *const c_char;
    /// `void f(char *, int)`: writes a C string, no more bytes than it is told (MKL).
    FillText = fn(*mut c_char, c_int);
}

impl GetInt {
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

impl GetLong {
    /// Calls it.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn call(self) -> i64 {
        // SAFETY: the type was vouched for in `find`, the mapping by the caller.
        unsafe { (self.0)() }
    }
}

impl WriteLong {
    /// Calls it: what it wrote, over zero.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn call(self) -> i64 {
        let mut value = 0;
        // SAFETY: the type was vouched for in `find`, the mapping by the caller; there is room for what it writes.
        unsafe { (self.0)(&mut value) };
        value
    }
}

impl SetLong {
    /// Calls it.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn call(self, value: i64) {
        // SAFETY: the type was vouched for in `find`, the mapping by the caller.
        unsafe { (self.0)(value) }
    }

    /// Identifies the setting behind it.
    pub(crate) fn address(self) -> usize {
        self.0 as usize
    }
}

impl MapInt {
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

impl GetText {
    /// A copy of the text; `None` for null.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn call(self) -> Option<String> {
        // SAFETY: the type was vouched for in `find`, the mapping by the caller.
        let text = unsafe { (self.0)() };
        // SAFETY: null, or valid at this moment: the type says so.
        unsafe { copy_text(text) }
    }
}

impl TextOf {
    /// A copy of the text for `argument`; `None` for null.
    ///
    /// # Safety
    /// The library that it was found in is held, and the function accepts the argument.
    pub(crate) unsafe fn call(self, argument: i32) -> Option<String> {
        // SAFETY: the type was vouched for in `find`, mapping and argument by the caller.
        let text = unsafe { (self.0)(argument) };
        // SAFETY: null, or valid at this moment: the type says so.
        unsafe { copy_text(text) }
    }
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

impl FillText {
    /// The text, at most 255 bytes of it.
    ///
    /// # Safety
    /// The library that it was found in is held.
    pub(crate) unsafe fn call(self) -> String {
        let mut buffer = [0_u8; 256];
        // SAFETY: one byte less than the buffer has is offered, so the text ends inside it.
        unsafe { (self.0)(buffer.as_mut_ptr().cast(), 255) };
        until_nul(&buffer)
    }
}

impl WriteText {
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
