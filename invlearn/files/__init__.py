"""The user's own files: reading them in pieces, checking them, and what training draws from them."""

from invlearn.files.columns import checked_pieces, choose_columns
from invlearn.files.entity_file import EntityFile
from invlearn.files.pair_file import PairFile
from invlearn.files.rows import Dropping
from invlearn.files.sample_file import SampleFile
from invlearn.files.scaler import Scale
from invlearn.files.table import open_table
from invlearn.files.writing import table_writer

__all__ = [
    "Dropping",
    "EntityFile",
    "PairFile",
    "SampleFile",
    "Scale",
    "checked_pieces",
    "choose_columns",
    "open_table",
    "table_writer",
]
