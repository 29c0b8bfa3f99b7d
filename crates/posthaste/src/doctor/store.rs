//! The store's file: sound, of a schema that we know, and of our main secret.

use posthaste_store::StoreError;
use posthaste_store::sqlite::survey::{Survey, sqlite_version};

use super::finding::{About, Finding};
use crate::config::Settings;
use crate::{wiring, words};

const INTEGRITY: About = About("Store", "integrity");
const SCHEMA: About = About("Store", "schema");
const SECRET: About = About("Store", "main secret");
const RESTORE: &str =
    "stop the server and `posthaste restore BACKUP --replace`; the damaged store is kept aside";

pub(super) fn store(seen: &Result<Survey, StoreError>, settings: &Settings, deep: bool) -> Vec<Finding> {
    let survey = match seen {
        Ok(survey) => survey,
        Err(error @ StoreError::Newer { .. }) => {
            return vec![
                SCHEMA.wrong(error.to_string(), "install the version that wrote it, or a newer one"),
            ];
        }
        Err(error @ (StoreError::Damaged { .. } | StoreError::Corrupt { .. } | StoreError::NotAStore(_))) => {
            return vec![INTEGRITY.wrong(error.to_string(), RESTORE)];
        }
        Err(error) => {
            return vec![INTEGRITY.wrong(error.to_string(), "look at the disk, and who may read the file")];
        }
    };
    vec![integrity(survey, deep), schema(survey), secret(survey, settings)]
}

fn integrity(survey: &Survey, deep: bool) -> Finding {
    let how = if deep { "every page and every index" } else { "every page; --deep looks at indexes too" };
    let messages = words::count(survey.messages_count, "message");
    match &survey.fault {
        None => INTEGRITY.good(format!("sound ({how}): {}, {messages}", words::size(survey.bytes))),
        Some(fault) => INTEGRITY.wrong(format!("damaged: {fault}"), RESTORE),
    }
}

fn schema(survey: &Survey) -> Finding {
    let sqlite = sqlite_version();
    let (found, known) = (survey.schema, survey.schema_known);
    if found == known {
        return SCHEMA.good(format!("{found}, as this version writes it; SQLite {sqlite}"));
    }
    if found > known {
        return SCHEMA.good(format!("{found}, of a newer version; this one knows {known} and works with it"));
    }
    SCHEMA.warning(
        format!("{found}, and this version writes {known}; SQLite {sqlite}"),
        "the next start migrates it: make a backup before",
    )
}

fn secret(survey: &Survey, settings: &Settings) -> Finding {
    let file = wiring::main_secret_file(settings).display().to_string();
    let place = if settings.main_secret.is_some() { "POSTHASTE_MAIN_SECRET" } else { &file };
    match survey.secret_fits {
        Some(true) => SECRET.good(format!("{place} fits the store")),
        Some(false) => SECRET.wrong(
            format!("{place} is not the one that this store was written with"),
            "find the right one: without it the secrets of endpoints and sources are lost",
        ),
        None => SECRET.wrong(
            format!("there is none: no POSTHASTE_MAIN_SECRET here, and no {file}"),
            "run this with the server's settings; else bring back the right one before the next start",
        ),
    }
}
