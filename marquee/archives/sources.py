"""Which source files an archive needs: the modules its handler imports, and theirs."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from marquee.errors import MarqueeError

PACKAGE = "handlers"


def needed(root: Path, handler: Path) -> dict[str, Path]:
    """Return the files below ``root/handlers`` that ``handler`` imports, directly or not.

    By their names in an archive. ``handler`` itself is not among them. Packages' ``__init__.py``
    are.

    Raises:
        MarqueeError: a file is missing, or holds no valid Python.
    """
    files, modules = set[Path](), set[str]()
    waiting = [handler]
    while waiting:
        found = _imports(waiting.pop()) - modules
        modules |= found
        new = {path for module in found for path in _files(root, module)} - files - {handler}
        files |= new
        waiting += sorted(new)
    return {path.relative_to(root).as_posix(): path for path in sorted(files)}


def _imports(path: Path) -> frozenset[str]:
    """Return the dotted names under ``handlers`` that a file imports."""
    return _imports_of(path, _read(path))


# The archives of a project have most of their files in common.
@lru_cache(maxsize=1024)
def _imports_of(path: Path, text: bytes) -> frozenset[str]:
    return frozenset(_named(path, _tree(path, text)))


def _named(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _ours(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise MarqueeError(
                f"{path}, line {node.lineno}: relative import; write 'from handlers. ...', which "
                "works in the repository and in an archive alike"
            )
        elif isinstance(node, ast.ImportFrom) and node.module and _ours(node.module):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file.

    Raises:
        MarqueeError: it is missing, or holds no valid Python.
    """
    return _tree(path, _read(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MarqueeError(f"{path} is missing") from error


def _tree(path: Path, text: bytes) -> ast.Module:
    try:
        return ast.parse(text, filename=path.name)
    except SyntaxError as error:
        raise MarqueeError(f"{path}, line {error.lineno or 1}: {error.msg}") from error
    except ValueError as error:  # before Python 3.12, of bytes that are zero
        raise MarqueeError(f"{path} is no Python: {error}; save it as UTF-8") from error


def _ours(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE


def _files(root: Path, module: str) -> Iterator[Path]:
    """Yield the files of a dotted name: its packages' ``__init__.py`` and its module."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        folder = root.joinpath(*parts[:depth])
        for path in (folder / "__init__.py", folder.with_suffix(".py")):
            if path.is_file():
                yield path


def load(path: Path, name: str) -> ModuleType:
    """Import a module by its path, under a name of its own: projects may have the same names."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise MarqueeError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
