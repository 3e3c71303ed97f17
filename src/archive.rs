//! Unpacks files of packages: tar files that gzip has compressed. Uses nothing of the core.
//!
//! A job that fetches its packages spends most of its start with this, and Python's own zlib takes twice as long.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, EntryType};

/// Bytes that are read, and written, at a time.
const CHUNK_BYTES: usize = 128 * 1024;

/// How often a file is removed that another thread has just written.
const TRIES: u32 = 100;

/// Writes the files of an archive below a directory, over those that are there. Their owner is the user, their time now.
///
/// Files and directories are all that is allowed, with names that lead to no other place.
pub fn unpack(compressed: impl Read, directory: &Path) -> io::Result<()> {
    let mut archive = Archive::new(MultiGzDecoder::new(BufReader::with_capacity(CHUNK_BYTES, compressed)));
    let mut made = HashSet::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = directory.join(inside(&entry.path()?)?);
        let (folder, is_file) = match entry.header().entry_type() {
            EntryType::Directory => (path.as_path(), false),
            EntryType::Regular | EntryType::Continuous => (path.parent().unwrap_or(directory), true),
            other => return Err(invalid(format!("{} is no file: {other:?}", path.display()))),
        };
        let at_path = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if !made.contains(folder) {
            fs::create_dir_all(folder).map_err(at_path)?;
            made.insert(folder.to_owned());
        }
        if is_file {
            let mut file = created(&path, entry.header().mode()?).map_err(at_path)?;
            loop {
                match entry.read(&mut buffer)? {
                    0 => break,
                    read => file.write_all(&buffer[..read]).map_err(at_path)?,
                }
            }
        }
    }
    Ok(())
}

/// The name of an entry, if it is one below the directory.
fn inside(name: &Path) -> io::Result<PathBuf> {
    let parts = name.components().filter(|part| *part != Component::CurDir);
    let kept: PathBuf = parts.clone().collect();
    if kept.as_os_str().is_empty() || !parts.clone().all(|part| matches!(part, Component::Normal(_))) {
        return Err(invalid(format!("{} leads to another place", name.display())));
    }
    Ok(kept)
}

/// A new file. What was there before is removed and not followed, should it be a link.
///
/// Archives that are unpacked at the same time may have a file in common. The last one to write it wins.
fn created(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode & 0o777);
    let mut tries = TRIES;
    loop {
        match options.open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && tries > 0 => {
                tries -= 1;
                match fs::remove_file(path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            opened => return opened,
        }
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, Header};

    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("archive-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn entry(kind: EntryType, name: &str, content: &[u8]) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        if !name.starts_with("long") {
            // The library refuses to write the names that an attacker would.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            let mut builder = Builder::new(Vec::new());
            builder.append(&header, content).unwrap();
            return zipped(&builder.into_inner().unwrap());
        }
        let mut builder = Builder::new(Vec::new());
        builder.append_data(&mut header, name, content).unwrap();
        zipped(&builder.into_inner().unwrap())
    }

    fn zipped(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn files_are_written_with_their_mode_over_what_is_there() {
        let place = Place::new("files");
        let content = vec![7; 3 * CHUNK_BYTES + 1];
        let name = format!("long/{}/module.so", "folder".repeat(40));
        unpack(&*entry(EntryType::Regular, &name, b"before"), &place.0).unwrap();
        unpack(&*entry(EntryType::Regular, &name, &content), &place.0).unwrap();
        let file = place.0.join(name);
        assert!(fs::read(&file).unwrap() == content);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o700, 0o700);
    }

    #[test]
    fn a_file_of_many_members_is_one() {
        // As `environment/packages/splice.py` makes them of a wheel: an entry, and the end of all.
        let place = Place::new("members");
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        builder.append_data(&mut header, "a/b", &b"one"[..]).unwrap();
        let whole = builder.into_inner().unwrap();
        let members: Vec<u8> = whole.chunks(100).flat_map(zipped).collect();
        unpack(&*members, &place.0).unwrap();
        assert_eq!(fs::read(place.0.join("a/b")).unwrap(), b"one");
    }

    #[test]
    fn nothing_is_written_elsewhere() {
        let place = Place::new("elsewhere");
        for name in ["../evil", "/tmp/evil", "a/../../evil", ".", ""] {
            let error = unpack(&*entry(EntryType::Regular, name, b"x"), &place.0).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{name}");
        }
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Fifo] {
            let error = unpack(&*entry(kind, "link", b""), &place.0).unwrap_err();
            assert!(error.to_string().contains("is no file"), "{error}");
        }
        assert!(fs::read_dir(&place.0).unwrap().next().is_none());
    }

    #[test]
    fn a_link_that_is_there_is_replaced_and_not_followed() {
        let place = Place::new("link");
        fs::write(place.0.join("outside"), "kept").unwrap();
        symlink(place.0.join("outside"), place.0.join("inside")).unwrap();
        unpack(&*entry(EntryType::Regular, "inside", b"new"), &place.0).unwrap();
        assert_eq!(fs::read_to_string(place.0.join("outside")).unwrap(), "kept");
        assert_eq!(fs::read_to_string(place.0.join("inside")).unwrap(), "new");
    }

    #[test]
    fn archives_that_share_files_are_unpacked_at_the_same_time() {
        let place = Place::new("shared");
        let mut builder = Builder::new(Vec::new());
        for number in 0..200 {
            let mut header = Header::new_gnu();
            header.set_size(4);
            header.set_mode(0o644);
            builder.append_data(&mut header, format!("tests/{number}.py"), &b"same"[..]).unwrap();
        }
        let archive = zipped(&builder.into_inner().unwrap());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20).for_each(|_| unpack(&*archive, &place.0).unwrap()));
            }
        });
        for file in fs::read_dir(place.0.join("tests")).unwrap() {
            assert_eq!(fs::read(file.unwrap().path()).unwrap(), b"same");
        }
    }

    #[test]
    fn what_is_cut_or_corrupt_is_an_error() {
        let place = Place::new("corrupt");
        let whole = entry(EntryType::Regular, "file", &[1, 2, 3].repeat(100_000));
        assert!(unpack(&whole[..whole.len() / 2], &place.0).is_err());
        let mut corrupt = whole.clone();
        corrupt[whole.len() / 2] ^= 0xff;
        assert!(unpack(&*corrupt, &place.0).is_err());
        assert!(unpack(&b"no archive"[..], &place.0).is_err());
    }
}
