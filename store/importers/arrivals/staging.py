"""Where imports are put together, and the one lock under which they take their place.

`.importing/` of a store holds the file `lock`, which stays for good: a lock file that its
holder removes lets two in, the one that holds the removed file and the one that makes it anew.
The file `last` says who held it last, so that what others did is looked for only after others.
Beside it every process that imports has a folder of its own, locked as long as it lives; what a
killed one has left is cleared away by the next.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ....schemas.lock import Locked, check_locks, lock
from ....schemas.records.layout import RunFolder, make_runs
from ...exchange import finish
from .known import Known

FOLDER = ".importing"
_WAIT = 600.0  # seconds; what is done under the lock takes a moment for each run


def import_lock(store: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the lock of imports, whose folder must be there.

    Raises
    ------
    Locked
        Another process has held it for ten minutes.
    """
    return lock(store / FOLDER / "lock", f"the import into {store}", wait=_WAIT)


class Staging:
    """A process that imports into a store: its folder, and what it knows of the store.

    Nothing is created before the first run is put together.

    Parameters
    ----------
    store : Path
        The store.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self._root = store / FOLDER
        self._token = secrets.token_bytes(16)
        self._own = contextlib.ExitStack()
        self._folder: Path | None = None
        self._known: Known | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._own.close()

    @contextmanager
    def run(self) -> Iterator[RunFolder]:
        """Hand out an empty folder to put a run together in, and clear it away afterwards.

        Raises
        ------
        OSError
            The store cannot be written.
        """
        folder = RunFolder(self.settle() / "run")
        folder.make()
        try:
            yield folder
        finally:
            shutil.rmtree(folder.path, ignore_errors=True)

    @contextmanager
    def decision(self) -> Iterator[Known]:
        """Hold the lock of imports: no other process adds a run meanwhile.

        Raises
        ------
        Locked
            Another process has held it for ten minutes.
        StoreError
            The store cannot be read.
        """
        with import_lock(self.store):
            finish(self.store)
            alone = self._was_last()
            if self._known is None:
                self._known = Known(self.store)
            elif not alone:
                self._known.refresh()
            yield self._known

    def _was_last(self) -> bool:
        """Whether nobody else has decided since this process did; from now on it is the last."""
        last = self._root / "last"
        with contextlib.suppress(FileNotFoundError):
            if last.read_bytes() == self._token:
                return True
        last.write_bytes(self._token)
        return False

    def settle(self) -> Path:
        """Make a folder of this process's own, and clear away those whose processes are gone.

        Raises
        ------
        OSError
            The store cannot be written.
        """
        if self._folder is not None:
            return self._folder
        check_locks(self.store)
        self._root.mkdir(parents=True, exist_ok=True)
        make_runs(self.store)
        with import_lock(self.store):
            for left in self._root.iterdir():
                if left.is_dir():
                    with contextlib.suppress(Locked, OSError), lock(left / "lock", "an import"):
                        shutil.rmtree(left, ignore_errors=True)
            self._folder = Path(tempfile.mkdtemp(dir=self._root))
            self._own.enter_context(lock(self._folder / "lock", "an import"))
        return self._folder
