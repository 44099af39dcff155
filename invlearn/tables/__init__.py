"""The user's own files: reading them in pieces, checking them, and what training draws from them."""

from invlearn.tables.columns import checked_pieces, choose_columns
from invlearn.tables.entities import EntityFile
from invlearn.tables.pairs import PairFile
from invlearn.tables.reading import open_table
from invlearn.tables.rows import Dropping
from invlearn.tables.samples import SampleFile
from invlearn.tables.scale import Scale
from invlearn.tables.writing import table_writer

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
