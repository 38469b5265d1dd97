"""Writes other people's lottery-ticket files into a folder, as their programs did.

Nothing here is taken from the importer: the writers follow the rules of the programs that wrote
such files, and count what they wrote by themselves. Weights are random, not trained; a fixed seed
makes them. Every writer returns a `Layout`, the truth about what it wrote.
"""

from foreign_bert import write_bert
from foreign_contrastive import write_moco, write_simclr
from foreign_layout import Layout, save, saved_on
from foreign_lists import write_lists, write_numpy
from foreign_openlth import Options as OpenLTHOptions
from foreign_openlth import write_elastic, write_openlth
from foreign_plain import write_generic, write_safetensors, write_table
from foreign_vita import Options as VitaOptions
from foreign_vita import write_cv_lth, write_imagenet, write_prac

__all__ = [
    "Layout",
    "OpenLTHOptions",
    "VitaOptions",
    "save",
    "saved_on",
    "write_bert",
    "write_cv_lth",
    "write_elastic",
    "write_generic",
    "write_imagenet",
    "write_lists",
    "write_moco",
    "write_numpy",
    "write_openlth",
    "write_prac",
    "write_safetensors",
    "write_simclr",
    "write_table",
]
