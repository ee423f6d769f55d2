//! Forgetting keys (rule 39): no record has a row of them any more.

use std::path::Path;

use super::reading::{instance, of_keys, table};
use super::{DRAFT, Part, RecordError, Records, io, write_part};
use crate::warehouse::Connection;
use crate::{durable, private};

impl Records {
    /// Removes every row of these keys, each a JSON object by column, from the records and from what is left of drafts; gives
    /// how many there were. Each file is replaced in one step. Call it with the sync's lock held.
    ///
    /// # Errors
    /// When a record is damaged, or cannot be written.
    pub(crate) fn forget(&self, keys: &[String]) -> Result<u64, RecordError> {
        if keys.is_empty() || !self.folder.is_dir() {
            return Ok(0);
        }
        let warehouse = instance(&self.folder)?;
        let connection = warehouse.connect()?;
        let mut forgotten = 0;
        for entry in std::fs::read_dir(&self.folder).map_err(|source| io(&self.folder, source))? {
            let folder = entry.map_err(|source| io(&self.folder, source))?.path();
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.trim_end_matches(DRAFT).parse::<u64>().is_ok() {
                for part in Part::ALL {
                    forgotten += forget(&connection, &folder, part, keys)?;
                }
            }
        }
        Ok(forgotten)
    }
}

fn forget(connection: &Connection, folder: &Path, part: Part, keys: &[String]) -> Result<u64, RecordError> {
    let Some(rows) = table(folder, part) else {
        return Ok(0);
    };
    let wanted = of_keys(keys);
    let count = |condition: &str| -> Result<u64, RecordError> {
        let sql = format!("SELECT count(*) FROM {rows} WHERE {condition}");
        Ok(connection.scalar::<u64>(&sql)?.unwrap_or_default())
    };
    let (theirs, all) = (count(&wanted)?, count("true")?);
    let file = folder.join(part.file());
    if theirs == all {
        private::remove(&file).map_err(|source| io(&file, source))?;
    } else if theirs > 0 {
        let next = folder.join("next");
        write_part(connection, &next, &format!("SELECT * FROM {rows} WHERE NOT ({wanted})"))?;
        std::fs::rename(&next, &file).map_err(|source| io(&file, source))?;
    }
    if theirs > 0 {
        durable::names(folder).map_err(|source| io(folder, source))?;
    }
    Ok(theirs)
}
