//! The constant tables of a module, and the values of its options.
use crate::ffi;
use std::any::Any;
use std::ffi::CStr;
use std::os::raw::c_char;
use std::ptr::null;

/// Text that ends with NUL; made by [`text!`](crate::text).
#[derive(Clone, Copy)]
pub struct Text(&'static str);

impl Text {
    /// For the macro: `text` ends with its only NUL, or this is not compiled.
    pub const fn ended(text: &'static str) -> Text {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i + 1 < bytes.len() {
            assert!(bytes[i] != 0, "a NUL inside of a text");
            i += 1;
        }
        assert!(!bytes.is_empty() && bytes[i] == 0, "a text without a NUL at its end");
        Text(text)
    }
    pub(crate) const fn pointer(self) -> *const c_char {
        self.0.as_ptr() as *const c_char
    }
}

/// An option of the module: `--name VALUE`. The name starts with the module's.
#[repr(transparent)]
pub struct Opt(ffi::rum_option);

// SAFETY: constant pointers to constant text.
unsafe impl Sync for Opt {}

impl Opt {
    const fn new(name: Text, value: *const c_char, help: Text, kind: u32) -> Opt {
        Opt(ffi::rum_option {
            name: name.pointer(),
            value,
            default_value: null(),
            help: help.pointer(),
            r#type: kind,
            short_name: 0,
        })
    }
    /// Any text. `value` is what `--help` calls it.
    pub const fn text(name: Text, value: Text, help: Text) -> Opt {
        Opt::new(name, value.pointer(), help, ffi::RUM_OPTION_TEXT)
    }
    /// One of `words`, which are separated by `|`.
    pub const fn choice(name: Text, words: Text, help: Text) -> Opt {
        Opt::new(name, words.pointer(), help, ffi::RUM_OPTION_CHOICE)
    }
    pub const fn flag(name: Text, help: Text) -> Opt {
        Opt::new(name, null(), help, ffi::RUM_OPTION_FLAG)
    }
    pub const fn number(name: Text, value: Text, help: Text) -> Opt {
        Opt::new(name, value.pointer(), help, ffi::RUM_OPTION_NUMBER)
    }
    /// 250ms, 6s, 5m, 1h; [`Values::number`] gives milliseconds.
    pub const fn duration(name: Text, value: Text, help: Text) -> Opt {
        Opt::new(name, value.pointer(), help, ffi::RUM_OPTION_DURATION)
    }
    pub const fn or(mut self, default: Text) -> Opt {
        self.0.default_value = default.pointer();
        self
    }
    pub const fn short(mut self, letter: char) -> Opt {
        self.0.short_name = letter as u32;
        self
    }
}

/// A counter of the module, `rum_NAME_total` in /metrics. The name starts with the module's.
#[repr(transparent)]
pub struct Metric(#[allow(dead_code)] ffi::rum_metric);

// SAFETY: constant pointers to constant text.
unsafe impl Sync for Metric {}

impl Metric {
    pub const fn new(name: Text, help: Text) -> Metric {
        Metric(ffi::rum_metric { name: name.pointer(), help: help.pointer() })
    }
}

/// What the user has set. Asking for an option that is not in the table, or for a number where it is
/// text, is a bug and panics: rum shows that, and does not start.
pub struct Values<'a> {
    pub(crate) rows: &'static [Opt],
    pub(crate) texts: &'a [*const c_char],
}

impl<'a> Values<'a> {
    /// The text of an option, its default, or None.
    pub fn text(&self, name: &str) -> Option<&'a [u8]> {
        let row = self.rows.iter().position(|row| {
            // SAFETY: a Text, so it ends with NUL.
            unsafe { CStr::from_ptr(row.0.name) }.to_bytes() == name.as_bytes()
        });
        let row = row.unwrap_or_else(|| panic!("the module has no option {}", name));
        let text = self.texts.get(row).copied().unwrap_or(null());
        // SAFETY: rum gives texts that end with NUL and live as long as the hook runs, or NULL.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
    }
    /// Of NUMBER and DURATION.
    pub fn number(&self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        let number = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
        Some(number.unwrap_or_else(|| panic!("the option {} is no number", name)))
    }
    pub fn flag(&self, name: &str) -> bool {
        self.text(name).is_some()
    }
}

/// The value of a type that is `()`, for hooks that a module does not write.
pub(crate) fn unit<T: 'static>(hook: &str) -> Result<T, String> {
    (Box::new(()) as Box<dyn Any>)
        .downcast::<T>()
        .map(|value| *value)
        .map_err(|_| format!("the module does not have {}(), and its type is not ()", hook))
}
