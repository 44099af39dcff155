"""Users' files: opened once, read in chunks, checked, and turned into datasets."""

from invlearn.files.columns import Missing, checked_chunks, choose_columns
from invlearn.files.entity_file import EntityFile, leaving_out
from invlearn.files.filling import fill, fit_gaps, told_gaps
from invlearn.files.many import files_of
from invlearn.files.notes import shortened
from invlearn.files.opening import open_table
from invlearn.files.pair_file import PairFile
from invlearn.files.prepare import feature_names_of, held_out, kind_of, prepare, prepare_table, scaler_of
from invlearn.files.rows import Dropping
from invlearn.files.sample_file import Origin, Prepared, SampleFile
from invlearn.files.scale import Scale
from invlearn.files.table import CHUNK, StoredTable, Table
from invlearn.files.writing import table_writer, written_as

__all__ = [
    "CHUNK",
    "Dropping",
    "EntityFile",
    "Missing",
    "Origin",
    "PairFile",
    "Prepared",
    "SampleFile",
    "Scale",
    "StoredTable",
    "Table",
    "checked_chunks",
    "choose_columns",
    "feature_names_of",
    "files_of",
    "fill",
    "fit_gaps",
    "held_out",
    "kind_of",
    "leaving_out",
    "open_table",
    "prepare",
    "prepare_table",
    "scaler_of",
    "shortened",
    "table_writer",
    "told_gaps",
    "written_as",
]
