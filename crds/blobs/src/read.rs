//! An open file as a stream: pulled by the reader, one chunk at a time, and never short in silence.
//!
//! `object_store` has such a stream too, but it reads 8 KiB for each change of thread, and from a file
//! that became shorter it yields empty chunks for ever.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
};

use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use crate::{Result, error::blocking};

/// Bytes in memory for each reader.
const CHUNK_BYTES: u64 = 256 * 1024;

/// The content of an object, read as it is polled.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// An object that is open for reading.
pub struct Object {
    /// How many bytes the stream yields, or else it ends in an error.
    pub size_bytes: u64,
    /// The content.
    pub stream: ByteStream,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

pub(crate) fn object(file: File, size_bytes: u64) -> Object {
    let stream = stream::try_unfold((file, size_bytes), |(file, remaining)| async move {
        if remaining == 0 {
            return Ok(None);
        }
        let (chunk, file) = blocking("read an object", move || read_chunk(file, remaining)).await?;
        let remaining = remaining - chunk.len() as u64;
        Ok(Some((chunk, (file, remaining))))
    });
    Object { size_bytes, stream: stream.boxed() }
}

fn read_chunk(mut file: File, remaining: u64) -> io::Result<(Bytes, File)> {
    let mut chunk = Vec::new();
    (&mut file).take(remaining.min(CHUNK_BYTES)).read_to_end(&mut chunk)?;
    if chunk.is_empty() {
        let missing = format!("the object ends {remaining} bytes early");
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, missing));
    }
    Ok((chunk.into(), file))
}
