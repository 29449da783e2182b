-- What was found out about a file while it was uploaded, until its deployment's manifest says it.
alter table upload_files
    add column source_path text,
    add column variants jsonb not null default '[]',
    add column link text;
-- An upload that is under way has each of its contents under its own path.
update upload_files set source_path = path;
alter table upload_files alter column source_path set not null;
