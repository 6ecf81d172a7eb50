# SPDX-License-Identifier: Apache-2.0
"""tenon template: a file or a model's own template, with a context."""
import json
import subprocess

import pytest

from conftest import BUILD

CONTEXT = {"messages": [{"role": "user", "content": "Grüß dich\n"}], "add_generation_prompt": True}


@pytest.fixture
def files(tmp_path):
    def write(template, context=None):
        (tmp_path / "t.jinja").write_bytes(template.encode())
        (tmp_path / "c.json").write_text(json.dumps(CONTEXT if context is None else context))
        return "--file", tmp_path / "t.jinja", "--context", tmp_path / "c.json"
    return write


def test_a_file_is_rendered_byte_for_byte(tenon, files):
    out = tenon("template", *files("{% for m in messages %}\r\n[{{ m.role }}] {{ m.content }}{% endfor %}\n")).stdout
    assert out == "[user] Grüß dich\n".encode()


def test_json_has_the_text(tenon, files):
    assert tenon.json("template", *files("{{ messages[0].content }}\x01")) == {"text": "Grüß dich\n\x01"}


def test_a_file_sees_the_context_alone(tenon, files):
    assert tenon("template", *files("{{ tools is defined }}{{ bos_token is defined }}")).stdout == b"FalseFalse"


def test_a_model_s_template_has_the_model_s_variables(tenon, tiny, files, tmp_path):
    files("", CONTEXT)
    out = tenon("template", "--model", tiny, "--context", tmp_path / "c.json").stdout.decode()
    assert "Grüß dich" in out and out.endswith("<|im_start|>assistant\n")


def test_stdin_is_a_dash():
    done = subprocess.run([BUILD / "bin/tenon", "template", "--file", "/dev/null", "--context", "-"], input=b"{}", capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize(("template", "context", "words"), [
    ("a\n{% if %}", {}, "t.jinja: line 2: expected"),
    ("{{ x | nope }}", {}, "line 1: No filter named 'nope'"),
    ("\n\n{{ raise_exception('roles must alternate') }}", {}, "line 3: the template refuses: roles must alternate"),
    ("{{ 'a' * 10 ** 9 }}", {}, "line 1"),
    ("{% for i in range(99999) %}{% for k in range(99999) %}{% endfor %}{% endfor %}", {}, "line 1"),
    ("x", [], "a JSON object is needed"),
    ("{{ messages.x.y }}", {}, "line 1"),
])
def test_what_cannot_be_rendered_is_an_error_with_its_place(tenon, files, template, context, words):
    done = tenon("template", *files(template, context), status=2)
    assert words in done.stderr.decode() and done.stdout == b""


@pytest.mark.parametrize(("args", "words"), [
    ((), "which template?"),
    (("--file", "x", "--model", "y", "--context", "z"), "which template?"),
    (("--file", "x"), "--context"),
    (("--file", "/nowhere.jinja", "--context", "/dev/null"), "/dev/null:1:0"),
    (("--file", "/nowhere.jinja", "--context", "/dev/zero"), "/dev/zero is longer than"),
    (("--file", "/nowhere.jinja", "--context", "/"), "/ cannot be read: Is a directory"),
])
def test_wrong_use_says_what_to_give(tenon, args, words):
    assert words in tenon("template", *args, status=2).stderr.decode()


def test_run_tells_how_to_do_without_a_template(tenon, make_model):
    model = make_model("--spm", "1")
    assert b"--raw takes the text as it is" in tenon("run", "--model", model, "--chat", "-p", "x", status=2).stderr
