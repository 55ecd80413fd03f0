"""Folders that Lambda workers import from: each layer's packages, and the runtime client's own."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

# What the worker process runs besides the function: AWS's runtime client and what that imports.
_RUNTIME_DISTRIBUTIONS = ("awslambdaric", "simplejson", "snapshot-restore-py")


class LayerBuildError(Exception):
    """Report that a layer's requirements could not be installed."""


def cache_dir() -> Path:
    """Return the user's own cache folder: ``$XDG_CACHE_HOME/tunedrop``, else ``~/.cache/tunedrop``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tunedrop"


def layer_site(content: bytes, work_dir: Path, progress: Callable[[str], None]) -> Path:
    """Return the folder that a layer puts on ``sys.path``, made when missing.

    Args:
        content: the layer's zip: built (a ``python/`` folder), or the source of one (a ``requirements.txt`` to
            install, or packages as they are).
        work_dir: where source is unpacked.
        progress: told, in a sentence, what takes long.

    Raises:
        LayerBuildError: pip failed.
    """
    with zipfile.ZipFile(BytesIO(content)) as archive:
        names = archive.namelist()
        if "requirements.txt" in names and not any(name.startswith("python/") for name in names):
            return requirements_site(archive.read("requirements.txt"), progress)
    root = unpack(content, work_dir)
    return root / "python" if (root / "python").is_dir() else root


def requirements_site(requirements: bytes, progress: Callable[[str], None]) -> Path:
    """Return the folder with the pinned requirements installed, without their dependencies, as the layers are built.

    Raises:
        LayerBuildError: pip failed.
    """
    identity = hashlib.sha256(requirements + sys.version.encode()).hexdigest()[:20]
    with _made_once(cache_dir() / "layers" / identity) as (site, building):
        if building is not None:
            count = sum(1 for line in requirements.splitlines() if line.strip() and not line.lstrip().startswith(b"#"))
            progress(f"Installing a layer of {count} packages (once for each change of its requirements) …")
            wanted = building.with_name(building.name + ".txt")
            wanted.write_bytes(requirements)
            try:
                _run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile",
                     "--target", str(building), "--requirement", str(wanted))  # fmt: skip
            finally:
                wanted.unlink()
            _compile(building)
            progress("Layer installed.")
    return site


def runtime_site() -> Path:
    """Return a folder with the Lambda runtime client and nothing else of the development environment."""
    distributions = [importlib.metadata.distribution(name) for name in _RUNTIME_DISTRIBUTIONS]
    identity = "-".join(["runtime", sys.implementation.cache_tag or "", *(found.version for found in distributions)])
    with _made_once(cache_dir() / "layers" / identity) as (site, building):
        if building is not None:
            for distribution in distributions:
                for file in distribution.files or ():
                    source = Path(str(distribution.locate_file(file)))
                    if ".." not in file.parts and "__pycache__" not in file.parts and source.is_file():
                        target = building / file
                        target.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy2(source, target)
            _compile(building)
    return site


def unpack(content: bytes, work_dir: Path) -> Path:
    """Return a folder with the zip's files, unpacked once for each content."""
    with _made_once(work_dir / "unpacked" / hashlib.sha256(content).hexdigest()[:20]) as (root, building):
        if building is not None:
            with zipfile.ZipFile(BytesIO(content)) as archive:
                archive.extractall(building)
            _compile(building)
    return root


@contextmanager
def _made_once(target: Path) -> Iterator[tuple[Path, Path | None]]:
    """Hand out ``target`` and, to the one process that must fill it, a folder that becomes it when the block ends."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        yield target, None
        return
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            yield target, None
            return
        building = Path(tempfile.mkdtemp(prefix=target.name + ".", dir=target.parent))
        try:
            yield target, building
            building.rename(target)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise


def _compile(folder: Path) -> None:
    # Unchecked hashes stay valid when files are copied with other times; a file that this Python cannot compile is left
    # to fail where it is imported.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(folder)],
        check=False,
        capture_output=True,
    )


def _run(*arguments: str) -> None:
    finished = subprocess.run([sys.executable, *arguments], check=False, capture_output=True, text=True)
    if finished.returncode:
        raise LayerBuildError(finished.stderr.strip()[-2000:])
