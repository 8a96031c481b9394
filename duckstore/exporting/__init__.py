"""A store's relations as a folder of Parquet files.

    FOLDER/RELATION/month=2026-11/part-00000.parquet    what other tools read
    FOLDER/manifest.json                                what the export consists of
    FOLDER/_duckstore/                                  what duckstore needs besides

`plan` says which sessions lie in which part and what has changed, `shape` what is selected for a
part, `content` and `redaction` what stands in the place of texts, `writing` has it done, `folder`
puts it in its place at once, `manifest` is the page that tells all of it, `verifying` proves it.
"""
