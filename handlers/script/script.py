"""Find a SageMaker model folder's script, import it, and check its functions while loading."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

DEFAULT_PROGRAM = "inference.py"
PROGRAM_VARIABLE = "SAGEMAKER_PROGRAM"
CODE = "code"
# What to install for a module whose version matters.
PACKAGES = {"sagemaker_inference": "sagemaker-inference==1.10.1"}

# What each function is given; one argument more is the context.
ARGUMENTS = {
    "pre_model_fn": ("model_dir",),
    "model_fn": ("model_dir",),
    "model_warmup_fn": ("model_dir", "model"),
    "input_fn": ("body", "content_type"),
    "predict_fn": ("data", "model"),
    "output_fn": ("prediction", "accept"),
    "transform_fn": ("model", "body", "content_type", "accept"),
}


class ScriptError(ValueError):
    """A script, or a model folder, that cannot be served; raised while it loads."""


@dataclass(frozen=True)
class Function:
    """One function of a script, or the default in its place.

    Attributes:
        call: the function itself.
        takes_context: it has one parameter more than its arguments, for the context.
    """

    call: Callable[..., Any]
    takes_context: bool = False

    def __call__(self, context: Any, *arguments: Any) -> Any:
        """Call it, with the context if it takes one."""
        return self.call(*arguments, context) if self.takes_context else self.call(*arguments)


Functions = Mapping[str, Function]


def load_script(folder: Path, program: str | None) -> Functions:
    """Import the script of a model folder and return those functions that it has.

    The script is ``code/<program>`` or ``<program>``; the program is the given one, else what
    SAGEMAKER_PROGRAM says, else ``inference.py``. Only ``inference.py`` may be absent.

    Raises:
        ScriptError: it is missing, needs a package that is not installed, or its functions
            do not fit together. Whatever else importing it raises comes through.
    """
    named = program or os.environ.get(PROGRAM_VARIABLE) or DEFAULT_PROGRAM
    path = find_program(folder, named)
    if path is None:
        if named != DEFAULT_PROGRAM:
            raise ScriptError(f"there is no script {named} in the model folder or its code/ folder")
        return {}
    _make_importable(folder, path)
    return _functions(_imported(folder, path), path.name)


def find_program(folder: Path, program: str) -> Path | None:
    """Return the script's file, ``code/`` first, or None."""
    relative = program.removesuffix(".py") + ".py"
    for place in (folder / CODE, folder):
        if (place / relative).is_file():
            return place / relative
    return None


def _make_importable(folder: Path, path: Path) -> None:
    """Put the script's folder first on the path, also of child processes, the model's last."""
    home = str(folder / CODE if (folder / CODE) in path.parents else folder)
    sys.path.insert(0, home)
    if home != str(folder):
        sys.path.append(str(folder))
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [home, inherited]))
    # TorchServe has imported this room's handler under a name that the script may have, too.
    sys.modules.pop("handler", None)
    importlib.invalidate_caches()


def _imported(folder: Path, path: Path) -> ModuleType:
    home = folder / CODE if (folder / CODE) in path.parents else folder
    name = ".".join(path.relative_to(home).with_suffix("").parts)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        module_name = (error.name or "").partition(".")[0]
        package = PACKAGES.get(module_name, module_name.replace("_", "-"))
        raise ScriptError(
            f"{path.name} imports '{error.name}', which is not installed here; run: "
            f"pip install {package} (or what code/requirements.txt names)"
        ) from error
    if Path(module.__file__ or "").resolve() != path.resolve():
        raise ScriptError(
            f"the script's name, {path.name}, is taken by {module.__file__}; rename the script"
        )
    return module


def _functions(module: ModuleType, program: str) -> Functions:
    found = {
        name: _function(getattr(module, name), name, program)
        for name in ARGUMENTS
        if callable(getattr(module, name, None))
    }
    clashing = [name for name in ("input_fn", "predict_fn", "output_fn") if name in found]
    if "transform_fn" in found and clashing:
        raise ScriptError(
            f"{program} has transform_fn and {', '.join(clashing)}; transform_fn does the work "
            "of all three: keep the one or the others"
        )
    return found


def _function(call: Callable[..., Any], name: str, program: str) -> Function:
    wanted, has = len(ARGUMENTS[name]), len(inspect.signature(call).parameters)
    if has not in (wanted, wanted + 1):
        raise ScriptError(
            f"{name} of {program} takes {has} arguments, expected {wanted} "
            f"({', '.join(ARGUMENTS[name])}), or one more for the context"
        )
    return Function(call, takes_context=has == wanted + 1)
