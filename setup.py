"""Compile the kernels of sparse training where there is a compiler; all else: pyproject.toml."""

import hashlib
import sys
from pathlib import Path

from setuptools import Extension, setup

SOURCE = "runner/sparse/kernels.c"
digest = hashlib.sha256(Path(SOURCE).read_bytes()).hexdigest()

setup(
    script_name="setup.py",  # setuptools leaves it out of the package, once it knows the name
    ext_modules=[
        Extension(
            "rgtool.runner.sparse._kernels",
            [SOURCE],
            define_macros=[("SOURCE_DIGEST", f'"{digest}"')],
            # No -march: the file chooses the instruction set at run time.
            extra_compile_args=["-O3", "-ffp-contract=fast", "-g0"],
            libraries=[] if sys.platform == "win32" else ["m"],
            optional=True,
        )
    ],
)
