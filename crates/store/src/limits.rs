//! Every limit on what a layer may contain, each with its reason.
//!
//! They bound time, memory and disk of one import. An archive beyond a limit is refused as a whole.

/// Most bytes that the layers of one image may unpack to, logical size of sparse files included.
/// The largest images known (machine learning) have about 20 GiB; what is far beyond is a decompression bomb.
pub const UNPACKED_BYTES_MAX: u64 = 32 * 1024 * 1024 * 1024;

/// Most archive entries of all layers of one image together.
/// Ten times a full desktop image; the tree of that many takes about 100 MB of memory while it is merged.
pub const ENTRIES_MAX: u64 = 500_000;

/// Most device nodes of all layers together. A complete static `/dev` has about 200; nobody needs more.
pub const DEVICES_MAX: u64 = 1024;

/// Longest path in bytes: `PATH_MAX` of Linux.
pub const PATH_BYTES_MAX: usize = 4096;

/// Longest file name in bytes: `NAME_MAX` of every file system that the store runs on.
pub const NAME_BYTES_MAX: usize = 255;

/// Deepest path in components. Checkout holds one open directory per level and 1024 descriptors are the usual
/// limit of a process; the deepest trees in real images (nested node modules) have about 40.
pub const DEPTH_MAX: usize = 256;

/// Longest target of a symbolic link in bytes: what Linux accepts, `PATH_MAX` with its final NUL.
pub const SYMLINK_BYTES_MAX: usize = 4095;

/// Longest name of an extended attribute in bytes: `XATTR_NAME_MAX` of Linux.
pub const XATTR_NAME_BYTES_MAX: usize = 255;

/// Most bytes of names and values of all extended attributes of one entry.
/// ext4 keeps all of them in one block of 4 KiB, so more could not be stored on most devices.
pub const XATTR_BYTES_MAX: usize = 4096;

/// Longest PAX header or GNU long name record in bytes. It is held in memory; names and attributes of
/// an honest one take at most 20 KiB, but the map of a sparse file may be in it too (PAX 0.0 and 0.1).
pub const EXTENSION_BYTES_MAX: u64 = 1024 * 1024;

/// Most extents of a sparse file. Each costs 16 bytes of memory; disk images of virtual machines have a few thousand.
pub const SPARSE_EXTENTS_MAX: usize = 65_536;

/// Largest window that a zstd frame may ask for, as a power of two: 8 MiB. It is held in memory, RFC 8878 names it as
/// the size that every decoder should support, and no level up to 19 asks for more.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Largest file that is held in memory until its name is known. Larger ones go through a temporary file.
pub const SMALL_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of one buffer between the two threads of an import.
pub const BUFFER_BYTES: usize = 256 * 1024;

/// Buffers between the two threads. Enough that a slow moment of one does not stop the other; 2 MiB in all.
pub const BUFFERS: usize = 8;

/// Largest record of a manifest in bytes: a name, a link target and all extended attributes fit in with room to spare.
pub const RECORD_BYTES_MAX: usize = 32 * 1024;
