# SPDX-License-Identifier: Apache-2.0
"""tenon check --junit and --html, and --against a profile."""
import html.parser
import json
import re
import xml.etree.ElementTree

import pytest

from conftest import BUILD


@pytest.fixture(scope="module")
def model(make_model):
    return make_model("--type", "Q4_1", "--layers", "3")


@pytest.fixture
def profile(model, tmp_path):
    def make(plugin, options="", name="profile.yaml", model=model):
        path = tmp_path / name
        path.write_text(f"model: {model}\nplugins: [{{name: {plugin}, path: {BUILD}/tests/plugins/{plugin}.so{options}}}]\n"
                        "kv: {format: f16, block_tokens: 16}\n", encoding="utf-8")
        return path
    return make


@pytest.fixture
def reports(tenon, profile, tmp_path):
    def run(plugin, options="", status=0, name="profile.yaml"):
        done = tenon("check", "--quick", "--json", "--profile", profile(plugin, options, name), "--junit", "r.xml", "--html", "r.html",
                     status=status, cwd=tmp_path)
        return json.loads(done.stdout), (tmp_path / "r.xml").read_bytes(), (tmp_path / "r.html").read_text(encoding="utf-8")
    return run


class Page(html.parser.HTMLParser):
    """Tags that are closed in order, and every attribute."""

    VOID = {"meta", "path", "rect"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_junit_has_a_suite_a_part_and_counts_what_failed(reports):
    report, junit, _ = reports("broken-v-from-k", status=1)
    root = xml.etree.ElementTree.fromstring(junit)
    assert root.tag == "testsuites" and {s.get("name") for s in root} == {"ops", "lockstep", "free run", "claims"}
    for suite in (root, *root):
        tests = list(suite.iter("testcase"))
        assert int(suite.get("tests")) == len(tests) > 0
        assert int(suite.get("failures")) == sum(t.find("failure") is not None for t in tests)
    failed = {(t.get("name"), t.find("failure").get("message")) for t in root.iter("testcase") if t.find("failure") is not None}
    assert failed == {(f["node"], f["text"]) for f in report["failed"]}


def test_junit_of_what_passes_has_no_failure(reports):
    report, junit, _ = reports("alt-f32")
    root = xml.etree.ElementTree.fromstring(junit)
    assert report["passed"] and root.get("failures") == "0" and not list(root.iter("failure"))


def test_the_page_is_whole_and_needs_nothing_from_outside(reports):
    _, _, text = reports("broken-v-from-k", ", options: {nodes: layer.1.attention}", status=1)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not {"src", "href", "xlink:href", "onload", "onclick"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?://|url\(|@import", text)
    assert "default-src 'none'" in text


def test_the_page_draws_drift_and_errors_and_says_them_in_words(reports):
    report, _, text = reports("broken-v-from-k", ", options: {nodes: layer.1.attention}", status=1)
    page, words = Page(text), " ".join(text.split())
    assert ("lang", "en") in page.attributes and "prefers-color-scheme:dark" in text
    charts = re.findall(r"<svg .*?</svg>", text, re.DOTALL)
    assert len(charts) > 10
    for chart in charts:  # a name for those who do not see it
        assert 'role="img"' in chart and re.search(r'aria-labelledby="[^"]+"', chart) and re.search(r"<title id=.*?>\S", chart)
    ids = re.findall(r'id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    line = re.search(r'class="line" d="([^"]*)"', text).group(1)
    assert len(re.findall("[ML]", line)) == len(report["free_run"]["drift"])
    for d in report["free_run"]["drift"]:
        assert f"{d['relative']:.2e}" in text
    assert "<h3>layer.1.attention</h3>" in words and "these nodes give the tokens back" in words and "FAILED" in words


def test_names_are_shown_as_text(reports):
    _, junit, text = reports("alt-f32", name='<b>&"name".yaml')
    assert "&lt;b&gt;&amp;" in text and "<b>" not in text
    values = [p.get("value") for p in xml.etree.ElementTree.fromstring(junit).iter("property")]
    assert any('<b>&"name".yaml' in v for v in values)
    Page(text)


def test_bytes_that_cannot_be_shown_are_escaped(reports):
    report, junit, text = reports("alt-f32", name="a\x01b\x7f\udcff.yaml")
    assert any(r"a\x01b\x7f\xff.yaml" in p.get("value") for p in xml.etree.ElementTree.fromstring(junit).iter("property"))
    assert r"a\x01b\x7f\xff.yaml" in text and report["profile"].endswith(r"a\x01b\x7f\xff.yaml")


def test_a_report_that_cannot_be_written_is_said_before_the_work(tenon, profile, tmp_path):
    for option in ("--junit", "--html"):
        stderr = tenon("check", "--profile", profile("alt-f32"), option, tmp_path / "none/r", status=2).stderr
        assert b"none/r" in stderr


def test_a_full_disk_is_exit_1_and_the_results_are_printed(tenon, profile):
    done = tenon("check", "--quick", "--profile", profile("alt-f32"), "--html", "/dev/full", status=1)
    assert b"passed:" in done.stdout and b"/dev/full" in done.stderr


# ---- --against PROFILE ----

def test_a_profile_is_the_reference_with_its_options(tenon, profile):
    sound, other = profile("alt-f32"), profile("alt-f16", name="other.yaml")
    report = tenon.json("check", "--quick", "--profile", other, "--against", sound)
    assert report["passed"] and report["against"].endswith("profile.yaml")
    wrong = profile("broken-v-from-k", name="wrong.yaml")
    assert not tenon.json("check", "--quick", "--profile", sound, "--against", wrong, "--repro-dir", sound.parent, status=1)["passed"]
    mended = profile("broken-v-from-k", ", options: {nodes: nowhere}", name="mended.yaml")
    args = ("check", "--quick", "--profile", sound, "--against", mended, "--node", "layer.*")
    assert tenon.json(*args)["passed"]


def test_the_profile_names_its_own_reference(tenon, profile):
    profile("alt-f32", name="reference.yaml")
    path = profile("alt-f16")
    path.write_text(path.read_text(encoding="utf-8") + "check: {against: reference.yaml}\n", encoding="utf-8")
    assert tenon.json("check", "--quick", "--profile", path)["against"].endswith("reference.yaml")


def test_a_reference_that_cannot_be_had_is_exit_2_with_the_reason(tenon, profile, make_model, tmp_path):
    path = profile("alt-f32")

    def refused(against, words):
        assert words in tenon("check", "--profile", path, "--against", against, status=2).stderr.decode()

    refused("nothing", "the reference nothing is not there")
    refused(tmp_path / "none.yaml", "none.yaml")
    refused(profile("alt-f32", name="other.yaml", model=make_model("--seed", "9")), "profile of another model")
    bad = tmp_path / "bad.yaml"
    bad.write_text("plugins: 7\n", encoding="utf-8")
    refused(bad, "bad.yaml:1:")
    gone = tmp_path / "gone.yaml"
    gone.write_text(path.read_text(encoding="utf-8").replace("alt-f32.so", "gone.so"), encoding="utf-8")
    refused(gone, "gone.so")
