# SPDX-License-Identifier: Apache-2.0
"""Random chat templates from a grammar, and contexts for them. Types are followed loosely: most templates render, some fail."""
import random

TEXTS = ["", "a", "Hello", "hello world", "Ünïcode ß", "日本語", "😀 x", "  pad  ", "a,b,,c", "line1\nline2\r\n\nend", "it's \"q\"", "<b>&amp;</b>", "A1b2",
         "10", "-3.5", "x" * 30, "tab\there", "MiXeD cAsE", "%s", "{}", "a b  c", "\u00a0nbsp", "ǆ ǅ İ", "\x00z", "back\\slash"]
CONTEXTS = [
    {
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi 日本"},
                     {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1, "y": [1.5, None]}}}]},
                     {"role": "user", "content": [{"type": "text", "text": "part"}, {"type": "image"}]}],
        "s": "Hello World", "t": "ünï\tx\n", "i": 7, "j": -3, "f": 2.5, "g": 1e21, "yes": True, "no": False, "none": None,
        "l": [3, 1, 2, 10, -1], "words": ["pear", "Apple", "fig", "apple", ""], "d": {"b": 1, "a": 2, "C": "x", "items": 5},
        "rows": [{"n": "x", "v": 2, "k": {"z": 1}}, {"n": "Y", "v": 1, "k": {"z": 0}}, {"n": "x", "v": 3, "k": {}}],
        "tools": [{"type": "function", "function": {"name": "get", "parameters": {"type": "object", "properties": {"q": {"type": ["string", "null"]}}}}}],
    },
    {
        "messages": [], "s": "", "t": "a b a", "i": 0, "j": 100, "f": -0.0, "g": 0.1, "yes": True, "no": False, "none": None,
        "l": [], "words": ["a"], "d": {}, "rows": [], "tools": None,
    },
    {
        "messages": [{"role": "user", "content": ""}], "s": "ß<&>'\"", "t": "1234", "i": 9007199254740993, "j": 1, "f": 1e-7, "g": 123456789.123, "yes": True,
        "no": False, "none": None, "l": [1, True, 2.0, 1], "words": ["é", "E", "z", "Z"], "d": {"k": [1, {"m": None}], "": ""}, "rows": [{"n": "q", "v": None}],
    },
]


def quoted(text, rng):
    quote = rng.choice("'\"")
    escapes = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", quote: "\\" + quote, "\0": "\\x00"}
    return quote + "".join(escapes.get(c, c) for c in text) + quote


class Grammar:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.depth = 0
        self.names = {"text": ["s", "t"], "number": ["i", "j", "f", "g"], "list": ["l", "words", "rows", "messages"], "dict": ["d"], "any": ["none", "yes", "no", "t", "i"]}
        self.macros = []
        self.namespaces = []
        self.loops = 0
        self.recursive = 0

    def pick(self, *makers):
        maker = self.rng.choice(makers)
        return maker() if callable(maker) else maker

    def chance(self, p):
        return self.rng.random() < p

    def name(self, kind):
        return "nope" if self.chance(0.01) else self.rng.choice(self.names[kind])

    # ---- expressions ----

    def expr(self, kind=None):
        kind = kind or self.rng.choice(["text", "text", "number", "list", "dict", "bool", "any"])
        if self.chance(0.015):
            kind = self.rng.choice(["text", "number", "list", "dict", "bool", "any"])
        self.depth += 1
        try:
            if self.depth > 5:
                return self.leaf(kind)
            return getattr(self, kind)()
        finally:
            self.depth -= 1

    def leaf(self, kind):
        r = self.rng
        if kind == "text":
            return self.pick(lambda: quoted(r.choice(TEXTS), r), lambda: self.name("text"))
        if kind == "number":
            return self.pick(lambda: str(r.choice([0, 1, 2, 3, 5, 10, 42, 255, 1000, "1.0", "0.5", "2.75", "1e3", "1_000", "0x1F", "1e16", "0.00001", "123456.789"])), lambda: self.name("number"))
        if kind == "list":
            return self.pick(lambda: self.name("list"), "[1, 2, 3]", "['b', 'a', 'C']", "(1, 'x')", "[]", "range(5)")
        if kind == "dict":
            return self.pick(lambda: self.name("dict"), "{'a': 1, 'b': [2]}", "{}", "(messages + [{}])[0]", "(rows + [{'n': 'o'}])[0]")
        if kind == "bool":
            return self.pick("true", "false", "True", "no", lambda: self.name("any"))
        return self.pick(lambda: self.name("any"), "none", "None", lambda: self.leaf("text"), lambda: self.leaf("text"), lambda: self.leaf("number"), "true", "nope",
                         "d.missing", "(messages|first).role")

    def small(self):
        return str(self.rng.choice([0, 1, 2, 3, 4, -1, -2, 7]))

    def text(self):
        e, r = self.expr, self.rng
        return self.pick(
            lambda: self.leaf("text"),
            lambda: self.leaf("text"),
            lambda: f"{e('text')} + {e('text')}",
            lambda: f"({e('any')} ~ {e()})",
            lambda: f"{e('text')} * {self.small()}",
            lambda: f"({e('text')}){self.subscript()}",
            lambda: f"({e('text')} if {e('bool')} else {e('text')})",
            lambda: f"{self.atom('text')}|{self.text_filter()}",
            lambda: f"{self.atom('text')}.{self.text_method()}",
            lambda: f"{self.atom('list')}|join({quoted(r.choice([', ', '', '-']), r)})",
            lambda: f"{self.atom()}|tojson{self.pick('', '', '(indent=2)', '(indent=4)', '(sort_keys=true)', '(ensure_ascii=true)', '(true)')}",
            lambda: f"{self.atom()}|string",
            lambda: f"{self.atom('dict')}.{r.choice(['role', 'content', 'n', 'a', 'items', 'zz'])}",
            lambda: self.format(),
            lambda: self.call_macro(),
            lambda: f"strftime_now({quoted(r.choice(['%d %b %Y', '%Y-%m-%d %H:%M:%S', '%A %B', '%j %y %I %p', '%%']), r)})",
            lambda: f"{self.atom('any')}|default({e('text')}{self.pick('', ', true', ', boolean=True')})",
        )

    def atom(self, kind=None):
        """Something that can stand before '.' and '|'."""
        text = self.expr(kind)
        return text if text.isidentifier() or (text[0] in "'\"" and text.count(text[0]) == 2) else f"({text})"

    def format(self):
        r = self.rng
        spec = lambda: r.choice(["", r.choice(["5", "-5", "05", "+", " ", "8.3", ".2", "-8.1", "#", "+07"])])
        if self.chance(0.5):
            n = r.randrange(3)
            body = "".join(r.choice(["%" + spec() + r.choice("sdifgexXorc"), "%%", "-", "é"]) + "." for _ in range(n + 1))
            n = sum(1 for i, c in enumerate(body) if c == "%" and body[i + 1] != "%" and (i == 0 or body[i - 1] != "%"))
            args = ", ".join(self.expr(r.choice(["number", "text"])) for _ in range(n))
            return self.pick(lambda: f"{quoted(body, r)} % ({args}{',' if n == 1 else ''})", lambda: f"{quoted(body, r)}|format({args})")
        body = r.choice(["{}", "{0}-{1}", "{a}", "{:>8}", "{:*^9}", "{:05d}", "{:.2f}", "{!r}", "{:,}", "{:x}", "{{}}", "{:e}", "{0[a]}", "{:<{w}}", "{:%}", "{:+}", "{:#o}", "{:_}", "{:g}"])
        return f"{quoted(body + r.choice(['', ' é']), r)}.format({self.expr()}, {self.expr()}, a={self.expr()}, w=6)"

    def text_filter(self):
        e, r = self.expr, self.rng
        return self.pick("upper", "lower", "capitalize", "title", "trim", "trim('a ')", "length|string", "reverse", "first", "last", "list|join('.')", "e", "escape",
                         "safe", "wordcount", "urlencode", "striptags", lambda: f"indent({self.small()}{self.pick('', ', true', ', first=true', ', false, true')})",
                         lambda: f"center({r.randrange(20)})", lambda: f"truncate({r.randrange(3, 12)}{self.pick('', ', true', ', true, chr', ', false, chr, 0')})".replace("chr", "'…'"),
                         lambda: f"replace({e('text')}, {e('text')})", lambda: "replace('l', 'L', 1)", "int", "float", "int(5)", "forceescape", "default('x', true)",
                         "string|upper", "unique|join", "select|list|length|string", "sort|join", "batch(2)|list|string", "map('upper')|join('|')", "nosuchfilter")

    def text_method(self):
        e, r = self.expr, self.rng
        s = lambda: quoted(r.choice(["a", "l", " ", "", ",", "x", "He", "ß", "\n", "b a"]), r)
        return self.pick("upper()", "lower()", "strip()", "lstrip()", "rstrip()", "title()", "capitalize()", "swapcase()", lambda: f"strip({s()})", lambda: f"lstrip({s()})",
                         lambda: f"rstrip({s()})", lambda: f"replace({s()}, {e('text')})", lambda: f"replace({s()}, 'zz', {self.small()})",
                         lambda: f"split({s()})[{self.small()}]", lambda: "split()|join('_')", lambda: f"split({s()}, {self.small()})|string", lambda: f"rsplit({s()}, 1)|string",
                         lambda: f"join({e('list')})", lambda: f"zfill({r.randrange(12)})", lambda: f"ljust({r.randrange(12)}, '.')", lambda: f"rjust({r.randrange(12)})",
                         lambda: f"center({r.randrange(12)}, '*')", lambda: f"removeprefix({s()})", lambda: f"removesuffix({s()})", "splitlines()|string", "splitlines(true)|string",
                         lambda: f"partition({s()})|string", lambda: f"rpartition({s()})[0]", "format()", "casefold()", "encode()", "__class__", "_x", "nosuch", "nosuch()")

    def number(self):
        e, r = self.expr, self.rng
        s = lambda: quoted(r.choice(["a", "l", " ", "", "x", "ß"]), r)
        return self.pick(
            lambda: self.leaf("number"),
            lambda: self.leaf("number"),
            lambda: f"({e('number')} {r.choice(['+', '-', '*', '/', '//', '%'])} {e('number')})",
            lambda: f"{e('number')} {r.choice(['+', '-', '*', '/', '//', '%'])} {e('number')} {r.choice(['+', '-', '*', '%'])} {e('number')}",
            lambda: f"{self.leaf('number')} ** {self.small()}",
            lambda: f"-{self.atom('number')}",
            lambda: f"+{self.atom('number')}",
            lambda: f"{self.atom()}|length",
            lambda: f"{self.atom()}|int",
            lambda: f"{self.atom('text')}|int({self.small()}{self.pick('', ', 16', ', base=0', ', 2')})",
            lambda: f"{self.atom()}|float",
            lambda: f"{self.atom('number')}|abs",
            lambda: f"{self.atom('number')}|round{self.pick('', '(1)', '(2)', '(1, chr)', '(0, flo)', '(-1)')}".replace("chr", "'ceil'").replace("flo", "'floor'"),
            lambda: f"{self.atom('list')}|sum{self.pick('', '(start=1)')}",
            lambda: f"rows|sum('v')",
            lambda: f"{self.atom('list')}|{r.choice(['min', 'max', 'first', 'last', 'count'])}",
            lambda: f"{self.atom('text')}.{r.choice(['find', 'rfind', 'count', 'index', 'rindex'])}({s()}{self.pick('', '', ', 1', ', -3, 10', ', 0, -1')})",
            lambda: f"{self.atom('list')}.{r.choice(['index', 'count'])}({e()})",
            lambda: f"loop.{r.choice(['index', 'index0', 'revindex', 'revindex0', 'length', 'depth', 'depth0'])}" if self.loops else "1",
        )

    def bool(self):
        e, r = self.expr, self.rng
        return self.pick(
            lambda: self.leaf("bool"),
            lambda: f"{e('number')} {r.choice(['<', '<=', '>', '>=', '==', '!='])} {e('number')}",
            lambda: f"{e('text')} {r.choice(['<', '<=', '>', '>=', '==', '!='])} {e('text')}",
            lambda: f"1 < {e('number')} <= {e('number')}",
            lambda: f"{e()} {r.choice(['==', '!='])} {e()}",
            lambda: f"{e('text')} {r.choice(['in', 'not in'])} {e('text')}",
            lambda: f"{e()} {r.choice(['in', 'not in'])} {e(r.choice(['list', 'dict']))}",
            lambda: f"({e('bool')} {r.choice(['and', 'or'])} {e()})",
            lambda: f"not {e()}",
            lambda: f"{self.atom()} is {self.pick('', 'not ')}{self.test()}",
            lambda: f"{self.atom('number')} is {self.pick('odd', 'even', 'divisibleby 3', 'divisibleby(2)', 'gt 3', 'eq 7', 'in [1, 2]', 'lessthan(5)')}",
            lambda: f"{self.atom('text')}.{r.choice(['startswith', 'endswith'])}({self.pick(lambda: e('text'), chr(40) + repr('a') + ', ' + repr('H') + chr(41))})",
            lambda: f"{self.atom('text')}.{r.choice(['isdigit', 'isalpha', 'isalnum', 'isspace', 'isupper', 'islower', 'isascii', 'isnumeric'])}()",
            lambda: f"loop.{r.choice(['first', 'last'])}" if self.loops else "false",
            lambda: f"loop.changed({e()})" if self.loops else "true",
        )

    def test(self):
        return self.pick("defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "iterable", "sequence", "callable", "true", "false",
                         "sameas none", "sameas(true)", "lower", "upper", "equalto 1", "ne('a')", "filter", "test", "escaped", lambda: f"in {self.expr('list')}")

    def list(self):
        e, r = self.expr, self.rng
        return self.pick(
            lambda: self.leaf("list"),
            lambda: self.leaf("list"),
            lambda: "[" + ", ".join(e() for _ in range(r.randrange(4))) + self.pick("", "", ",") .replace(",", "") + "]",
            lambda: f"({e()}, {e()})",
            lambda: f"({e('list')} + {e('list')})",
            lambda: f"{self.atom('list')} * {self.small()}",
            lambda: f"{self.atom('list')}{self.subscript()}",
            lambda: f"range({self.pick('', self.small() + ', ')}{r.randrange(9)}{self.pick('', '', ', 2', ', -1') if False else ''})",
            lambda: f"range({self.small()}, {self.small()}, {r.choice([1, 2, -1, -2, 3])})",
            lambda: f"{self.atom('list')}|{self.list_filter()}",
            lambda: f"{self.atom('dict')}.{r.choice(['keys', 'values', 'items'])}(){self.pick('', '|list')}",
            lambda: f"{self.atom('dict')}|{r.choice(['items', 'dictsort', 'list', 'dictsort(by=' + repr('value') + ')', 'dictsort(true)', 'dictsort(reverse=true)'])}",
            lambda: f"{self.atom('text')}.split({self.pick('', quoted(',', r), quoted(' ', r))})",
            lambda: f"{self.atom('text')}|list",
            lambda: f"rows|{self.pick('map(attribute=chr)', 'selectattr(chr)', 'rejectattr(chr, cmp, 2)', 'groupby(chr)', 'sort(attribute=chr)', 'sort(attribute=chv)', 'map(attribute=chz, default=0)', 'unique(attribute=chr)')}".replace("chr", "'n'").replace("cmp", "'eq'").replace("chv", "'v,n'").replace("chz", "'k.z'"),
        )

    def list_filter(self):
        r = self.rng
        return self.pick("list", "reverse|list", "sort", "sort(reverse=true)", "sort(case_sensitive=true)", "unique|list", "map('string')|list", "map('upper')|list", "map('default', 1)|list",
                         "select('string')|list", "reject('none')|list", "select|list", "select('number')|map('abs')|list", "reject('equalto', 1)|list", "batch(2, 'x')|list",
                         "slice(2)|list", "slice(3, 0)|list", "map('length')|list", "map('tojson')|list", "selectattr('role', 'equalto', 'user')|list", "map(attribute='role')|list",
                         "map(attribute=0)|list", "selectattr('content', 'defined')|list", "rejectattr('role', 'in', ['user'])|list", "sort(attribute='role')", "map('first')|list",
                         "reverse", "map('int')", "groupby('role')", "min", "map('trim')|join", "first", "last", "string", "join(attribute='role')", "map('replace', 'a', 'b')|list")

    def dict(self):
        e, r = self.expr, self.rng
        return self.pick(
            lambda: self.leaf("dict"),
            lambda: "{" + ", ".join(f"{self.leaf(r.choice(['text', 'number']))}: {e()}" for _ in range(r.randrange(4))) + "}",
            lambda: f"dict(a={e()}, b={e()})",
            lambda: f"dict({self.atom('dict')}, z={e()})",
            lambda: f"{self.atom('list')}|first",
            lambda: f"messages[{self.small()}]",
            lambda: f"{self.atom('dict')}.copy()",
        )

    def any(self):
        e, r = self.expr, self.rng
        return self.pick(
            lambda: self.leaf("any"),
            lambda: self.leaf("any"),
            lambda: f"{self.atom('dict')}.{r.choice(['role', 'content', 'a', 'nope', 'items', 'keys', 'tool_calls', 'get'])}",
            lambda: f"{self.atom('dict')}[{e('text')}]",
            lambda: f"{self.atom('dict')}.get({e('text')}{self.pick('', ', ' + self.leaf('any'))})",
            lambda: f"{self.atom('list')}[{self.small()}]",
            lambda: f"{self.atom('list')}.{r.choice(['0', '1', 'append(1)', 'pop()', 'nope', 'sort()'])}",
            lambda: f"({e()} if {e('bool')}{self.pick('', ' else ' + self.leaf('any'))})",
            lambda: f"{e()} {r.choice(['and', 'or'])} {e()}",
            lambda: f"nope.{r.choice(['x', 'y.z', 'f()'])}",
            lambda: self.rng.choice(self.namespaces) + "." + self.pick("x", "y", "zz") if self.namespaces else "none",
            lambda: f"loop.{r.choice(['previtem', 'nextitem', 'cycle(1, 2)', 'nope'])}" if self.loops else "none",
            lambda: self.call_macro(),
            lambda: f"{self.atom('any')}|default({e()})",
            lambda: "caller()" if self.chance(0.3) else "varargs" if self.chance(0.3) else "kwargs",
            lambda: f"{self.atom('dict')}.{r.choice(['update({})', 'pop(1)', 'setdefault(1)', 'clear()'])}",
        )

    def subscript(self):
        part = lambda: self.pick("", "", self.small(), self.small())
        return self.pick(lambda: f"[{part()}:{part()}]", lambda: f"[{part()}:{part()}:{part()}]", lambda: f"[{self.small()}]", "[::-1]", "[1:]", "[:-1]")

    def call_macro(self):
        if not self.macros:
            return self.leaf("any")
        name = self.rng.choice(self.macros)
        return f"{name}({self.pick('', self.leaf('any'), self.leaf('text') + ', ' + self.leaf('number'), 'p=' + self.leaf('any'), '1, q=' + self.leaf('text'), '1, 2, 3', 'zz=1', '*[1, 2]', '**{' + repr('p') + ': 2}')})"

    # ---- statements ----

    def tag(self, text):
        left = self.pick("", "", "", "-", "-", "+")
        right = self.pick("", "", "", "-", "-", "+")
        return "{%" + left + self.pick(" ", " ", "") + text + " " + right + "%}"

    def data(self):
        return self.rng.choice(["", " ", "\n", "\n\n  ", "text ", " é ", "  \t", "a\n  b", "<|im_start|>", "{ x }", "\r\n", "# no\n", "%", "'", "\u00a0", "\f"])

    def output(self):
        return "{{" + self.pick("", "", "-", "+" if self.chance(0.2) else "-") + " " + self.expr() + self.pick("", "", ", " + self.leaf("any") if self.chance(0.1) else "") + " " + self.pick("", "", "-") + "}}"

    def body(self, n=3):
        self.depth += 1
        parts = []
        for _ in range(self.rng.randrange(1, n + 1)):
            parts.append(self.data())
            parts.append(self.statement())
        parts.append(self.data())
        self.depth -= 1
        return "".join(parts)

    def statement(self):
        if self.depth > 4:
            return self.output()
        return self.pick(self.output, self.output, self.output, self.s_if, self.s_if, self.s_for, self.s_for, self.s_set, self.s_set, self.s_set_block, self.s_macro, self.s_call,
                         self.s_filter, self.s_namespace, self.s_namespace, self.s_with, self.s_raw, self.s_comment, self.s_generation, self.s_break, self.s_raise)

    def scoped(self, make):
        saved = {k: list(v) for k, v in self.names.items()}, list(self.macros), list(self.namespaces)
        text = make()
        if self.chance(0.8):  # else the names are used where they no longer are
            self.names, self.macros, self.namespaces = saved
        return text

    def s_if(self):
        text = self.tag(f"if {self.expr('bool')}") + self.body(2)
        if self.chance(0.3):
            text += self.tag(f"elif {self.expr()}") + self.body(1)
        if self.chance(0.5):
            text += self.tag("else") + self.body(2)
        return text + self.tag("endif")

    def s_for(self):
        def make():
            target = self.pick("x", "x", "m", "(k, v)", "k, v", "i")
            over = self.expr("list") if target[0] != "k" and target[0] != "(" else self.pick(lambda: f"{self.atom('dict')}.items()", lambda: f"{self.atom('dict')}|dictsort", "[(1, 2), (3, 4)]", "words|groupby(0)")
            head = f"for {target} in {over}"
            for n in ("x", "m", "k", "v"):
                if n in target:
                    self.names["any"].append(n)
            if self.chance(0.25):
                head += f" if {self.expr('bool') if self.chance(0.5) else target[0].replace('(', 'k') + ' is defined'}"
            recursive = self.chance(0.1)
            if recursive:
                head += " recursive"
            self.loops += 1
            text = self.tag(head) + self.body(3)
            if recursive:
                text += "{{ loop(" + self.pick("[]", "x.children", "l[:1] if loop.depth0 < 1 else []") + ") }}"
            self.loops -= 1
            if self.chance(0.2):
                text += self.tag("else") + self.body(1)
            return text + self.tag("endfor")
        return self.scoped(make)

    def s_set(self):
        kind = self.rng.choice(["text", "number", "list", "dict", "any"])
        value = self.expr(kind)
        own = {"text": "s", "number": "i", "list": "l", "dict": "d", "any": "x"}[kind]
        name = self.pick(own, own, own, "a1", "b1" if self.chance(0.9) else self.rng.choice("slid"))
        self.names[kind].append(name)
        if self.chance(0.1):
            return self.tag(f"set {name}, c1 = {value}, {self.expr()}")
        return self.tag(f"set {name} = {value}")

    def s_set_block(self):
        name = self.rng.choice(["blk", "s", "x"])
        text = self.tag(f"set {name}{self.pick('', '', '|upper', ' | trim | length')}") + self.body(2) + self.tag("endset")
        self.names["text"].append(name)
        return text

    def s_namespace(self):
        if self.namespaces and self.chance(0.6):
            return self.tag(f"set {self.rng.choice(self.namespaces)}.{self.rng.choice(['x', 'y'])} = {self.expr()}")
        self.namespaces.append("ns")
        return self.tag(f"set ns = namespace({self.pick('', 'x=1', 'x=' + self.leaf('any') + ', y=[]', chr(123) + repr('x') + ': 2' + chr(125))})")

    def s_macro(self):
        def make():
            name = self.rng.choice(["m1", "m2"])
            self.names["any"] += ["p", "q"]
            text = self.tag(f"macro {name}({self.pick('', 'p', 'p, q=' + self.leaf('any'), 'p=1, q=p', 'p, q')})") + self.body(2) + self.tag("endmacro")
            return text, name
        saved_loops, self.loops = self.loops, 0
        name = []
        text = self.scoped(lambda: (lambda made: (name.append(made[1]), made[0])[1])(make()))
        self.loops = saved_loops
        self.macros.append(name[0])
        return text

    def s_call(self):
        if not self.macros:
            return self.s_macro()
        return self.tag(f"call{self.pick('', '', '(u)')} {self.rng.choice(self.macros)}({self.pick('', '1', self.leaf('any'))})") + self.body(2) + self.tag("endcall")

    def s_filter(self):
        return self.tag(f"filter {self.pick('upper', 'trim', 'indent(2)', 'replace(1, 2)', 'title', 'lower|trim', 'length', 'e')}") + self.body(2) + self.tag("endfilter")

    def s_with(self):
        return self.scoped(lambda: self.tag(f"with {self.pick('w = ' + self.expr(), 'w = 1, s = ' + self.expr(), 's = w, w = 2')}") + self.body(2) + self.tag("endwith"))

    def s_raw(self):
        return self.tag("raw").replace("+%}", "%}") + " {{ x }}{% if %} {# #}\n  " + self.tag("endraw")

    def s_comment(self):
        return self.pick("{# note #}", "{#- note {{ x }} -#}", "{# a\nb #}\n", "{#+ x +#}")

    def s_generation(self):
        return self.tag("generation") + self.body(2) + self.tag("endgeneration")

    def s_break(self):
        if not self.loops:
            return self.output()
        word = self.pick("break", "continue")
        return self.tag(f"if {self.expr('bool')}") + self.tag(word) + self.tag("endif")

    def s_raise(self):
        return self.tag(f"if {self.expr('bool')} and {self.leaf('bool')} and false") + "{{ raise_exception('no') }}" + self.tag("endif")


def template(seed):
    """One expression, or several statements."""
    grammar = Grammar(seed)
    return grammar.output() if grammar.chance(0.3) else grammar.body(4)
