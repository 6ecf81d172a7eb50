#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_template_goldens.py [NAME...]: write "text" or "error" of each case of tests/model/templates/NAME.json, which
test_template_goldens.c reads, from NAME.jinja by Jinja2. A case is {"context", "now", "text" | "error"}; a string as context names one of contexts.json.
A new template needs its .jinja file only: it gets every context of contexts.json."""
import json
import pathlib
import sys

import jinja_reference

FOLDER = pathlib.Path(__file__).resolve().parent / "templates"
NOW = 1_732_550_400  # 2024-11-25 16:00:00
SHARED = json.loads((FOLDER / "contexts.json").read_text(encoding="utf-8"))


def names():
    return sorted(path.stem for path in FOLDER.glob("*.jinja"))


def read(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def cases(name):
    if (FOLDER / f"{name}.json").exists():
        return [{"context": case["context"], "now": case["now"]} for case in read(name)]
    return [{"context": context, "now": NOW} for context in SHARED]


def make(name):
    # Python would turn line ends into "\\n" by itself.
    template = (FOLDER / f"{name}.jinja").read_bytes().decode()
    made = cases(name)
    for case in made:
        context = SHARED[case["context"]] if isinstance(case["context"], str) else case["context"]
        [result] = jinja_reference.render(template, [context], case["now"])
        case.update({"error": str(result)} if isinstance(result, Exception) else {"text": result})
    return made


def main():
    for name in sys.argv[1:] or names():
        text = json.dumps(make(name), ensure_ascii=False, indent=1)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
