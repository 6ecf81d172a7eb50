# SPDX-License-Identifier: Apache-2.0
"""Jinja2 set up as the package transformers sets it up for chat templates, from its documentation and behaviour
(transformers/utils/chat_template_utils.py, _compile_jinja_template), but for the clock, which is given."""
import datetime
import json

import jinja2
import jinja2.ext
import jinja2.nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    """{% generation %}...{% endgeneration %}: where the assistant's text is, for training. Its text is its body's."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("show"), [], [], body).set_lineno(line)

    def show(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment(now):
    """now: seconds since 1970 on the clock that strftime_now shows, or None where there is none."""
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    if now is not None:
        epoch = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=now)
        env.globals["strftime_now"] = epoch.strftime
    return env


def render(text, contexts, now):
    """For each context the text, or an exception."""
    results = []
    for context in contexts:
        try:
            results.append(environment(now).from_string(text).render(**context))
        except Exception as error:  # pylint: disable=broad-exception-caught
            # Python's own errors count too: a template may add a number to a text.
            results.append(error)
    return results
