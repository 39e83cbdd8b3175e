//! Whether a program is linked statically: the images contain no libraries.

/// Whether a 64-bit ELF file names a loader (PT_INTERP), which would have to be in the image. Any
/// other file cannot start at all, which another test detects.
pub(crate) fn needs_loader(binary: &[u8]) -> bool {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, width: usize| {
        let bytes = binary.get(at..at + width)?;
        Some(bytes.iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte)))
    };
    let place = |at, width| number(at, width).and_then(|it| usize::try_from(it).ok());
    let (Some(table), Some(size), Some(count)) = (place(32, 8), place(54, 2), place(56, 2)) else {
        return false;
    };
    binary.starts_with(b"\x7fELF\x02")
        && (0..count).any(|index| number(table + index * size, 4) == Some(PT_INTERP))
}
