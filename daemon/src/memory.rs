//! Keeping the resident set small. The daemon is idle nearly all of its life, on devices where every page counts.
//!
//! Nothing here changes what the program does, only which pages are mapped while it has nothing to do.

#![allow(unsafe_code, reason = "the allocator and madvise have no safe wrappers")]

use std::fs;

/// Sets the allocator up: one arena for all threads, and freed memory goes back to the kernel soon. To be called
/// before any thread is started.
pub fn stay_small() {
    #[cfg(target_env = "gnu")]
    {
        /// Free memory at the top of the heap beyond this is given back.
        const TRIM_BYTES: libc::c_int = 64 * 1024;
        // SAFETY: mallopt only sets parameters of the allocator and may be called at any time.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_BYTES);
        }
    }
}

/// Gives back what is only needed while something is done: free heap, and mapped program code. The code stays in the
/// page cache as long as there is room, and comes back page by page when it runs.
pub fn rest() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim only returns free memory and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
    let Ok(smaps) = fs::read_to_string("/proc/self/smaps") else { return };
    for (start, length) in clean_code(&smaps) {
        // SAFETY: the range is a mapping of this process that is never unmapped: program code. It holds no page that
        // differs from its file (`Anonymous: 0`), so dropping its pages loses nothing: a page that is touched again,
        // even the one with this very code, is mapped from the file again.
        let done = unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
        if done != 0 {
            tracing::debug!("cannot give back mapped code: {}", std::io::Error::last_os_error());
        }
    }
}

/// Start and length of every mapping of program code without a page of its own, from the text of `smaps`.
fn clean_code(smaps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut code = None;
    for line in smaps.lines() {
        if let Some(range) = header(line) {
            code = range;
        } else if let Some(kib) = line.strip_prefix("Anonymous:")
            && kib.trim() == "0 kB"
        {
            found.extend(code.take());
        }
    }
    found
}

/// None: not the first line of a mapping. Some(None): one of a mapping that is not program code.
fn header(line: &str) -> Option<Option<(usize, usize)>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let length = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    let is_code = words.next()? == "r-xp" && words.nth(3).is_some_and(|path| path.starts_with('/'));
    Some(is_code.then_some((start, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
1000-3000 r-xp 00001000 08:01 42    /usr/lib/libc.so
Size:                  8 kB
Anonymous:             0 kB
4000-5000 r-xp 00001000 08:01 42    /usr/lib/patched.so
Anonymous:             4 kB
6000-7000 rw-p 00001000 08:01 42    /usr/lib/libc.so
Anonymous:             0 kB
7000-8000 r--p 00001000 08:01 42    /usr/lib/libc.so
Anonymous:             0 kB
8000-9000 r-xp 00000000 00:00 0     [vdso]
Anonymous:             0 kB
";

    #[test]
    fn only_clean_program_code_is_given_back() {
        assert_eq!(clean_code(SMAPS), [(0x1000, 0x2000)]);
    }

    #[test]
    fn it_goes_on_after_a_rest() {
        let before = clean_code(&fs::read_to_string("/proc/self/smaps").unwrap());
        assert!(!before.is_empty());
        rest();
        assert_eq!(clean_code(&fs::read_to_string("/proc/self/smaps").unwrap()), before);
    }
}
