"""A request as curl, Python and JavaScript, to be pasted where the file lies."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marquee.media import suffix_of
from marquee.studio.connection import Connection
from marquee.studio.question import Question
from marquee.torchserve.connection import keys_of
from marquee.torchserve.curl import command

VARIABLE = "MARQUEE_TOKEN"


@dataclass(frozen=True)
class Shown:
    """What the lines are made of.

    Attributes:
        address: of the server, without a slash at its end.
        question: what is asked.
        headers: of the request, without its token.
        token: the shell's words that say it; None where the server wants none.
        saved: the file for an answer that is no text; empty for one that is.
    """

    address: str
    question: Question
    headers: Mapping[str, str]
    token: str | None
    saved: str

    @property
    def url(self) -> str:
        """Where it is sent."""
        return f"{self.address}/{self.question.path}"


def of(connection: Connection, question: Question, answer: str) -> Shown:
    """Gather what the lines are made of.

    Args:
        answer: media type of the answer.

    Raises:
        MarqueeError: a parameter fits into no header.
        OSError: the file is not there any more.
    """
    headers = question.headers(question.file.read_bytes())
    is_text = answer.startswith("text/") or answer == "application/json" or not answer
    saved = "" if is_text else f"{Path(question.name).stem}-{question.model}{suffix_of(answer)}"
    return Shown(connection.shown_address, question, headers, _token(connection), saved)


def _token(connection: Connection) -> str | None:
    project = connection.project
    if project is None:
        return f"${VARIABLE}" if connection.is_secured else None
    return f"$({command(project)} token)" if keys_of(project) else None


def curl(shown: Shown) -> str:
    """Return it as a line for a shell, in the project's folder for one of its samples."""
    words = ["curl", "-sS", "--fail-with-body"]
    token = "" if shown.token is None else f' -H "Authorization: Bearer {shown.token}"'
    rest = [word for pair in shown.headers.items() for word in ("-H", ": ".join(pair))]
    rest += ["-o", shown.saved] if shown.saved else []
    return (
        shlex.join(words) + token + " " + shlex.join([*rest, "-T", shown.question.name, shown.url])
    )


def python(shown: Shown) -> str:
    """Return it as a program for marquee-client, which is in the repository: clients/python."""
    question = shown.question
    lines = ["# pip install './clients/python[images,arrays]'"]
    key = ""
    if shown.token is not None:
        lines += ["import subprocess"] if "(" in shown.token else ["import os"]
        key = ", key=key"
    lines += ["", "from marquee_client import Client", ""]
    if shown.token is not None:
        lines.append(f"key = {_key(shown.token)}")
    named = {"version": question.version, "accept": question.accept}
    named |= {"content_type": shown.headers["Content-Type"]}
    named |= {} if question.verb == "predictions" else {"verb": question.verb}
    given = [f"{name}={value!r}" for name, value in named.items() if value is not None]
    given += [f"{name}={value!r}" for name, value in question.parameters.items()]
    arguments = ", ".join([repr(question.model), repr(question.name), *given])
    lines += [
        f"with Client({shown.address!r}{key}) as client:",
        f"    answer = client.ask({arguments})",
        "print(answer.version, answer.milliseconds)",
        "print(answer.value)",
    ]
    return "\n".join(lines).lstrip("\n")


def _key(token: str) -> str:
    if not token.startswith("$("):
        return f"os.environ[{token[1:]!r}]"
    words = shlex.split(token[2:-1])
    return f"subprocess.run({words!r}, capture_output=True, check=True, text=True).stdout.strip()"


def javascript(shown: Shown) -> str:
    """Return it as a module for Node 18 and later."""
    imports = ['import { readFile } from "node:fs/promises";']
    key, authorization = [], ""
    if shown.token is not None:
        authorization = "Authorization: `Bearer ${key}`, "
        if shown.token.startswith("$("):
            imports.append('import { execFileSync } from "node:child_process";')
            program, *words = shlex.split(shown.token[2:-1])
            said = f"execFileSync({json.dumps(program)}, {json.dumps(words)})"
            key = [f"const key = {said}.toString().trim();"]
        else:
            key = [f"const key = process.env.{shown.token[1:]};"]
    if shown.saved:
        imports[0] = 'import { readFile, writeFile } from "node:fs/promises";'
        ending = (
            f"await writeFile({json.dumps(shown.saved)}, Buffer.from(await answer.arrayBuffer()));"
        )
    else:
        ending = "console.log(await answer.text());"
    headers = ", ".join(f"{json.dumps(name)}: {json.dumps(v)}" for name, v in shown.headers.items())
    return "\n".join(
        [
            "// Save as ask.mjs, and run: node ask.mjs",
            *imports,
            "",
            *key,
            f"const answer = await fetch({json.dumps(shown.url)}, {{",
            '  method: "POST",',
            f"  headers: {{ {authorization}{headers} }},",
            f"  body: await readFile({json.dumps(shown.question.name)}),",
            "});",
            "if (!answer.ok) throw new Error(await answer.text());",
            ending,
        ]
    )
